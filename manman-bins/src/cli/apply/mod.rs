//! `apply`: what files declare, made so.
//!
//! Files become a tree that knows its places ([`yaml`]), the tree what is declared
//! ([`document`]), that and what the server has a plan ([`plan`]), and the plan, once it is
//! agreed to, calls ([`act`]).

mod act;
mod body;
mod document;
mod facts;
mod fields;
mod place;
mod plan;
mod show;
mod source;
mod yaml;

#[cfg(test)]
mod tests;

use std::io::{self, BufRead as _, IsTerminal as _};

use document::Declared;
use place::Problems;
use plan::{Plan, There, plan};

use super::{
    client::Client,
    failure::Failure,
    grammar::ApplyArgs,
    verbs::{Context, Progress, pages},
};
use crate::api::v1;

/// The most mistakes that are told one by one.
const MOST_TOLD: usize = 100;

/// Shows what would change and, if that is wanted, changes it.
pub async fn apply(context: &mut Context, args: &ApplyArgs) -> Result<(), Failure> {
    let sources = source::read(&args.files)?;
    let mut problems = Problems::default();
    let declared = document::declared(&sources, &mut problems);
    let mut progress = Progress::new("looking at what there is", "nothing was changed");
    let Context { screen, client, .. } = context;
    let (there, planned) = progress.during(screen, look(client, &declared, problems)).await??;
    show::plan(&mut context.screen, &planned)?;
    let count = planned.changes.len();
    if args.dry_run {
        return context.screen.value(&show::value(&planned, "planned"));
    }
    if !planned.refused.is_empty() {
        context.screen.value(&show::value(&planned, "refused"))?;
        return Err(Failure::failed("this cannot be applied; nothing was changed").problems(planned.refused));
    }
    let (done, value) = if count == 0 {
        context.screen.say("nothing to do")?;
        (Vec::new(), show::value(&planned, "applied"))
    } else {
        if !args.yes {
            // Whoever waited above is heard here too.
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {
                    return Err(Failure::interrupted("interrupted: nothing was changed"));
                }
                agreed = agree(context, &declared, &planned) => agreed?,
            }
        }
        let value = show::value(&planned, "applied");
        (act::act(context, planned, &there).await?, value)
    };
    let Context { screen, client, .. } = context;
    let mut progress = Progress::new("looking at what there is", "what was applied stays");
    let next = progress.during(screen, next(client, &declared)).await??;
    if !done.is_empty() {
        context.screen.say(format!("applied {}", changes(done.len())))?;
    }
    for name in &next {
        context.screen.say(format!("{name} was never started: manman start {name}"))?;
    }
    context.screen.value(&show::finished(value, &next))
}

/// What is wrong with the files, as far as that can be told without a server.
pub fn mistakes(args: &ApplyArgs) -> Option<Failure> {
    let mut problems = Problems::default();
    match source::read(&args.files) {
        Ok(sources) => drop(document::declared(&sources, &mut problems)),
        Err(failure) => return Some(failure),
    }
    (!problems.is_empty()).then(|| invalid(problems))
}

/// What there is, and what is to be done about it.
async fn look(
    client: &Client,
    declared: &Declared,
    mut problems: Problems,
) -> Result<(There, Plan), Failure> {
    let there = match There::fetch(client).await {
        Ok(there) => there,
        // What is wrong with the files can be told without a server.
        Err(failure) if problems.is_empty() => return Err(failure),
        Err(_) => return Err(invalid(problems)),
    };
    // Whether references lead somewhere is not known where something was left out.
    if !declared.is_whole {
        return Err(invalid(problems));
    }
    let plan = plan(declared, &there, &mut problems)?;
    if problems.is_empty() { Ok((there, plan)) } else { Err(invalid(problems)) }
}

fn invalid(problems: Problems) -> Failure {
    let mut lines = problems.lines();
    let what = if lines.len() == 1 { "one mistake".to_owned() } else { format!("{} mistakes", lines.len()) };
    if lines.len() > MOST_TOLD {
        let more = lines.len() - MOST_TOLD;
        lines.truncate(MOST_TOLD);
        lines.push(format!("and {more} more"));
    }
    Failure::usage(format!("{what} in what is declared; nothing was changed"))
        .remedy("The format: docs/apply.md, and `manman apply --help`.")
        .problems(lines)
}

fn changes(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// Asks whoever sits there. What was agreed to is what is done: where something is another
/// way by now, nothing is.
async fn agree(context: &mut Context, declared: &Declared, planned: &Plan) -> Result<(), Failure> {
    let count = changes(planned.changes.len());
    if !io::stdin().is_terminal() || !context.screen.out_is_terminal() || context.screen.is_json() {
        context.screen.value(&show::value(planned, "planned"))?;
        return Err(Failure::usage(format!("{count} to apply, and nobody to ask; nothing was changed"))
            .remedy("Add --yes to apply without being asked, or --dry-run to only look."));
    }
    context.screen.print(format!("apply {count}? [y/N] "))?;
    let (to, answer) = tokio::sync::oneshot::channel();
    // On a thread of its own that nobody waits for: a read cannot be called off.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer).map(|_| answer);
        drop(to.send(read.unwrap_or_default()));
    });
    let answer = answer.await.unwrap_or_default();
    if !matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Err(Failure::failed("not applied; nothing was changed"));
    }
    let (_, now) = look(&context.client, declared, Problems::default()).await?;
    if now.changes == planned.changes && now.refused == planned.refused {
        return Ok(());
    }
    Err(Failure::failed("something was changed meanwhile by somebody else; nothing was changed here")
        .remedy("Apply again to see what is to be done now."))
}

/// The declared deployments that never had a session.
async fn next(client: &Client, declared: &Declared) -> Result<Vec<String>, Failure> {
    let mut next = Vec::new();
    if declared.deployments.is_empty() {
        return Ok(next);
    }
    let there = pages::deployments(client, None).await?;
    for one in there.iter().filter(|one| declared.deployments.iter().any(|it| it.name.as_str() == one.name)) {
        let of = Some(one.server_game_config_id);
        let filter = v1::ListSessionsRequest { server_game_config_id: of, ..Default::default() };
        if pages::sessions(client, &filter, 1).await?.is_empty() {
            next.push(one.name.clone());
        }
    }
    Ok(next)
}
