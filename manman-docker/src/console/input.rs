//! Writing to a game's stdin.

use std::{
    borrow::Cow,
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use manman_core::{
    console::Input,
    error::{Error, ErrorKind, Result},
};
use tokio::{net::unix::OwnedWriteHalf, time::Instant};

const OPERATION: &str = "console input";

/// How long a game may take to read what it is sent. One that does not read its stdin
/// accepts some 300 KB, then nothing (measured with 20.10).
const DEADLINE: Duration = Duration::from_secs(2);

/// The containers whose stdin was left within a line. What is written next must not become
/// the rest of that line, whichever attach it comes by.
#[derive(Debug, Default)]
pub(super) struct Torn(Mutex<HashSet<String>>);

impl Torn {
    pub fn set(&self, container: &str, torn: bool) {
        let mut all = self.all();
        if !torn {
            all.remove(container);
        } else if !all.contains(container) {
            all.insert(container.to_owned());
        }
    }

    fn has(&self, container: &str) -> bool {
        self.all().contains(container)
    }

    fn all(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing half of an attach.
///
/// After a write that the game took only a part of, the next one begins with a newline: the
/// torn line becomes a command of its own, and spoils no other.
#[derive(Debug)]
pub(super) struct AttachInput {
    half: Option<OwnedWriteHalf>,
    /// Whether the game has a stdin.
    takes: bool,
    container: String,
    torn: Arc<Torn>,
}

impl AttachInput {
    pub fn new(half: OwnedWriteHalf, container: &str, torn: Arc<Torn>) -> Self {
        Self { half: Some(half), takes: true, container: container.to_owned(), torn }
    }

    /// Of a container that was made without a stdin.
    pub fn without(half: OwnedWriteHalf) -> Self {
        Self { half: Some(half), takes: false, container: String::new(), torn: Arc::default() }
    }

    /// Of a container that is over.
    pub fn closed() -> Self {
        Self { half: None, takes: true, container: String::new(), torn: Arc::default() }
    }
}

impl Drop for AttachInput {
    /// Without closing it for writing: the engine ends the *output* of an attach whose
    /// stdin ends (`AttachStreams` in its source, 20.10). The reader ends both.
    fn drop(&mut self) {
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

#[async_trait]
impl Input for AttachInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.takes {
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, "the game has no stdin"));
        }
        let Some(half) = &self.half else {
            return Err(Error::new(ErrorKind::NotFound, OPERATION, "the game has ended"));
        };
        let torn = self.torn.has(&self.container);
        let text = if torn { Cow::Owned([b"\n", bytes].concat()) } else { Cow::Borrowed(bytes) };
        let taken = |written: usize| written.saturating_sub(usize::from(torn));
        let deadline = Instant::now() + DEADLINE;
        let mut written = 0;
        while written < text.len() {
            match half.try_write(&text[written..]) {
                Ok(some) => {
                    written += some;
                    // At once, for whoever drops this while it waits.
                    self.torn.set(&self.container, written < text.len() && !text[..written].ends_with(b"\n"));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tokio::time::timeout_at(deadline, half.writable()).await {
                        Ok(Ok(())) => {}
                        // The reading thread has ended, and with it all that is open.
                        Ok(Err(error)) => return Err(broken(taken(written), bytes.len(), error)),
                        Err(_) => return Err(not_read(taken(written), bytes.len())),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(taken(written), bytes.len(), error)),
            }
        }
        Ok(())
    }
}

fn not_read(written: usize, length: usize) -> Error {
    let message =
        format!("the game does not read its stdin: {written} of {length} bytes taken in {DEADLINE:?}");
    Error::new(ErrorKind::Timeout, OPERATION, message)
}

fn broken(written: usize, length: usize, error: io::Error) -> Error {
    if written == 0 {
        Error::new(ErrorKind::Unavailable, OPERATION, "the console is closed").because(error)
    } else {
        let message = format!("the console closed after {written} of {length} bytes");
        Error::new(ErrorKind::Timeout, OPERATION, message).because(error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::net::UnixStream;

    use super::*;

    fn pair() -> (AttachInput, tokio::net::unix::OwnedReadHalf, std::os::unix::net::UnixStream) {
        let (ours, game) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (from, to) = UnixStream::from_std(ours).unwrap().into_split();
        (AttachInput::new(to, "f0", Arc::default()), from, game)
    }

    /// All that has come.
    fn read(game: &mut std::os::unix::net::UnixStream) -> Vec<u8> {
        game.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        assert_eq!(game.read_to_end(&mut all).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        all
    }

    #[tokio::test]
    async fn what_is_written_arrives() {
        let (mut input, from, mut game) = pair();
        input.write(b"save\n").await.unwrap();
        drop(input);
        game.set_nonblocking(true).unwrap();
        let mut bytes = [0; 16];
        assert_eq!(game.read(&mut bytes).unwrap(), 5);
        assert_eq!(game.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock, "not closed");
        drop(from);
        assert_eq!(game.read(&mut bytes).unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_game_that_does_not_read_its_stdin_is_not_waited_for() {
        let (mut input, _from, _game) = pair();
        let error = input.write(&vec![b'x'; 16 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_was_torn_spoils_no_other() {
        let (mut input, _from, mut game) = pair();
        input.write(&vec![b'x'; 16 << 20]).await.unwrap_err();
        let torn = read(&mut game);
        assert!(!torn.is_empty() && torn.len() < 16 << 20);
        // The same command by way of the console that is opened again.
        let (mut again, _from, mut by_another) = pair();
        again.torn = Arc::clone(&input.torn);
        again.write(b"stop\n").await.unwrap();
        assert_eq!(read(&mut by_another), b"\nstop\n");
        input.write(b"save\n").await.unwrap();
        assert_eq!(read(&mut game), b"save\n", "once is enough");
    }

    #[tokio::test]
    async fn a_closed_console_takes_nothing() {
        let (mut input, _from, game) = pair();
        drop(game);
        assert_eq!(input.write(b"x").await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(AttachInput::closed().write(b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
