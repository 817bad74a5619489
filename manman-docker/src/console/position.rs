//! What a [`Position`] of a console here holds.
//!
//! Counts are those of the engine's log: what a channel printed since the attempt
//! began, byte for byte, save that `json-file` keeps no bytes that are not UTF-8
//! (see [`Form`](super::form::Form)).

use manman_core::{
    clock::Timestamp,
    console::{Channel, Position},
    error::{Error, ErrorKind, Result},
};

const VERSION: u8 = 1;
const ANCHORED: u8 = 1;
const LENGTH: usize = 2 + 8 + 2 * 24;

/// How far one channel was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// Bytes since the attempt began.
    pub bytes: u64,
    /// Newlines among them.
    pub lines: u64,
    /// When the last of them was read.
    pub last: Timestamp,
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
        stands: [Stand { bytes: 0, lines: 0, last: Timestamp::from_micros(0) }; 2],
    };

    pub fn encode(&self) -> Position {
        let mut bytes = [0; LENGTH];
        bytes[0] = VERSION;
        bytes[1] = if self.anchored { ANCHORED } else { 0 };
        let mut rest = &mut bytes[2..];
        let mut put = |word: u64| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(8);
            head.copy_from_slice(&word.to_le_bytes());
            rest = tail;
        };
        put(self.drained.as_micros() as u64);
        for stand in &self.stands {
            put(stand.bytes);
            put(stand.lines);
            put(stand.last.as_micros() as u64);
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
                format!("{position:?} is no position of a console here"),
            ));
        }
        let mut words = bytes[2..].chunks_exact(8).map(|word| {
            let mut le = [0; 8];
            le.copy_from_slice(word);
            u64::from_le_bytes(le)
        });
        let mut word = || words.next().unwrap_or_default();
        let drained = Timestamp::from_micros(word() as i64);
        let stands = Channel::BOTH.map(|_| Stand {
            bytes: word(),
            lines: word(),
            last: Timestamp::from_micros(word() as i64),
        });
        Ok(Self { anchored: bytes[1] & ANCHORED != 0, drained, stands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_position() {
        let stand = |n| Stand { bytes: n, lines: n / 7, last: Timestamp::from_micros(n as i64 * 3) };
        let place = Place {
            anchored: false,
            drained: Timestamp::from_micros(99),
            stands: [stand(70), stand(u64::MAX)],
        };
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
