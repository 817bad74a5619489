//! What the cases need of a backend.

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    clock::Timestamp,
    id::{AttemptId, SessionId, SgcId},
    model::{ConfigBody, ImageRef, Port, PortBinding, Protocol},
    runtime::{ContainerSpec, Mount, Runtime},
};

/// A game that the cases play. Every one prints `ready` on its standard output first,
/// once it would obey its stop signal, except for [`Game::Counter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Game {
    /// Runs until its stop signal, then exits with 0.
    Sleeper,
    /// Runs until it is killed.
    Stubborn,
    /// Reads lines: `err X` prints X to standard error, `exit N` exits with N, any
    /// other line is printed to standard output. Exits with 0 at its stop signal.
    Echo,
    /// Prints `out 1`, `out 2`, … to standard output and `err 1`, … to standard error,
    /// a pair at a time, or `tick` to both if `same`; then exits.
    Counter {
        /// How many pairs.
        lines: u32,
        /// The pause after each pair; none if zero.
        pause: Duration,
        /// Whether all lines are alike.
        same: bool,
        /// The exit code.
        exit: i32,
    },
    /// Prints a line of so many `x`, then `> ` without a newline; runs until its stop
    /// signal, then exits with 0.
    Long {
        /// The length of the line.
        bytes: u32,
    },
}

/// How a backend runs a [`Game`].
#[derive(Clone, Debug)]
pub struct Program {
    /// The image.
    pub image: ImageRef,
    /// Replaces the image's entrypoint unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command unless empty.
    pub command: Vec<String>,
}

/// A backend with an owner of its own that nobody else uses, for one case.
#[async_trait]
pub trait RuntimeFixture: Send + Sync {
    /// A runtime of this fixture's owner over the same engine: each call gives a new
    /// one, as a manager that was started again would make it.
    async fn runtime(&self) -> Arc<dyn Runtime>;

    /// How `game` is run here. Its image is here, or can be pulled.
    fn program(&self, game: &Game) -> Program;

    /// A command that its image, which is here, does not have.
    fn missing_command(&self) -> Program;

    /// An image that nobody has.
    fn missing_image(&self) -> ImageRef;

    /// Holds a TCP port of the machine as a program that is none of ours would, for as
    /// long as the guard lives.
    async fn hold_port(&self) -> (Port, Box<dyn Any + Send>);

    /// Makes containers that are not this owner's: one of another cluster, one of
    /// another server of the same cluster, one of this owner with a session label that
    /// cannot be read. Gives their names as `list` shows them.
    async fn plant_foreign(&self) -> Vec<String>;

    /// Whether all that was planted is there as it was.
    async fn foreign_is_untouched(&self) -> bool;

    /// Makes the directory of this deployment belong to another cluster.
    async fn plant_directory(&self, sgc: SgcId);

    /// Removes all that the case and the fixture made. A case that fails does not come
    /// here: what must not outlive it goes with `Drop`.
    async fn finish(&self);
}

/// The container of attempt `attempt` of session `session` of deployment `sgc` that runs
/// `program`.
pub(super) fn spec(session: i64, attempt: u32, sgc: i64, program: Program) -> ContainerSpec {
    let run = AttemptId::new(SessionId(session), attempt);
    ContainerSpec {
        entrypoint: program.entrypoint,
        command: program.command,
        env: [("LANG".to_owned(), "C".to_owned())].into(),
        mounts: vec![Mount { source: None, target: ConfigBody::data_path_default(), read_only: false }],
        spec_hash: format!("{session:016x}{sgc:016x}"),
        created_at: Timestamp::from_micros(1_763_715_600_000_000),
        ..ContainerSpec::new(run, SgcId(sgc), program.image)
    }
}

/// Binds `port` of the machine to the same one inside.
pub(super) fn tcp(port: Port) -> PortBinding {
    PortBinding { container_port: port, host_port: port, protocol: Protocol::Tcp }
}
