//! A fleet under load: it comes up, is held for a time, and is judged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use manman_bins::api::v1;
use tokio::task::JoinHandle;

use crate::{
    Size,
    client::{Api, ask, caller, servers},
    cost::Usage,
    figures::{Figures, Latencies, PartFigures},
    games::{self, Game},
    hosts, judge,
    plane::{PATIENCE, Plane},
    viewers,
};

/// What is shown of a console may be so late, seldom more: five times the second that it is
/// meant to be.
const LAG: Duration = Duration::from_secs(5);

/// How much longer than it was to last something may take that is held; what is short may end as
/// late as its last line may be shown.
fn held_for(lasts: Duration, at_most: f64) -> Duration {
    lasts.mul_f64(at_most).max(lasts + LAG)
}

/// Brings a fleet up, holds it, and says what that cost.
///
/// # Panics
/// If anything was lost, doubled, refused or taken for dead.
pub async fn hold(plane: &Plane, size: Size) -> Figures {
    let judge = judge::Judge::listen(plane).await;
    let begun = Instant::now();
    let hosts = hosts::up(plane, size).await;
    let api = caller(plane.api(), &plane.admin);
    all_online(&api, size).await;
    let registered = begun.elapsed();
    eprintln!("  {} hosts are online after {registered:?}", size.hosts);

    let begun = Instant::now();
    let deployed = games::deploy(&api, &hosts, size).await;
    eprintln!("  {} games are deployed after {:?}", deployed.len(), begun.elapsed());
    let (loud, quiet): (Vec<Game>, Vec<Game>) = deployed.into_iter().partition(|game| game.loud);
    let begun = Instant::now();
    let at_start: Vec<Usage> = plane.parts.iter().map(|part| part.usage()).collect();
    let quiet = games::start_all(&api, quiet).await;
    let started = quiet.len() as f64 / begun.elapsed().as_secs_f64();
    let start_cpu =
        plane.parts.iter().zip(&at_start).map(|(part, before)| part.usage().cpu.saturating_sub(before.cpu));
    let start_cpu = start_cpu.sum::<Duration>() / u32::try_from(quiet.len()).unwrap();
    eprintln!("  {} games run after {:?}", quiet.len(), begun.elapsed());
    let loud = games::start_all(&api, loud).await;

    let before: Vec<Usage> = plane.parts.iter().map(|part| part.usage()).collect();
    let begun = Instant::now();
    let done = Arc::new(AtomicBool::new(false));
    let viewers = viewers::follow(plane, &loud, hosts::pairs(size)).await;
    let half = quiet.len() / 2;
    let typing = typed(&api, quiet[..half].to_vec(), size.inputs, done.clone());
    let restarting = restarted(&api, quiet[half..].to_vec(), size.restarts, done.clone());
    let (lines, lines_took, lag) = viewers::all(viewers).await;
    let held = begun.elapsed();
    let half_way = SystemTime::now() - held / 2;
    let after: Vec<Usage> = plane.parts.iter().map(|part| part.usage()).collect();
    done.store(true, Ordering::Relaxed);
    let ((inputs, typed), (restarted, starts, stops)) = (typing.await.unwrap(), restarting.await.unwrap());
    eprintln!("  {lines} lines in {held:?}");
    assert_eq!(inputs.count(), typed, "lines typed, and receipts that came in time");
    assert!(held <= held_for(size.lasts, 1.1), "{size:?} took {held:?}");
    // At least 95 of 100 of the lines that were to come each second.
    assert!(lines_took <= held_for(size.lasts, 1.0 / 0.95), "{lines} lines took {lines_took:?}");

    let mut games = [loud, quiet[..half].to_vec(), restarted].concat();
    games.sort_by_key(|game| game.session);
    judge.sentence(plane, &api, &hosts, &games, half_way).await;
    assert!(lag.of_hundred(99) < LAG, "consoles are shown late: {}", lag.shown());
    let parts = plane.parts.iter().zip(before.iter().zip(&after));
    Figures {
        kind: plane.kind,
        size,
        registered,
        started,
        start_cpu,
        held,
        lines,
        lines_a_second: lines as f64 / lines_took.as_secs_f64(),
        lag,
        inputs,
        starts,
        stops,
        parts: parts
            .map(|(part, (before, after))| PartFigures {
                name: part.name,
                cores: (after.cpu.saturating_sub(before.cpu)).as_secs_f64() / held.as_secs_f64(),
                mib: after.anonymous_kib / 1024,
            })
            .collect(),
    }
}

async fn all_online(api: &Api, size: Size) {
    let begun = Instant::now();
    loop {
        let all = servers(api).await;
        let online = all.iter().filter(|server| server.status() == v1::ServerStatus::Online).count();
        if online == size.hosts {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{online} of {} hosts are online", size.hosts);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Types lines at a steady pace; says how long each took to its receipt, and how many there
/// were.
fn typed(
    api: &Api,
    games: Vec<Game>,
    a_second: u32,
    done: Arc<AtomicBool>,
) -> JoinHandle<(Latencies, usize)> {
    let api = api.clone();
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / a_second);
        let mut sent = Vec::new();
        // One host after the other.
        for (number, game) in games.into_iter().cycle().enumerate() {
            pace.tick().await;
            if done.load(Ordering::Relaxed) {
                break;
            }
            sent.push(tokio::spawn(type_line(api.clone(), game, number)));
        }
        let (mut took, all) = (Vec::with_capacity(sent.len()), sent.len());
        for receipt in sent {
            took.extend(receipt.await.unwrap());
        }
        (took.into(), all)
    })
}

/// How long it took to be told that the line is written; `None` if nobody could tell in time.
async fn type_line(api: Api, game: Game, number: usize) -> Option<Duration> {
    let request = v1::SendInputRequest {
        session_id: game.session,
        input: format!("line {number}").into_bytes(),
        idempotency_key: format!("input-{number}"),
    };
    let begun = Instant::now();
    let receipt = ask!(api, send_input, request);
    match receipt.outcome() {
        v1::InputOutcome::Done => Some(begun.elapsed()),
        v1::InputOutcome::Unknown => None,
        _ => panic!("line {number} to {game:?}: {receipt:?}"),
    }
}

/// Stops games and starts them again, one after the other at a steady pace; says how long
/// each took, and which sessions there are now.
fn restarted(
    api: &Api,
    mut games: Vec<Game>,
    a_minute: u32,
    done: Arc<AtomicBool>,
) -> JoinHandle<(Vec<Game>, Latencies, Latencies)> {
    let api = api.clone();
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_secs(60) / a_minute);
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        for at in (0..games.len()).cycle() {
            pace.tick().await;
            if done.load(Ordering::Relaxed) {
                break;
            }
            let begun = Instant::now();
            games::stop(&api, games[at]).await;
            stops.push(begun.elapsed());
            let begun = Instant::now();
            games[at] = games::start(&api, games[at]).await;
            starts.push(begun.elapsed());
        }
        (games, starts.into(), stops.into())
    })
}
