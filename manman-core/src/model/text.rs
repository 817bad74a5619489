//! Free text that users bring: bounded, and free of what terminals would obey.

use std::collections::BTreeMap;

use super::Invalid;

/// Free labels and metadata of an entity, for whoever embeds us.
pub type Labels = BTreeMap<String, String>;

/// The most labels an entity carries.
pub const MAX_LABELS: usize = 64;

/// Refuses text of more than `max` bytes or with control characters in it.
pub fn check(field: &str, text: &str, max: usize) -> Result<(), Invalid> {
    if text.len() > max {
        return Err(Invalid::new(field, format!("has {} bytes, {max} are allowed", text.len())));
    }
    if let Some(c) = text.chars().find(|c| c.is_control()) {
        return Err(Invalid::new(field, format!("has the control character {c:?} in it")));
    }
    Ok(())
}

/// Refuses more than [`MAX_LABELS`] labels, keys of other than 1 to 63 bytes, values
/// of more than 1024 bytes, and control characters.
pub fn check_labels(field: &str, labels: &Labels) -> Result<(), Invalid> {
    if labels.len() > MAX_LABELS {
        return Err(Invalid::new(field, format!("has {} entries, {MAX_LABELS} are allowed", labels.len())));
    }
    for (key, value) in labels {
        if key.is_empty() {
            return Err(Invalid::new(field, "has an entry without a name"));
        }
        check(field, key, 63)?;
        check(&format!("{field}[{key}]"), value, 1024)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded() {
        let one = |key: &str, value: &str| Labels::from([(key.to_owned(), value.to_owned())]);
        assert!(check_labels("metadata", &one("genre", "train")).is_ok());
        assert!(check_labels("metadata", &one("", "x")).is_err());
        assert!(check_labels("metadata", &one("a\u{1b}", "x")).is_err());
        assert!(check_labels("metadata", &one("a", &"x".repeat(1025))).is_err());
    }
}
