//! Names that are nearly the one that was asked for.

/// The names that somebody who wrote `text` may have meant, best first, three at most.
pub fn near<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let text = text.to_lowercase();
    // A name has 63 characters at most; more need not be compared.
    let text: String = text.chars().take(64).collect();
    let mut hits: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let steps = distance(&text, &lower);
            let begins = text.len() >= 2 && (lower.starts_with(&text) || text.starts_with(&lower));
            let allowed = (text.chars().count() / 3).clamp(1, 3);
            (begins || steps <= allowed).then(|| (if begins { steps.min(1) } else { steps }, name.to_owned()))
        })
        .collect();
    hits.sort();
    hits.dedup();
    hits.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many letters are to be put in, taken out, changed, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (mut before, mut above) = (Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_forgiven() {
        let names = ["openttd", "minecraft", "valheim", "factorio"];
        assert_eq!(near("opentdt", names), ["openttd"]);
        assert_eq!(near("mine", names), ["minecraft"]);
        assert_eq!(near("Valheim", names), ["valheim"]);
        assert!(near("quake", names).is_empty());
        assert_eq!(distance("", "abc"), 3);
    }
}
