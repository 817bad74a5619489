//! What is said where output is missing.

use crate::{
    api::v1,
    cli::output::{harmless, lower, size},
};

/// How much came too fast for whoever looks.
pub fn lag_text(count: u64) -> String {
    format!("gap: {count} pieces came too fast for this viewer and were passed over")
}

/// How much is missing, where, and why.
pub fn gap_text(gap: &v1::LogGap) -> String {
    let mut parts = Vec::new();
    if let Some(lines) = gap.lines {
        parts.push(format!("{lines} lines"));
    }
    if let Some(bytes) = gap.bytes {
        parts.push(size(bytes));
    }
    let mut text = match parts.is_empty() {
        true => "gap: output".to_owned(),
        false => format!("gap: {}", parts.join(", ")),
    };
    if gap.source.is_some() {
        text.push_str(&format!(" of {}", lower(gap.source().as_str_name(), "LOG_SOURCE_")));
    }
    text.push_str(if gap.uncertain { " may be missing or doubled here" } else { " missing here" });
    if !gap.reason.is_empty() {
        text.push_str(&format!(": {}", harmless(&gap.reason)));
    }
    text
}
