//! `up` and `down`: the commands that are a process of their own.

use std::{future::Future, io::Write as _, path::Path, pin::pin, sync::Arc, time::Duration};

use futures::future::Either;

use manman_core::{error::Chain, runtime::Runtime};
use serde_json::json;
use tokio::sync::mpsc;
use tracing_appender::non_blocking::NonBlocking;

use crate::{
    compose::{self, Down, DownError, Ended, RuntimeKind, Say, Signals, UpError},
    config::{Process, UpConfig, UpGiven},
    demo, telemetry,
};

use super::{
    console::Beside,
    exit::Exit,
    failure::Failure,
    grammar::{Command, Common, DownArgs, UpArgs},
    output::Screen,
    verbs::Progress,
};

/// How long games may take to end unless said otherwise: time for a stop plan with several
/// steps, and short enough to be noticed where nothing moves.
const LONGEST_STOP: Duration = Duration::from_secs(10 * 60);

/// Whether a command is a process of its own, rather than a client's.
pub fn is_one(command: &Command) -> bool {
    matches!(command, Command::Up(_) | Command::Down(_))
}

/// Runs one of them.
pub fn run(screen: &mut Screen, common: &Common, command: Command) -> Result<(), Failure> {
    match command {
        Command::Up(args) => up(common, args),
        Command::Down(args) => down(screen, common, &args),
        _ => Ok(()),
    }
}

fn up(common: &Common, args: UpArgs) -> Result<(), Failure> {
    let given = UpGiven {
        config: path(args.config.as_deref()),
        data_dir: path(common.data_dir.as_deref()),
        listen: args.listen,
        broker: args.broker,
        database: args.database,
        blobs: args.blobs,
        no_host: args.no_host,
        plaintext: common.plaintext,
        environment: args.environment,
        server_name: args.server_name,
        runtime: args.runtime,
        docker_socket: args.docker_socket,
        host_data_dir: args.host_data_dir,
        log_format: args.log_format,
    };
    let config = read(&given)?;
    let _logging = telemetry::start(config.log_format, "info")?;
    let (lines, _showing) = telemetry::beside(std::io::stdout());
    let say = say(lines);
    block_on(async {
        let mut signals =
            Signals::listen().map_err(|error| Failure::failed(format!("no signals: {error}")))?;
        let chosen = compose::choose(&config.machine).await;
        let kind = chosen.kind;
        let running = compose::up(config.clone(), chosen, say.clone()).await.map_err(up_failed)?;
        // It cannot be asked for where others run the games.
        let games = running.runtime().filter(|_| args.demo);
        let demo = games.map(|games| tokio::spawn(show_demo(config, kind, games, say)));
        let told = running.until_told(&mut signals).await;
        if let Some(demo) = demo {
            demo.abort();
        }
        told.map_err(up_failed)
    })
}

/// What else is served goes on being served if the demo does not come up.
async fn show_demo(config: UpConfig, kind: RuntimeKind, games: Arc<dyn Runtime>, say: Say) {
    let mut beside = Beside::new(demo::NAME);
    let show = |what| beside.lines(&what).iter().for_each(|line| say(line));
    let shown = async {
        let placed = demo::place(&config, kind, &say).await?;
        demo::play(&config, &placed, games, say.clone(), show).await
    };
    if let Err(error) = shown.await {
        tracing::error!("the demo does not go on: {error:#}");
    }
}

fn down(screen: &mut Screen, common: &Common, args: &DownArgs) -> Result<(), Failure> {
    let config = read(&UpGiven {
        config: path(args.config.as_deref()),
        data_dir: path(common.data_dir.as_deref()),
        database: args.database.clone(),
        broker: args.broker.clone(),
        docker_socket: args.docker_socket.clone(),
        ..UpGiven::default()
    })?;
    let _logging = telemetry::start(config.log_format, "warn")?;
    let how = Down { kill: args.kill, patience: args.timeout.unwrap_or(LONGEST_STOP) };
    block_on(async {
        let (to, mut said) = mpsc::unbounded_channel();
        // Whoever no longer listens is no longer told.
        let tell: Say = Arc::new(move |sentence| drop(to.send(sentence.to_owned())));
        let chosen = compose::choose(&config.machine).await;
        let ended = show_down(screen, compose::down(config, how, chosen, tell), &mut said);
        let ended = ended.await?.map_err(|error| match error {
            DownError::Up(error) => up_failed(error),
            DownError::Left { .. } => Failure::failed(error.to_string())
                .remedy("`manman down --kill` ends them at once, `--timeout` gives them longer"),
            DownError::NoDatabase { .. } => Failure::new(Exit::Config, "down", error.to_string())
                .remedy("say what `manman up` was told: --database, DATABASE_URL or --config"),
            error => Failure::failed(Chain(&error).to_string()),
        })?;
        let row = |ended: &Ended| {
            json!({
                "deployment": ended.name,
                "session_id": ended.session.id.0,
                "state": ended.session.state.to_string(),
                "exit_code": ended.session.exit_code,
            })
        };
        screen.value(&json!({ "ended": ended.iter().map(row).collect::<Vec<_>>() }))?;
        screen.say(match ended.len() {
            0 => "no game was running".to_owned(),
            1 => "1 game has ended, and manman with it".to_owned(),
            n => format!("{n} games have ended, and manman with them"),
        })
    })
}

/// Prints what is said of games that are ended, with how long it takes below it.
async fn show_down<T>(
    screen: &mut Screen,
    work: impl Future<Output = T>,
    said: &mut mpsc::UnboundedReceiver<String>,
) -> Result<T, Failure> {
    let mut progress = Progress::new("ending the games", "");
    progress.goes_on(
        "games that were asked to stop go on stopping, while a manman runs",
        "See them with `manman status`; `manman down` once more waits for them.",
    );
    let mut work = pin!(work);
    loop {
        let next = async {
            tokio::select! {
                // What was said comes before the end.
                biased;
                Some(sentence) = said.recv() => Either::Left(sentence),
                ended = &mut work => Either::Right(ended),
            }
        };
        match progress.during(screen, next).await? {
            Either::Left(sentence) => {
                screen.say(&sentence)?;
                progress.say(sentence);
            }
            Either::Right(ended) => {
                while let Ok(sentence) = said.try_recv() {
                    screen.say(sentence)?;
                }
                return Ok(ended);
            }
        }
    }
}

fn path(given: Option<&Path>) -> Option<String> {
    given.map(|path| path.to_string_lossy().into_owned())
}

fn read(given: &UpGiven) -> Result<UpConfig, Failure> {
    UpConfig::read(given, &Process).map_err(Failure::from)
}

fn up_failed(error: UpError) -> Failure {
    let exit = if error.is_config() { Exit::Config } else { Exit::Failed };
    let failure = Failure::new(exit, "up", Chain(&error).to_string());
    match error.remedy() {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}

/// Sentences for the operator go to stdout. Nobody reading is no failure.
fn say(lines: NonBlocking) -> Say {
    Arc::new(move |sentence| {
        let _ = lines.clone().write_all(format!("{sentence}\n").as_bytes());
    })
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(work);
    // Blocking work that hangs (a disk that is gone) is not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}
