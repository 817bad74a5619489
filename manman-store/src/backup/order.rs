//! In which order tables are filled.

use std::collections::BTreeSet;

/// The tables, each after all that it refers to. What refers to itself in a circle comes last,
/// and the database says what it thinks of it.
pub(crate) fn parents_first(tables: Vec<String>, references: &[(String, String)]) -> Vec<String> {
    let mut left = tables;
    let mut ordered = Vec::new();
    loop {
        let waiting: BTreeSet<String> = left.iter().cloned().collect();
        let waits = |table: &String| {
            references
                .iter()
                .any(|(child, parent)| child == table && parent != table && waiting.contains(parent))
        };
        let (later, now): (Vec<_>, Vec<_>) = left.into_iter().partition(waits);
        if now.is_empty() {
            ordered.extend(later);
            return ordered;
        }
        ordered.extend(now);
        left = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_refers_to() {
        let names = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let refers = |all: &[(&str, &str)]| {
            all.iter().map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned())).collect::<Vec<_>>()
        };
        let references = refers(&[("a", "b"), ("b", "c"), ("a", "c"), ("b", "b")]);
        assert_eq!(parents_first(names(&["a", "b", "c", "d"]), &references), ["c", "d", "b", "a"]);
        let circle = refers(&[("a", "b"), ("b", "a")]);
        assert_eq!(parents_first(names(&["a", "b", "c"]), &circle), ["c", "a", "b"]);
    }
}
