//! The line that somebody types, and the keys that change it.

use std::collections::VecDeque;

use super::key::Key;

/// The most lines that can be called back.
const KEPT: usize = 200;

/// The longest line, in characters. Far more than a game can be told, so that a line that
/// is too long is refused as a whole, and never cut and written.
const LONGEST: usize = 64 * 1024;

/// What keys came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A line was finished.
    Line(String),
    /// Whoever types wants to go.
    Leave,
}

/// A line that is being typed.
#[derive(Debug, Default)]
pub struct Editor {
    line: Vec<char>,
    cursor: usize,
    /// Earlier lines, newest last, and which of them is shown.
    earlier: VecDeque<String>,
    recalled: Option<usize>,
    /// What was being typed when the first of them was called back.
    draft: String,
    /// The beginning of a key that has not come whole.
    part: Vec<u8>,
}

impl Editor {
    /// The line and the cursor's place in it, in characters.
    pub fn shown(&self) -> (String, usize) {
        (self.line.iter().collect(), self.cursor)
    }

    /// Takes what the terminal sent.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Edit> {
        let mut edits = Vec::new();
        self.part.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.part);
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let Some((key, length)) = Key::first(rest) else {
                // More of it is to come, unless it is no key at all.
                self.part = if rest.len() < 16 { rest.to_vec() } else { Vec::new() };
                break;
            };
            rest = &rest[length..];
            edits.extend(self.press(key));
        }
        edits
    }

    fn press(&mut self, key: Key) -> Option<Edit> {
        match key {
            Key::Char(c) if self.line.len() < LONGEST => {
                self.line.insert(self.cursor, c);
                self.cursor += 1;
            }
            Key::Enter => return self.enter(),
            Key::Leave => return Some(Edit::Leave),
            Key::Interrupt | Key::End if self.line.is_empty() => return Some(Edit::Leave),
            Key::Interrupt => self.replace(""),
            Key::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.line.remove(self.cursor);
            }
            Key::End | Key::Delete if self.cursor < self.line.len() => drop(self.line.remove(self.cursor)),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::ToBegin => self.cursor = 0,
            Key::ToEnd => self.cursor = self.line.len(),
            Key::EraseBefore => {
                self.line.drain(..self.cursor);
                self.cursor = 0;
            }
            Key::EraseAfter => self.line.truncate(self.cursor),
            Key::EraseWord => {
                let before = &self.line[..self.cursor];
                let blank = before.iter().rposition(|c| *c != ' ').map_or(0, |last| last + 1);
                let begin = before[..blank].iter().rposition(|c| *c == ' ').map_or(0, |space| space + 1);
                self.line.drain(begin..self.cursor);
                self.cursor = begin;
            }
            Key::Up => self.recall(true),
            Key::Down => self.recall(false),
            _ => {}
        }
        None
    }

    fn enter(&mut self) -> Option<Edit> {
        let line: String = self.line.drain(..).collect();
        self.cursor = 0;
        self.recalled = None;
        if line.is_empty() {
            return None;
        }
        if self.earlier.back() != Some(&line) {
            self.earlier.push_back(line.clone());
            if self.earlier.len() > KEPT {
                self.earlier.pop_front();
            }
        }
        Some(Edit::Line(line))
    }

    fn recall(&mut self, older: bool) {
        let next = match (self.recalled, older) {
            (None, true) if !self.earlier.is_empty() => Some(self.earlier.len() - 1),
            (None, _) => return,
            (Some(at), true) => Some(at.saturating_sub(1)),
            (Some(at), false) => Some(at + 1).filter(|&at| at < self.earlier.len()),
        };
        if self.recalled.is_none() {
            self.draft = self.line.iter().collect();
        }
        let line = match next {
            Some(at) => self.earlier.get(at).cloned().unwrap_or_default(),
            None => std::mem::take(&mut self.draft),
        };
        self.replace(&line);
        self.recalled = next;
    }

    fn replace(&mut self, line: &str) {
        self.line = line.chars().collect();
        self.cursor = self.line.len();
        self.recalled = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(keys: &[u8]) -> (Vec<Edit>, (String, usize)) {
        let mut editor = Editor::default();
        let edits = editor.feed(keys);
        (edits, editor.shown())
    }

    #[test]
    fn keys_change_the_line() {
        for (keys, line, cursor) in [
            ("abc".as_bytes(), "abc", 3),
            (b"abc\x1b[D\x1b[DX", "aXbc", 2),
            (b"abc\x7f\x08", "a", 1),
            (b"abc\x01X\x05Y", "XabcY", 5),
            (b"abc\x1b[H\x1b[3~", "bc", 0),
            (b"abc\x1b[H\x04", "bc", 0),
            (b"one two  \x17X", "one X", 5),
            (b"one\x02\x15", "e", 0),
            (b"one\x02\x0b", "on", 2),
            (b"one\x03", "", 0),
            ("größe".as_bytes(), "größe", 5),
            (b"a\tb\x1bxc\x1b[200~d", "abcd", 4),
            (b"\xff\xfea", "a", 1),
        ] {
            let (edits, shown) = typed(keys);
            assert_eq!((edits.as_slice(), shown), ([].as_slice(), (line.to_owned(), cursor)), "{keys:?}");
        }
    }

    #[test]
    fn enter_finishes_a_line_and_an_empty_one_is_none() {
        let line = |text: &str| Edit::Line(text.to_owned());
        assert_eq!(typed(b"save\r\n\nquit\n").0, [line("save"), line("quit")]);
    }

    #[test]
    fn a_line_that_no_game_is_told_is_not_cut_to_one() {
        let typed = typed(&[b'x'; 2 * LONGEST]).1.0;
        assert_eq!(typed.len(), LONGEST);
        assert!(manman_core::model::ConsoleLine::try_from(typed).is_err());
    }

    #[test]
    fn there_are_ways_to_leave() {
        for keys in [b"\x04".as_slice(), b"\x1d", b"abc\x1d", b"\x03", b"abc\x03\x03"] {
            assert_eq!(typed(keys).0, [Edit::Leave], "{keys:?}");
        }
    }

    #[test]
    fn earlier_lines_come_back() {
        let mut editor = Editor::default();
        editor.feed(b"one\ntwo\ntwo\ndraft");
        for (keys, line) in [
            ("\x1b[A", "two"),
            ("\x1b[A", "one"),
            ("\x1b[A", "one"),
            ("\x1b[B", "two"),
            ("\x1b[B", "draft"),
            ("\x1b[B", "draft"),
            ("\x1b[Anew", "twonew"),
            ("\x1b[A", "one"),
            ("\x1b[B", "two"),
            ("\x1b[B", "draft"),
        ] {
            editor.feed(keys.as_bytes());
            assert_eq!(editor.shown().0, line, "{keys:?}");
        }
    }

    proptest! {
        #[test]
        fn keys_may_come_in_any_parts(keys in prop::collection::vec(
            prop::sample::select(vec!["a", "ö", "日", "\x1b[D", "\x1b[3~", "\x1bOC", "\x7f", "\x17", "\n", "\x1b[A", "\x01"]), 0..30),
            places: Vec<prop::sample::Index>,
        ) {
            let all = keys.concat().into_bytes();
            let whole = typed(&all);
            let mut editor = Editor::default();
            let mut edits = Vec::new();
            let mut places: Vec<usize> = places.iter().map(|place| place.index(all.len() + 1)).collect();
            places.extend([0, all.len()]);
            places.sort_unstable();
            for pair in places.windows(2) {
                edits.extend(editor.feed(&all[pair[0]..pair[1]]));
            }
            prop_assert_eq!((edits, editor.shown()), whole);
        }

        #[test]
        fn no_keys_break_it(keys: Vec<u8>) {
            let (_, (line, cursor)) = typed(&keys);
            prop_assert!(cursor <= line.chars().count());
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
