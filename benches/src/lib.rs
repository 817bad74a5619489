//! Benches against peers: both run in turns in one process, and what counts is the ratio
//! of two runs of the same round, so that a machine that is busy with other things slows
//! both alike.

use std::{fmt, time::Duration};

use rustix::time::{ClockId, clock_gettime};

pub mod peer;
pub mod stopwatch;
pub mod streams;

/// How a bench was asked to run.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// By `cargo bench`; otherwise it is a test that the bench still works.
    pub whole: bool,
    /// Fails if a gate is missed.
    pub gate: bool,
}

impl Asked {
    /// Reads the arguments of this process.
    pub fn from_arguments() -> Self {
        let mut asked = Self { whole: false, gate: false };
        for argument in std::env::args() {
            asked.whole |= argument == "--bench";
            asked.gate |= argument == "--gate";
        }
        asked
    }
}

/// One thing that is measured: it does all of its work and returns what it has found, so
/// that nothing is optimized away and all can be compared.
pub struct Candidate<'a, T> {
    name: &'static str,
    run: Box<dyn FnMut() -> T + 'a>,
}

impl<'a, T> Candidate<'a, T> {
    /// Names a piece of work.
    pub fn new(name: &'static str, run: impl FnMut() -> T + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What the candidates of one bench took, round by round.
#[derive(Debug)]
pub struct Rounds {
    names: Vec<&'static str>,
    times: Vec<Vec<Duration>>,
}

/// Runs all candidates in turns. What they return is handed to `check` with their names.
///
/// Measured is this thread's processor time: waiting for others is not our work.
pub fn in_turns<T>(
    rounds: usize,
    candidates: &mut [Candidate<'_, T>],
    mut check: impl FnMut(&str, T),
) -> Rounds {
    let mut times = vec![Vec::with_capacity(rounds); candidates.len()];
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            // Nobody always comes first, with cold caches, or after the same one.
            let at = (turn + round) % candidates.len();
            let begun = processor_time();
            let found = (candidates[at].run)();
            times[at].push(processor_time().saturating_sub(begun));
            check(candidates[at].name, found);
        }
    }
    Rounds { names: candidates.iter().map(|candidate| candidate.name).collect(), times }
}

/// The processor time that this thread has used.
pub fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// How often one took as long as another: the median over the rounds, and the extremes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} [{:.2}-{:.2}]", self.median, self.least, self.most))
    }
}

impl Rounds {
    fn of(&self, name: &str) -> &[Duration] {
        let at = self.names.iter().position(|known| *known == name).expect("a candidate of this bench");
        &self.times[at]
    }

    /// How often `one` took as long as `other`.
    pub fn ratio(&self, one: &str, other: &str) -> Ratio {
        let pairs = self.of(one).iter().zip(self.of(other));
        let ratios = pairs.map(|(one, other)| one.as_secs_f64() / other.as_secs_f64().max(1e-9));
        spread(ratios.collect())
    }

    /// What `name` took, in the middle.
    pub fn median(&self, name: &str) -> Duration {
        let mut times = self.of(name).to_vec();
        times.sort_unstable();
        times[times.len() / 2]
    }
}

fn spread(mut ratios: Vec<f64>) -> Ratio {
    ratios.sort_unstable_by(f64::total_cmp);
    Ratio { median: ratios[ratios.len() / 2], least: ratios[0], most: ratios[ratios.len() - 1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_that_of_the_same_round() {
        let seconds = |times: &[u64]| times.iter().map(|&time| Duration::from_secs(time)).collect();
        let rounds =
            Rounds { names: vec!["a", "b"], times: vec![seconds(&[2, 40, 6]), seconds(&[1, 10, 3])] };
        assert_eq!(rounds.ratio("a", "b"), Ratio { median: 2.0, least: 2.0, most: 4.0 });
        assert_eq!(rounds.median("a"), Duration::from_secs(6));
    }

    #[test]
    fn every_candidate_runs_in_every_round() {
        let mut seen = Vec::new();
        let mut candidates = [Candidate::new("a", || 1), Candidate::new("b", || 2)];
        let rounds = in_turns(3, &mut candidates, |name, found| seen.push(format!("{name}{found}")));
        assert_eq!(seen.join(" "), "a1 b2 b2 a1 a1 b2");
        assert_eq!(rounds.times.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    }
}
