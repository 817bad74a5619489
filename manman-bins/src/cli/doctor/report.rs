//! The page: checks in sections, and their problems once more at its end.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::{
    look::masked,
    output::{Colour, Screen, harmless, width},
};

/// How a check stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it should be, or beside the point.
    Ok,
    /// To be known; nothing has to be done.
    Note,
    /// In the way of games.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    name: String,
    standing: Standing,
    text: String,
    remedy: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &str, text: impl AsRef<str>) -> Self {
        Self::new(name, Standing::Ok, text.as_ref(), None)
    }

    /// To be known.
    pub fn note(name: &str, text: impl AsRef<str>) -> Self {
        Self::new(name, Standing::Note, text.as_ref(), None)
    }

    /// In the way, and what to do about it.
    pub fn problem(name: &str, text: impl AsRef<str>, remedy: impl AsRef<str>) -> Self {
        Self::new(name, Standing::Problem, text.as_ref(), Some(remedy.as_ref()))
    }

    /// A question that was not answered: a word for the reader, whatever it means.
    pub fn unknown(name: &str, why: impl AsRef<str>) -> Self {
        Self::note(name, format!("not known: {}", why.as_ref()))
    }

    /// Whatever it is made of, no secret and no terminal's command gets onto the page.
    fn new(name: &str, standing: Standing, text: &str, remedy: Option<&str>) -> Self {
        let clean = |text: &str| harmless(&masked(text));
        Self { name: harmless(name), standing, text: clean(text), remedy: remedy.map(clean) }
    }

    /// What to do about it.
    pub fn remedy(self, remedy: impl AsRef<str>) -> Self {
        Self { remedy: Some(harmless(&masked(remedy.as_ref()))), ..self }
    }
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }

    fn colour(self) -> Colour {
        match self {
            Self::Ok => Colour::Green,
            Self::Note => Colour::Yellow,
            Self::Problem => Colour::Red,
        }
    }
}

/// Checks of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The subject.
    pub title: &'static str,
    /// In the order in which they are read.
    pub checks: Vec<Check>,
}

/// The page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they are read.
    pub sections: Vec<Section>,
}

impl Report {
    /// How many problems there are.
    pub fn problems(&self) -> usize {
        self.wrong().count()
    }

    fn wrong(&self) -> impl Iterator<Item = &Check> {
        let all = self.sections.iter().flat_map(|section| &section.checks);
        all.filter(|check| check.standing == Standing::Problem)
    }

    /// For people.
    pub fn as_text(&self, screen: &Screen) -> String {
        let names = self.sections.iter().flat_map(|section| &section.checks).map(|it| width(&it.name));
        let names = names.max().unwrap_or(0);
        let mut text = String::new();
        for section in &self.sections {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}", section.title);
            for check in &section.checks {
                let word = screen.coloured(check.standing.colour(), check.standing.word());
                let gaps = |used: usize, of: usize| " ".repeat(of.saturating_sub(used) + 2);
                let (after_word, after_name) =
                    (gaps(check.standing.word().len(), 7), gaps(width(&check.name), names));
                let _ = writeln!(text, "  {word}{after_word}{}{after_name}{}", check.name, check.text);
                if let Some(remedy) = &check.remedy {
                    let _ = writeln!(text, "{}what to do: {remedy}", " ".repeat(11));
                }
            }
            text.push('\n');
        }
        match self.problems() {
            0 => text.push_str("no problem was found\n"),
            n => {
                let _ = writeln!(text, "{n} problem{}:", if n == 1 { "" } else { "s" });
                for check in self.wrong() {
                    let remedy = check.remedy.as_deref().unwrap_or_default();
                    let _ = writeln!(text, "  {}: {}\n    what to do: {remedy}", check.name, check.text);
                }
            }
        }
        text
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        let check = |check: &Check| {
            let mut value =
                json!({ "name": check.name, "standing": check.standing.word(), "text": check.text });
            if let Some(remedy) = &check.remedy {
                value["remedy"] = remedy.clone().into();
            }
            value
        };
        let section = |section: &Section| json!({ "title": section.title, "checks": section.checks.iter().map(check).collect::<Vec<_>>() });
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "problems": self.problems(),
            "sections": self.sections.iter().map(section).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_summed_up_and_nothing_from_outside_gets_through() {
        let checks = vec![
            Check::ok("system", "Debian \u{1b}[2J"),
            Check::problem("token", "amqp://me:hunter2@mq", "chmod 600 x"),
            Check::unknown("socket", "no answer within 2 s"),
        ];
        let report = Report { sections: vec![Section { title: "machine", checks }] };
        let (screen, _) = Screen::captured();
        assert_eq!(
            report.as_text(&screen),
            "machine\n  ok       system  Debian ^[[2J\n  problem  token   amqp://me:***@mq\n           \
             what to do: chmod 600 x\n  note     socket  not known: no answer within 2 s\n\n1 problem:\n  \
             token: amqp://me:***@mq\n    what to do: chmod 600 x\n"
        );
        let json = report.as_json();
        assert_eq!(
            (&json["problems"], &json["sections"][0]["checks"][1]["standing"]),
            (&1.into(), &"problem".into())
        );
        assert!(!json.to_string().contains("hunter2"));
    }
}
