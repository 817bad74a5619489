//! The plan as people and programs see it.

use serde_json::{Value, json};

use super::{
    facts::Difference,
    plan::{Change, Plan},
};
use crate::cli::{
    failure::Failure,
    output::{Colour, Screen, harmless},
};

/// Prints a plan for people.
pub fn plan(screen: &mut Screen, plan: &Plan) -> Result<(), Failure> {
    for change in &plan.changes {
        let (sign, colour, did) = match change.is_new {
            true => ("+", Colour::Green, "create"),
            false => ("~", Colour::Yellow, "change"),
        };
        let line = format!("{sign} {did} {} {}", change.noun, change.name);
        screen.say(screen.coloured(colour, &harmless(&line)))?;
        for difference in &change.differences {
            screen.say(format!("    {}", harmless(&in_words(difference))))?;
        }
        for note in &change.notes {
            screen.say(format!("    {}", harmless(note)))?;
        }
    }
    for refused in &plan.refused {
        screen.say(screen.coloured(Colour::Red, &harmless(&format!("! {refused}"))))?;
    }
    if plan.unchanged > 0 {
        screen.say(format!("= {} unchanged", plan.unchanged))?;
    }
    let nouns = ["game", "config", "deployment"];
    let left: Vec<_> = (plan.left.iter().zip(nouns))
        .filter(|(count, _)| **count > 0)
        .map(|(count, noun)| format!("{count} {noun}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if left.is_empty() {
        return Ok(());
    }
    screen.say(format!("left alone, for the files do not name them: {}", left.join(", ")))
}

fn in_words(difference: &Difference) -> String {
    let Difference { field, old, new } = difference;
    match (old, new) {
        // What is not shown, or longer than what is shown.
        (Some(old), Some(new)) if old == new => format!("{field}: another one, {new}"),
        (Some(old), Some(new)) => format!("{field}: {old} -> {new}"),
        (None, Some(new)) => format!("+ {field}: {new}"),
        (Some(old), None) => format!("- {field}: {old}"),
        (None, None) => field.clone(),
    }
}

/// A plan for programs; `state` says what became of it.
pub fn value(plan: &Plan, state: &str) -> Value {
    json!({
        "state": state,
        "changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "unchanged": plan.unchanged,
        "refused": plan.refused,
        "left_alone": {"games": plan.left[0], "configs": plan.left[1], "deployments": plan.left[2]},
    })
}

/// The same once it is done.
pub fn finished(mut plan: Value, never_started: &[String]) -> Value {
    plan["never_started"] = json!(never_started);
    plan
}

fn change(change: &Change) -> Value {
    let differences =
        change.differences.iter().map(|it| json!({"field": it.field, "old": it.old, "new": it.new}));
    json!({
        "action": if change.is_new { "create" } else { "change" },
        "kind": change.noun,
        "name": change.name,
        "differences": differences.collect::<Vec<_>>(),
        "notes": change.notes,
    })
}
