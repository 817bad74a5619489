//! References to container images.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Invalid;

/// A reference to a container image as engines take it: `[registry/]path[:tag][@digest]`,
/// at most 255 bytes. Without tag and digest it means `:latest`, and is kept so.
///
/// The grammar is that of the distribution project's `reference` package, a little wider:
/// separators may follow each other (`a.-b`), which an engine refuses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef(String);

impl ImageRef {
    /// The image that is the machine itself: its programs, as plain processes. No engine of
    /// containers has it.
    pub const HOST: &str = "host";

    /// Whether it is the machine itself.
    pub fn is_host(&self) -> bool {
        self.0.strip_suffix(":latest") == Some(Self::HOST)
    }

    /// The reference as engines take it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn component_fits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
        && bytes.iter().all(|b| alnum(b) || b"._-".contains(b))
        && !text.contains("..")
        && !text.contains("___")
}

fn registry_fits(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    !host.is_empty()
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        // Digits only: Rust's numbers take a sign, and references do not.
        && port.is_none_or(|port| {
            port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

impl FromStr for ImageRef {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| {
            let shown: String = text.chars().take(80).collect();
            Err(Invalid::new("image", format!("{shown:?} is no image reference: {why}")))
        };
        if text.is_empty() || text.len() > 255 {
            return bad("1 to 255 characters are allowed");
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                return bad("a digest is sha256: and 64 hex digits");
            }
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag {
            let fits = (1..=128).contains(&tag.len())
                && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
                && !tag.starts_with(['.', '-']);
            if !fits {
                return bad("a tag has 1 to 128 letters, digits, '.', '_' and '-'");
            }
        }
        let mut components: Vec<_> = path.split('/').collect();
        let first = components[0];
        if components.len() > 1 && (first.contains(['.', ':']) || first == "localhost") {
            if !registry_fits(first) {
                return bad("the registry is no host name with an optional port");
            }
            components.remove(0);
        }
        if !components.iter().all(|component| component_fits(component)) {
            return bad("the name has lower-case letters, digits, '.', '_', '-' and '/'");
        }
        let text = if tag.is_none() && digest.is_none() { format!("{text}:latest") } else { text.to_owned() };
        Ok(Self(text))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_parsed_as_engines_do() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (text, kept) in [
            ("openttd", "openttd:latest"),
            ("itzg/minecraft-server:java21", "itzg/minecraft-server:java21"),
            ("ghcr.io/a/b-c_d.e:1", "ghcr.io/a/b-c_d.e:1"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().as_str(), kept);
        }
        assert!("host".parse::<ImageRef>().unwrap().is_host());
        assert!(!"host:1".parse::<ImageRef>().unwrap().is_host());
        let pinned = format!("a/b@{digest}");
        assert_eq!(pinned.parse::<ImageRef>().unwrap().as_str(), pinned);
        for bad in [
            "",
            " a",
            "a b",
            "A/b",
            "a:",
            "a:b c",
            "a@sha256:12",
            "/a",
            "a//b",
            "a/../b",
            "-a",
            "a\u{0}",
            "http://x/y",
            "localhost:+80/x",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?}");
        }
    }
}
