//! What a console shows as JSON, one object a line, for programs: pieces as they are, so
//! that every sequence number is there once.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::follow::source;
use crate::{
    api::{
        convert::timestamp_in,
        v1::{self, stream_session_logs_response::What},
    },
    cli::output::lower,
};

/// The objects of what came.
pub fn records(what: &What) -> Vec<Value> {
    match what {
        What::Output(output) => output
            .pieces
            .iter()
            .zip(output.first_sequence_number..)
            .map(|(piece, sequence)| piece_record(output, piece, sequence))
            .collect(),
        What::Gap(gap) => vec![json!({
            "kind": "gap",
            "sequence": gap.sequence_number,
            "attempt": gap.attempt,
            "channel": gap.source.map(|_| channel(gap.source())),
            "bytes": gap.bytes,
            "lines": gap.lines,
            "uncertain": gap.uncertain,
            "reason": gap.reason,
        })],
        What::Lagged(count) => vec![json!({ "kind": "lagged", "passed_over": count })],
    }
}

fn piece_record(output: &v1::LogOutput, piece: &v1::LogPiece, sequence: u64) -> Value {
    let (text, newline) = match piece.text.split_last() {
        Some((b'\n', text)) => (text, true),
        _ => (piece.text.as_slice(), false),
    };
    let mut record = json!({
        "kind": "output",
        "sequence": sequence,
        "attempt": output.attempt,
        "channel": channel(source(piece)),
        "text": String::from_utf8_lossy(text),
        "newline": newline,
    });
    if let Some(read_at) = output.read_at {
        record["read_at"] = timestamp_in(read_at).to_string().into();
    }
    // The exact bytes, where text cannot hold them.
    if std::str::from_utf8(text).is_err() {
        record["base64"] = STANDARD.encode(text).into();
    }
    record
}

fn channel(source: v1::LogSource) -> String {
    lower(source.as_str_name(), "LOG_SOURCE_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let piece =
            |source: v1::LogSource, text: &[u8]| v1::LogPiece { source: source.into(), text: text.to_vec() };
        let output = v1::LogOutput {
            first_sequence_number: 5,
            attempt: 2,
            read_at: Some(prost_types::Timestamp { seconds: 0, nanos: 1_000 }),
            pieces: vec![piece(v1::LogSource::Stdout, b"a\n"), piece(v1::LogSource::Stderr, b"\xff")],
        };
        assert_eq!(
            records(&What::Output(output)),
            [
                json!({"kind": "output", "sequence": 5, "attempt": 2, "channel": "stdout", "text": "a",
                    "newline": true, "read_at": "1970-01-01T00:00:00.000001Z"}),
                json!({"kind": "output", "sequence": 6, "attempt": 2, "channel": "stderr", "text": "\u{fffd}",
                    "newline": false, "read_at": "1970-01-01T00:00:00.000001Z", "base64": "/w=="}),
            ]
        );
        let gap =
            v1::LogGap { sequence_number: 7, lines: Some(3), reason: "rotated".into(), ..Default::default() };
        assert_eq!(
            records(&What::Gap(gap)),
            [json!({"kind": "gap", "sequence": 7, "attempt": 0, "channel": null, "bytes": null, "lines": 3,
                "uncertain": false, "reason": "rotated"})]
        );
    }
}
