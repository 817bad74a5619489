//! Mistakes that people make, and that each is answered with what to do.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, sync::LazyLock};

use super::house::{House, Ran};

#[tokio::test(flavor = "multi_thread")]
async fn each_is_answered_with_what_to_do() {
    let house = House::up().await;
    house.deploy("trains").await;
    let file = |name: &str, text: &str| {
        let path = house.dir().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let yaml = file("yaml", "version: 1\ngames: [\n");
    let (wrong, bad) = (file("wrong", "mm_wrong"), file("bad", "{\"image\": 7}"));
    let (address, nowhere) = (house.listen(), house.dir().join("nowhere").display().to_string());
    for (line, code, said, remedy) in [
        // A name that is nearly one.
        ("start trians".to_owned(), 1, "trians", "trains"),
        // Nobody there.
        (format!("status --data-dir {nowhere}"), 69, nowhere.as_str(), "manman up"),
        // Another installation's token.
        (
            format!("status --address {address} --token-file {wrong}"),
            77,
            "a valid token is needed",
            "Pass the token of the data directory (`--token-file {data}/token`)",
        ),
        // A file that is none, and one that is not there.
        (format!("config create c --game trains --file {bad}"), 2, "image", "manman config show"),
        (
            "config create c --game trains --file /nonexistent".to_owned(),
            2,
            "/nonexistent cannot be read",
            "Name a file that is there",
        ),
        ("apply -f /nonexistent".to_owned(), 2, "/nonexistent cannot be read", "Name a file or directory"),
        (format!("apply -f {yaml}"), 2, "yaml:2:8: is not valid YAML: unclosed bracket", "docs/apply.md"),
        // A port that somebody else has: who, and what to say instead.
        (
            format!("up --listen {address} --data-dir {nowhere}"),
            1,
            &format!("the API cannot be served on {address}"),
            &format!("(pid {}) has it: end that, or choose another with --listen", std::process::id()),
        ),
        // Options and commands that are nearly ones.
        ("status --data-dri /tmp".to_owned(), 2, "--data-dri", "--data-dir"),
        ("strat trains".to_owned(), 2, "strat", "start"),
        // A token that would go over the network.
        ("status --address 192.0.2.1".to_owned(), 2, "192.0.2.1", "--plaintext"),
        // A second one in the same directory.
        (format!("up --listen 127.0.0.1:0 --data-dir {}", house.dir().display()), 1, "pid ", "manman status"),
    ] {
        let ran = house.run(&line).await;
        assert_eq!(ran.code, code, "{line}: {ran}");
        assert!(ran.err.contains(said) && ran.err.contains(remedy), "{line}: {ran}");
        // clap has its own word for it.
        let words = ["what to do:", "tip:"];
        assert!(words.iter().any(|word| ran.err.contains(word)), "{line}: {ran}");
    }
}

/// This program where every user may run it.
static FOR_ALL: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("manman");
    // By a process of its own: what this one has open for writing, its children have too for a
    // moment, and then it cannot be run.
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_manman")).arg(&program).output();
    assert!(copied.as_ref().is_ok_and(|copied| copied.status.success()), "{copied:?}");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    dir
});

/// Runs the program as somebody whom the directory does not belong to; `None` where this
/// user cannot become anybody else.
async fn as_somebody_else(house: &House, line: &str) -> Option<Ran> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let mut command = tokio::process::Command::new(FOR_ALL.path().join("manman"));
    command.args(line.split(' ')).env_clear().env("DATA_DIR", house.dir()).uid(65534).gid(65534);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    Some(output.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_of_somebody_else_is_said() {
    let house = House::up().await;
    fs::set_permissions(house.dir(), fs::Permissions::from_mode(0o755)).unwrap();
    for (line, code, said) in [
        ("status", 77, "belongs to another user"),
        ("up --listen 127.0.0.1:0", 1, "lock"),
        ("doctor", 1, "run manman as"),
        ("uninstall", 0, ""),
    ] {
        let Some(ran) = as_somebody_else(&house, line).await else { return };
        assert_eq!(ran.code, code, "{line}: {ran}");
        assert!(format!("{}{}", ran.err, ran.out).contains(said), "{line}: {ran}");
    }
}
