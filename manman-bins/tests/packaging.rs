//! The systemd unit is one, and spares the games.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

fn packaged(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packaging/systemd");
    fs::read_to_string(root.join(name)).unwrap()
}

fn analyze(arguments: &[&str]) -> Output {
    Command::new("systemd-analyze")
        .args(arguments)
        .output()
        .expect("systemd-analyze is there: install the package systemd, or run scripts/test, which does")
}

#[test]
fn systemd_takes_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("manman.service");
    // The program is where the build has put it.
    let text = packaged("manman.service").replace("/usr/local/bin/manman", env!("CARGO_BIN_EXE_manman"));
    assert!(text.contains(env!("CARGO_BIN_EXE_manman")));
    fs::write(&path, &text).unwrap();
    let verified = analyze(&["verify", "--man=no", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");

    // With the subgroup too, where systemd knows it.
    let drop_in = packaged("manman.service.d/limits.conf");
    let line = drop_in.lines().find(|line| line.starts_with("DelegateSubgroup=")).unwrap();
    fs::write(&path, text.replace("\nLimitNOFILE", &format!("\n{line}\nLimitNOFILE"))).unwrap();
    let verified = analyze(&["verify", "--man=no", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&verified.stderr);
    let version = String::from_utf8(analyze(&["--version"]).stdout).unwrap();
    let version: u32 = version.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(said.is_empty(), version >= 254, "systemd {version}: {said}");
}

#[test]
fn a_stop_of_the_unit_spares_the_games() {
    let unit = packaged("manman.service");
    for line in ["KillMode=process", "OOMPolicy=continue", "Restart=on-failure"] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
    assert!(packaged("manman.service.d/limits.conf").contains("DelegateSubgroup=manager"));
}
