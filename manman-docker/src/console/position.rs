//! What a [`Position`] of a console here holds.
//!
//! Counts are those of the engine's log: what a channel printed since the attempt
//! began, byte for byte, save that `json-file` keeps no bytes that are not UTF-8
//! (see [`Form`](super::form::Form)).

use std::time::Duration;

use manman_core::{
    clock::Timestamp,
    console::{Channel, Position},
    error::{Error, ErrorKind, Result},
};

const VERSION: u8 = 1;
const ANCHORED: u8 = 1;
const LENGTH: usize = 2 + 8 + 2 * (COUNT + COUNT + 8 + 4);

/// A count has six bytes: 281 TB.
const COUNT: usize = 6;

/// How far one channel was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// Bytes since the attempt began.
    pub bytes: u64,
    /// Newlines among them.
    pub lines: u64,
    /// When the last of them was read or, if they come from the log, logged.
    pub last: Timestamp,
    /// The last of them was passed on by the engine after this moment. Not much before
    /// `last` where there is much to read; but a reader that was kept from reading for a
    /// minute reads late what was printed then.
    pub since: Timestamp,
}

/// How far a console was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Whether the counts are true since the attempt's beginning: no gap before here
    /// whose size is not known.
    pub anchored: bool,
    /// What the engine had passed on before this moment was delivered, on both channels.
    pub drained: Timestamp,
    /// Both channels.
    pub stands: [Stand; 2],
}

impl Place {
    /// The beginning of an attempt.
    pub const START: Self = Self {
        anchored: true,
        drained: Timestamp::from_micros(0),
        stands: [Stand {
            bytes: 0,
            lines: 0,
            last: Timestamp::from_micros(0),
            since: Timestamp::from_micros(0),
        }; 2],
    };

    pub fn encode(&self) -> Position {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(&[VERSION, if self.anchored { ANCHORED } else { 0 }]);
        bytes.extend_from_slice(&self.drained.as_micros().to_le_bytes());
        for stand in &self.stands {
            bytes.extend_from_slice(&stand.bytes.to_le_bytes()[..COUNT]);
            bytes.extend_from_slice(&stand.lines.to_le_bytes()[..COUNT]);
            bytes.extend_from_slice(&stand.last.as_micros().to_le_bytes());
            // In milliseconds, rounded away from `last`; beyond weeks it is a long time anyway.
            let span = stand.last.since(stand.since).as_micros().div_ceil(1_000);
            bytes.extend_from_slice(&u32::try_from(span).unwrap_or(u32::MAX).to_le_bytes());
        }
        // It fits: `LENGTH` is below `Position::MAX`.
        Position::from_bytes(&bytes).unwrap_or(Position::START)
    }

    pub fn decode(position: &Position) -> Result<Self> {
        let bytes = position.as_bytes();
        if bytes.is_empty() {
            return Ok(Self::START);
        }
        if bytes.len() != LENGTH || bytes[0] != VERSION {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "console",
                format!("{position:?} is not a position of a console here"),
            ));
        }
        let mut rest = &bytes[2..];
        let mut number = |length: usize| {
            let (head, tail) = rest.split_at(length);
            rest = tail;
            head.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let drained = Timestamp::from_micros(number(8) as i64);
        let stands = Channel::BOTH.map(|_| {
            let (bytes, lines) = (number(COUNT), number(COUNT));
            let last = Timestamp::from_micros(number(8) as i64);
            let since = last.minus(Duration::from_millis(number(4)));
            Stand { bytes, lines, last, since }
        });
        Ok(Self { anchored: bytes[1] & ANCHORED != 0, drained, stands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_position() {
        let stand = |n| Stand {
            bytes: n,
            lines: n / 7,
            last: Timestamp::from_micros(1_800_000_000_000_000 + n as i64),
            since: Timestamp::from_micros(1_799_999_999_000_000 + n as i64),
        };
        let drained = Timestamp::from_micros(-99);
        let place = Place { anchored: false, drained, stands: [stand(70), stand((1 << 48) - 1)] };
        assert_eq!(Place::decode(&place.encode()).unwrap(), place);
        assert_eq!(Place::decode(&Position::START).unwrap(), Place::START);
    }

    #[test]
    fn a_foreign_position_is_refused() {
        for bytes in [&b"x"[..], &[2; LENGTH], &[1; LENGTH + 1]] {
            let error = Place::decode(&Position::from_bytes(bytes).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}
