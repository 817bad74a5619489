//! The dependency tree, as `cargo metadata` and `cargo tree` tell it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::root;

/// Every package that is built for the targets asked for.
#[derive(Debug, Deserialize)]
pub struct Tree {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    id: String,
    /// Its name.
    pub name: String,
    version: String,
    /// Its licence expression, if it states one.
    pub license: Option<String>,
    /// Where it comes from; absent for a path.
    pub source: Option<String>,
    /// What its manifest asks for, of every kind.
    pub dependencies: Vec<Dependency>,
    /// The path of its manifest.
    pub manifest_path: String,
    /// What cargo builds of it.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// A library, a program, a file of tests …
#[derive(Debug, Deserialize)]
pub struct Target {
    /// `lib`, `bin`, `test`, `bench` …
    pub kind: Vec<String>,
    /// Its name.
    pub name: String,
}

/// One line of a manifest.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The name of the package asked for.
    pub name: String,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Tree {
    /// Asks cargo, with all features on.
    ///
    /// # Errors
    /// Cargo fails, or the lock file is not up to date.
    pub fn of_workspace(targets: &[String]) -> anyhow::Result<Self> {
        let mut args = vec!["metadata", "--format-version", "1", "--locked", "--all-features"];
        args.extend(targets.iter().flat_map(|target| ["--filter-platform", target]));
        Self::parse(&cargo(&args)?)
    }

    /// Reads what `cargo metadata` printed.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(metadata: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(metadata)?)
    }

    /// All packages that are really built, ours among them.
    pub fn packages(&self) -> impl Iterator<Item = &Package> {
        let built: BTreeSet<&str> = self.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
        self.packages.iter().filter(move |package| built.contains(package.id.as_str()))
    }

    /// Our own packages.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The names of the packages that depend on this one directly.
    pub fn dependents<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a str> {
        let names: HashMap<&str, &str> =
            self.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
        let users = self.resolve.nodes.iter().filter(|node| node.dependencies.contains(&package.id));
        users.filter_map(move |node| names.get(node.id.as_str()).copied())
    }
}

/// The names of the crates that the library of `package` is built from, all
/// features on, itself left out.
///
/// # Errors
/// Cargo fails.
pub fn library_tree(package: &str) -> anyhow::Result<BTreeSet<String>> {
    let args = [
        "tree",
        "--locked",
        "-p",
        package,
        "-e",
        "normal",
        "--all-features",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let printed = String::from_utf8(cargo(&args)?)?;
    let names = printed.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != package).map(str::to_owned).collect())
}

fn cargo(args: &[&str]) -> anyhow::Result<Vec<u8>> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(program).args(args).current_dir(root()).output().context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "cargo {} failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
