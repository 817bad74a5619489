//! The processes of a game, from its main one's end to the last one's.

use std::io;

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, wait},
};

use crate::{process, record::Process};

/// Waits until the game's main process has ended, and buries what ends before it.
pub fn await_game(game: Pid) -> io::Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == game => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Kills whatever the game has left behind, as an engine does with a container whose main
/// process has ended. Orphans become our children, so none is out of reach for long.
pub fn bury_the_rest() -> io::Result<()> {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    loop {
        for left in process::descendants(&process::all(), us) {
            if left.is_alive() {
                let _ = process::signal(Process { pid: left.pid, start: left.start }, Signal::KILL);
            }
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
