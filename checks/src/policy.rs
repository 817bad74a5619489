//! `deny.toml`, as far as it is checked here.

use std::path::Path;

use serde::Deserialize;

use crate::spdx;
use crate::tree::{Package, Tree};

/// The lists a dependency is held to.
#[derive(Debug, Deserialize)]
pub struct Policy {
    /// Which machines the tree is looked at for.
    pub graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

/// Which machines the tree is looked at for.
#[derive(Debug, Deserialize)]
pub struct Graph {
    /// Target triples.
    pub targets: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// Direct dependents that may have it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

impl Policy {
    /// Reads the file.
    ///
    /// # Errors
    /// The file is absent or not understood.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(toml::from_str(&std::fs::read_to_string(path)?)?)
    }

    /// One sentence for each thing in the tree that is not allowed.
    pub fn complaints(&self, tree: &Tree) -> Vec<String> {
        tree.packages().flat_map(|package| self.about(package, tree)).collect()
    }

    fn about(&self, package: &Package, tree: &Tree) -> Vec<String> {
        let mut found = Vec::new();
        let licence = package.license.as_deref().unwrap_or("");
        if !spdx::satisfied(licence, &self.licenses.allow) {
            found.push(format!("{package}: licence {licence:?} is not allowed"));
        }
        let known = |source: &String| {
            self.sources.allow_registry.iter().any(|url| *source == format!("registry+{url}"))
        };
        if let Some(source) = package.source.as_ref().filter(|source| !known(source)) {
            found.push(format!("{package}: comes from {source}"));
        }
        for ban in self.bans.deny.iter().filter(|ban| ban.name == package.name) {
            let users: Vec<&str> =
                tree.dependents(package).filter(|user| !ban.wrappers.iter().any(|w| w == user)).collect();
            if !users.is_empty() || ban.wrappers.is_empty() {
                found.push(format!("{package}: banned ({}), wanted by {}", ban.reason, users.join(", ")));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [graph]
        targets = []
        [licenses]
        allow = ["MIT"]
        [bans]
        deny = [{ crate = "bad", reason = "why" }, { crate = "odd", reason = "why", wrappers = ["good"] }]
        [sources]
        allow-registry = ["https://here"]
    "#;

    fn complaints(license: &str, name: &str, source: &str, user: &str) -> Vec<String> {
        let metadata = format!(
            r#"{{"packages": [
                {{"id": "a", "name": "{name}", "version": "1.0.0", "license": "{license}", "source": "{source}", "dependencies": [], "manifest_path": ""}},
                {{"id": "b", "name": "{user}", "version": "1.0.0", "license": "MIT", "source": null, "dependencies": [], "manifest_path": ""}}],
              "resolve": {{"nodes": [{{"id": "a", "dependencies": []}}, {{"id": "b", "dependencies": ["a"]}}]}},
              "workspace_members": ["b"]}}"#
        );
        let policy: Policy = toml::from_str(POLICY).unwrap();
        policy.complaints(&Tree::parse(metadata.as_bytes()).unwrap())
    }

    #[test]
    fn each_rule_has_a_sentence_of_its_own() {
        assert!(complaints("MIT", "fine", "registry+https://here", "good").is_empty());
        assert_eq!(
            complaints("GPL-3.0", "fine", "registry+https://here", "good"),
            ["fine 1.0.0: licence \"GPL-3.0\" is not allowed"]
        );
        assert_eq!(
            complaints("MIT", "fine", "git+https://here", "good"),
            ["fine 1.0.0: comes from git+https://here"]
        );
        assert_eq!(
            complaints("MIT", "bad", "registry+https://here", "good"),
            ["bad 1.0.0: banned (why), wanted by good"]
        );
        assert!(complaints("MIT", "odd", "registry+https://here", "good").is_empty());
        assert_eq!(
            complaints("MIT", "odd", "registry+https://here", "other"),
            ["odd 1.0.0: banned (why), wanted by other"]
        );
    }
}
