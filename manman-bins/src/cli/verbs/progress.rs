//! A line on the terminal that says how far something is, once that takes longer than a
//! second, and that it can be broken off.

use std::{future::Future, pin::pin, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{self, Instant},
};

use crate::{
    api::v1,
    cli::{
        failure::Failure,
        output::{Screen, first_columns, harmless, lower, span, width},
    },
};

/// Before that nothing is shown, and after each of them the line is shown anew.
const SECOND: Duration = Duration::from_secs(1);

/// The columns of a bar between its brackets, at most and at least.
const BAR: (usize, usize) = (24, 6);

/// Says how far something is while it is waited for.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    text: String,
    /// How much of how much, where that is known.
    fraction: Option<f64>,
    shown: Option<String>,
    interrupt: Option<Signal>,
    broken_off: String,
    remedy: Option<String>,
}

impl Progress {
    /// Begins to wait; `text` says for what, `broken_off` what becomes of it if Ctrl-C ends
    /// the wait.
    pub fn new(text: impl Into<String>, broken_off: impl Into<String>) -> Self {
        Self {
            begun: Instant::now(),
            text: text.into(),
            fraction: None,
            shown: None,
            // Without it Ctrl-C ends the process, as it always does.
            interrupt: signal(SignalKind::interrupt()).ok(),
            broken_off: broken_off.into(),
            remedy: None,
        }
    }

    /// Says something else.
    pub fn say(&mut self, text: impl Into<String>) {
        (self.text, self.fraction) = (text.into(), None);
    }

    /// Says which of how many things it is at.
    pub fn step(&mut self, text: impl Into<String>, done: usize, total: usize) {
        self.text = text.into();
        self.fraction = (total > 0).then(|| done as f64 / total as f64);
    }

    /// Says where the session is, and what it may be waiting for.
    pub fn at(&mut self, session: &v1::Session, trouble: &str) {
        self.text = describe(session);
        if !trouble.is_empty() {
            self.text.push_str(&format!(", {trouble}"));
        }
        self.fraction = session.progress.as_deref().and_then(fraction);
    }

    /// What becomes of it from here on if Ctrl-C ends the wait, and what to do then.
    pub fn goes_on(&mut self, broken_off: impl Into<String>, remedy: impl Into<String>) {
        (self.broken_off, self.remedy) = (broken_off.into(), Some(remedy.into()));
    }

    /// Waits for `work`, showing how far it is.
    ///
    /// # Errors
    /// If somebody no longer wants to wait, or stderr cannot be written to.
    pub async fn during<T>(
        &mut self,
        screen: &mut Screen,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        loop {
            self.show(screen)?;
            let whole =
                SECOND.saturating_mul(u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX));
            tokio::select! {
                biased;
                () = interrupted(&mut self.interrupt) => return Err(self.failure()),
                done = &mut work => return Ok(done),
                () = time::sleep_until(self.begun + whole + SECOND) => {}
            }
        }
    }

    fn show(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        let elapsed = self.begun.elapsed();
        if elapsed < SECOND {
            return Ok(());
        }
        let whole = format!("{}, {:?}, {}", self.text, self.fraction, span(elapsed));
        if self.shown.as_ref() != Some(&whole) {
            screen.line(|columns| fitted(&self.text, self.fraction, elapsed, columns))?;
            self.shown = Some(whole);
        }
        Ok(())
    }

    fn failure(&self) -> Failure {
        let failure = Failure::interrupted(format!("interrupted: {}", self.broken_off));
        match &self.remedy {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

async fn interrupted(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// `session 7: starting, pulling, 12 of 80 MB [===>        ] 15 % (7s)`, in so many columns.
fn fitted(text: &str, fraction: Option<f64>, elapsed: Duration, columns: usize) -> String {
    let time = format!(" ({})", span(elapsed));
    let room = columns.saturating_sub(width(&time));
    let left = room.saturating_sub(width(text));
    let bar = fraction.map(|part| bar(part, left)).unwrap_or_default();
    let line = if width(text) > room {
        format!("{}…{time}", first_columns(text, room.saturating_sub(1)))
    } else {
        format!("{text}{bar}{time}")
    };
    first_columns(&line, columns).to_owned()
}

/// ` [===>        ] 15 %`; nothing where it does not fit.
fn bar(part: f64, room: usize) -> String {
    // The space before it, its brackets and ` 100 %`.
    let size = room.saturating_sub(9).min(BAR.0);
    if size < BAR.1 {
        return String::new();
    }
    let done = ((part * size as f64) as usize).min(size);
    let tip = if done < size { ">" } else { "" };
    format!(" [{:<size$}] {} %", format!("{}{tip}", "=".repeat(done)), (part * 100.0) as u32)
}

/// The fraction that a text like `12 of 80 MB` tells.
fn fraction(text: &str) -> Option<f64> {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    words.windows(3).find_map(|words| {
        let [part, "of", whole] = words else { return None };
        let (part, whole) = (part.parse::<f64>().ok()?, whole.parse::<f64>().ok()?);
        (whole > 0.0 && (0.0..=whole).contains(&part)).then_some(part / whole)
    })
}

/// `session 7: starting, pulling, 12 of 80 MB`.
fn describe(session: &v1::Session) -> String {
    let mut text =
        format!("session {}: {}", session.session_id, lower(session.state().as_str_name(), "SESSION_STATE_"));
    if session.phase.is_some() {
        text.push_str(&format!(", {}", lower(session.phase().as_str_name(), "SESSION_PHASE_")));
    }
    if let Some(progress) = &session.progress {
        text.push_str(&format!(", {}", harmless(progress)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::ERASE;

    fn pulling() -> v1::Session {
        v1::Session {
            session_id: 7,
            state: v1::SessionState::Starting.into(),
            phase: Some(v1::SessionPhase::Pulling.into()),
            progress: Some("12 of 80 MB".into()),
            ..Default::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_appears_after_a_second_ticks_and_goes() {
        let (screen, shown) = Screen::captured();
        let mut screen = screen.columns_of(40);
        let mut progress = Progress::new("start of trains", "nothing was asked for");
        progress.during(&mut screen, time::sleep(Duration::from_millis(900))).await.unwrap();
        assert_eq!(shown.err(), "");
        progress.during(&mut screen, time::sleep(Duration::from_millis(2_300))).await.unwrap();
        let line = |seconds| format!("{ERASE}start of trains ({seconds}s)");
        assert_eq!(shown.err(), [line(1), line(2), line(3)].concat());
        screen.say("done").unwrap();
        assert_eq!(
            (shown.err(), shown.out()),
            ([line(1), line(2), line(3), ERASE.into()].concat(), "done\n".into())
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_for_terminals_that_can() {
        let (plain, kept) = Screen::captured();
        let (json, of_json) = Screen::captured();
        let (dumb, of_dumb) = Screen::captured();
        for mut screen in [plain, json.terminal().json(), dumb.terminal().dumb()] {
            let mut progress = Progress::new("", "");
            progress.at(&pulling(), "");
            progress.during(&mut screen, time::sleep(Duration::from_secs(9))).await.unwrap();
        }
        assert_eq!([kept.err(), of_json.err(), of_dumb.err()], ["", "", ""]);
    }

    #[tokio::test(start_paused = true)]
    async fn which_of_how_many_it_is_at_is_a_bar() {
        let (screen, shown) = Screen::captured();
        let mut screen = screen.terminal();
        let mut progress = Progress::new("", "");
        progress.step("config g/c", 3, 12);
        progress.during(&mut screen, time::sleep(Duration::from_millis(1_500))).await.unwrap();
        assert!(shown.err().ends_with("config g/c [======>                 ] 25 % (1s)"), "{}", shown.err());
    }

    #[test]
    fn it_fits_into_any_terminal() {
        let text = describe(&pulling());
        let part = fraction("12 of 80 MB");
        let whole = "session 7: starting, pulling, 12 of 80 MB [===>                    ] 15 % (7s)";
        assert_eq!(fitted(&text, part, Duration::from_secs(7), 100), whole);
        for columns in 0..120 {
            let line = fitted(&text, part, Duration::from_secs(7), columns);
            assert!(width(&line) <= columns, "{columns}: {line}");
        }
        assert_eq!(
            fitted(&text, part, Duration::from_secs(7), 20),
            "session 7: star… (7s)".replace("r…", "…")
        );
        assert_eq!(bar(1.0, 17), " [========] 100 %");
        assert_eq!(bar(0.0, 17), " [>       ] 0 %");
    }

    #[test]
    fn fractions_are_read_where_there_is_one() {
        for (text, part) in
            [("12 of 80 MB", Some(0.15)), ("extracting", None), ("3 of 0 MB", None), ("9 of 8 MB", None)]
        {
            assert_eq!(fraction(text), part, "{text}");
        }
    }
}
