//! What is to be removed, as it is shown.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use crate::cli::output::{Colour, Screen, harmless};

/// Something that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its name or path.
    pub what: String,
    /// Its size, or what it is.
    pub detail: String,
    /// What removes it, to be copied.
    pub commands: Vec<String>,
}

impl Item {
    /// Something that nothing is to be done about yet.
    pub fn new(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { what: what.into(), detail: detail.into(), commands: Vec::new() }
    }

    /// The same, with what removes it.
    pub fn with(mut self, command: impl Into<String>) -> Self {
        self.commands.push(command.into());
        self
    }
}

/// Things of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What they are.
    pub title: &'static str,
    /// None if there are none.
    pub items: Vec<Item>,
}

/// A path as a shell takes it for one word.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// For people.
pub fn render(dir: &str, steps: &[Step], screen: &Screen) -> String {
    let mut text = format!(
        "What is left of the installation in {}. Nothing was removed: copy the commands of what\n\
         is to go, in this order.\n",
        harmless(dir)
    );
    for (number, step) in (1..).zip(steps) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n{number}. {}", step.title);
        if step.items.is_empty() {
            text.push_str("   none\n");
        }
        for item in &step.items {
            let detail = if item.detail.is_empty() { String::new() } else { format!(" ({})", item.detail) };
            let _ = writeln!(text, "   {}{}", harmless(&item.what), harmless(&detail));
            for command in &item.commands {
                let _ = writeln!(text, "     {}", screen.coloured(Colour::Green, &harmless(command)));
            }
        }
    }
    text
}

/// For programs.
pub fn as_json(dir: &str, steps: &[Step]) -> Value {
    let item = |item: &Item| {
        json!({
            "what": harmless(&item.what),
            "detail": harmless(&item.detail),
            "commands": item.commands.iter().map(|command| harmless(command)).collect::<Vec<_>>(),
        })
    };
    let step = |step: &Step| json!({ "title": step.title, "items": step.items.iter().map(item).collect::<Vec<_>>() });
    json!({ "data_dir": harmless(dir), "removed": false, "steps": steps.iter().map(step).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        assert_eq!(quoted(Path::new("/var/lib/manman")), "/var/lib/manman");
        assert_eq!(quoted(Path::new("/a b/$(x)'y")), r"'/a b/$(x)'\''y'");
    }

    #[test]
    fn it_says_that_nothing_was_removed() {
        let (screen, _) = Screen::captured();
        let steps = [
            Step { title: "networks", items: vec![] },
            Step { title: "worlds", items: vec![Item::new("/d/gsc\u{1b}[2J", "2 GiB").with("rm -r /d/gsc")] },
        ];
        assert_eq!(
            render("/d", &steps, &screen),
            "What is left of the installation in /d. Nothing was removed: copy the commands of what\n\
             is to go, in this order.\n\n1. networks\n   none\n\n2. worlds\n   /d/gsc^[[2J (2 GiB)\n     rm -r /d/gsc\n"
        );
        assert_eq!(as_json("/d", &steps)["removed"], false);
    }
}
