//! Whether a control plane hears us.

use std::sync::{Arc, Mutex, PoisonError};

use manman_core::error::{Chain, Error, ErrorKind, Result};

/// What became of the latest call to a control plane, for whoever asks how a host is.
#[derive(Clone, Debug, Default)]
pub struct Line(Arc<Mutex<Option<Broken>>>);

/// An error as it can be told again.
#[derive(Debug)]
struct Broken {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
}

impl Line {
    /// How it is: as good as new until something is asked.
    ///
    /// # Errors
    /// Why the latest call was not answered, or was refused whatever it was about.
    pub fn look(&self) -> Result<()> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(broken) => Err(Error::new(broken.kind, broken.operation, broken.message.clone())),
        }
    }

    /// A call came to this.
    pub(super) fn note<A>(&self, operation: &'static str, result: &Result<A>) {
        let broken = match result {
            Ok(_) => None,
            Err(error) => match error.kind() {
                // An answer about what was asked: whoever gives it hears us.
                ErrorKind::NotFound | ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Busy => None,
                kind => {
                    let said = Chain(error).to_string();
                    let message = said.strip_prefix(&format!("{operation}: ")).unwrap_or(&said).to_owned();
                    Some(Broken { kind, operation, message })
                }
            },
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = broken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_call_counts() {
        let line = Line::default();
        let failed = |kind| Err::<(), _>(Error::new(kind, "ask", "no").because(std::io::Error::other("why")));
        line.look().unwrap();
        line.note("ask", &failed(ErrorKind::Denied));
        let error = line.look().unwrap_err();
        assert_eq!((error.kind(), Chain(&error).to_string()), (ErrorKind::Denied, "ask: no: why".to_owned()));
        line.note("ask", &failed(ErrorKind::NotFound));
        line.look().unwrap();
    }
}
