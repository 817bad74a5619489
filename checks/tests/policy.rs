//! The dependency tree of this workspace, held to `deny.toml` and to the house.

use std::collections::BTreeSet;

use manman_checks::policy::Policy;
use manman_checks::root;
use manman_checks::tree::{Tree, library_tree};

#[test]
fn licences_bans_and_sources_are_as_deny_toml_says() {
    let policy = Policy::read(&root().join("deny.toml")).unwrap();
    let tree = Tree::of_workspace(&policy.graph.targets).unwrap();
    assert!(tree.packages().count() > 100, "the tree was not read");
    let complaints = policy.complaints(&tree);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_core_stays_small_and_free_of_drivers() {
    let tree = library_tree("manman-core").unwrap();
    let drivers =
        ["bollard", "lapin", "async-nats", "sqlx", "opendal", "tonic", "axum", "hyper", "reqwest", "clap"];
    let found: Vec<_> = drivers.iter().filter(|driver| tree.contains(**driver)).collect();
    assert!(found.is_empty(), "manman-core pulls in {found:?}");
    assert!(tree.len() <= 80, "manman-core is built from {} crates, aim at 80", tree.len());
}

/// Whether the manifest of one member may name another, in any section.
fn may_depend(from: &str, to: &str) -> bool {
    match from {
        // A crate names itself to turn its own features on for its tests.
        _ if from == to => true,
        "manman-core" | "manman-checks" | "flooder" | "manman-services" => false,
        // Real servers, for tests alone: below holds that no library is built with them.
        _ if to == "manman-services" => true,
        // Whoever puts parts together may take all of them, but not each other.
        "manman-bins" | "manman-examples" | "manman-benches" => {
            !["manman-bins", "manman-examples", "manman-benches"].contains(&to) || to == "manman-bins"
        }
        // A backend knows the core; backends never meet.
        _ => to == "manman-core",
    }
}

#[test]
fn arrows_point_only_to_the_core() {
    let tree = Tree::of_workspace(&[]).unwrap();
    let members: BTreeSet<&str> = tree.members().map(|member| member.name.as_str()).collect();
    for member in tree.members() {
        for dependency in
            member.dependencies.iter().filter(|dependency| members.contains(dependency.name.as_str()))
        {
            let (from, to) = (&member.name, &dependency.name);
            assert!(may_depend(from, to), "{from} may not depend on {to}");
        }
    }
}

#[test]
fn servers_for_tests_are_in_no_library() {
    for library in ["manman-broker", "manman-store", "manman-bins"] {
        let tree = library_tree(library).unwrap();
        assert!(!tree.contains("manman-services"), "{library} is built with servers for tests");
    }
}

#[test]
fn every_member_takes_lints_licence_and_edition_from_the_workspace() {
    let tree = Tree::of_workspace(&[]).unwrap();
    for member in tree.members() {
        let manifest: toml::Table =
            toml::from_str(&std::fs::read_to_string(&member.manifest_path).unwrap()).unwrap();
        let inherits =
            |table: &toml::Value, key: &str| table.get(key).and_then(toml::Value::as_bool) == Some(true);
        assert!(inherits(&manifest["lints"], "workspace"), "{member}: no lints");
        for key in ["version", "edition", "rust-version", "license"] {
            assert!(inherits(&manifest["package"][key], "workspace"), "{member}: a {key} of its own");
        }
    }
}
