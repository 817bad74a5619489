//! A line on the terminal that says how far something is, rewritten in place.

use tokio::time::Instant;

use crate::{
    api::v1,
    cli::{
        failure::Failure,
        output::{Screen, harmless, lower, span},
    },
};

/// Erases the line and goes to its beginning (ECMA-48, EL).
const ERASE: &str = "\r\x1b[K";

/// Says on stderr how far a session is, if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    begun: Instant,
    shown: Option<String>,
}

impl Progress {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        Self { begun: Instant::now(), shown: None }
    }

    /// Shows where the session is, and what it may be waiting for.
    pub fn at(&mut self, screen: &mut Screen, session: &v1::Session, trouble: &str) -> Result<(), Failure> {
        let mut text = describe(session);
        if !trouble.is_empty() {
            text.push_str(&format!(", {trouble}"));
        }
        self.show(screen, text)
    }

    /// Shows a text.
    pub fn show(&mut self, screen: &mut Screen, text: String) -> Result<(), Failure> {
        if !screen.err_is_terminal() || screen.is_json() || self.shown.as_ref() == Some(&text) {
            return Ok(());
        }
        let line = format!("{ERASE}{text} ({})", span(self.begun.elapsed()));
        self.shown = Some(text);
        Ok(screen.write_err(line.as_bytes())?)
    }

    /// Takes the line away, for good.
    pub fn done(mut self, screen: &mut Screen) -> Result<(), Failure> {
        self.clear(screen)
    }

    /// Takes the line away, for something else to be said.
    pub fn clear(&mut self, screen: &mut Screen) -> Result<(), Failure> {
        match self.shown.take() {
            Some(_) => Ok(screen.write_err(ERASE.as_bytes())?),
            None => Ok(()),
        }
    }
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

    #[tokio::test(start_paused = true)]
    async fn progress_is_for_terminals() {
        let session = v1::Session {
            session_id: 7,
            state: v1::SessionState::Starting.into(),
            phase: Some(v1::SessionPhase::Pulling.into()),
            progress: Some("12 of 80 MB".into()),
            ..Default::default()
        };
        let (screen, shown) = Screen::captured();
        for (mut screen, expected) in [(screen, ""), (Screen::captured().0.terminal().json(), "")] {
            let mut progress = Progress::new();
            progress.at(&mut screen, &session, "").unwrap();
            progress.done(&mut screen).unwrap();
            assert_eq!(shown.err(), expected);
        }
        let (screen, shown) = Screen::captured();
        let mut screen = screen.terminal();
        let mut progress = Progress::new();
        progress.at(&mut screen, &session, "").unwrap();
        progress.at(&mut screen, &session, "").unwrap();
        progress.done(&mut screen).unwrap();
        assert_eq!(shown.err(), format!("{ERASE}session 7: starting, pulling, 12 of 80 MB (0s){ERASE}"));
    }
}
