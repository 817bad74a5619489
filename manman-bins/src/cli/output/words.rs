//! The API's values in words for people.

use std::time::Duration;

use manman_core::clock::Timestamp;

use super::{Cell, Colour};
use crate::api::{convert::timestamp_in, v1};

/// A moment in full.
pub fn moment(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.map(|at| {
        let text = timestamp_in(*at).to_string();
        // People do not read microseconds.
        match text.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => text,
        }
    })
}

/// How long ago a moment is: `3s`, `12m`; `-` where there is none.
pub fn since(at: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "-".to_owned(), |at| span(now.since(timestamp_in(*at))))
}

/// The same with `ago`, `never` where there is none.
pub fn ago(at: Option<&prost_types::Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", span(now.since(timestamp_in(*at)))))
}

/// A span of time in its two largest units.
pub fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => format!("{m}m{:02}s", seconds % 60),
        (0, h, m) => format!("{h}h{m:02}m"),
        (d, h, _) => format!("{d}d{h:02}h"),
    }
}

/// A size in the largest unit that it has one of.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = format!("{value:.1}");
    format!("{} {}", digits.strip_suffix(".0").unwrap_or(&digits), UNITS[unit])
}

/// The word of an enum's value: its name in the definition in lower case, without the
/// enum's own name before it.
pub fn lower(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// A session's state, with what it is at, in its colour.
pub fn state_cell(session: &v1::Session) -> Cell {
    use v1::SessionState as State;
    let state = session.state();
    let mut text = lower(state.as_str_name(), "SESSION_STATE_");
    if state == State::Starting && session.phase.is_some() {
        text.push_str(&format!(" ({})", lower(session.phase().as_str_name(), "SESSION_PHASE_")));
    }
    let colour = match state {
        State::Running => Some(Colour::Green),
        State::Crashed | State::Failed => Some(Colour::Red),
        State::Lost | State::Starting | State::Stopping | State::Pending => Some(Colour::Yellow),
        State::Stopped | State::Completed | State::Unspecified => None,
    };
    Cell::coloured(text, colour)
}

/// A port that a game needs: `3979/udp`.
pub fn needed_port(port: i32, protocol: v1::Protocol) -> String {
    format!("{port}/{}", lower(protocol.as_str_name(), "PROTOCOL_"))
}

/// The ports of the machine that a deployment holds; where the number inside is another
/// one, with it.
pub fn host_ports(bindings: &[v1::PortBinding]) -> String {
    let port = |binding: &v1::PortBinding| {
        let host = needed_port(binding.host_port, binding.protocol());
        if binding.host_port == binding.container_port {
            host
        } else {
            format!("{host}→{}", binding.container_port)
        }
    };
    bindings.iter().map(port).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m01s"),
            (3_600, "1h00m"),
            (90_061, "1d01h"),
            (8_640_000, "100d00h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (2 << 30, "2 GiB"),
            ((1 << 20) - 1, "1 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "16384 PiB");
    }

    #[test]
    fn moments_are_whole_seconds() {
        let at = prost_types::Timestamp { seconds: 1, nanos: 5_000 };
        assert_eq!(moment(Some(&at)).unwrap(), "1970-01-01T00:00:01Z");
        assert_eq!(since(None, Timestamp::default()), "-");
        assert_eq!(ago(Some(&at), Timestamp::from_micros(11_000_000)), "9s ago");
    }

    #[test]
    fn ports_show_both_numbers_where_they_differ() {
        let binding = |container_port, host_port| v1::PortBinding {
            container_port,
            host_port,
            protocol: v1::Protocol::Udp.into(),
        };
        assert_eq!(host_ports(&[binding(1, 1), binding(2, 3)]), "1/udp 3/udp→2");
    }
}
