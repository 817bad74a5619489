//! What was measured, as a table: a column for each fleet.

use std::{fmt::Write as _, time::Duration};

use crate::{Size, plane::Kind};

/// How long something took, many times.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl From<Vec<Duration>> for Latencies {
    fn from(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }
}

impl Latencies {
    /// How many times.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred took at most that.
    pub fn of_hundred(&self, share: usize) -> Duration {
        let at = (self.0.len() * share).div_ceil(100).clamp(1, self.0.len().max(1));
        self.0.get(at - 1).copied().unwrap_or_default()
    }

    /// Median, 99th of a hundred and longest, in milliseconds.
    pub fn shown(&self) -> String {
        let millis = |share| self.of_hundred(share).as_millis();
        format!("{} / {} / {} ({})", millis(50), millis(99), millis(100), self.0.len())
    }
}

/// What a part used while the fleet was held.
#[derive(Clone, Debug)]
pub struct PartFigures {
    pub name: &'static str,
    pub cores: f64,
    pub mib: u64,
}

/// What was measured of one fleet.
#[derive(Clone, Debug)]
pub struct Figures {
    pub kind: Kind,
    pub size: Size,
    pub registered: Duration,
    /// Games started a second, many at once.
    pub started: f64,
    /// What one of these starts took of all parts together.
    pub start_cpu: Duration,
    pub held: Duration,
    pub lines: u64,
    pub lines_a_second: f64,
    pub lag: Latencies,
    pub inputs: Latencies,
    pub starts: Latencies,
    pub stops: Latencies,
    pub parts: Vec<PartFigures>,
}

impl Figures {
    fn rows(&self) -> Vec<(String, String)> {
        let Size { hosts, sessions, processors, .. } = self.size;
        let row = |name: &str, value: String| (name.to_owned(), value);
        let mut rows = vec![
            row("broker", format!("{:?}", self.kind)),
            row("hosts x sessions", format!("{hosts} x {sessions}")),
            row("event processors", processors.to_string()),
            row("all hosts online, s", format!("{:.1}", self.registered.as_secs_f64())),
            row("games started a second", format!("{:.0}", self.started)),
            row("CPU of one start, all parts, ms", self.start_cpu.as_millis().to_string()),
            row("held, s", format!("{:.0}", self.held.as_secs_f64())),
            row("lines", self.lines.to_string()),
            row("lines a second", format!("{:.0}", self.lines_a_second)),
            row("lines late, ms: p50 / p99 / most (of)", self.lag.shown()),
            row("input to receipt, ms", self.inputs.shown()),
            row("start to running, ms", self.starts.shown()),
            row("stop to stopped, ms", self.stops.shown()),
        ];
        for PartFigures { name, cores, mib } in &self.parts {
            rows.push(row(&format!("{name}: cores, MiB"), format!("{cores:.2}, {mib}")));
        }
        rows
    }
}

/// All of them side by side.
pub fn table(all: &[Figures]) -> String {
    let columns: Vec<Vec<(String, String)>> = all.iter().map(Figures::rows).collect();
    let mut text = String::new();
    for (at, (name, _)) in columns[0].iter().enumerate() {
        let _ = write!(text, "{name:<38}");
        for column in &columns {
            let _ = write!(text, "{:>26}", column[at].1);
        }
        text.push('\n');
    }
    text
}
