//! What a terminal is sent besides text.

use crate::config::Environment;

/// What a terminal may be sent, should there be one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// Colours: unless <https://no-color.org> asks for none.
    pub colours: bool,
    /// Sequences that move and erase, and colours with them: a dumb terminal has none.
    pub escapes: bool,
}

impl Looks {
    /// What the environment says of it.
    pub fn of(around: &impl Environment) -> Self {
        let escapes = around.get("TERM").is_none_or(|term| term != "dumb");
        Self { colours: escapes && around.get("NO_COLOR").is_none(), escapes }
    }
}

/// A colour of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Green,
    /// Something to look at.
    Yellow,
    /// Something is wrong.
    Red,
    /// Beside the point.
    Dim,
}

impl Colour {
    pub(super) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Dim => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Fixed;

    #[test]
    fn colours_can_be_turned_off() {
        let looks = |name, value| {
            let looks = Looks::of(&Fixed([(name, value)].into()));
            (looks.colours, looks.escapes)
        };
        assert_eq!(looks("TERM", "xterm"), (true, true));
        assert_eq!(looks("NO_COLOR", "1"), (false, true));
        assert_eq!(looks("TERM", "dumb"), (false, false));
        assert_eq!(looks("OTHER", ""), (true, true));
    }
}
