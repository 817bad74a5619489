//! `manman up --demo`: a small game, deployed and started like any other, its console shown.

mod image;
mod place;
#[cfg(test)]
mod village;

use std::sync::Arc;

use anyhow::Context as _;
use manman_core::{model::ImageRef, runtime::Runtime};
use tonic::{Code, Response, Status, transport::Channel};
use uuid::Uuid;

pub use place::{Placed, place};

use self::place::IMAGE;
use crate::{
    api::{
        connect,
        v1::{self, man_man_api_client::ManManApiClient, stream_session_logs_response::What},
    },
    cli::harmless,
    compose::Say,
    config::{Places, UpConfig},
};

/// How long one question where a session is stays open.
const WAIT_MILLIS: u32 = 1_000;

/// What the demo's game, config and deployment are called.
pub const NAME: &str = "demo";

/// Deploys the demo game from where it was placed unless it is deployed, starts it unless
/// it runs, and shows its console until its session ends. A deployment of the same name that
/// is somebody else's is not touched.
///
/// # Errors
/// What keeps it from being deployed or started.
pub async fn play(
    config: &UpConfig,
    placed: &Placed,
    runtime: Arc<dyn Runtime>,
    say: Say,
    mut show: impl FnMut(What),
) -> anyhow::Result<()> {
    let client = connect(&Places(&config.machine.data_dir).socket()).await?;
    let mut demo = Demo { client, runtime, say };
    let deployment = demo.deployment(config, placed).await?;
    let session = demo.session(deployment).await?;
    (demo.say)(&format!(
        "demo: session {session} runs; try `manman send {NAME} list` or `manman console {NAME}`"
    ));
    demo.follow(session, &mut show).await
}

/// The API, as any client uses it, and what runs the games here.
struct Demo {
    client: ManManApiClient<Channel>,
    runtime: Arc<dyn Runtime>,
    say: Say,
}

/// What became of a session that was waited for.
enum Came {
    /// Its game runs.
    Up,
    /// It has ended, and why.
    ToItsEnd(String),
}

/// A thing that is there, or `None`.
fn there<T>(reply: Result<Response<T>, Status>) -> Result<Option<T>, Status> {
    match reply {
        Ok(reply) => Ok(Some(reply.into_inner())),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status),
    }
}

/// Refuses the config of a deployment that is called as the demo is and is not one.
fn check_own(config: &v1::GameConfig) -> anyhow::Result<()> {
    let image = config.body.as_ref().map_or("", |body| &body.image);
    anyhow::ensure!(
        config.name.starts_with(&format!("{IMAGE}-"))
            && (image.starts_with(&format!("{IMAGE}:"))
                || image.parse::<ImageRef>().is_ok_and(|image| image.is_host())),
        "there is a deployment named {NAME} that is not the demo's: it is left as it is; delete it with \
         `manman deployment delete {NAME}`, or run `manman up` without --demo",
    );
    Ok(())
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

impl Demo {
    async fn find(&mut self, noun: v1::Noun, text: &str) -> anyhow::Result<Option<i64>> {
        let request = v1::ResolveRequest { noun: noun.into(), text: text.to_owned() };
        Ok(there(self.client.resolve(request).await)?.map(|found| found.id))
    }

    /// The demo's deployment; one of an older program is replaced unless it runs.
    async fn deployment(&mut self, config: &UpConfig, placed: &Placed) -> anyhow::Result<i64> {
        let name = placed.config_name();
        let config_id = match self.find(v1::Noun::GameConfig, &name).await? {
            Some(id) => id,
            None => self.make_config(&name, placed).await?,
        };
        if let Some(id) = self.find(v1::Noun::ServerGameConfig, NAME).await? {
            let request = v1::GetServerGameConfigRequest { server_game_config_id: id };
            let found = self.client.get_server_game_config(request).await?.into_inner().config;
            let found = found.context("an empty reply")?.game_config_id;
            if found == config_id {
                return Ok(id);
            }
            let request = v1::GetGameConfigRequest { config_id: found };
            let other = self.client.get_game_config(request).await?.into_inner().config;
            check_own(&other.context("an empty reply")?)?;
            if self.latest(id).await?.is_some_and(|session| session.ended_at.is_none()) {
                return Ok(id);
            }
            let request =
                v1::DeleteServerGameConfigRequest { server_game_config_id: id, idempotency_key: key() };
            self.client.delete_server_game_config(request).await?;
        }
        let server_id = self
            .find(v1::Noun::Server, config.machine.server_name.as_str())
            .await?
            .context("this machine is not registered")?;
        let request = v1::DeployGameConfigRequest {
            name: Some(NAME.to_owned()),
            server_id: Some(server_id),
            game_config_id: config_id,
            idempotency_key: key(),
            ..Default::default()
        };
        let made = self.client.deploy_game_config(request).await?.into_inner().config;
        Ok(made.context("an empty reply")?.server_game_config_id)
    }

    async fn make_config(&mut self, name: &str, placed: &Placed) -> anyhow::Result<i64> {
        let game_id = match self.find(v1::Noun::Game, NAME).await? {
            Some(id) => id,
            None => {
                let request = v1::CreateGameRequest {
                    name: NAME.to_owned(),
                    idempotency_key: key(),
                    ..Default::default()
                };
                self.client.create_game(request).await?.into_inner().game.context("an empty reply")?.game_id
            }
        };
        // In a container not root, and somebody whom this process may give the directory to;
        // who plain processes are is said by the configuration.
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let user = match placed {
            Placed::Program(_) => None,
            Placed::Image(_) if uid.is_root() => Some("1000:1000".to_owned()),
            Placed::Image(_) => Some(format!("{}:{}", uid.as_raw(), gid.as_raw())),
        };
        let body = v1::ConfigBody {
            image: placed.image(),
            entrypoint: placed.entrypoint()?,
            user,
            stop: Some(v1::StopPlan {
                steps: vec![v1::StopStep { command: "quit".to_owned(), wait_millis: 5_000 }],
                ..Default::default()
            }),
            ..Default::default()
        };
        let request = v1::CreateGameConfigRequest {
            game_id,
            name: name.to_owned(),
            body: Some(body),
            idempotency_key: key(),
        };
        let made = self.client.create_game_config(request).await?.into_inner().config;
        Ok(made.context("an empty reply")?.config_id)
    }

    async fn latest(&mut self, deployment: i64) -> anyhow::Result<Option<v1::Session>> {
        let request = v1::ListSessionsRequest {
            server_game_config_id: Some(deployment),
            page_size: Some(1),
            ..Default::default()
        };
        Ok(self.client.list_sessions(request).await?.into_inner().sessions.pop())
    }

    /// The live session, or a new one that has come to run. What became of one that crashed is
    /// said: its end may have been noticed before we asked.
    async fn session(&mut self, deployment: i64) -> anyhow::Result<i64> {
        let of_interest = |session: &v1::Session| {
            session.ended_at.is_none() || session.state() == v1::SessionState::Crashed
        };
        if let Some(session) = self.latest(deployment).await?.filter(of_interest) {
            let id = session.session_id;
            match self.await_game(id).await? {
                Came::Up => return Ok(id),
                Came::ToItsEnd(why) => {
                    (self.say)(&format!("demo: session {id} has ended ({why}); starting another"))
                }
            }
        }
        let request = v1::StartSessionRequest { server_game_config_id: deployment, idempotency_key: key() };
        let started = self.client.start_session(request).await?.into_inner().session;
        let id = started.context("an empty reply")?.session_id;
        match self.await_game(id).await? {
            Came::Up => Ok(id),
            Came::ToItsEnd(why) => anyhow::bail!("the demo game did not come to run: {why}"),
        }
    }

    /// Waits until the game of a session runs, or has ended.
    async fn await_game(&mut self, id: i64) -> anyhow::Result<Came> {
        let mut request =
            v1::GetSessionStatusRequest { session_id: id, wait_millis: Some(WAIT_MILLIS), seen: None };
        loop {
            let status = self.client.get_session_status(request.clone()).await?.into_inner();
            let session = status.session.context("an empty reply")?;
            // What is on record of a game here may be from before: a machine takes its games
            // with it.
            let is_here = session.server_id == self.runtime.owner().server.0;
            if session.state() == v1::SessionState::Running && (!is_here || self.lives(id).await) {
                return Ok(Came::Up);
            }
            if session.ended_at.is_some() {
                let reason = session.reason.map(|reason| reason.text).unwrap_or_default();
                return Ok(Came::ToItsEnd(harmless(&reason)));
            }
            request.seen = Some(v1::SessionStatus {
                revision: session.revision,
                phase: session.phase,
                progress: session.progress,
            });
        }
    }

    /// Whether what runs the games sees one of this session.
    async fn lives(&self, id: i64) -> bool {
        let there = self.runtime.list().await.map(|there| there.found).unwrap_or_default();
        there.iter().any(|found| found.run.session.0 == id && found.state.is_alive())
    }

    async fn follow(&mut self, session: i64, show: &mut impl FnMut(What)) -> anyhow::Result<()> {
        let request = v1::StreamSessionLogsRequest {
            session_id: session,
            follow: true,
            begin: Some(v1::stream_session_logs_request::Begin::Last(20)),
        };
        let mut shown = self.client.stream_session_logs(request).await?.into_inner();
        loop {
            match shown.message().await {
                Ok(Some(message)) => message.what.into_iter().for_each(&mut *show),
                Ok(None) => break,
                // This process is about to end, and says so itself.
                Err(status) if status.code() == tonic::Code::Unavailable => return Ok(()),
                Err(status) => anyhow::bail!("its console broke off: {}", status.message()),
            }
        }
        (self.say)("demo: its session has ended; `manman start demo` starts another one");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_deployment_of_the_demo_is_replaced() {
        let config = |name: &str, image: &str| v1::GameConfig {
            name: name.into(),
            body: Some(v1::ConfigBody { image: image.into(), ..Default::default() }),
            ..Default::default()
        };
        assert!(check_own(&config("manman-demo-12ab", "manman-demo:12ab")).is_ok());
        for (name, image) in
            [("openttd", "openttd:1"), ("manman-demo-12ab", "mine:1"), ("demo", "manman-demo:12ab")]
        {
            let refused = check_own(&config(name, image)).unwrap_err().to_string();
            assert!(refused.contains("manman deployment delete demo"), "{refused}");
        }
    }
}
