//! The console of a session as a stream that outlives connections: after a loss it goes
//! on after the last number that came, so that nothing is lost or doubled.

use std::time::Duration;

use tokio::time::{self, Instant};
use tonic::{Request, Status, Streaming};

use crate::{
    api::{
        errors::Reported,
        v1::{
            self, StreamSessionLogsRequest, StreamSessionLogsResponse, stream_session_logs_request::Begin,
            stream_session_logs_response::What,
        },
    },
    cli::{
        client::{Client, is_lost},
        failure::Failure,
        verbs::{is_end, status_of},
    },
};

/// How long manman may be away while somebody follows a console.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// Between two tries.
const BETWEEN: Duration = Duration::from_millis(300);

/// How long the answer to the question for a stream may take.
const OPENED_WITHIN: Duration = Duration::from_secs(30);

/// What comes.
#[derive(Debug)]
pub enum Seen {
    /// Output, or that some is missing.
    Console(What),
    /// The connection was lost; it is tried again.
    Away,
    /// It was made again.
    Back,
}

/// A console that is followed.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    session: i64,
    begin: Option<Begin>,
    follow: bool,
    stream: Option<Streaming<StreamSessionLogsResponse>>,
    last: u64,
    away: Option<(Instant, bool)>,
}

impl Follower {
    /// A console from `begin` on.
    pub fn new(client: Client, session: i64, begin: Option<Begin>, follow: bool) -> Self {
        Self { client, session, begin, follow, stream: None, last: 0, away: None }
    }

    /// Opens it, so that what the game prints from here on will be seen.
    pub async fn open(&mut self) -> Result<(), Failure> {
        while self.stream.is_none() {
            match self.try_open().await {
                Ok(stream) => self.stream = Some(stream),
                Err(status) => self.bear(status).await?,
            }
        }
        Ok(())
    }

    /// What comes next; `None` at the end. May be cancelled: nothing is lost by that.
    pub async fn next(&mut self) -> Result<Option<Seen>, Failure> {
        loop {
            if let Some((_, said @ false)) = &mut self.away {
                *said = true;
                return Ok(Some(Seen::Away));
            }
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                if self.away.take().is_some() {
                    return Ok(Some(Seen::Back));
                }
                continue;
            };
            match stream.message().await {
                Ok(Some(StreamSessionLogsResponse { what: Some(what) })) => {
                    if let Some(what) = self.fresh(what) {
                        return Ok(Some(Seen::Console(what)));
                    }
                }
                // Of a newer server.
                Ok(Some(StreamSessionLogsResponse { what: None })) => {}
                Ok(None) => return Ok(None),
                Err(status) if is_lost(&status) => {
                    self.stream = None;
                    self.away = Some((Instant::now(), false));
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    async fn try_open(&self) -> Result<Streaming<StreamSessionLogsResponse>, Status> {
        let begin = if self.last == 0 { self.begin } else { Some(Begin::AfterSequenceNumber(self.last)) };
        let request = StreamSessionLogsRequest { session_id: self.session, begin, follow: self.follow };
        let call = async |mut api: crate::cli::client::Api, request: Request<_>| {
            api.stream_session_logs(request).await
        };
        self.client.call_once(request, OPENED_WITHIN, call).await
    }

    /// Waits after a refusal that may pass; hands on one that will not.
    async fn bear(&mut self, status: Status) -> Result<(), Failure> {
        if is_lost(&status) {
            let (since, _) = self.away.get_or_insert((Instant::now(), true));
            if since.elapsed() >= LONGEST_OUTAGE {
                return Err(self.client.lost(&status));
            }
        } else if !self.is_early(&status).await? {
            return Err(status.into());
        }
        time::sleep(BETWEEN).await;
        Ok(())
    }

    /// Whether there is no console yet, of a session that is about to have one.
    async fn is_early(&self, status: &Status) -> Result<bool, Failure> {
        if !self.follow || Reported::from(status).code != "not_found" {
            return Ok(false);
        }
        Ok(!is_end(&status_of(&self.client, self.session).await?))
    }

    /// What is new of it: what came before the loss of a connection is dropped.
    fn fresh(&mut self, what: What) -> Option<What> {
        match what {
            What::Output(mut output) => {
                let known = usize::try_from((self.last + 1).saturating_sub(output.first_sequence_number));
                let known = known.unwrap_or(usize::MAX).min(output.pieces.len());
                // Before the first one nothing is known.
                if self.last > 0 && known > 0 {
                    output.pieces.drain(..known);
                    output.first_sequence_number += known as u64;
                }
                let last = output.first_sequence_number + (output.pieces.len() as u64).saturating_sub(1);
                if output.pieces.is_empty() {
                    return None;
                }
                self.last = self.last.max(last);
                Some(What::Output(output))
            }
            What::Gap(gap) => {
                if self.last > 0 && gap.sequence_number <= self.last {
                    return None;
                }
                self.last = self.last.max(gap.sequence_number);
                Some(What::Gap(gap))
            }
            What::Lagged(count) => Some(What::Lagged(count)),
        }
    }
}

/// Where `logs -n` and `--since-seq` begin.
pub fn begin(lines: Option<u64>, since_seq: Option<u64>) -> Option<Begin> {
    since_seq.map(Begin::AfterSequenceNumber).or(lines.map(Begin::Last))
}

/// The source of a piece; what a newer server names is shown as stdout.
pub fn source(piece: &v1::LogPiece) -> v1::LogSource {
    match piece.source() {
        v1::LogSource::Stderr => v1::LogSource::Stderr,
        _ => v1::LogSource::Stdout,
    }
}
