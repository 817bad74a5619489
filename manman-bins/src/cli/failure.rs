//! Why a command did not succeed, as it is told to whoever asked.

use std::{fmt::Write as _, io};

use serde_json::{Map, Value, json};
use tonic::{Code, Status};

use super::{
    exit::Exit,
    output::{Screen, harmless},
};
use crate::{api::errors::Reported, config::ConfigError};

/// Why a command did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// To be told.
    Told(Box<Told>),
    /// Whoever read the output went away: nothing to tell, and no failure.
    NobodyReads,
}

/// What is told of a failure.
#[derive(Debug, Default)]
pub struct Told {
    exit: Option<Exit>,
    /// For programs.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Each single thing that is wrong.
    problems: Vec<String>,
    /// How it comes about.
    pub cause: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The field that was refused.
    pub field: Option<String>,
    /// What else there is for programs.
    pub details: Map<String, Value>,
}

impl Failure {
    /// It did not come to what was asked.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, "failed", message)
    }

    /// The command line, or a file that it names, cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Somebody no longer wanted to wait; `message` says what goes on.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Exit::Interrupted, "interrupted", message)
    }

    /// A failure with a code of its own.
    pub fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self::Told(Box::new(Told {
            exit: Some(exit),
            code: code.to_owned(),
            message: message.into(),
            ..Told::default()
        }))
    }

    /// The same, with what it is about before what happened.
    pub fn about(self, what: &str) -> Self {
        self.with(|told| told.message = format!("{what}: {}", told.message))
    }

    /// The same, with each single thing that is wrong.
    pub fn problems(self, problems: Vec<String>) -> Self {
        self.with(|told| told.problems = problems)
    }

    /// The same, with how it comes about.
    pub fn cause(self, cause: impl Into<String>) -> Self {
        self.with(|told| told.cause = Some(cause.into()))
    }

    /// The same, with what to do about it.
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        self.with(|told| told.remedy = Some(remedy.into()))
    }

    /// The same, with something for programs.
    pub fn detail(self, key: &str, value: impl Into<Value>) -> Self {
        self.with(|told| drop(told.details.insert(key.to_owned(), value.into())))
    }

    fn with(mut self, change: impl FnOnce(&mut Told)) -> Self {
        if let Self::Told(told) = &mut self {
            change(told);
        }
        self
    }

    /// The program's exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Told(told) => told.exit.unwrap_or(Exit::Failed),
            Self::NobodyReads => Exit::Ok,
        }
    }

    /// Writes it to stderr in the form that was asked for.
    pub fn show(&self, screen: &mut Screen) {
        let Self::Told(told) = self else { return };
        let text =
            if screen.is_json() { format!("{}\n", told.as_json(self.exit())) } else { told.as_text(screen) };
        // Nobody is left to be told when stderr is gone.
        let _ = screen.write_err(text.as_bytes());
    }
}

impl Told {
    fn as_text(&self, screen: &Screen) -> String {
        let mut text = format!("{} {}\n", screen.red_err("error:"), harmless(&self.message));
        for problem in &self.problems {
            text.push_str(&format!("  {}\n", harmless(problem)));
        }
        if let Some(cause) = &self.cause {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  cause: {}", harmless(cause));
        }
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(text, "  what to do: {}", harmless(remedy));
        }
        text
    }

    fn as_json(&self, exit: Exit) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.clone().into());
        error.insert("message".to_owned(), self.message.clone().into());
        error.insert("exit_code".to_owned(), exit.number().into());
        for (key, value) in [("cause", &self.cause), ("remedy", &self.remedy), ("field", &self.field)] {
            if let Some(value) = value {
                error.insert(key.to_owned(), value.clone().into());
            }
        }
        if !self.problems.is_empty() {
            error.insert("problems".to_owned(), self.problems.clone().into());
        }
        if !self.details.is_empty() {
            error.insert("details".to_owned(), self.details.clone().into());
        }
        json!({ "error": error })
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reported = Reported::from(&status);
        let exit = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Exit::NotPermitted,
            Code::Unavailable
                if !matches!(reported.code.as_str(), "store_unavailable" | "console_unavailable") =>
            {
                Exit::Unreachable
            }
            _ => Exit::Failed,
        };
        Self::Told(Box::new(Told {
            exit: Some(exit),
            code: reported.code,
            message: reported.message,
            cause: reported.cause,
            remedy: reported.remedy,
            field: reported.field,
            problems: Vec::new(),
            details: reported.details.into_iter().map(|(key, value)| (key, value.into())).collect(),
        }))
    }
}

impl From<ConfigError> for Failure {
    fn from(ConfigError(problems): ConfigError) -> Self {
        let what = if problems.len() == 1 { "one value" } else { "several values" };
        let problems = problems.iter().map(ToString::to_string).collect();
        Self::new(Exit::Config, "config", format!("{what} of the configuration cannot be used"))
            .problems(problems)
    }
}

impl From<io::Error> for Failure {
    /// Of writing to stdout or stderr.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::failed(format!("the output could not be written: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::errors::{ApiError, ErrorCode},
        config::Problem,
    };

    #[test]
    fn a_refusal_keeps_cause_and_remedy() {
        let refused =
            ApiError::new(ErrorCode::SessionLive, "session 7 of deployment 3 is running").with("session", 7);
        let failure = Failure::from(Status::from(refused));
        assert_eq!(failure.exit(), Exit::Failed);
        let (mut screen, shown) = Screen::captured();
        failure.show(&mut screen);
        assert_eq!(
            shown.err(),
            format!(
                "error: session 7 of deployment 3 is running\n  cause: {}\n  what to do: {}\n",
                ErrorCode::SessionLive.cause(),
                ErrorCode::SessionLive.remedy()
            )
        );
    }

    #[test]
    fn errors_in_json_are_one_object_on_stderr() {
        let (screen, shown) = Screen::captured();
        let mut screen = screen.json();
        Failure::failed("no").detail("session", 7).show(&mut screen);
        let error: Value = serde_json::from_str(&shown.err()).unwrap();
        assert_eq!(
            error,
            json!({"error": {"code": "failed", "message": "no", "exit_code": 1, "details": {"session": 7}}})
        );
        assert_eq!(shown.out(), "");
    }

    #[test]
    fn each_problem_of_the_configuration_has_a_line() {
        let problem = |place: &str| Problem {
            place: place.to_owned(),
            problem: "is wrong".to_owned(),
            remedy: "correct it".to_owned(),
        };
        let failure = Failure::from(ConfigError(vec![problem("LISTEN"), problem("ENVIRONMENT")]));
        assert_eq!(failure.exit(), Exit::Config);
        let (mut screen, shown) = Screen::captured();
        failure.show(&mut screen);
        let lines: Vec<_> = shown.err().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines, ["  LISTEN: is wrong; correct it", "  ENVIRONMENT: is wrong; correct it"]);
    }

    #[test]
    fn what_an_error_says_cannot_drive_the_terminal() {
        let (mut screen, shown) = Screen::captured();
        Failure::failed("a\u{1b}[2Jb\nc").show(&mut screen);
        assert_eq!(shown.err(), "error: a^[[2Jb^Jc\n");
    }

    #[test]
    fn exit_codes_follow_the_status() {
        for (status, exit) in [
            (Status::unavailable("transport error"), Exit::Unreachable),
            (ApiError::new(ErrorCode::StoreUnavailable, "x").into(), Exit::Failed),
            (ApiError::new(ErrorCode::Unauthenticated, "x").into(), Exit::NotPermitted),
            (Status::permission_denied("x"), Exit::NotPermitted),
            (Status::not_found("x"), Exit::Failed),
        ] {
            let shown = format!("{status:?}");
            assert_eq!(Failure::from(status).exit(), exit, "{shown}");
        }
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit(), Exit::Ok);
    }
}
