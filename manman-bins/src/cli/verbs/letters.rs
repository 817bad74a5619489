//! `deadletter …`.

use uuid::Uuid;

use super::Context;
use crate::{
    api::v1,
    cli::{
        failure::Failure,
        grammar::LettersCommand,
        output::{Facts, Table, harmless},
    },
};

/// All that are shown, the newest.
const MOST: i32 = 200;

pub async fn run(context: &mut Context, command: LettersCommand) -> Result<(), Failure> {
    match command {
        LettersCommand::List { limit } => list(context, limit).await,
        LettersCommand::Show { message } => show(context, message).await,
        LettersCommand::Requeue { message } => {
            let request = v1::RequeueDeadLetterRequest { message_id: message.to_string() };
            let answer = context
                .client
                .call(request, async |mut api, request| api.requeue_dead_letter(request).await)
                .await?;
            context.screen.message(&answer)?;
            context.screen.say(format!("{message} is back in its queue"))
        }
        LettersCommand::Drop { message } => {
            let request = v1::DropDeadLetterRequest { message_id: message.to_string() };
            let answer = context
                .client
                .call(request, async |mut api, request| api.drop_dead_letter(request).await)
                .await?;
            context.screen.message(&answer)?;
            context.screen.say(format!("{message} is no dead letter any more"))
        }
    }
}

async fn letters(context: &Context, limit: i32) -> Result<v1::ListDeadLettersResponse, Failure> {
    let request = v1::ListDeadLettersRequest { limit: Some(limit) };
    context.client.call(request, async |mut api, request| api.list_dead_letters(request).await).await
}

async fn list(context: &mut Context, limit: i32) -> Result<(), Failure> {
    let answer = letters(context, limit).await?;
    let mut table = Table::new(["MESSAGE", "QUEUE", "KEY", "TRIES", "REASON"]);
    for letter in &answer.dead_letters {
        table.row([
            (&letter.message_id).into(),
            (&letter.queue).into(),
            (&letter.key).into(),
            i64::from(letter.attempts).into(),
            harmless(&letter.reason).into(),
        ]);
    }
    context.screen.message(&answer)?;
    let text = table.render(&context.screen, "no dead letters");
    context.screen.print(text)
}

async fn show(context: &mut Context, message: Uuid) -> Result<(), Failure> {
    let all = letters(context, MOST).await?.dead_letters;
    let wanted = message.to_string();
    let letter = all.into_iter().find(|letter| letter.message_id == wanted).ok_or_else(|| {
        Failure::failed(format!("there is no dead letter {message} among the newest {MOST}")).remedy(
            "List them: `manman deadletter list`. Older ones are not shown; `requeue` and `drop` reach them.",
        )
    })?;
    context.screen.message(&letter)?;
    let mut facts = Facts::default();
    facts
        .fact("message", &letter.message_id)
        .fact("queue", &letter.queue)
        .fact("key", &letter.key)
        .fact("tries", i64::from(letter.attempts))
        .fact("reason", harmless(&letter.reason))
        .fact("bytes", letter.body.len() as i64)
        .fact("says", harmless(&String::from_utf8_lossy(&letter.body)));
    context.screen.print(facts.render(&context.screen))
}
