//! Consoles: what games print, and what they are told.

mod beside;
mod editor;
mod follow;
mod gap;
mod input;
mod interactive;
mod join;
mod key;
pub mod lines;
mod logs;
mod printer;
mod record;
mod send;
mod terminal;

pub use beside::Beside;
pub use logs::logs;
pub use send::send;

use super::{
    failure::Failure,
    grammar::ConsoleArgs,
    output::{harmless, lower},
    verbs::{Context, find, is_end, status_of},
};
use crate::api::v1;

/// Follows a session's console and writes to it.
pub async fn console(context: &mut Context, args: &ConsoleArgs) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, &args.session).await?;
    let session = status_of(&context.client, found.id).await?;
    if is_end(&session) {
        let state = lower(session.state().as_str_name(), "SESSION_STATE_");
        let reason = session.reason.unwrap_or_default().text;
        return Err(Failure::failed(format!(
            "session {} has ended ({state}): {}",
            found.id,
            harmless(&reason)
        ))
        .remedy(format!(
            "Start another one with `manman start`, or read what this one printed: manman logs {}.",
            found.id
        ))
        .detail("session", found.id)
        .detail("state", state));
    }
    if terminal::is_interactive(&context.screen) {
        interactive::run(context, found.id, args).await
    } else {
        lines::run(context, found.id, args, lines::of_stdin()).await
    }
}
