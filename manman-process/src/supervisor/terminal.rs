//! The terminal of a game that asks for one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::{
    fd::OwnedFd,
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::directory::RunDir;

/// As wide and high as terminals begin.
const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// How long the last output of an ended game is waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Our end of it.
#[derive(Debug)]
pub struct Terminal(OwnedFd);

/// A terminal whose output is being written down.
#[derive(Debug)]
pub struct Shown(Receiver<()>);

impl Terminal {
    pub fn open() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        tcsetwinsize(&ours, SIZE)?;
        Ok(Self(ours))
    }

    /// The game's end of it, opened anew.
    pub fn game_end(&self) -> io::Result<OwnedFd> {
        let name = ptsname(&self.0, Vec::new())?;
        Ok(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Passes on what the game prints and what it is sent, on threads of their own.
    pub fn pump(self, dir: &RunDir, out: OwnedFd) -> io::Result<Shown> {
        let mut ours = File::from(self.0);
        let mut to_game = ours.try_clone()?;
        let mut out = File::from(out);
        // Open for writing too, so that it does not end with a manager.
        let mut input = OpenOptions::new().read(true).write(true).open(dir.stdin())?;
        let (done, shown) = channel();
        thread::Builder::new().name("terminal".to_owned()).stack_size(128 << 10).spawn(move || {
            let mut buffer = [0; 16 << 10];
            // EIO is how the kernel says that the game's end is closed (pty(7)).
            while let Ok(read @ 1..) = ours.read(&mut buffer) {
                // A full disk loses output, as it does without a terminal; the game goes on.
                let _ = out.write_all(&buffer[..read]);
            }
            let _ = done.send(());
        })?;
        thread::Builder::new().name("input".to_owned()).stack_size(128 << 10).spawn(move || {
            let mut buffer = [0; 4 << 10];
            while let Ok(read @ 1..) = input.read(&mut buffer) {
                if to_game.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        })?;
        Ok(Shown(shown))
    }
}

impl Shown {
    /// Waits until all that the ended game has printed is written down.
    pub fn finish(self) {
        let _ = self.0.recv_timeout(LAST_WORDS);
    }
}
