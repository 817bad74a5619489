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

/// How many rows above the cursor a line has that stands in one row, the cursor before
/// `right`, once the terminal is made so narrow and wraps it.
pub fn rows_above(left: &str, right: &str, columns: usize) -> usize {
    let (mut rows, mut used) = (0, 0);
    // The cursor stays with the character it is on; behind the last one it wraps no row.
    for c in left.chars().chain(right.chars().next()) {
        let wide = c.width().unwrap_or(0);
        if used + wide > columns {
            rows += 1;
            used = 0;
        }
        used += wide;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_wrapped_as_terminals_do() {
        for (left, right, columns, rows) in [
            ("", "", 10, 0),
            ("0123456789", "", 10, 0),
            ("0123456789", "x", 10, 1),
            ("0123456789", "x", 11, 0),
            ("01234567890123456789", "x", 7, 2),
            // A wide character does not fit into the last column of a row.
            ("日本日本", "", 3, 3),
            ("日本日", "本", 5, 1),
        ] {
            assert_eq!(rows_above(left, right, columns), rows, "{left:?} {right:?} at {columns}");
        }
    }

    #[test]
    fn a_wide_character_is_never_cut() {
        assert_eq!(width("日本a"), 5);
        assert_eq!((first_columns("日本a", 3), last_columns("日本a", 2)), ("日", "a"));
        assert_eq!((first_columns("abc", 9), last_columns("abc", 0)), ("abc", ""));
    }
}
