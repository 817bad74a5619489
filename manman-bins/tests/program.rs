//! The built program, without an engine: how it begins and how it ends.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// The program with nothing of this process's environment that could change what it does.
fn manman(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_manman"));
    command.env_clear().arg("--data-dir").arg(dir).stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    manman(dir).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `manman up` with an engine that is not there; ended when dropped.
struct Up {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Up {
    fn start(dir: &Path) -> Self {
        let mut child = manman(dir)
            .args(["up", "--listen", "127.0.0.1:0", "--docker-socket", "/nowhere/docker.sock"])
            .args(["--server-name", "box"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut up = Self { child, said };
        up.until("Ctrl-C ends manman");
        up
    }

    /// Reads what it says until a line has `words` in it.
    fn until(&mut self, words: &str) -> String {
        let mut all = String::new();
        loop {
            let before = all.len();
            assert_ne!(self.said.read_line(&mut all).unwrap(), 0, "no {words:?} in {all:?}");
            if all[before..].contains(words) {
                return all;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Its exit code and the rest of what it says; a minute at most.
    fn end(mut self) -> (Option<i32>, String) {
        let mut patience = manman_services::Patience::new(Duration::from_secs(60));
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(!patience.is_spent(), "it has not ended within a minute");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }
}

#[test]
fn sigterm_and_ctrl_c_end_it_with_a_word_about_games() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let up = Up::start(dir.path());
        let status = run(dir.path(), &["status"]);
        assert!(status.status.success(), "{}", text(&status.stderr));
        assert!(text(&status.stdout).contains("box"), "{}", text(&status.stdout));
        up.signal(signal);
        let (code, said) = up.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("no game was running"), "{said}");
    }
}

#[test]
fn a_second_one_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let second = run(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains(&format!("pid {}", up.child.id())) && said.contains("what to do"), "{said}");
    assert!(run(dir.path(), &["status"]).status.success());
}

#[test]
fn what_it_keeps_is_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let _up = Up::start(&data);
    for name in ["token", "manman.sock", "manman.db", "journal", "lock"] {
        let mode = std::fs::metadata(data.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn one_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path());
    assert!(run(dir.path(), &["game", "create", "kept"]).status.success());
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    assert_eq!(run(dir.path(), &["status"]).status.code(), Some(69));
    let up = Up::start(dir.path());
    let games = run(dir.path(), &["game", "list"]);
    assert!(text(&games.stdout).contains("kept"), "{}", text(&games.stdout));
    drop(up);
}

#[test]
fn down_ends_the_process_and_can_be_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path());
    let down = run(dir.path(), &["down"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    assert_eq!(up.end().0, Some(0));
    let again = run(dir.path(), &["down"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
}

#[test]
fn everything_wrong_with_the_configuration_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let output = manman(dir.path())
        .arg("up")
        .env("LISTEN", "0.0.0.0:50051")
        .env("ENVIRONMENT", "Prod!")
        .env("DATABASE_URL", "mysql://me:hunter2@db/x")
        .env("BLOB_URL", "ftp://me:hunter2@host/x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    for place in ["LISTEN", "ENVIRONMENT", "DATABASE_URL", "BLOB_URL"] {
        let line = format!("\n  {place}: ");
        assert!(said.contains(&line), "{place} has no line of its own: {said}");
    }
    assert!(said.contains("--plaintext") && !said.contains("^J"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!dir.path().join("manman.db").exists(), "begun in spite of its configuration");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(dir.path(), &["up", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
}

#[test]
fn a_directory_that_cannot_keep_blobs_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for place in ["/dev/null/blobs", "/sys/blobs"] {
        let output = run(dir.path(), &["up", "--listen", "127.0.0.1:0", "--blobs", &format!("fs://{place}")]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(place) && said.contains("--blobs"), "{said}");
        assert!(!dir.path().join("manman.sock").exists(), "begun in spite of its blobs");
    }
}

#[test]
fn row_36_a_database_that_is_none_or_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("manman.db");
    std::fs::write(&database, b"this is no database, however long it is".repeat(100)).unwrap();
    let output = run(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("manman.db"), "{}", text(&output.stderr));

    std::fs::remove_file(&database).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(from_the_future(&database));
    let output = run(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("newer"), "{}", text(&output.stderr));
    assert!(!dir.path().join("manman.sock").exists(), "begun in spite of its store");
    let doctor = run(dir.path(), &["doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor.stdout).contains("use the newer build"), "{}", text(&doctor.stdout));
}

/// A database that a later version of manman has migrated.
async fn from_the_future(database: &Path) {
    use manman_store::migrate::{Migration, Runner, Set};
    let config = manman_store::SqliteConfig::at(database);
    let writer = manman_store::sqlite::writer(&config).await.unwrap();
    let later = Migration {
        version: Set::sqlite().latest() + 1,
        name: "later",
        up: "CREATE TABLE later (id INTEGER)",
        down: "DROP TABLE later",
    };
    let all: Vec<_> = Set::sqlite().all().iter().copied().chain([later]).collect();
    Runner::new(writer.clone(), Set::new(all)).up().await.unwrap();
    writer.close().await;
}
