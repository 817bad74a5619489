//! What scripted games do.

use std::{fmt, future, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::tape::Tape;
use crate::{
    console::Channel,
    runtime::{ContainerSpec, PullProgress},
};

/// One thing a scripted game does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Prints these bytes.
    Print(Channel, Vec<u8>),
    /// Prints `out 1`, `out 2`, … to standard output and `err 1`, … to standard error, a
    /// pair at a time; or `tick` to both if `same`.
    Count {
        /// How many pairs.
        lines: u32,
        /// The time between two pairs; none if zero.
        pause: Duration,
        /// Whether all lines are alike.
        same: bool,
    },
    /// Does nothing for so long.
    Wait(Duration),
    /// Exits with this code.
    Exit(i32),
    /// Uses more memory than it may: the kernel kills it.
    RunOutOfMemory,
}

/// What a scripted game does at its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSignal {
    /// Exits with `code` when `after` has passed.
    Exit {
        /// How long it takes.
        after: Duration,
        /// The exit code.
        code: i32,
    },
    /// Nothing.
    Ignore,
}

/// What a scripted game does with lines on its stdin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// `save` prints `saved`, `quit` prints `bye` and exits with 0, `crash N` and `exit N`
    /// exit with N, `err X` prints X to standard error; any other line is printed to
    /// standard output.
    Obeyed,
    /// Does not read them: after a while the pipe is full.
    Unread,
}

/// What a scripted game does: its acts in order, and then nothing until it is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What it does by itself.
    pub acts: Vec<Act>,
    /// What it does at its stop signal.
    pub on_signal: OnSignal,
    /// What it does with its stdin.
    pub stdin: Stdin,
}

impl Default for Script {
    /// Runs until its stop signal, then exits with 0; obeys lines.
    fn default() -> Self {
        Self {
            acts: Vec::new(),
            on_signal: OnSignal::Exit { after: Duration::ZERO, code: 0 },
            stdin: Stdin::Obeyed,
        }
    }
}

impl Script {
    /// The default with these acts.
    pub fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: acts.into_iter().collect(), ..Self::default() }
    }

    /// Exits with `code` when `after` has passed.
    pub fn exits(after: Duration, code: i32) -> Self {
        Self::of([Act::Wait(after), Act::Exit(code)])
    }

    /// The same, with another answer to the stop signal.
    pub fn on_signal(mut self, on_signal: OnSignal) -> Self {
        self.on_signal = on_signal;
        self
    }

    /// The same, with another answer to lines.
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }
}

/// How a game ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) code: i32,
    pub(super) out_of_memory: bool,
}

impl Ending {
    pub(super) fn code(code: i32) -> Self {
        Self { code, out_of_memory: false }
    }
}

/// Plays `script` until it ends by itself.
pub(super) async fn play(
    script: Script,
    tape: Arc<Tape>,
    mut stdin: mpsc::Receiver<Vec<u8>>,
    mut signals: mpsc::UnboundedReceiver<()>,
) -> Ending {
    let acts = act(script.acts, &tape);
    tokio::pin!(acts);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = signals.recv() => if let OnSignal::Exit { after, code } = script.on_signal {
                tokio::time::sleep(after).await;
                return Ending::code(code);
            },
            Some(bytes) = stdin.recv(), if script.stdin == Stdin::Obeyed => {
                line.extend_from_slice(&bytes);
                while let Some(end) = line.iter().position(|&byte| byte == b'\n') {
                    let whole: Vec<u8> = line.drain(..=end).collect();
                    if let Some(code) = obey(&String::from_utf8_lossy(&whole[..end]), &tape) {
                        return Ending::code(code);
                    }
                }
            },
            ending = &mut acts => return ending,
        }
    }
}

async fn act(acts: Vec<Act>, tape: &Tape) -> Ending {
    for act in acts {
        match act {
            Act::Print(channel, bytes) => tape.print(channel, &bytes),
            Act::Count { lines, pause, same } => {
                let began = Instant::now();
                for n in 1..=lines {
                    if same {
                        tape.print(Channel::Stdout, b"tick\n");
                        tape.print(Channel::Stderr, b"tick\n");
                    } else {
                        tape.print(Channel::Stdout, format!("out {n}\n").as_bytes());
                        tape.print(Channel::Stderr, format!("err {n}\n").as_bytes());
                    }
                    if !pause.is_zero() {
                        // By the schedule, so that the pace is kept where timers are late.
                        tokio::time::sleep_until(began + pause.saturating_mul(n)).await;
                    } else if n % 256 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            }
            Act::Wait(wait) => tokio::time::sleep(wait).await,
            Act::Exit(code) => return Ending::code(code),
            Act::RunOutOfMemory => return Ending { code: 137, out_of_memory: true },
        }
    }
    future::pending().await
}

fn obey(line: &str, tape: &Tape) -> Option<i32> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (word, rest) {
        ("save", "") => tape.print(Channel::Stdout, b"saved\n"),
        ("quit", "") => {
            tape.print(Channel::Stdout, b"bye\n");
            return Some(0);
        }
        ("crash" | "exit", code) if code.parse::<u8>().is_ok() => return code.parse().ok(),
        ("err", text) => tape.print(Channel::Stderr, format!("{text}\n").as_bytes()),
        _ => tape.print(Channel::Stdout, format!("{line}\n").as_bytes()),
    }
    None
}

/// What a container made of an image does: `None` if it has no such command.
pub type Casting = Arc<dyn Fn(&ContainerSpec) -> Option<Script> + Send + Sync>;

/// How an image that is not here is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// How long it takes.
    pub takes: Duration,
    /// How often it tells of its progress.
    pub steps: u32,
    /// What comes of it.
    pub outcome: PullOutcome,
}

/// What comes of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullOutcome {
    /// The image is here.
    Here,
    /// There is no such image.
    NotFound,
    /// The registry wants other credentials.
    Denied,
    /// The registry does not answer.
    Unavailable,
}

impl Pull {
    pub(super) fn progress(&self, step: u32) -> PullProgress {
        PullProgress { text: format!("{step} of {} layers", self.steps) }
    }
}

/// An image.
#[derive(Clone)]
pub struct Image {
    /// What its containers do.
    pub casting: Casting,
    /// The user its processes run as.
    pub uid: Option<u32>,
    /// How it is fetched; `None` if it is here.
    pub pull: Option<Pull>,
}

impl Image {
    /// An image that is here and whose containers play `script`.
    pub fn of(script: Script) -> Self {
        Self { casting: Arc::new(move |_| Some(script.clone())), uid: Some(0), pull: None }
    }

    /// An image that is here and has no command of any name.
    pub fn without_command() -> Self {
        Self { casting: Arc::new(|_| None), uid: Some(0), pull: None }
    }

    /// The same, not here: fetched as `pull` says.
    pub fn pulled(mut self, pull: Pull) -> Self {
        self.pull = Some(pull);
        self
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image").field("uid", &self.uid).field("pull", &self.pull).finish_non_exhaustive()
    }
}
