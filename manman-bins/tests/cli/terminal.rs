//! A terminal that nobody sits at.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcgetattr, tcsetwinsize},
};
use tokio::process::{Child, Command};

/// A terminal of 80 columns.
pub struct Terminal {
    ours: File,
    theirs: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of it was looked at.
    seen: usize,
}

impl Terminal {
    pub fn new() -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(&ours, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let ours = File::from(ours);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, to) = (ours.try_clone().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { ours, theirs, shown, seen: 0 }
    }

    /// Runs a program there.
    pub fn run(&self, mut command: Command) -> Child {
        let end = || Stdio::from(self.theirs.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
    }

    /// Types.
    pub fn types(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// All that was shown.
    pub fn all(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// How it treats what is typed and written.
    pub fn mode(&self) -> String {
        format!("{:?}", tcgetattr(&self.theirs).unwrap())
    }

    /// Waits until this is shown, after what was waited for before.
    pub async fn until(&mut self, text: &str) {
        self.word(text).await;
    }

    /// The same, and what is shown between the two.
    pub async fn word(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
            if let Some(at) = shown[self.seen..].find(text) {
                let word = shown[self.seen..self.seen + at].to_owned();
                self.seen += at + text.len();
                return word;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{text:?} is never shown: {shown:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
