//! Writing to a game's stdin.

use std::{io, time::Duration};

use async_trait::async_trait;
use manman_core::{
    console::Input,
    error::{Error, ErrorKind, Result},
};
use tokio::{net::unix::OwnedWriteHalf, time::Instant};

const OPERATION: &str = "console input";

/// How long a game may take to read what it is sent. One that does not read its stdin
/// accepts some 300 KB, then nothing (D10).
const DEADLINE: Duration = Duration::from_secs(2);

/// The writing half of an attach.
#[derive(Debug)]
pub(super) struct AttachInput {
    half: Option<OwnedWriteHalf>,
    /// Whether the game has a stdin.
    takes: bool,
}

impl AttachInput {
    pub fn new(half: OwnedWriteHalf) -> Self {
        Self { half: Some(half), takes: true }
    }

    /// Of a container that was made without a stdin.
    pub fn without(half: OwnedWriteHalf) -> Self {
        Self { half: Some(half), takes: false }
    }

    /// Of a container that is over.
    pub fn closed() -> Self {
        Self { half: None, takes: true }
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
        let deadline = Instant::now() + DEADLINE;
        let mut written = 0;
        while written < bytes.len() {
            match half.try_write(&bytes[written..]) {
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match tokio::time::timeout_at(deadline, half.writable()).await {
                        Ok(Ok(())) => {}
                        // The reading thread has ended, and with it all that is open.
                        Ok(Err(error)) => return Err(broken(written, bytes.len(), error)),
                        Err(_) => return Err(not_read(written, bytes.len())),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(written, bytes.len(), error)),
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
        (AttachInput::new(to), from, game)
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

    #[tokio::test]
    async fn a_closed_console_takes_nothing() {
        let (mut input, _from, game) = pair();
        drop(game);
        assert_eq!(input.write(b"x").await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(AttachInput::closed().write(b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
