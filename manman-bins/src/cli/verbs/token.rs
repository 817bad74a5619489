//! `token …`.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, time::Duration};

use serde_json::json;

use super::{Context, pages};
use crate::{
    api::{Token, auth::digest, v1},
    cli::{
        client::new_key,
        failure::Failure,
        grammar::{RoleWord, TokenCommand, TokenCreate},
        output::{Cell, Colour, Table, lower, moment},
    },
};

/// How long a join token is good for unless said otherwise.
const JOIN_WITHIN: Duration = Duration::from_secs(60 * 60);

pub async fn run(context: &mut Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(context, args).await,
        TokenCommand::List => list(context).await,
        TokenCommand::Revoke { token } => {
            let request = v1::RevokeTokenRequest { token_id: token.0, idempotency_key: new_key() };
            let answer = context
                .client
                .call(request, async |mut api, request| api.revoke_token(request).await)
                .await?;
            context.screen.message(&answer)?;
            let token = answer.token.unwrap_or_default();
            context.screen.say(format!("revoked token {} ({})", token.token_id, token.name))
        }
    }
}

async fn create(context: &mut Context, args: TokenCreate) -> Result<(), Failure> {
    let role = match args.role {
        _ if args.join => v1::TokenRole::Join,
        RoleWord::Admin => v1::TokenRole::Admin,
        RoleWord::Operator => v1::TokenRole::Operator,
        RoleWord::Viewer => v1::TokenRole::Viewer,
    };
    let valid_for = args.valid_for.or(args.join.then_some(JOIN_WITHIN));
    let seconds = valid_for.map(|time| u32::try_from(time.as_secs()));
    let seconds =
        seconds.transpose().map_err(|_| Failure::usage("--valid-for is longer than a token may live"))?;
    let token =
        Token::random().map_err(|error| Failure::failed(format!("no randomness for a token: {error}")))?;
    let request = v1::CreateTokenRequest {
        name: args.name.to_string(),
        role: role.into(),
        server_name: args.server.map(Into::into),
        valid_for_seconds: seconds,
        token_digest: digest(token.reveal().as_bytes()).to_vec(),
        idempotency_key: new_key(),
    };
    let answer =
        context.client.call(request, async |mut api, request| api.create_token(request).await).await?;
    let made = answer.token.unwrap_or_default();
    if let Some(file) = &args.to {
        write(file, &token).map_err(|error| {
            Failure::failed(format!("{} cannot be written: {error}", file.display()))
                .remedy(format!("It was made all the same: `manman token revoke {}`.", made.token_id))
        })?;
    }
    let shown = args.to.is_none().then(|| token.reveal().to_owned());
    context.screen.value(&json!({ "token_id": made.token_id, "name": made.name, "token": shown }))?;
    if let Some(token) = shown {
        context.screen.print(format!("{token}\n"))?;
    }
    let until = moment(made.expires_at.as_ref()).map(|at| format!(", good until {at}")).unwrap_or_default();
    // Beside what it printed: that goes into a file or a variable as it is.
    context.screen.remark(format!("made token {} ({}){until}", made.token_id, made.name))
}

/// Writes a token where nothing is yet.
fn write(file: &Path, token: &Token) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{}", token.reveal())?;
    file.sync_all()
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let tokens = pages::tokens(&context.client).await?;
    let now = context.clock.now();
    let mut table = Table::new(["ID", "NAME", "ROLE", "SERVER", "MADE", "STANDING"]);
    for token in &tokens {
        let expired = token.expires_at.is_some_and(|at| crate::api::convert::timestamp_in(at) <= now);
        let standing = match () {
            () if token.revoked_at.is_some() => Cell::coloured("revoked", Some(Colour::Red)),
            () if token.spent_at.is_some() => Cell::from("used"),
            () if expired => Cell::coloured("expired", Some(Colour::Red)),
            () => match moment(token.expires_at.as_ref()) {
                Some(until) => Cell::coloured(format!("good until {until}"), Some(Colour::Green)),
                None => Cell::coloured("good", Some(Colour::Green)),
            },
        };
        table.row([
            token.token_id.into(),
            (&token.name).into(),
            lower(token.role().as_str_name(), "TOKEN_ROLE_").into(),
            token.server_name().into(),
            moment(token.created_at.as_ref()).unwrap_or_default().into(),
            standing,
        ]);
    }
    context.screen.message(&v1::ListTokensResponse { tokens, next_page_token: String::new() })?;
    let text = table.render(&context.screen, "no tokens; make one: manman token create NAME");
    context.screen.print(text)
}
