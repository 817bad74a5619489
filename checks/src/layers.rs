//! Which part of the core a source file uses, read from its `crate::` paths.

use std::collections::BTreeSet;

/// The modules of its crate that a file names, tests at its end left out.
pub fn modules_used(source: &str) -> BTreeSet<String> {
    let code = without_comments(without_tests(source));
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `manman_crate::x` and `$crate::x` in a macro are no paths of this crate's own.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => used.extend(heads(group)),
            None => used.extend(identifier(rest)),
        }
    }
    used
}

/// The code before the unit tests, which stand at the end of a file.
pub fn without_tests(source: &str) -> &str {
    source.find("#[cfg(test)]\nmod ").map_or(source, |at| &source[..at])
}

/// Blanks line comments, doc comments among them.
pub fn without_comments(source: &str) -> String {
    source
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first names of a `use` group: `{a::b, c::{d, e}}` gives a and c.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 1;
    let mut fresh = true;
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                found.extend(identifier(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_groups_are_found_comments_and_tests_are_not() {
        let source = "\
use crate::model::{Game, Session};
use crate::{clock::Clock, host::{plan, spool}, wire};
// crate::control is not ours to know.
fn f() -> crate::error::Result<()> { manman_crate::processor::x() }
#[cfg(test)]
mod tests { use crate::memory::Broker; }
";
        let expected = ["clock", "error", "host", "model", "wire"].map(str::to_owned);
        assert_eq!(modules_used(source), BTreeSet::from(expected));
    }
}
