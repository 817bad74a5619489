//! Keys and values, and the words in them, as what they are to be. What is wrong is noted
//! with its place, and the reading goes on.

use std::fmt::Display;

use manman_core::model::Labels;

use super::{
    place::{Place, Problems},
    yaml::{Node, What},
};
use crate::api::near::near;

/// The keys of a thing.
#[derive(Debug)]
pub struct Fields<'n> {
    /// Where the thing begins.
    pub place: &'n Place,
    /// What it is, with its article: `a config`.
    called: &'static str,
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The keys of a thing that may have those that are `known`; `/` stands between those
    /// that say the same.
    pub fn of(node: &'n Node, called: &'static str, known: &[&str], problems: &mut Problems) -> Option<Self> {
        let What::Map(all) = &node.what else {
            problems
                .add(&node.place, format!("{called} is expected (keys and values), not {}", node.called()));
            return None;
        };
        let mut entries: Vec<(&str, &Node)> = Vec::new();
        for (key, value) in all {
            let What::Word(name, _) = &key.what else {
                problems.add(&key.place, format!("a key is expected, not {}", key.called()));
                continue;
            };
            let group = known.iter().find(|group| group.split('/').any(|one| one == name));
            let Some(group) = group else {
                problems.add(&key.place, unknown(called, name, known));
                continue;
            };
            let same = |(earlier, _): &&(&str, &Node)| group.split('/').any(|one| one == *earlier);
            match entries.iter().find(same) {
                Some((earlier, at)) if earlier == name => {
                    problems
                        .add(&key.place, format!("{name} is there twice, before at line {}", at.place.line));
                }
                Some((earlier, at)) => {
                    let line = at.place.line;
                    problems
                        .add(&key.place, format!("{name} says what {earlier} says at line {line}: keep one"));
                }
                None => entries.push((name, value)),
            }
        }
        Some(Self { place: &node.place, called, entries })
    }

    /// The value of a key, if something is said.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(name, _)| *name == key);
        found.map(|(_, node)| *node).filter(|node| !node.is_nothing())
    }

    /// The value of a key that has to be there.
    pub fn need(&self, key: &str, problems: &mut Problems) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(self.place, format!("{} needs {key}, which is missing", self.called));
        }
        found
    }
}

fn unknown(called: &str, name: &str, known: &[&str]) -> String {
    let names = || known.iter().flat_map(|group| group.split('/'));
    let shown: String = name.chars().take(64).collect();
    match near(name, names()).first() {
        Some(meant) => format!("{shown:?} is not a key of {called}; did you mean {meant}?"),
        None => {
            let mut names: Vec<_> = names().collect();
            names.sort_unstable();
            format!("{shown:?} is not a key of {called}; known are {}", names.join(", "))
        }
    }
}

/// A text as it is written: a number without quotes is one too, `true` and nothing are not.
pub fn text<'n>(node: &'n Node, problems: &mut Problems) -> Option<&'n str> {
    match &node.what {
        What::Word(text, _) if !node.is_nothing() && node.as_truth().is_none() => Some(text),
        What::Word(text, _) if node.as_truth().is_some() => {
            problems
                .add(&node.place, format!("a text is expected, not {text}; put it in quotes: \"{text}\""));
            None
        }
        _ => {
            problems.add(&node.place, format!("a text is expected, not {}", node.called()));
            None
        }
    }
}

/// A text that parses.
pub fn parsed<T, E: Display>(
    node: &Node,
    parse: impl Fn(&str) -> Result<T, E>,
    problems: &mut Problems,
) -> Option<T> {
    let text = text(node, problems)?;
    parse(text).map_err(|problem| problems.add(&node.place, problem.to_string())).ok()
}

/// `true` or `false`.
pub fn truth(node: &Node, problems: &mut Problems) -> Option<bool> {
    let truth = node.as_truth();
    if truth.is_none() {
        let found = match &node.what {
            What::Word(text, _) => format!("{:?}", text.chars().take(32).collect::<String>()),
            _ => node.called().to_owned(),
        };
        problems.add(&node.place, format!("true or false is expected, not {found}"));
    }
    truth
}

/// A whole number.
pub fn whole<T: TryFrom<u64>>(node: &Node, problems: &mut Problems) -> Option<T> {
    parsed(
        node,
        |text| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = digits.then(|| text.parse::<u64>().ok()).flatten();
            number
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| format!("{text:?} is not a valid whole number here"))
        },
        problems,
    )
}

/// Each entry of a list.
pub fn list<'n>(node: &'n Node, problems: &mut Problems) -> &'n [Node] {
    match &node.what {
        What::List(list) => list,
        _ => {
            problems.add(&node.place, format!("a list is expected, not {}", node.called()));
            &[]
        }
    }
}

/// Texts by name.
pub fn pairs(node: &Node, called: &'static str, problems: &mut Problems) -> Labels {
    let mut pairs = Labels::new();
    let What::Map(entries) = &node.what else {
        problems.add(&node.place, format!("{called}: names and texts are expected, not {}", node.called()));
        return pairs;
    };
    for (key, value) in entries {
        let What::Word(name, _) = &key.what else {
            problems.add(&key.place, format!("a name is expected, not {}", key.called()));
            continue;
        };
        let Some(text) = text(value, problems) else { continue };
        if pairs.insert(name.clone(), text.to_owned()).is_some() {
            problems.add(&key.place, format!("{name} is there twice"));
        }
    }
    pairs
}
