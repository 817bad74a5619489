//! Directories: made, given away, and where the engine sees them.

use std::{
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use bollard::{
    models::{ContainerCreateBody, HostConfig, Mount, MountType},
    query_parameters::{
        CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use futures::StreamExt;
use manman_core::{error::ErrorKind, id::ClusterId, runtime::Runtime};
use manman_docker::{DockerConfig, DockerRuntime};

use crate::support::{BUSYBOX, Ground, clear, create, ended, file, refused, shell, start};

/// A game of another user writes in its directory, and nobody else's.
#[tokio::test]
async fn a_game_owns_its_directory() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let mut spec = shell(1, 1, "echo $(id -u):$(id -g) > /data/game/who; exit 0");
    spec.user = Some("1234:4321".into());
    start(&runtime, &spec).await;
    assert_eq!(ended(&runtime, spec.run).await.code, 0);
    assert_eq!(file(&ground, 1, "who").await, "1234:4321\n");
    let dir = ground.config.data_dir.join("gsc-test-1");
    let meta = std::fs::metadata(&dir).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777), (1234, 4321, 0o755));
    assert!(
        ground.config.data_dir.join("gsc-test-1.manman.json").exists(),
        "the marker is where no game reaches"
    );
    clear(&runtime, &spec).await;
    assert!(dir.join("who").exists(), "the world stays");
}

/// The engine does not see the data directory where it is said to be: one sentence with
/// the remedy, and nothing made on the machine.
#[tokio::test]
async fn a_wrong_host_data_dir_is_one_sentence() {
    let ground = Ground::new().await;
    let wrong = ground.dir.path().join("elsewhere");
    let runtime = ground.runtime_with(|config| config.host_data_dir = Some(wrong.clone()));
    let spec = shell(1, 1, "exit 0");
    runtime.pull(&spec.image, Box::new(|_| {})).await.unwrap();
    runtime.prepare(&spec, None).await.unwrap();
    let error = refused(runtime.create(&spec).await);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("set HOST_DATA_DIR to"), "{error}");
    assert_eq!(ground.left().await, (0, 0), "not even the probe");
    assert!(!wrong.exists(), "`Binds` would have made it");
    // The same tree by another name is fine.
    std::os::unix::fs::symlink(&ground.config.data_dir, &wrong).unwrap();
    let runtime = ground.runtime_with(|config| config.host_data_dir = Some(wrong));
    create(&runtime, &spec).await;
    assert_eq!(ground.left().await, (1, 1));
    clear(&runtime, &spec).await;
    let left = std::fs::read_dir(&ground.config.data_dir).unwrap().flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("probe")));
}

/// What a game plants in its directory leads nowhere.
#[tokio::test]
async fn a_planted_link_is_not_mounted() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let first = shell(1, 1, "ln -s /etc /data/game/mods; exit 0");
    start(&runtime, &first).await;
    ended(&runtime, first.run).await;
    runtime.retire(first.run).await.unwrap();
    let mut second = shell(1, 2, "ls /mods > /data/game/seen; exit 0");
    let mount = second.mounts[0].clone();
    second.mounts.push(manman_core::runtime::Mount {
        source: Some("mods".parse().unwrap()),
        target: "/mods".parse().unwrap(),
        ..mount
    });
    assert_eq!(refused(runtime.prepare(&second, None).await).kind(), ErrorKind::Denied);
    assert_eq!(refused(runtime.create(&second).await).kind(), ErrorKind::Denied);
    assert_eq!(ground.left().await, (1, 1));
    clear(&runtime, &first).await;
}

const AS_OTHER: &str = "MANMAN_TEST_AS_OTHER";
const IN_CONTAINER: &str = "MANMAN_TEST_IN_CONTAINER";

/// A manager that may not chown refuses a game of another user before the start, with the
/// remedy; one that runs as the manager itself is fine.
#[tokio::test]
async fn a_manager_without_rights_says_what_to_do() {
    let me = "data::a_manager_without_rights_says_what_to_do";
    if let Some(dir) = std::env::var_os(AS_OTHER) {
        let owner = manman_core::runtime::Owner {
            cluster: ClusterId::random(),
            server: manman_core::id::ServerId(1),
            environment: "test".parse().unwrap(),
        };
        let runtime = DockerRuntime::new(owner, DockerConfig::new(dir)).unwrap();
        let error = refused(runtime.prepare(&shell(1, 1, ""), Some((1000, 1000))).await);
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("let the game run as 4242:4242"), "{error}");
        runtime.prepare(&shell(2, 1, ""), Some((4242, 4242))).await.unwrap();
        return;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "another user can only be played by root: run the tests as root"
    );
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(4242), Some(4242)).unwrap();
    let program = tempfile::Builder::new().prefix("manman-test-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(program.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = program.path().join("test");
    // By a process of its own: what this one has open for writing, children of other tests have
    // too for a moment, and then it cannot be run.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let mut command = Command::new(copy);
    command.args(["--exact", me, "--nocapture"]).env(AS_OTHER, dir.path());
    let done = command.gid(4242).uid(4242).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!dir.path().join("gsc-test-1").exists(), "nothing half-made stays");
}

/// The manager in a container finds out where the engine sees its data, by its own mounts.
#[tokio::test]
async fn a_manager_in_a_container_finds_its_data() {
    let me = "data::a_manager_in_a_container_finds_its_data";
    if std::env::var_os(IN_CONTAINER).is_some() {
        let ground = Ground::new().await;
        let runtime = ground.runtime_with(|config| config.data_dir = "/data/inner".into());
        let spec = shell(1, 1, "echo seen > /data/game/out; exit 4");
        start(&runtime, &spec).await;
        assert_eq!(ended(&runtime, spec.run).await.code, 4);
        assert_eq!(std::fs::read_to_string("/data/inner/gsc-test-1/out").unwrap(), "seen\n");
        clear(&runtime, &spec).await;
        // A directory that only this container has cannot be a game's.
        let blind = ground.runtime_with(|config| config.data_dir = "/tmp/unmounted".into());
        blind.prepare(&spec, None).await.unwrap();
        let error = refused(blind.create(&spec).await);
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("add the volume `/srv/manman:/tmp/unmounted`"), "{error}");
        assert_eq!(ground.left().await, (0, 0));
        return;
    }
    let ground = Ground::new().await;
    let bind = |source: &str, target: &str, read_only: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(std::fs::canonicalize(source).unwrap().to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        ..Default::default()
    };
    let program = std::env::current_exe().unwrap();
    let (dir, file) = (program.parent().unwrap(), program.file_name().unwrap());
    let data = ground.dir.path().to_string_lossy().into_owned();
    let mut mounts = vec![
        bind(&data, "/data", false),
        bind("/var/run/docker.sock", "/var/run/docker.sock", false),
        bind(&dir.to_string_lossy(), "/program", true),
    ];
    // The libraries that a test program is linked with.
    for library in ["/lib", "/lib64", "/usr/lib"] {
        mounts.extend(Path::new(library).exists().then(|| bind(library, library, true)));
    }
    let body = ContainerCreateBody {
        image: Some(BUSYBOX.to_owned()),
        entrypoint: Some(vec![format!("/program/{}", file.to_string_lossy())]),
        cmd: Some(vec!["--exact".into(), me.into(), "--nocapture".into()]),
        env: Some(vec![format!("{IN_CONTAINER}=1"), "TMPDIR=/data".into()]),
        host_config: Some(HostConfig { mounts: Some(mounts), ..Default::default() }),
        labels: Some([("manman.cluster".to_owned(), ground.owner.cluster.to_string())].into()),
        ..Default::default()
    };
    let name = format!("manman-inside-{}", ground.owner.cluster.short());
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    ground.docker.create_container(Some(options), body).await.unwrap();
    ground.docker.start_container(&name, None).await.unwrap();
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    let _ = ground.docker.wait_container(&name, Some(options)).next().await;
    let code = ground.docker.inspect_container(&name, None).await.unwrap().state.unwrap().exit_code;
    let options = bollard::query_parameters::LogsOptionsBuilder::new().stdout(true).stderr(true).build();
    let lines: Vec<_> =
        ground.docker.logs(&name, Some(options)).map(|line| line.unwrap().to_string()).collect().await;
    assert_eq!(code, Some(0), "{}", lines.concat());
    let options = RemoveContainerOptionsBuilder::new().v(true).build();
    ground.docker.remove_container(&name, Some(options)).await.unwrap();
}
