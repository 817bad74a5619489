//! `doctor`, `uninstall` and `completions`: what only looks, on the built program.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use serde_json::Value;

use super::house::{House, Ran};

/// All that is in a directory, with its contents.
fn all(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap_or_default()))
        .collect()
}

/// The program where there is no Docker.
async fn run(house: &House, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = house.command(line);
    command
        .env("DOCKER_SOCKET", "/nowhere/docker.sock")
        .env("LISTEN", "127.0.0.1:0")
        .envs(variables.iter().copied());
    command.stderr(Stdio::piped()).output().await.unwrap().into()
}

/// The same with an answer to each question: a machine that stands still may let one wait.
async fn answered(house: &House, line: &str, variables: &[(&str, &str)]) -> Ran {
    for _ in 0..30 {
        let ran = run(house, line, variables).await;
        if !ran.out.contains("no answer within") && !ran.out.contains("degraded") {
            return ran;
        }
    }
    run(house, line, variables).await
}

/// The checks of a report by their names, with how they stand and what they say.
fn checks(ran: &Ran) -> BTreeMap<String, (String, String)> {
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sections = report["sections"].as_array().unwrap().iter();
    let checks = sections.flat_map(|section| section["checks"].as_array().unwrap());
    checks.map(|it| (text(&it["name"]), (text(&it["standing"]), text(&it["text"])))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_of_nothing_says_so_and_makes_nothing() {
    let house = House::empty();
    let secrets = [
        ("DATABASE_URL", "mysql://me:hunter2@db/x\u{1b}[2J"),
        ("API_TOKEN", "mm_hunter2"),
        ("MANMAN_RABBITMQ_PASSWORD", "hunter2"),
    ];
    let ran = run(&house, "doctor", &secrets).await;
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.out.contains("install or start Docker") && ran.out.contains("1 problem:"), "{ran}");
    assert!(!ran.out.contains("hunter2") && !ran.out.contains('\u{1b}'), "{ran}");
    let ran = run(&house, "doctor -o json", &secrets).await;
    assert!(!ran.out.contains("hunter2"), "{ran}");
    assert_eq!(checks(&ran)["API"].0, "note");
    let ran = run(&house, "uninstall", &[]).await;
    assert!(ran.code == 0 && ran.out.contains("Nothing was removed"), "{ran}");
    assert_eq!(all(house.dir()), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_sees_what_is_up_and_what_is_wrong() {
    let house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    let ran = answered(&house, "doctor -o json", &[]).await;
    let seen = checks(&ran);
    for (name, standing, text) in [
        ("schema", "ok", "version"),
        ("integrity", "ok", "nothing"),
        ("sessions", "ok", "1 running"),
        ("live", "ok", "1 running"),
        ("server", "ok", "box is online"),
        ("token", "ok", "0600"),
        ("held", "ok", &std::process::id().to_string()),
        ("API", "ok", env!("CARGO_PKG_VERSION")),
        ("data-dir", "ok", "(DATA_DIR)"),
    ] {
        assert!(seen[name].0 == standing && seen[name].1.contains(text), "{name}: {:?}", seen[name]);
    }
    let problems = |ran: &Ran| serde_json::from_str::<Value>(&ran.out).unwrap()["problems"].clone();
    assert_eq!((problems(&ran), ran.code), (0.into(), 0), "games can do without Docker: {ran}");
    let ran = answered(&house, "doctor -o json", &[("MANMAN_RUNTIME", "docker")]).await;
    assert_eq!((problems(&ran), ran.code), (1.into(), 1), "only Docker is missing: {ran}");
    let token = house.dir().join("token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let seen = checks(&answered(&house, "doctor -o json", &[]).await);
    assert_eq!(seen["token"].0, "problem");
    assert!(!seen["token"].1.contains(fs::read_to_string(&token).unwrap().trim()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_answers_is_a_line_in_time() {
    let house = House::empty();
    let frozen = |name: &str| {
        let path = house.dir().join(name);
        (std::os::unix::net::UnixListener::bind(&path).unwrap(), path.display().to_string())
    };
    let (_api, (_engine, engine)) = (frozen("manman.sock"), frozen("docker.sock"));
    fs::write(house.dir().join("manman.db"), b"this is no database".repeat(300)).unwrap();
    let begun = Instant::now();
    let ran = run(&house, "doctor -o json", &[("DOCKER_SOCKET", &engine)]).await;
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    let seen = checks(&ran);
    for name in ["API", "socket", "database"] {
        assert!(seen.contains_key(name), "{name}: {seen:?}");
    }
    assert!(seen["API"].1.contains("no answer within 2 s"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_listed_with_each_world_by_itself() {
    let mut house = House::up().await;
    house.deploy("trains").await;
    house.ok("start trains").await;
    for (world, text) in [("gsc-test-1", "a world"), ("gsc-test-2", "another"), ("mine", "not ours")] {
        fs::create_dir_all(house.dir().join(world)).unwrap();
        fs::write(house.dir().join(world).join("map"), text).unwrap();
    }
    for name in ["gsc-test-1.manman.json", "gsc-test-9.manman.json", ".gsc-test-9.manman.json-1"] {
        fs::write(house.dir().join(name), "{}").unwrap();
    }
    for name in ["host-token", "host-token.joined", "journal.damaged-1", "tokens.txt"] {
        fs::write(house.dir().join(name), "").unwrap();
    }
    let dir = house.dir().display().to_string();
    let left = answered(&house, "uninstall", &[]).await.out;
    for line in [
        "trains (session 1)".to_owned(),
        format!("manman down --data-dir {dir}"),
        "deployment trains, ".to_owned(),
        format!("rm -r {dir}/gsc-test-1 {dir}/gsc-test-1.manman.json\n"),
        format!("rm -r {dir}/gsc-test-2\n"),
        format!("rm {dir}/gsc-test-9.manman.json\n"),
        format!("rm {dir}/.gsc-test-9.manman.json-1\n"),
        format!("{dir}/mine (not manman's: left alone)"),
        format!("{dir}/tokens.txt (not manman's: left alone)"),
        format!("rm {dir}/host-token\n"),
        format!("rm {dir}/host-token.joined\n"),
        format!("rm {dir}/journal.damaged-1\n"),
        format!("rm -r {dir}/spool\n"),
        format!("rm {dir}/manman.db\n"),
        format!("rmdir {dir}\n"),
    ] {
        assert!(left.contains(&line), "{line}: {left}");
    }
    assert!(left.find("manman down") < left.find("rm -r"), "{left}");
    house.ok("stop trains").await;
    house.end().await;
    let before = all(house.dir());
    let left = answered(&house, "uninstall", &[]).await.out;
    assert!(left.contains("none runs, and manman does not"), "{left}");
    let json: Value = serde_json::from_str(&answered(&house, "uninstall -o json", &[]).await.out).unwrap();
    assert_eq!(json["removed"], false);
    assert_eq!(all(house.dir()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_is_listed_with_all_that_was_installed_for_it() {
    let house = House::empty();
    let home = tempfile::tempdir().unwrap();
    let units = home.path().join(".config/systemd/user");
    let (variables, shared) = (home.path().join("manman.environment"), home.path().join("environment"));
    let packaged = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd/manman.service");
    let text = fs::read_to_string(packaged).unwrap();
    let named = text.replace("/etc/manman/environment", variables.to_str().unwrap());
    assert_ne!(text, named, "the unit names it");
    fs::create_dir_all(units.join("manman.service.d")).unwrap();
    fs::write(units.join("manman.service"), named).unwrap();
    let more = format!("[Service]\nEnvironmentFile={}\n", shared.display());
    fs::write(units.join("manman.service.d/limits.conf"), more).unwrap();
    for file in [&variables, &shared] {
        fs::write(file, "").unwrap();
    }
    let left = run(&house, "uninstall", &[("HOME", home.path().to_str().unwrap())]).await.out;
    let units = units.display();
    let commands = [
        "systemctl --user disable --now manman.service".to_owned(),
        format!("rm {units}/manman.service"),
        format!("rm {units}/manman.service.d/limits.conf"),
        format!("rm {}", variables.display()),
        format!("rmdir {units}/manman.service.d"),
        "systemctl --user daemon-reload".to_owned(),
    ];
    let commands = commands.map(|command| format!("     {command}\n")).concat();
    assert!(left.contains(&commands), "{commands}: {left}");
    assert!(left.contains(&format!("{} (not manman's: left alone)\n", shared.display())), "{left}");
    assert!(!left.contains(&format!("rm {}", shared.display())), "{left}");
}

/// What bash offers after `words`, with the script that the program writes.
fn bash(words: &[&str]) -> Vec<String> {
    let program = env!("CARGO_BIN_EXE_manman");
    let script = "eval \"$($0 completions bash)\"; complete -p manman >&2 || exit 1; \
                  COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_LINE=\"$*\"; COMP_POINT=${#COMP_LINE}; \
                  _manman manman \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"; \
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let ran = Command::new("bash").args(["--norc", "-c", script, program]).args(words).output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success() && err.contains("_manman"), "{err}");
    String::from_utf8(ran.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let script = Command::new(env!("CARGO_BIN_EXE_manman")).args(["completions", "bash"]).output().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("manman.bash");
    fs::write(&file, script.stdout).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&file).status().unwrap().success());
    assert_eq!(bash(&["manman", "depl"]), ["deployment"]);
    assert!(bash(&["manman", "deployment", "cr"]).contains(&"create".to_owned()));
    assert!(bash(&["manman", "start", "--no"]).contains(&"--no-wait".to_owned()));
    assert!(!bash(&["manman", ""]).iter().any(|word| word.contains("demo-game")));
}
