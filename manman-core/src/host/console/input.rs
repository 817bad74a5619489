//! Lines to a game's stdin: one writer, in order, each with its outcome.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    console::Input,
    error::{Chain, ErrorKind},
    model::ConsoleLine,
    watched::Watched,
    wire::Outcome,
};

/// How many lines may wait to be written.
pub(super) const QUEUE: usize = 64;

/// Bounds a backend that forgets its own deadline.
const LONGEST_WRITE: Duration = Duration::from_secs(10);

/// A line that waits to be written.
#[derive(Debug)]
pub(super) struct Asked {
    line: String,
    until: Instant,
    outcome: oneshot::Sender<Outcome>,
}

/// The stdin of an attempt, as its console stands. A console that is opened again puts a new
/// input in place of the one before, which is let go of whether or not anybody writes.
#[derive(Clone, Debug)]
pub(super) enum Stdin {
    /// There is no console now.
    Closed,
    /// This is the input of the console that is open.
    Open(Arc<Mutex<Box<dyn Input>>>),
    /// The attempt has ended.
    Ended,
}

impl Stdin {
    pub(super) fn open(input: Box<dyn Input>) -> Self {
        Self::Open(Arc::new(Mutex::new(input)))
    }
}

/// Has a line written by the writer behind `queue`.
pub(super) async fn ask(queue: &mpsc::Sender<Asked>, line: &ConsoleLine, within: Duration) -> Outcome {
    let (outcome, answer) = oneshot::channel();
    let line = line.as_str().to_owned();
    match queue.try_send(Asked { line, until: Instant::now() + within, outcome }) {
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
pub(super) async fn write(mut queue: mpsc::Receiver<Asked>, stdin: Watched<Stdin>) {
    // Whether the game may have got a line without its end, by whatever console.
    let mut torn = false;
    while let Some(asked) = queue.recv().await {
        let outcome = match open(&stdin, asked.until).await {
            Ok(input) => {
                // A line of its own, and not the rest of the one before it.
                let begin = if torn { "\n" } else { "" };
                let bytes = format!("{begin}{}\n", asked.line).into_bytes();
                let written = timeout(LONGEST_WRITE, async { input.lock().await.write(&bytes).await }).await;
                let outcome = outcome(written);
                match &outcome {
                    Outcome::Done => torn = false,
                    Outcome::Unknown(_) => torn = true,
                    // It is no good any more; a console that is opened again brings another one.
                    Outcome::Refused(_) => close(&stdin, &input),
                }
                outcome
            }
            Err(refused) => refused,
        };
        // Whoever asked may have gone.
        let _ = asked.outcome.send(outcome);
    }
}

/// The input of the console, waiting for one until `until`.
async fn open(stdin: &Watched<Stdin>, until: Instant) -> Result<Arc<Mutex<Box<dyn Input>>>, Outcome> {
    if Instant::now() >= until {
        return Err(Outcome::Refused("it was not written in time".to_owned()));
    }
    let mut stands = stdin.watch();
    let opened = stands.until(|stdin| !matches!(stdin, Stdin::Closed));
    match timeout_at(until, opened).await {
        Ok(Ok(stdin)) => match &*stdin {
            Stdin::Open(input) => Ok(input.clone()),
            Stdin::Closed | Stdin::Ended => Err(ended()),
        },
        Ok(Err(_)) => Err(ended()),
        Err(_) => Err(Outcome::Refused("the console was not open in time".to_owned())),
    }
}

/// Lets go of this input, unless a newer one has taken its place.
fn close(stdin: &Watched<Stdin>, broken: &Arc<Mutex<Box<dyn Input>>>) {
    stdin.modify_if(|stdin| {
        let is_it = matches!(stdin, Stdin::Open(input) if Arc::ptr_eq(input, broken));
        if is_it {
            *stdin = Stdin::Closed;
        }
        is_it
    });
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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::error::{Error, Result};

    /// What a game got, and how many bytes it takes before it stops to read.
    #[derive(Debug, Default)]
    struct Game {
        got: Vec<u8>,
        takes: usize,
    }

    #[derive(Debug)]
    struct Slow(Arc<std::sync::Mutex<Game>>);

    #[async_trait]
    impl Input for Slow {
        async fn write(&mut self, bytes: &[u8]) -> Result<()> {
            let mut game = self.0.lock().unwrap();
            let taken = bytes.len().min(game.takes);
            game.got.extend_from_slice(&bytes[..taken]);
            game.takes -= taken;
            if taken == bytes.len() {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Timeout, "write", "the game does not read"))
        }
    }

    fn writer() -> (mpsc::Sender<Asked>, Watched<Stdin>) {
        let (queue, asked) = mpsc::channel(QUEUE);
        let stdin = Watched::new(Stdin::Closed);
        tokio::spawn(write(asked, stdin.clone()));
        (queue, stdin)
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_never_the_rest_of_a_torn_one() {
        let game = Arc::new(std::sync::Mutex::new(Game { got: Vec::new(), takes: 2 }));
        let (queue, stdin) = writer();
        stdin.replace(Stdin::open(Box::new(Slow(game.clone()))));
        let say = async |line: &str| ask(&queue, &line.parse().unwrap(), Duration::from_secs(1)).await;
        assert!(matches!(say("save").await, Outcome::Unknown(_)));
        game.lock().unwrap().takes = 100;
        assert_eq!(say("stop").await, Outcome::Done);
        assert_eq!(say("bye").await, Outcome::Done);
        assert_eq!(game.lock().unwrap().got, b"sa\nstop\nbye\n");
        // Nor of one that another console took half of.
        game.lock().unwrap().takes = 1;
        assert!(matches!(say("again").await, Outcome::Unknown(_)));
        game.lock().unwrap().takes = 100;
        stdin.replace(Stdin::open(Box::new(Slow(game.clone()))));
        assert_eq!(say("quit").await, Outcome::Done);
        assert_eq!(game.lock().unwrap().got, b"sa\nstop\nbye\na\nquit\n");
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_is_let_go_of_when_another_one_takes_its_place() {
        let games: Vec<_> = (0..3).map(|_| Arc::new(std::sync::Mutex::new(Game::default()))).collect();
        let (_queue, stdin) = writer();
        for game in &games {
            stdin.replace(Stdin::open(Box::new(Slow(game.clone()))));
        }
        let held: Vec<_> = games.iter().map(Arc::strong_count).collect();
        assert_eq!(held, [1, 1, 2], "nobody has to write for it");
        stdin.replace(Stdin::Closed);
        assert_eq!(Arc::strong_count(&games[2]), 1);
    }
}
