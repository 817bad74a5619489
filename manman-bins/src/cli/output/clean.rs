//! Makes text harmless for terminals. What a game prints is made by its players too:
//! escape sequences would let them move the cursor, rename the window, or answer for
//! whoever looks.

/// Text without anything that a terminal would obey.
pub fn harmless(text: &str) -> String {
    let mut clean = Cleaner::new(false);
    let mut shown = Vec::new();
    clean.clean(text.as_bytes(), &mut shown);
    // The cleaner writes UTF-8 only.
    String::from_utf8_lossy(&shown).into_owned()
}

/// Makes lines harmless: control characters become visible (`^G`, `<9b>`), so do those
/// that turn the direction of writing; colours (SGR, `ESC [ … m`) may pass and are reset
/// at the end; what is not UTF-8 becomes U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Cleaner {
    colours: bool,
}

impl Cleaner {
    /// A cleaner that lets colours pass, or takes them out.
    pub fn new(colours: bool) -> Self {
        Self { colours }
    }

    /// Appends `line`, without its newline, to `to`.
    pub fn clean(&mut self, line: &[u8], to: &mut Vec<u8>) {
        // What most lines are.
        if line.iter().all(|&b| (0x20..0x7f).contains(&b)) {
            to.extend_from_slice(line);
            return;
        }
        let text = String::from_utf8_lossy(line);
        let mut rest: &str = &text;
        let mut coloured = false;
        while let Some(c) = rest.chars().next() {
            let mut taken = c.len_utf8();
            match c {
                '\t' => to.push(b'\t'),
                '\u{1b}' => match sgr(rest) {
                    Some(length) => {
                        taken = length;
                        if self.colours {
                            to.extend_from_slice(&rest.as_bytes()[..length]);
                            coloured = true;
                        }
                    }
                    None => to.extend_from_slice(b"^["),
                },
                '\0'..='\u{1f}' => to.extend_from_slice(&[b'^', c as u8 + 0x40]),
                '\u{7f}' => to.extend_from_slice(b"^?"),
                '\u{80}'..='\u{9f}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{2066}'..='\u{2069}' => to.extend_from_slice(format!("<{:x}>", c as u32).as_bytes()),
                _ => to.extend_from_slice(&rest.as_bytes()[..taken]),
            }
            rest = &rest[taken..];
        }
        if coloured {
            to.extend_from_slice(b"\x1b[0m");
        }
    }
}

/// The length of the colour sequence that `text` begins with: `ESC [`, at most 32
/// digits, `;` and `:`, and an `m` (ECMA-48, 8.3.117).
fn sgr(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let end = inner.bytes().take(33).position(|b| !b.is_ascii_digit() && b != b';' && b != b':')?;
    (inner.as_bytes()[end] == b'm').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(colours: bool, line: &[u8]) -> String {
        let mut to = Vec::new();
        Cleaner::new(colours).clean(line, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn text_and_colours_pass() {
        assert_eq!(clean(true, "Größe\t日本".as_bytes()), "Größe\t日本");
        assert_eq!(clean(true, b"\x1b[1;31mred\x1b[m"), "\x1b[1;31mred\x1b[m\x1b[0m");
        assert_eq!(clean(true, b"\x1b[38:2::1:2:3mx"), "\x1b[38:2::1:2:3mx\x1b[0m");
        assert_eq!(clean(false, b"\x1b[1;31mred\x1b[m"), "red");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        for (line, shown) in [
            (b"\x1b[2J".as_slice(), "^[[2J"),
            (b"\x1b]0;title\x07", "^[]0;title^G"),
            (b"\x1b[6n", "^[[6n"),
            (b"\x1b[31", "^[[31"),
            (b"\x1b", "^["),
            (b"\x1bc", "^[c"),
            (b"a\rb\x08\x7f\0", "a^Mb^H^?^@"),
            ("\u{9b}2J\u{85}".as_bytes(), "<9b>2J<85>"),
            ("a\u{202e}b".as_bytes(), "a<202e>b"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\x9b2J", "\u{fffd}2J"),
        ] {
            assert_eq!(clean(true, line), shown);
        }
        let long = [b"\x1b[".as_slice(), &[b'1'; 64], b"m"].concat();
        assert!(clean(true, &long).starts_with("^[[111"));
    }

    #[test]
    fn no_bytes_at_all_get_through() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let line: Vec<u8> =
                (0..random.usize(..64))
                    .map(|_| {
                        if random.bool() {
                            *random.choice(b"\x1b[]0;1mMJ\x9b").unwrap()
                        } else {
                            random.u8(..)
                        }
                    })
                    .collect();
            let shown = clean(true, &line);
            // Without the colours, nothing is left that is a control character.
            let mut rest = shown.as_str();
            while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
                let length = sgr(&rest[at..]).unwrap_or_else(|| panic!("{line:?} became {shown:?}"));
                rest = &rest[at + length..];
            }
        }
    }
}
