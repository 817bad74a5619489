//! How much of a container's output the engine's log still holds.

use std::collections::HashMap;

use super::form::Form;

/// How a container's log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retention {
    /// The form of the text; `None` if it cannot be read back.
    pub form: Option<Form>,
    /// While the log's files hold less than this, none was ever dropped: the rotated ones
    /// that would be kept in its place are full. `None` if none ever is.
    limit: Option<u64>,
}

impl Retention {
    /// Of `HostConfig.LogConfig`, as an inspect shows it.
    pub fn of(driver: &str, options: &HashMap<String, String>) -> Self {
        let (form, size, files) = match driver {
            // The driver's own defaults (20.10): 20m and 5 files.
            "local" => (Form::Bytes, Some(20 << 20), 5),
            "json-file" => (Form::Utf8, None, 1),
            _ => return Self { form: None, limit: Some(0) },
        };
        let size = match options.get("max-size").map(String::as_str) {
            None => size,
            Some("-1") => None,
            // What we cannot read proves nothing.
            Some(text) => Some(bytes(text).unwrap_or(0)),
        };
        let files = options.get("max-file").map_or(files, |text| text.parse().unwrap_or(1));
        // With these, a message carries more than its text.
        let bare = ["labels", "labels-regex", "env", "env-regex", "tag"]
            .iter()
            .all(|key| !options.contains_key(*key));
        let limit = match size {
            _ if !bare => Some(0),
            None => None,
            Some(size) => Some(size.saturating_mul(u64::saturating_sub(files, 1))),
        };
        Self { form: Some(form), limit }
    }

    /// At most so many bytes of the log's files hold this message.
    pub fn space(&self, text: &[u8]) -> u64 {
        if self.limit.is_none() {
            return 0;
        }
        match self.form {
            // `{"log":"…\n","stream":"stdout","time":"2026-11-21T09:29:26.914437404Z"}` and
            // what Go's encoder escapes.
            Some(Form::Utf8) => {
                let escaped = |byte: &u8| match byte {
                    0..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0x7f => 6,
                    0x80.. => 2,
                    _ => 1,
                };
                100 + text.iter().map(escaped).sum::<u64>()
            }
            // Two lengths of 4 bytes, source 8, time 10, tag and length of the line 4; a
            // cut line carries an id of 64 digits and its number too.
            _ => 32 + text.len() as u64 + if text.ends_with(b"\n") && text.len() < 16_000 { 0 } else { 96 },
        }
    }

    /// Whether a log whose messages take at most `space` still begins where the attempt
    /// began.
    pub fn is_whole(&self, space: u64) -> bool {
        self.form.is_some() && self.limit.is_none_or(|limit| space < limit)
    }
}

/// Reads a size as the engine does (`units.RAMInBytes`): `20m`, `1g`, `512kb`, `20000000`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(driver: &str, options: &[(&str, &str)]) -> Retention {
        let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Retention::of(driver, &options)
    }

    #[test]
    fn the_limit_is_what_the_files_before_the_last_hold() {
        assert_eq!(of("local", &[]).limit, Some(4 * (20 << 20)));
        assert_eq!(of("local", &[("max-size", "20000000"), ("max-file", "3")]).limit, Some(40_000_000));
        assert_eq!(of("local", &[("max-file", "1")]).limit, Some(0));
        assert_eq!(of("json-file", &[]).limit, None);
        assert_eq!(of("json-file", &[("max-size", "1m")]).limit, Some(0));
        assert_eq!(of("json-file", &[("max-size", "1kb"), ("max-file", "2")]).limit, Some(1024));
        assert_eq!(of("json-file", &[("labels", "a")]).limit, Some(0));
        assert!(!of("journald", &[]).is_whole(0));
        assert!(of("json-file", &[]).is_whole(u64::MAX));
    }

    #[test]
    fn sizes_are_read_as_the_engine_reads_them() {
        for (text, size) in [("20m", 20 << 20), ("1 GiB", 1 << 30), ("512kb", 512 << 10), ("7", 7), ("9b", 9)]
        {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "m", "1x", "-1", "99999999999999999999g"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
