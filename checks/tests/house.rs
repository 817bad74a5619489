//! House rules that can be read off the sources.

use std::path::Path;

use manman_checks::layers::{modules_used, without_comments, without_tests};
use manman_checks::tree::{Target, Tree};
use manman_checks::{files, library_sources, root};

/// The layers of the core from the ground up. A module uses its own layer and
/// those below; what is not named here (the in-memory backends, the testkit)
/// uses all of them. Messages are carried by the broker seam and applied by the
/// store's deeds, so `wire` lies between the seams.
const LAYERS: [&[&str]; 6] = [
    &["id", "error", "clock", "retry", "watched"],
    &["model"],
    &["runtime", "console", "broker", "blob", "viewing"],
    &["wire"],
    &["store", "uplink", "machine"],
    &["host", "control", "processor"],
];

/// What no layer may use: control plane and host meet in messages, the host asks
/// its uplink and never the store, and no backend is wired in.
fn strangers(user: &str, used: &str) -> bool {
    match used {
        "control" | "processor" | "store" => user == "host",
        "host" => user != "host",
        "memory" | "testkit" => true,
        _ => false,
    }
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// `src/host/plan.rs` and `src/host.rs` are both of `host`.
fn module_of(path: &Path, src: &Path) -> Option<String> {
    let first = path.strip_prefix(src).ok()?.components().next()?;
    Path::new(first.as_os_str()).file_stem()?.to_str().map(str::to_owned)
}

#[test]
fn the_layers_of_the_core_are_used_from_above() {
    let src = root().join("manman-core/src");
    let mut wrong = Vec::new();
    for path in library_sources(&src).unwrap() {
        let Some(user) = module_of(&path, &src) else {
            continue;
        };
        let Some(height) = layer(&user) else { continue };
        for used in modules_used(&std::fs::read_to_string(&path).unwrap()) {
            if layer(&used).is_some_and(|used| used > height) || strangers(&user, &used) {
                wrong.push(format!("{}: {user} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_ask_neither_the_environment_nor_the_wall() {
    let words = ["env::var", "SystemTime::now", "OffsetDateTime::now", "UtcDateTime::now"];
    let mut found = Vec::new();
    for library in ["manman-core", "manman-docker", "manman-store", "manman-broker", "manman-process"] {
        let src = root().join(library).join("src");
        if !src.is_dir() {
            continue;
        }
        for path in library_sources(&src).unwrap() {
            if path.ends_with("clock.rs") || path.components().any(|part| part.as_os_str() == "testkit") {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let code = without_comments(without_tests(&source));
            found.extend(
                words
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{}: {word}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "configuration and time are handed in:\n{}", found.join("\n"));
}

/// What tokio draws by chances that no seed fixes: where `select!` begins, and in which
/// order the receivers of a `watch` wake.
#[test]
fn what_the_core_does_follows_from_its_seeds() {
    let mut found = Vec::new();
    for path in library_sources(&root().join("manman-core/src")).unwrap() {
        let code = without_comments(&std::fs::read_to_string(&path).unwrap());
        let unbiased =
            code.split("select! {").skip(1).any(|branches| !branches.trim_start().starts_with("biased;"));
        if unbiased {
            found.push(format!("{}: select! without biased", path.display()));
        }
        if ["watch::Sender", "watch::Receiver", "watch::channel"].iter().any(|word| code.contains(word)) {
            found.push(format!("{}: tokio's watch instead of Watched", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_or_skipped() {
    let words = ["TODO", "FIXME", "#[ignore"];
    let mut found = Vec::new();
    let mut sources = files(&root(), &[".rs", ".sh", ".proto", ".sql"]).unwrap();
    for scripts in ["scripts", ".ci"] {
        sources.extend(files(&root().join(scripts), &[""]).unwrap());
    }
    for path in sources {
        // This file names what it looks for.
        if path.ends_with("checks/tests/house.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        found.extend(
            words
                .iter()
                .filter(|word| source.contains(**word))
                .map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_test_target_is_a_part_of_the_soak() {
    let help = std::process::Command::new(root().join("scripts/soak")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let parts: Vec<_> = help.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let tree = Tree::of_workspace(&[]).unwrap();
    let named = |target: &Target| match target.kind.first().map(String::as_str) {
        Some("test") => Some(target.name.clone()),
        Some("bench") => Some(format!("bench-{}", target.name)),
        _ => None,
    };
    let named: Vec<_> = tree.members().flat_map(|member| &member.targets).filter_map(named).collect();
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|part| !parts.contains(&part.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}: not parts of scripts/soak");
}
