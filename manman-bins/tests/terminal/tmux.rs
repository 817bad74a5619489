//! A real terminal: tmux, with a shell in it, at which nobody sits.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    ffi::OsStr,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// How long anything may take to be shown.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the shell of a terminal prints when it waits for a command.
pub const PROMPT: &str = "ready$";

/// A terminal of 100 columns and 30 rows; ends with all that runs in it when dropped.
pub struct Tmux {
    dir: tempfile::TempDir,
}

impl Tmux {
    /// One whose shell finds `manman`, and the installation in `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        let tmux = Self { dir: tempfile::tempdir().unwrap() };
        let programs = Path::new(env!("CARGO_BIN_EXE_manman")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = tmux.command();
        command
            .args(["-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "sh", "-i"])
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env("PS1", format!("{PROMPT} "))
            .env("DATA_DIR", data_dir);
        finish(command);
        tmux.tmux(["set-option", "-g", "status", "off"]);
        tmux.resize(100);
        tmux.until("the shell is ready", |screen| screen.starts_with(PROMPT));
        tmux
    }

    fn command(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-u").arg("-S").arg(self.dir.path().join("socket"));
        command
    }

    fn tmux<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command();
        command.args(args);
        finish(command)
    }

    /// Types text as it is, and nothing more.
    pub fn types(&self, text: &str) {
        self.tmux(["send-keys", "-l", "--", text]);
    }

    /// Presses keys, as tmux names them (`Enter`, `C-a`, `Left`).
    pub fn press<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        self.tmux(["send-keys"].into_iter().chain(keys));
    }

    /// Pastes text, as a terminal does whose user presses the middle button.
    pub fn paste(&self, text: &str) {
        let mut command = self.command();
        command.args(["load-buffer", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        self.tmux(["paste-buffer"]);
    }

    /// Makes the window so wide, and waits until programs in it can know: tmux takes its
    /// time to say so.
    #[track_caller]
    pub fn resize(&self, columns: u16) {
        self.tmux(["resize-window", "-x", &columns.to_string(), "-y", "30"]);
        let tty = self.tmux(["display-message", "-p", "#{pane_tty}"]);
        let size = format!("30 {columns}\n");
        self.until("the new width is known", |_| {
            let mut stty = Command::new("stty");
            stty.args(["-F", tty.trim(), "size"]);
            finish(stty) == size
        });
    }

    /// What the screen shows, without blanks at the ends of its rows.
    pub fn screen(&self) -> String {
        self.tmux(["capture-pane", "-p"]).trim_end().to_owned()
    }

    /// All that was printed since the beginning, or since it was [forgotten](Self::forget), with
    /// wrapped lines put together.
    pub fn history(&self) -> String {
        self.tmux(["capture-pane", "-p", "-J", "-S", "-"])
    }

    /// Forgets what was printed and has left the screen.
    pub fn forget(&self) {
        self.tmux(["clear-history"]);
    }

    /// The column of the cursor, counted from zero.
    pub fn cursor(&self) -> usize {
        self.tmux(["display-message", "-p", "#{cursor_x}"]).trim().parse().unwrap()
    }

    /// Whether the cursor is visible.
    pub fn shows_cursor(&self) -> bool {
        self.tmux(["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn until(&self, what: &str, mut look: impl FnMut(&str) -> bool) {
        let mut patience = manman_services::Patience::new(PATIENCE);
        loop {
            let screen = self.screen();
            if look(&screen) {
                return;
            }
            assert!(!patience.is_spent(), "{what}: not within {PATIENCE:?}:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the last row of the screen is `line`, with the cursor in this column.
    #[track_caller]
    pub fn until_bottom(&self, line: &str, cursor: usize) {
        self.until(&format!("{line:?} at the bottom, the cursor at {cursor}"), |screen| {
            screen.lines().next_back().unwrap_or_default() == line && self.cursor() == cursor
        });
    }

    /// Runs a command in the shell and waits until it has ended. Returns what it printed.
    #[track_caller]
    pub fn shell(&self, line: &str) -> String {
        self.types("clear");
        self.press(["Enter"]);
        self.until("a clear screen", |screen| screen == PROMPT);
        self.types(line);
        self.press(["Enter"]);
        let end = format!("\n{PROMPT}");
        self.until(line, |screen| screen.ends_with(&end));
        let screen = self.screen();
        let shown = screen.split_once('\n').unwrap().1;
        shown.strip_suffix(PROMPT).unwrap().to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.command().arg("kill-server").output();
    }
}

#[track_caller]
fn finish(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}); ./scripts/test installs tmux, or: apt-get install tmux")
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
