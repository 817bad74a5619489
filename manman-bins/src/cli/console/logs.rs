//! `logs`: what a game printed.

use super::{
    follow::{Follower, begin},
    printer::{Printer, Style},
    terminal,
};
use crate::{
    api::v1,
    cli::{
        failure::Failure,
        grammar::LogsArgs,
        output::{harmless, lower},
        verbs::{Context, find, is_end, status_of},
    },
};

/// Prints what a game printed, and, if asked, what it prints.
pub async fn logs(context: &mut Context, args: &LogsArgs) -> Result<(), Failure> {
    let found = find(&context.client, v1::Noun::Session, &args.session).await?;
    let style = Style {
        raw: args.raw,
        timestamps: args.timestamps,
        one_file: terminal::outputs_are_one_file(),
        bottom: args.follow,
    };
    let mut printer = Printer::new(style, &context.screen);
    let begin = begin(args.lines, args.since_seq);
    let mut follower = Follower::new(context.client.clone(), found.id, begin, args.follow);
    let followed = print(context, &mut follower, &mut printer).await;
    if matches!(followed, Err(Failure::NobodyReads)) {
        return followed;
    }
    printer.finish(&mut context.screen)?;
    followed?;
    if args.follow && context.screen.err_is_terminal() {
        let session = status_of(&context.client, found.id).await?;
        if is_end(&session) {
            context.screen.remark(ended(&session))?;
        }
    }
    Ok(())
}

async fn print(context: &mut Context, follower: &mut Follower, printer: &mut Printer) -> Result<(), Failure> {
    while let Some(seen) = follower.next().await? {
        printer.seen(&mut context.screen, seen)?;
    }
    Ok(())
}

/// What is said at the end of a console.
pub fn ended(session: &v1::Session) -> String {
    let state = lower(session.state().as_str_name(), "SESSION_STATE_");
    let reason = session.reason.clone().unwrap_or_default().text;
    format!("-- session {} {state}: {} --", session.session_id, harmless(&reason))
}
