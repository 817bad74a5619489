//! Licence expressions as crates write them: SPDX 2.3 annex D without `+` and
//! references, and the older `MIT/Apache-2.0`, where a slash is an OR.

/// Whether what `allowed` permits satisfies the expression.
///
/// What cannot be read is not satisfied.
pub fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words: Vec<&str> = spaced.split_whitespace().collect();
    words.reverse();
    any_of(&mut words, allowed) == Some(true) && words.is_empty()
}

/// `a OR b`, which binds weakest. Words are taken from the end of the stack.
fn any_of(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let mut any = all_of(words, allowed)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        any |= all_of(words, allowed)?;
    }
    Some(any)
}

/// `a AND b`.
fn all_of(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let mut all = one(words, allowed)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        all &= one(words, allowed)?;
    }
    Some(all)
}

/// A name, a name WITH an exception, or a group.
fn one(words: &mut Vec<&str>, allowed: &[String]) -> Option<bool> {
    let name = words.pop()?;
    if name == "(" {
        let inner = any_of(words, allowed)?;
        return (words.pop()? == ")").then_some(inner);
    }
    if matches!(name, ")" | "AND" | "OR" | "WITH") {
        return None;
    }
    let name = match words.pop_if(|word| *word == "WITH") {
        Some(_) => format!("{name} WITH {}", words.pop()?),
        None => name.to_owned(),
    };
    Some(allowed.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_means_them() {
        let allowed: Vec<String> =
            ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).to_vec();
        let cases = [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("GPL-3.0 AND MIT", false),
            ("MIT OR GPL-3.0 AND LGPL-3.0", true),
            ("(MIT OR GPL-3.0) AND GPL-2.0", false),
            ("(MIT OR GPL-3.0) AND Zlib", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("MIT AND", false),
            ("(MIT", false),
            ("MIT Zlib", false),
            ("", false),
        ];
        for (expression, expected) in cases {
            assert_eq!(satisfied(expression, &allowed), expected, "{expression}");
        }
    }
}
