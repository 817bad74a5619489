//! Keys, as terminals send them.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Text.
    Char(char),
    /// The end of the line.
    Enter,
    /// Ctrl-].
    Leave,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D.
    End,
    /// Erases before the cursor.
    Backspace,
    /// Erases at the cursor.
    Delete,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// The line before.
    Up,
    /// The line after.
    Down,
    /// To the begin of the line.
    ToBegin,
    /// To the end of the line.
    ToEnd,
    /// Erases all before the cursor.
    EraseBefore,
    /// Erases all after the cursor.
    EraseAfter,
    /// Erases the word before the cursor.
    EraseWord,
    /// One that does nothing here.
    Nothing,
}

impl Key {
    /// The first key of what the terminal sent, and its length; `None` if more is to come.
    pub fn first(bytes: &[u8]) -> Option<(Self, usize)> {
        let key = match *bytes.first()? {
            b'\r' | b'\n' => Self::Enter,
            0x01 => Self::ToBegin,
            0x02 => Self::Left,
            0x03 => Self::Interrupt,
            0x04 => Self::End,
            0x05 => Self::ToEnd,
            0x06 => Self::Right,
            0x08 | 0x7f => Self::Backspace,
            0x0b => Self::EraseAfter,
            0x0e => Self::Down,
            0x10 => Self::Up,
            0x15 => Self::EraseBefore,
            0x17 => Self::EraseWord,
            0x1b => return Self::escape(bytes),
            0x1d => Self::Leave,
            0..=0x1f => Self::Nothing,
            _ => return Self::character(bytes),
        };
        Some((key, 1))
    }

    /// `ESC [ … final` (ECMA-48) or `ESC O final` (what VT100s sent).
    fn escape(bytes: &[u8]) -> Option<(Self, usize)> {
        let (last, length) = match bytes.get(1)? {
            b'[' => {
                let at = bytes[2..].iter().position(|b| (0x40..=0x7e).contains(b))?;
                (&bytes[2..=2 + at], at + 3)
            }
            b'O' => (bytes.get(2..3)?, 3),
            // Alt and a key.
            _ => return Some((Self::Nothing, 2)),
        };
        let key = match last {
            b"A" => Self::Up,
            b"B" => Self::Down,
            b"C" => Self::Right,
            b"D" => Self::Left,
            b"H" | b"1~" | b"7~" => Self::ToBegin,
            b"F" | b"4~" | b"8~" => Self::ToEnd,
            b"3~" => Self::Delete,
            _ => Self::Nothing,
        };
        Some((key, length))
    }

    fn character(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = match bytes[0] {
            0..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Some((Self::Nothing, 1)),
        };
        let whole = bytes.get(..length)?;
        match std::str::from_utf8(whole).ok().and_then(|text| text.chars().next()) {
            Some(c) if !c.is_control() => Some((Self::Char(c), length)),
            _ => Some((Self::Nothing, 1)),
        }
    }
}
