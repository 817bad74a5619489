//! The games of the fixtures as programs of this machine.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Ran;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

/// The script of `fixtures/testgame`.
pub fn testgame() -> PathBuf {
    fixture("testgame/test_game_server")
}

/// The program of `fixtures/flooder`, compiled once as its image is: with rustc alone.
pub fn flooder() -> &'static Path {
    static FLOODER: OnceLock<PathBuf> = OnceLock::new();
    FLOODER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (made, path) = (target.join(format!("flooder-{}", std::process::id())), target.join("flooder"));
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let source = fixture("flooder/src/main.rs");
        let ran = Ran::of(Command::new(rustc).args(["--edition", "2024", "-O", "-o"]).arg(&made).arg(source));
        assert_eq!(ran.code, 0, "{ran}");
        fs::rename(made, &path).unwrap();
        path
    })
}

/// Copies a program to where everybody can run it.
pub fn copy(program: &Path, data: &Path) -> PathBuf {
    let path = data.join("fixtures").join(program.file_name().unwrap());
    if !path.exists() {
        let directory = path.parent().unwrap();
        fs::create_dir_all(directory).unwrap();
        // By a process of its own: what this one has open for writing, its children have too
        // for a moment, and then it cannot be run.
        let ran = Ran::of(Command::new("cp").arg(program).arg(&path));
        assert_eq!(ran.code, 0, "{ran}");
        for path in [directory, &path] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
    }
    path
}
