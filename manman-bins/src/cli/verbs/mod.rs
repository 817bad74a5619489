//! What the commands do, one file for each noun.

mod body;
mod completions;
mod config;
mod deployment;
mod explain;
mod find;
mod game;
mod letters;
mod life;
mod names;
pub mod pages;
mod progress;
mod server;
mod session;
mod status;
mod token;
mod wait;

use std::{fmt, sync::Arc};

use manman_core::clock::Clock;

use super::{apply, client::Client, console, failure::Failure, grammar::Command, output::Screen};

pub use completions::completions;
pub use deployment::asked;
pub use explain::explain;
pub use find::find;
pub use pages::{live_sessions, servers};
pub use progress::Progress;
pub use server::degraded_by;
pub use wait::{is_end, status_of};

/// What a command works with.
pub struct Context {
    /// Where the answer goes.
    pub screen: Screen,
    /// Whom to ask.
    pub client: Client,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Does what a command says that talks to a running manman.
pub async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status => status::status(context).await,
        Command::Apply(args) => apply::apply(context, &args).await,
        Command::Game(command) => game::run(context, command).await,
        Command::Config(command) => config::run(context, command).await,
        Command::Deployment(command) => deployment::run(context, command).await,
        Command::Server(command) => server::run(context, command).await,
        Command::Session(command) => session::run(context, command).await,
        Command::Token(command) => token::run(context, command).await,
        Command::Deadletter(command) => letters::run(context, command).await,
        Command::Start(args) => life::start(context, &args).await,
        Command::Stop(args) => life::stop(context, &args, life::How::Gracefully).await,
        Command::Kill(args) => life::stop(context, &args, life::How::AtOnce).await,
        Command::Restart(args) => life::restart(context, &args).await,
        Command::Logs(args) => console::logs(context, &args).await,
        Command::Console(args) => console::console(context, &args).await,
        Command::Send(args) => console::send(context, &args).await,
        // Those that need nobody to talk to were done before anybody was looked for.
        Command::Up(_)
        | Command::Down(_)
        | Command::Doctor(_)
        | Command::Store(_)
        | Command::Uninstall(_)
        | Command::Completions { .. }
        | Command::Explain { .. } => Ok(()),
    }
}
