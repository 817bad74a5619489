//! The systemd units are some, and spare the games.
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
fn systemd_takes_the_units_of_the_separate_programs() {
    let dir = tempfile::tempdir().unwrap();
    let programs = [
        ("control-api", env!("CARGO_BIN_EXE_control-api")),
        ("event-processor", env!("CARGO_BIN_EXE_event-processor")),
        ("control-migration", env!("CARGO_BIN_EXE_control-migration")),
        ("host-manager", env!("CARGO_BIN_EXE_host-manager")),
    ];
    let mut paths = Vec::new();
    for (name, program) in programs {
        let unit = format!("manman-{name}.service");
        let text = packaged(&unit);
        let placed = text.replace(&format!("/usr/local/bin/{name}"), program);
        assert_ne!(placed, text, "{unit}");
        paths.push(dir.path().join(unit));
        fs::write(paths.last().unwrap(), placed).unwrap();
    }
    let verify = || {
        let paths = paths.iter().map(|path| path.to_str().unwrap());
        let verified = analyze(&[&["verify", "--man=no"], &paths.collect::<Vec<_>>()[..]].concat());
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success() && said.is_empty(), "{said}");
    };
    verify();
    // With what is in files handed over.
    for path in &paths[..3] {
        let text = fs::read_to_string(path).unwrap();
        let handed = text
            .replace("\n#LoadCredential=", "\nLoadCredential=")
            .replace("\n#Environment=", "\nEnvironment=");
        assert_ne!(handed, text, "{}", path.display());
        fs::write(path, handed).unwrap();
    }
    verify();
    // Where games are containers.
    let drop_ins = dir.path().join("manman-host-manager.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::write(drop_ins.join("docker.conf"), packaged("manman-host-manager.service.d/docker.conf")).unwrap();
    verify();
    // It is read: a mistake in it is seen.
    fs::write(drop_ins.join("docker.conf"), "[Service]\nNoSuchSetting=yes\n").unwrap();
    let verified = analyze(&["verify", "--man=no", paths[3].to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&verified.stderr).contains("NoSuchSetting"));
}

#[test]
fn a_stop_of_the_unit_spares_the_games() {
    for unit in ["manman.service", "manman-host-manager.service"] {
        let text = packaged(unit);
        for line in ["KillMode=process", "OOMPolicy=continue", "Restart=on-failure"] {
            assert!(text.lines().any(|it| it == line), "{unit}: {line}");
        }
    }
    assert!(packaged("manman.service.d/limits.conf").contains("DelegateSubgroup=manager"));
}
