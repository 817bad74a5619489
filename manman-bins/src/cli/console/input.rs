//! Lines for a game's stdin, one after the other, each with its receipt.

use std::collections::VecDeque;

use futures::{FutureExt as _, future::LocalBoxFuture};

use crate::{
    api::v1,
    cli::{
        client::{Client, new_key},
        exit::Exit,
        failure::Failure,
        output::harmless,
    },
};

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It was written to the game's stdin.
    Written,
    /// It was not, and why.
    Refused(String),
    /// Nobody knows, and why.
    Unknown(String),
}

impl Receipt {
    /// What an answer says.
    pub fn of(answer: &v1::SendInputResponse) -> Self {
        let why = harmless(&answer.reason);
        match answer.outcome() {
            v1::InputOutcome::Done => Self::Written,
            v1::InputOutcome::Refused => Self::Refused(why),
            v1::InputOutcome::Unknown | v1::InputOutcome::Unspecified => Self::Unknown(why),
        }
    }

    /// What a failure to ask says: a refusal came back, or nothing did.
    fn of_failure(failure: &Failure) -> Self {
        let Failure::Told(told) = failure else { return Self::Unknown(String::new()) };
        let why = harmless(&told.message);
        match failure.exit() {
            Exit::Unreachable => Self::Unknown(why),
            _ if told.code == "deadline_exceeded" => Self::Unknown(why),
            _ => Self::Refused(why),
        }
    }

    /// What whoever typed has to know; nothing when it was written.
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::Written => None,
            Self::Refused(why) => Some(format!("not written: {why}")),
            Self::Unknown(why) => Some(format!("nobody knows whether it was written: {why}")),
        }
    }
}

/// Writes one line.
pub async fn write(client: &Client, session_id: i64, line: String) -> Result<v1::SendInputResponse, Failure> {
    let request = v1::SendInputRequest { session_id, input: line.into_bytes(), idempotency_key: new_key() };
    client.call(request, async |mut api, request| api.send_input(request).await).await
}

/// How many lines wait at most.
const ROOM: usize = 64;

/// Lines on their way to the game, beside whatever else is done: in order, one at a time.
pub struct Writer {
    client: Client,
    session: i64,
    waiting: VecDeque<String>,
    /// What is under way.
    current: Option<(String, LocalBoxFuture<'static, Receipt>)>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("session", &self.session)
            .field("waiting", &self.waiting.len())
            .finish()
    }
}

impl Writer {
    /// A writer to this session.
    pub fn new(client: Client, session: i64) -> Self {
        Self { client, session, waiting: VecDeque::new(), current: None }
    }

    /// Whether a further line should be taken.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < ROOM
    }

    /// Takes a line.
    pub fn write(&mut self, line: String) {
        self.waiting.push_back(line);
    }

    /// Whether all lines have their receipts.
    pub fn is_idle(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// Each line that has no receipt, and what is known of it.
    pub fn left(&self) -> Vec<String> {
        let current =
            self.current.iter().map(|(line, _)| format!("may be written or not: {}", harmless(line)));
        let waiting = self.waiting.iter().map(|line| format!("not written: {}", harmless(line)));
        current.chain(waiting).collect()
    }

    /// The next receipt; never, if none is to come. May be cancelled: what is under way
    /// goes on when it is called again.
    pub async fn receipt(&mut self) -> Receipt {
        if self.current.is_none() {
            let Some(line) = self.waiting.pop_front() else { return std::future::pending().await };
            let (client, session, text) = (self.client.clone(), self.session, line.clone());
            let written = async move {
                match write(&client, session, text).await {
                    Ok(answer) => Receipt::of(&answer),
                    Err(failure) => Receipt::of_failure(&failure),
                }
            };
            self.current = Some((line, written.boxed_local()));
        }
        let receipt = match &mut self.current {
            Some((_, current)) => current.await,
            None => std::future::pending().await,
        };
        self.current = None;
        receipt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::fake::Fake;

    #[tokio::test(start_paused = true)]
    async fn what_has_no_receipt_is_named() {
        let mut writer = Writer::new(Fake::default().client().await, 7);
        for line in ["one", "two\u{1b}", "three"] {
            writer.write(line.to_owned());
        }
        assert!(writer.receipt().now_or_never().is_none(), "it is under way");
        assert_eq!(writer.left(), ["may be written or not: one", "not written: two^[", "not written: three"]);
        assert_eq!(writer.receipt().await, Receipt::Written);
        assert_eq!(writer.left().len(), 2);
    }
}
