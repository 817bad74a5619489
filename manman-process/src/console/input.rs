//! Writing to a game's stdin: a FIFO that the game itself keeps open.

use std::{io, path::PathBuf, time::Duration};

use async_trait::async_trait;
use manman_core::{
    console::Input,
    error::{Error, ErrorKind, Result},
};
use tokio::{
    net::unix::pipe::{OpenOptions, Sender},
    time::Instant,
};

use crate::directory::RunDir;

const OPERATION: &str = "console input";

/// How long a game may take to read what it is sent. One that does not read its stdin
/// accepts 64 KiB (pipe(7)), then nothing.
const DEADLINE: Duration = Duration::from_secs(2);

/// The writing end of a game's stdin.
#[derive(Debug)]
pub struct FifoInput {
    path: PathBuf,
    exit: PathBuf,
    sender: Option<Sender>,
}

impl FifoInput {
    pub fn new(dir: &RunDir) -> Self {
        Self { path: dir.stdin(), exit: dir.exit(), sender: None }
    }

    fn open(&mut self) -> Result<&Sender> {
        if self.sender.is_none() {
            let sender = OpenOptions::new().open_sender(&self.path).map_err(|error| self.refused(error))?;
            self.sender = Some(sender);
        }
        self.sender.as_ref().ok_or_else(|| Error::new(ErrorKind::Unexpected, OPERATION, "no stdin"))
    }

    /// Nobody is at the other end, or there is none.
    fn refused(&self, error: io::Error) -> Error {
        let (kind, message) = if self.exit.exists() || error.kind() == io::ErrorKind::NotFound {
            (ErrorKind::NotFound, "the game has ended")
        } else {
            (ErrorKind::Unavailable, "the game has no open stdin")
        };
        Error::new(kind, OPERATION, message).because(error)
    }
}

#[async_trait]
impl Input for FifoInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        self.open()?;
        let mut written = 0;
        while written < bytes.len() {
            let sender = self.open()?;
            match sender.try_write(&bytes[written..]) {
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = tokio::time::timeout_at(deadline, sender.writable()).await;
                    if writable.is_err() {
                        let length = bytes.len();
                        let message = format!(
                            "the game does not read its stdin: {written} of {length} bytes taken in {DEADLINE:?}"
                        );
                        return Err(Error::new(ErrorKind::Timeout, OPERATION, message));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A later game of this attempt there is none; a later stdin may be.
                    self.sender = None;
                    if written > 0 {
                        let message = format!("the game closed its stdin after {written} bytes");
                        return Err(Error::new(ErrorKind::Timeout, OPERATION, message).because(error));
                    }
                    return Err(self.refused(error));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, os::unix::fs::OpenOptionsExt as _};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn fifo() -> (tempfile::TempDir, FifoInput, fs::File) {
        let root = tempfile::tempdir().unwrap();
        let dir = RunDir::new(root.path().to_owned());
        mkfifoat(CWD, dir.stdin(), Mode::from_raw_mode(0o600)).unwrap();
        let mut open = fs::OpenOptions::new();
        let game = open.read(true).write(true).custom_flags(0o4000).open(dir.stdin()).unwrap();
        (root, FifoInput::new(&dir), game)
    }

    #[tokio::test]
    async fn what_is_written_arrives() {
        let (_root, mut input, mut game) = fifo();
        input.write(b"save\n").await.unwrap();
        let mut bytes = [0; 16];
        assert_eq!(game.read(&mut bytes).unwrap(), 5);
        drop(input);
        assert_eq!(game.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock, "not ended");
    }

    #[tokio::test]
    async fn a_game_that_does_not_read_is_not_waited_for() {
        let (_root, mut input, _game) = fifo();
        let error = input.write(&vec![b'x'; 1 << 20]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    }

    #[tokio::test]
    async fn nobody_takes_nothing() {
        let (root, mut input, game) = fifo();
        drop(game);
        assert_eq!(input.write(b"x").await.unwrap_err().kind(), ErrorKind::Unavailable);
        fs::write(root.path().join("exit.json"), "{}").unwrap();
        assert_eq!(input.write(b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
