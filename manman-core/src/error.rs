//! The one error that all seams share, cut by what a caller can do about it.

use std::{error::Error as StdError, fmt};

/// What a seam's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The thing named does not exist.
    NotFound,
    /// It exists, but not in the form asked for.
    Conflict,
    /// What was asked for can never be done: a value the backend refuses.
    Invalid,
    /// We may not do that.
    Denied,
    /// The backend could not be reached, or asked us to come back later.
    Unavailable,
    /// No answer before the deadline: whether it happened is not known.
    Timeout,
    /// A bound was reached; nothing was done.
    Busy,
    /// A newer holder of our identity has taken over: stop, touch nothing.
    Fenced,
    /// This backend cannot do that at all.
    Unsupported,
    /// Stored data does not read back as it was written.
    Corrupt,
    /// The configuration is wrong.
    Config,
    /// A bug, ours or the backend's.
    Unexpected,
}

/// A failed call of a seam: what was tried, why it failed, whether waiting helps.
pub struct Error {
    kind: ErrorKind,
    temporary: bool,
    operation: &'static str,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `operation`. `Unavailable`, `Timeout` and `Busy` are taken as
    /// temporary, the other kinds are not; [`Error::temporary`] says otherwise.
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let temporary = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy);
        Self { kind, temporary, operation, message: message.into(), source: None }
    }

    /// Says whether the same call may succeed later without anything being changed.
    pub fn temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Keeps what caused it; reports print the whole chain, once.
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }

    /// The call that failed.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What went wrong, without the operation and without the source.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    /// Leaves the source out: reports print the whole chain, once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("temporary", &self.temporary)
            .field("operation", &self.operation)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The first of `error` and what caused it that is of this type. An `io::Error` hides what it
/// wraps from `source`: that is looked into as well.
pub fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// `error`, what caused it, and so on to the bottom, with what an `io::Error` wraps.
pub fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| beneath(*error))
}

fn beneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// Prints an error and everything that caused it, joined by ": ". An operation that failed
/// because a step of it under the same name did is named once.
pub struct Chain<'a>(pub &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let operation_of = |error: &(dyn StdError + 'static)| error.downcast_ref().map(Error::operation);
        let (mut said, mut next) = (operation_of(self.0), self.0.source());
        while let Some(error) = next {
            match error.downcast_ref::<Error>() {
                Some(ours) if said == Some(ours.operation) => write!(f, ": {}", ours.message)?,
                _ => write!(f, ": {error}")?,
            }
            (said, next) = (operation_of(error), error.source());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_found_beneath_what_hides_it() {
        use std::io;
        let bottom = Error::new(ErrorKind::Busy, "ask", "no");
        let error = Error::new(ErrorKind::Unavailable, "list", "no answer")
            .because(io::Error::other(io::Error::other(bottom)));
        assert_eq!(cause::<Error>(&error).unwrap().kind(), ErrorKind::Unavailable);
        assert_eq!(causes(&error).count(), 4);
        assert_eq!(causes(&error).last().unwrap().to_string(), "ask: no");
        assert!(cause::<fmt::Error>(&error).is_none());
    }

    #[test]
    fn a_chain_prints_each_cause_once() {
        let error = Error::new(ErrorKind::Unavailable, "list containers", "the engine does not answer")
            .because(std::io::Error::other("connection refused"));
        assert_eq!(error.to_string(), "list containers: the engine does not answer");
        assert_eq!(
            Chain(&error).to_string(),
            "list containers: the engine does not answer: connection refused"
        );
        assert!(error.is_temporary());
    }

    #[test]
    fn an_operation_is_named_once() {
        let engine = || Error::new(ErrorKind::Invalid, "find the data directory", "no such directory");
        let error = Error::new(ErrorKind::Config, "find the data directory", "it is not seen");
        let told = Chain(&error.because(engine())).to_string();
        assert_eq!(told, "find the data directory: it is not seen: no such directory");
        let told =
            Chain(&Error::new(ErrorKind::Config, "start", "it cannot be").because(engine())).to_string();
        assert_eq!(told, "start: it cannot be: find the data directory: no such directory");
    }
}
