//! The words: what the control plane keeps, what a host is told, and the rules that
//! hold for them. No I/O here. Names, paths, ports and references are valid where they
//! exist; what is made of fields (`ConfigBody`, `Limits`, `StopPlan`, `NewGame`) is checked
//! by its `validate` where it comes in.

pub mod config;
pub mod deployment;
pub mod game;
pub mod image;
pub mod limits;
pub mod name;
pub mod path;
pub mod port;
pub mod reason;
pub mod server;
pub mod session;
pub mod spec;
pub mod stop;
pub mod text;
pub mod token;
pub mod user;

pub use config::{ConfigBody, ConsolePolicy, GameConfig, NetworkMode, Volume};
pub use deployment::{Deployment, DeploymentStatus};
pub use game::Game;
pub use image::ImageRef;
pub use limits::{CapProfile, Limits};
pub use name::{EnvironmentName, Name};
pub use path::{ContainerPath, SubPath};
pub use port::{Port, PortAsk, PortBinding, PortNeed, Protocol};
pub use reason::Reason;
pub use server::{Capacity, Health, Server, ServerStatus};
pub use session::{Phase, Session, State, StopMode, Want};
pub use spec::SessionSpec;
pub use stop::{ConsoleLine, Signal, StopPlan, StopStep};
pub use text::Labels;
pub use token::{Role, Token};
pub use user::RunAs;

/// A value that cannot be: which field, what was wrong with it, what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field or thing, in the words of the API (`ports[0].port`).
    pub field: String,
    /// What is wrong and what is expected, with the value where it is safe to show.
    pub problem: String,
}

impl Invalid {
    /// Says what is wrong with `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// The same problem, found within `outer`.
    pub fn within(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.field) };
        self
    }
}
