//! Those who follow consoles through the API, line by line.

use std::time::{Duration, Instant};

use manman_bins::api::{Token, v1};
use tokio::task::JoinHandle;

use crate::{
    client::{Api, caller, new_token},
    figures::Latencies,
    games::Game,
    hosts::pause,
    plane::Plane,
};

/// How many consoles one caller may follow at once.
const EACH: usize = 20;

/// After which what is shown counts as shown live: before that a viewer catches up.
const CAUGHT_UP: Duration = Duration::from_secs(3);

/// What one viewer saw: every line once, or it panicked.
pub struct Seen {
    pub lines: u64,
    /// From its first line to its last one.
    pub took: Duration,
    /// How much later than the quickest one each page came, by when its last line was due.
    pub lag: Vec<Duration>,
}

/// Follows the consoles of these games until `pairs` pairs of lines of each are seen.
pub async fn follow(plane: &Plane, games: &[Game], pairs: u32) -> Vec<JoinHandle<Seen>> {
    let mut admin = caller(plane.api(), &plane.admin);
    let mut viewers = Vec::new();
    for (number, games) in games.chunks(EACH).enumerate() {
        let token: Token =
            new_token(&mut admin, v1::TokenRole::Viewer, &format!("viewer-{number}"), None).await;
        let api = caller(plane.api(), token.reveal());
        viewers.extend(games.iter().map(|game| tokio::spawn(view(api.clone(), game.session, pairs))));
    }
    viewers
}

async fn view(mut api: Api, session: i64, pairs: u32) -> Seen {
    let request = v1::StreamSessionLogsRequest { session_id: session, begin: None, follow: true };
    let mut stream = api.stream_session_logs(request).await.unwrap().into_inner();
    // The next sequence number, and the next line of each stream.
    let (mut sequence, mut out, mut err) = (1, 1, 1);
    let mut times: Vec<(Instant, u32)> = Vec::new();
    while out <= pairs || err <= pairs {
        let shown = stream.message().await.unwrap();
        let shown = shown.unwrap_or_else(|| panic!("the console of {session} ends before line {out}"));
        let Some(v1::stream_session_logs_response::What::Output(output)) = shown.what else {
            panic!("the console of {session} is not whole at line {out}: {shown:?}");
        };
        assert_eq!(output.first_sequence_number, sequence, "numbers of the console of {session}");
        sequence += output.pieces.len() as u64;
        for piece in &output.pieces {
            let (next, name) = match piece.source() {
                v1::LogSource::Stdout => (&mut out, "out"),
                _ => (&mut err, "err"),
            };
            let expected = format!("{name} {next}\n");
            assert_eq!(piece.text, expected.as_bytes(), "the console of {session}");
            *next += 1;
        }
        times.push((Instant::now(), err.max(out)));
    }
    Seen { lines: 2 * u64::from(pairs), took: times[times.len() - 1].0 - times[0].0, lag: lag(&times) }
}

fn lag(times: &[(Instant, u32)]) -> Vec<Duration> {
    let first = times[0].0;
    let since = |&(at, line): &(Instant, u32)| (at - first).as_secs_f64() - (pause() * line).as_secs_f64();
    let live = times.iter().filter(|(at, _)| *at - first > CAUGHT_UP);
    let late: Vec<f64> = live.map(since).collect();
    let quickest = late.iter().copied().fold(f64::INFINITY, f64::min);
    late.into_iter().map(|late| Duration::from_secs_f64((late - quickest).max(0.0))).collect()
}

/// What all viewers saw.
pub async fn all(viewers: Vec<JoinHandle<Seen>>) -> (u64, Duration, Latencies) {
    let (mut lines, mut longest, mut lag) = (0, Duration::ZERO, Vec::new());
    for viewer in viewers {
        let seen = viewer.await.unwrap();
        lines += seen.lines;
        longest = longest.max(seen.took);
        lag.extend(seen.lag);
    }
    (lines, longest, lag.into())
}
