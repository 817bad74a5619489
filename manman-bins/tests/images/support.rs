//! Images of a test's own, a place for its compose files, and what removes them.

use std::{
    fs,
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

pub use crate::installation::{Ran, scaled, until};

/// The images, by the programs in them.
pub const IMAGES: [(&str, &str); 4] = [
    ("manman-control-api", "control-api"),
    ("manman-event-processor", "event-processor"),
    ("manman-control-migration", "control-migration"),
    ("manmanv2-host-manager", "host-manager"),
];

/// Long: it bounds a hang, it measures nothing.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What the tests have at the engine: images under a tag, compose projects and games that are
/// named after it, a directory. It goes with the last test that has it.
pub struct Ground {
    /// Also the tag, the environment of games, and the beginning of the projects' names.
    pub name: String,
    directory: PathBuf,
    broom: Child,
}

/// Removes all of it once its stdin ends, which is when the test is over or its process gone.
const BROOM: &str = r#"
read -r _
for label in com.docker.compose.project=$0 com.docker.compose.project=$0-other manman.environment=$0; do
    containers=$(docker ps -aq --filter label=$label)
    [ -z "$containers" ] || docker rm -fv $containers
    networks=$(docker network ls -q --filter label=$label)
    [ -z "$networks" ] || docker network rm $networks
    volumes=$(docker volume ls -q --filter label=$label)
    [ -z "$volumes" ] || docker volume rm $volumes
done
directory=$1
shift
for image; do docker image rm -f $image:$0; done
# What containers wrote may be root's, and this user not.
rm -rf -- "$directory" ||
    docker run --rm -v "$directory:/place" manman-fixture/busybox:1 sh -c 'rm -rf /place/*' &&
    rm -rf -- "$directory"
"#;

impl Ground {
    /// The one that the tests share, with the images of the programs that the other tests use.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Ground>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let ground = Arc::new(Self::new());
            *shared = Arc::downgrade(&ground);
            ground
        })
    }

    fn new() -> Self {
        let ground = Self::begin();
        let programs = Path::new(env!("CARGO_BIN_EXE_host-manager")).parent().unwrap();
        let built = Ran::of(
            Command::new(repository().join("scripts/images/manman"))
                .args(["--tag", &ground.name, "--binaries"])
                .arg(programs),
        );
        assert_eq!(built.code, 0, "{built}");
        let expected: Vec<String> = IMAGES.iter().map(|(image, _)| ground.image(image)).collect();
        assert_eq!(built.out.lines().collect::<Vec<_>>(), expected, "{built}");
        ground
    }

    fn begin() -> Self {
        // The one before may be swept yet.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("i{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&directory).unwrap();
        let broom = Command::new("/bin/sh")
            .args(["-c", BROOM, &name])
            .arg(&directory)
            .args(IMAGES.map(|(image, _)| image))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { name, directory, broom }
    }

    /// An image with its tag.
    pub fn image(&self, image: &str) -> String {
        format!("{image}:{}", self.name)
    }

    /// A directory of the test's own.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Copies the compose files and templates to `place`, which is there afterwards.
    pub fn unpack(&self, place: &Path) {
        fs::create_dir_all(place).unwrap();
        for entry in fs::read_dir(repository().join("packaging/compose")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), place.join(entry.file_name())).unwrap();
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.broom.stdin.take());
        let _ = self.broom.wait();
    }
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Asks the engine by its own client.
pub fn docker(args: &[&str]) -> Ran {
    Ran::of(Command::new("docker").args(args))
}

/// What the engine knows of a container or an image.
#[track_caller]
pub fn inspect(what: &str) -> Value {
    let ran = docker(&["inspect", what]);
    assert_eq!(ran.code, 0, "{ran}");
    let all: Value = serde_json::from_str(&ran.out).unwrap();
    all[0].clone()
}

/// Runs compose in `place`, with nothing in its environment that the operator did not write
/// down there.
pub fn compose(place: &Path, files: &str, args: &[&str]) -> Ran {
    let plugin = docker(&["compose", "version"]).code == 0;
    let mut command = if plugin { Command::new("docker") } else { Command::new("docker-compose") };
    if plugin {
        command.arg("compose");
    }
    command.args(args).current_dir(place).env_clear();
    for name in ["PATH", "HOME", "DOCKER_HOST"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if !files.is_empty() {
        command.env("COMPOSE_FILE", files);
    }
    let output = command.output().unwrap_or_else(|error| {
        panic!("docker-compose: {error}; `scripts/services` installs what tests need");
    });
    output.into()
}

/// Adds lines to a file of settings; what is said last counts.
pub fn set(file: &Path, settings: &[(&str, &str)]) {
    let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
    for (name, value) in settings {
        writeln!(file, "{name}={value}").unwrap();
    }
}
