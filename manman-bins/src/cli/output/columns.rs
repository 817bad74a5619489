//! How wide text is on a terminal.

use unicode_width::UnicodeWidthChar as _;

/// How many columns a terminal takes for it.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// As much of its beginning as fits.
pub fn first_columns(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[..at];
        }
    }
    text
}

/// As much of its end as fits.
pub fn last_columns(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > columns {
            return &text[at + c.len_utf8()..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_character_is_never_cut() {
        assert_eq!(width("日本a"), 5);
        assert_eq!((first_columns("日本a", 3), last_columns("日本a", 2)), ("日", "a"));
        assert_eq!((first_columns("abc", 9), last_columns("abc", 0)), ("abc", ""));
    }
}
