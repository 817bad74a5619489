use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{MetadataExt as _, symlink},
    process::{Child, ChildStdin, Command, Stdio},
};

use super::*;

fn place(data: &Path) -> PathBuf {
    match onto_disk(data).unwrap() {
        Placed::Program(path) => path,
        other => panic!("{other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[test]
fn it_is_written_once_and_may_be_run_by_anybody() {
    let data = tempfile::tempdir().unwrap();
    let path = place(data.path());
    assert_eq!(path, data.path().join("demo").join(format!("village-{}", digest())));
    assert_eq!(fs::read(&path).unwrap(), GAME);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o755, 0o755));
    let before = path.metadata().unwrap();
    assert_eq!(place(data.path()), path);
    assert_eq!(path.metadata().unwrap().ino(), before.ino());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_not_the_game_is_replaced_whole() {
    let data = tempfile::tempdir().unwrap();
    let path = place(data.path());
    let mut other = GAME.to_vec();
    *other.last_mut().unwrap() ^= 1;
    let elsewhere = data.path().join("elsewhere");
    fs::write(&elsewhere, GAME).unwrap();
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o755)).unwrap();
    let spoil: [&dyn Fn(); 5] = [
        &|| fs::write(&path, &other).unwrap(),
        &|| fs::write(&path, &GAME[..100]).unwrap(),
        &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap(),
        &|| {
            fs::remove_file(&path).unwrap();
            symlink(&elsewhere, &path).unwrap();
        },
        // Half a copy of a manman that was killed.
        &|| {
            fs::rename(&path, path.with_extension("new")).unwrap();
        },
    ];
    for spoil in spoil {
        spoil();
        assert_eq!(place(data.path()), path);
        assert_eq!(fs::read(&path).unwrap(), GAME);
        assert_eq!(mode(&path), 0o755);
        assert!(path.symlink_metadata().unwrap().is_file());
        assert!(!path.with_extension("new").exists());
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), GAME);
}

#[test]
fn what_cannot_be_written_is_said_with_its_path() {
    let data = tempfile::tempdir().unwrap();
    fs::write(data.path().join("demo"), "a file").unwrap();
    let said = format!("{:#}", onto_disk(data.path()).unwrap_err());
    assert!(said.contains("demo/village-"), "{said}");
}

#[test]
fn each_kind_of_place_has_a_config_of_its_own() {
    let image = Placed::Image(format!("{IMAGE}:{}", digest()).parse().unwrap());
    let program = Placed::Program("/data/demo/village-1".into());
    assert_ne!(image.config_name(), program.config_name());
    assert_eq!(program.image(), "host");
    assert_eq!(image.entrypoint().unwrap(), ["/village", "/data/game"]);
    assert_eq!(program.entrypoint().unwrap(), ["/data/demo/village-1"]);
}

/// The game, running in a directory of its own.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    directory: tempfile::TempDir,
}

impl Running {
    fn begin(stdout: Stdio) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::again(directory, stdout)
    }

    fn again(directory: tempfile::TempDir, stdout: Stdio) -> Self {
        let program = place(directory.path());
        let mut command = Command::new(program);
        command.current_dir(&directory).stdin(Stdio::piped()).stdout(stdout).stderr(Stdio::piped());
        // A child that another test has just forked may still hold the written file open.
        let mut child = loop {
            match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {}
                spawned => break spawned.unwrap(),
            }
        };
        Self { input: child.stdin.take(), child, directory }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Its exit code, stdout and stderr.
    fn end(mut self) -> (i32, String, String, tempfile::TempDir) {
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().map(|mut stdout| stdout.read_to_string(&mut out).unwrap());
        self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut err).unwrap());
        (self.child.wait().unwrap().code().unwrap(), out, err, self.directory)
    }
}

#[test]
fn the_game_greets_at_once_and_saves_when_it_quits() {
    let mut game = Running::begin(Stdio::piped());
    let mut stdout = BufReader::new(game.child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert_eq!(first, "village demo: day 0, 0 villagers\n");
    game.type_in(b"quit\n");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let (code, _, err, directory) = game.end();
    assert_eq!((code, err.as_str()), (0, ""));
    let save = directory.path().join("village.save");
    // Its days are short, and this machine may be slow.
    let days = rest.lines().filter(|line| line.starts_with("[day ")).count();
    let saved = fs::read_to_string(&save).unwrap();
    assert!(saved.starts_with(&format!("village 1\nday {days}\n")) && saved.ends_with("end\n"), "{saved}");

    fs::write(&save, "village 1\nday 7\nAda\nend\n").unwrap();
    let mut game = Running::again(directory, Stdio::piped());
    game.type_in(b"quit\n");
    assert!(game.end().1.starts_with("village demo: day 7, 1 villagers\n"));
}

#[test]
fn the_game_outlives_any_input_and_crashes_as_it_is_told() {
    let mut game = Running::begin(Stdio::piped());
    game.type_in(&[0xff; 100_000]);
    game.type_in(b"\n\0\n\x1b[2J\nsay still here\ncrash 42\n");
    let (code, out, err, _) = game.end();
    assert_eq!(code, 42);
    assert!(out.contains("<server> still here\n"), "{out}");
    assert!(!out.contains('\u{1b}'), "{out}");
    assert!(err.starts_with("the village was lost on day "), "{err}");
}

#[test]
fn the_end_of_its_input_is_not_the_end_of_the_game() {
    let mut game = Running::begin(Stdio::piped());
    game.input = None;
    let lines = BufReader::new(game.child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("[day 1] ")));
    // Nobody reads any more: it ends by itself, and saves before.
    let (code, _, err, directory) = game.end();
    assert_eq!(code, 1);
    assert!(err.starts_with("nobody reads what the village says; saved day "), "{err}");
    assert!(directory.path().join("village.save").exists());
}

#[test]
fn a_full_disk_is_said_and_the_game_goes_on() {
    // Its stdout is on a full disk as well.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut game = Running::begin(full.into());
    game.type_in(b"list\nhelp\ncrash 3\n");
    assert_eq!(game.end().0, 3);
}
