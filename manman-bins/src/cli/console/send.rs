//! `send`: one line, and what became of it.

use super::input::{Receipt, write};
use crate::{
    api::v1,
    cli::{
        failure::Failure,
        grammar::SendArgs,
        verbs::{Context, find},
    },
};

/// Sends a line to a game's console.
pub async fn send(context: &mut Context, args: &SendArgs) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, &args.session).await?;
    let answer = write(&context.client, found.id, args.text.clone()).await?;
    context.screen.message(&answer)?;
    let failure = match Receipt::of(&answer) {
        Receipt::Written => return context.screen.say(format!("written to session {}", found.id)),
        Receipt::Refused(why) => Failure::failed(format!("the line was not written: {why}")),
        Receipt::Unknown(why) => Failure::failed(format!("nobody knows whether the line was written: {why}"))
            .remedy("Look at what the game printed before you send it again; nobody repeats it by itself."),
    };
    Err(failure.detail("session", found.id).detail("command_id", answer.command_id))
}
