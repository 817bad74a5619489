//! Lines to a game's stdin: one writer, in order, each with its outcome.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    console::Input,
    error::{Chain, ErrorKind},
    model::ConsoleLine,
    wire::Outcome,
};

/// How many lines may wait to be written.
pub(super) const QUEUE: usize = 64;

/// Bounds a backend that forgets its own deadline.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// A line that waits to be written.
#[derive(Debug)]
pub(super) struct Asked {
    bytes: Vec<u8>,
    until: Instant,
    outcome: oneshot::Sender<Outcome>,
}

/// The input of the console that is open now, `None` when it broke.
pub(super) type Inputs = mpsc::UnboundedReceiver<Option<Box<dyn Input>>>;

/// Has a line written by the writer behind `queue`.
pub(super) async fn ask(queue: &mpsc::Sender<Asked>, line: &ConsoleLine, within: Duration) -> Outcome {
    let (outcome, answer) = oneshot::channel();
    let bytes = format!("{}\n", line.as_str()).into_bytes();
    match queue.try_send(Asked { bytes, until: Instant::now() + within, outcome }) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => {
            return Outcome::Refused(format!("{QUEUE} lines wait already, the game does not read them"));
        }
        Err(mpsc::error::TrySendError::Closed(_)) => return ended(),
    }
    // Nobody is left to say what became of it.
    answer.await.unwrap_or_else(|_| Outcome::Unknown("the console was closed meanwhile".to_owned()))
}

fn ended() -> Outcome {
    Outcome::Refused("the game has ended".to_owned())
}

/// Writes what is asked for to the console that is open, until nobody asks any more.
pub(super) async fn write(mut queue: mpsc::Receiver<Asked>, mut inputs: Inputs) {
    let mut input = None;
    while let Some(asked) = queue.recv().await {
        let outcome = match open(&mut input, &mut inputs, asked.until).await {
            Ok(input) => outcome(timeout(LONGEST_WRITE, input.write(&asked.bytes)).await),
            Err(refused) => refused,
        };
        if matches!(outcome, Outcome::Refused(_)) {
            // It is no good any more; a console that is opened again brings another one.
            input = None;
        }
        // Whoever asked may have gone.
        let _ = asked.outcome.send(outcome);
    }
}

/// The newest input, waiting for one until `until`.
async fn open<'a>(
    input: &'a mut Option<Box<dyn Input>>,
    inputs: &mut Inputs,
    until: Instant,
) -> Result<&'a mut Box<dyn Input>, Outcome> {
    while let Ok(newer) = inputs.try_recv() {
        *input = newer;
    }
    if Instant::now() >= until {
        return Err(Outcome::Refused("it was not written in time".to_owned()));
    }
    while input.is_none() {
        match timeout_at(until, inputs.recv()).await {
            Ok(Some(newer)) => *input = newer,
            Ok(None) => return Err(ended()),
            Err(_) => return Err(Outcome::Refused("the console was not open in time".to_owned())),
        }
    }
    input.as_mut().ok_or_else(ended)
}

fn outcome(written: Result<crate::error::Result<()>, tokio::time::error::Elapsed>) -> Outcome {
    match written {
        Ok(Ok(())) => Outcome::Done,
        // The contract of `Input`: nothing was written.
        Ok(Err(error)) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable) => {
            Outcome::Refused(Chain(&error).to_string())
        }
        Ok(Err(error)) => Outcome::Unknown(Chain(&error).to_string()),
        Err(_) => Outcome::Unknown("the game did not take it in time".to_owned()),
    }
}
