//! The API's messages to our words and back, in one place. What comes in is checked
//! here; the error names the field.

mod config;
mod console;
mod deployment;
mod game;
mod host;
mod server;
mod session;
mod token;

use manman_core::{
    clock::Timestamp,
    model::{Invalid, Labels, Port, Protocol, Reason, reason::ReasonCode},
};

use super::v1;

pub(super) use console::shown_out;
pub(super) use deployment::ports_in;
pub use host::attempts_in;
pub(super) use host::{host_in, known_in};
pub(super) use session::{mode_in, state_in};

/// An id, or why the number is none.
pub fn id<T>(field: &str, number: i64, make: fn(i64) -> T) -> Result<T, Invalid> {
    match number {
        1.. => Ok(make(number)),
        0 => Err(Invalid::new(field, "is missing")),
        _ => {
            Err(Invalid::new(field, format!("{number} is not a valid id; expected a whole number from 1 up")))
        }
    }
}

/// Text that parses, or why it does not, at this field.
pub fn parsed<T: std::str::FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<T, Invalid> {
    text.parse().map_err(|invalid: Invalid| Invalid::new(field, invalid.problem))
}

/// A message that has to be there.
pub fn needed<T>(field: &str, message: Option<T>) -> Result<T, Invalid> {
    message.ok_or_else(|| Invalid::new(field, "is missing"))
}

/// What a caller takes something to be, where it says so.
pub fn seen_in<M, T: TryFrom<M, Error = Invalid>>(seen: Option<M>) -> Result<Option<T>, Invalid> {
    seen.map(T::try_from).transpose().map_err(|invalid| invalid.within("seen"))
}

/// A moment on the wire.
pub fn timestamp_out(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// A moment from the wire; finer digits than microseconds are cut off.
pub fn timestamp_in(at: prost_types::Timestamp) -> Timestamp {
    let seconds = at.seconds.saturating_mul(1_000_000);
    Timestamp::from_micros(seconds.saturating_add(i64::from(at.nanos) / 1_000))
}

/// Labels within their bounds.
pub fn labels_in(field: &str, labels: Labels) -> Result<Labels, Invalid> {
    manman_core::model::text::check_labels(field, &labels)?;
    Ok(labels)
}

fn port_in(field: &str, number: i32) -> Result<Port, Invalid> {
    i64::from(number).try_into().map_err(|invalid: Invalid| Invalid::new(field, invalid.problem))
}

fn port_out(port: Port) -> i32 {
    i32::from(port.get())
}

/// One enum both ways. The zero value is never meant.
macro_rules! enums {
    ($($wire:ident <=> $ours:ty: $($theirs:ident = $ours_variant:path),* ;)*) => {$(
        impl From<$ours> for v1::$wire {
            fn from(ours: $ours) -> Self {
                match ours { $($ours_variant => Self::$theirs,)* }
            }
        }

        impl TryFrom<v1::$wire> for $ours {
            type Error = String;

            fn try_from(wire: v1::$wire) -> Result<Self, String> {
                match wire {
                    $(v1::$wire::$theirs => Ok($ours_variant),)*
                    v1::$wire::Unspecified => {
                        Err(format!("is not said: one of {} is expected", [$(v1::$wire::$theirs.as_str_name()),*].join(", ")))
                    }
                }
            }
        }
    )*};
}
use enums;

/// The enum of a number on the wire, at this field.
fn enum_in<W, T>(field: &str, number: i32) -> Result<T, Invalid>
where
    W: TryFrom<i32>,
    T: TryFrom<W, Error = String>,
{
    let wire = W::try_from(number)
        .map_err(|_| Invalid::new(field, format!("{number} is not a value that this version knows")))?;
    T::try_from(wire).map_err(|problem| Invalid::new(field, problem))
}

enums! {
    Protocol <=> Protocol: Tcp = Protocol::Tcp, Udp = Protocol::Udp;
}

impl From<Reason> for v1::Reason {
    fn from(reason: Reason) -> Self {
        Self { code: reason.code.as_str().to_owned(), text: reason.text }
    }
}

impl From<v1::Reason> for Reason {
    fn from(reason: v1::Reason) -> Self {
        // A code of a newer server reads as `other`; its sentence says the same.
        let code =
            serde_json::from_value(serde_json::Value::String(reason.code)).unwrap_or(ReasonCode::Other);
        Self::new(code, reason.text)
    }
}
