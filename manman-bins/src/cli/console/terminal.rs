//! The terminal that whoever looks sits at.

use std::io::{self, IsTerminal as _, Read as _};

use rustix::{
    fs::fstat,
    termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
};
use tokio::sync::mpsc;

use crate::cli::output::Screen;

/// Whether somebody sits there who types and looks.
pub fn is_interactive(screen: &Screen) -> bool {
    io::stdin().is_terminal() && screen.is_lively()
}

/// Whether stdout and stderr were sent into one file or pipe (`2>&1`).
pub fn outputs_are_one_file() -> bool {
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(out), Ok(err)) => {
            out.st_dev == err.st_dev && out.st_ino == err.st_ino && !io::stdout().is_terminal()
        }
        _ => false,
    }
}

/// The terminal while keys are read one by one and shown by us; as it was before once
/// dropped.
#[derive(Debug)]
pub struct Keys {
    before: Termios,
    keys: mpsc::Receiver<Vec<u8>>,
}

impl Keys {
    /// Takes the terminal over.
    pub fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut ours = before.clone();
        // Lines are edited, and Ctrl-C is understood, by us; output stays as it is.
        ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        ours.input_modes -= InputModes::IXON;
        tcsetattr(io::stdin(), OptionalActions::Now, &ours)?;
        let (to, keys) = mpsc::channel(16);
        // On a thread of its own that nobody waits for: a read cannot be called off.
        std::thread::spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stdin.read(&mut bytes) {
                if to.blocking_send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { before, keys })
    }

    /// What was typed; `None` when the terminal is gone.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.keys.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
