//! Where in an attempt's output one stands: an offset in each of its files.

use manman_core::{
    console::{Channel, Position},
    error::{Error, ErrorKind, Result},
};

/// The first byte of a position; Docker's have another one.
const VERSION: u8 = 0x70;
const LENGTH: usize = 17;

/// An offset in each file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(pub [u64; 2]);

impl Place {
    /// The beginning.
    pub const START: Self = Self([0; 2]);

    pub fn at(&self, channel: Channel) -> u64 {
        self.0[channel.index()]
    }

    /// The place after `bytes` more of a channel.
    pub fn after(mut self, channel: Channel, bytes: usize) -> Self {
        self.0[channel.index()] += bytes as u64;
        self
    }

    pub fn encode(&self) -> Position {
        let mut bytes = [VERSION; LENGTH];
        bytes[1..9].copy_from_slice(&self.0[0].to_le_bytes());
        bytes[9..].copy_from_slice(&self.0[1].to_le_bytes());
        // 17 bytes fit into 62.
        Position::from_bytes(&bytes).unwrap_or(Position::START)
    }

    pub fn decode(position: &Position) -> Result<Self> {
        let number =
            |bytes: &[u8]| bytes.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        match position.as_bytes() {
            [] => Ok(Self::START),
            [VERSION, rest @ ..] if rest.len() == LENGTH - 1 => {
                Ok(Self([number(&rest[..8]), number(&rest[8..])]))
            }
            _ => {
                let message = format!("{position:?} is not a position of a console here");
                Err(Error::new(ErrorKind::Corrupt, "open console", message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_position() {
        for place in [Place::START, Place([1, 2]), Place([u64::MAX, 1 << 40])] {
            assert_eq!(Place::decode(&place.encode()).unwrap(), place);
        }
        assert_eq!(Place::decode(&Position::START).unwrap(), Place::START);
    }

    #[test]
    fn a_foreign_position_is_refused() {
        for bytes in [&b"x"[..], &[1; LENGTH], &[VERSION; LENGTH + 1]] {
            let error = Place::decode(&Position::from_bytes(bytes).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}
