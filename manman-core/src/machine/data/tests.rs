//! Directories are made, kept, and led to by no link.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::id::ClusterId;

use super::*;
use crate::machine::tests::{owner, spec};

struct Tree {
    dir: tempfile::TempDir,
    data: DataDir,
}

fn tree() -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::new(&dir.path().join("data"), &owner(), 0);
    Tree { dir, data }
}

/// Who we are: as whom a directory can be made without any rights.
fn us() -> User {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn kind(result: Result<impl std::fmt::Debug>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn directories_are_made_once_and_left_alone_after() {
    let tree = tree();
    tree.data.prepare(&spec(), us()).unwrap();
    let game = tree.data.root().join("gsc-prod-3");
    for dir in [game.clone(), game.join("mods")] {
        let meta = fs::metadata(&dir).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777), (us().0, us().1, 0o755));
    }
    fs::write(game.join("world"), "1").unwrap();
    fs::set_permissions(&game, fs::Permissions::from_mode(0o700)).unwrap();
    tree.data.prepare(&spec(), us()).unwrap();
    assert_eq!(fs::metadata(&game).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(tree.data.places(&spec()).unwrap(), [Path::new("gsc-prod-3"), Path::new("gsc-prod-3/mods")]);
}

#[test]
fn the_directory_of_another_installation_is_refused() {
    let tree = tree();
    tree.data.prepare(&spec(), us()).unwrap();
    let mut stranger = owner();
    stranger.cluster = ClusterId::random();
    let stranger = DataDir::new(tree.data.root(), &stranger, 0);
    let error = stranger.prepare(&spec(), us()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains(&owner().cluster.to_string()), "{error}");
    assert_eq!(kind(stranger.places(&spec())), ErrorKind::Conflict);
}

#[test]
fn a_directory_that_nobody_claimed_is_taken_over_as_it_is() {
    let tree = tree();
    let game = tree.data.root().join("gsc-prod-3");
    fs::create_dir_all(&game).unwrap();
    fs::write(game.join("world"), "old").unwrap();
    tree.data.prepare(&spec(), us()).unwrap();
    assert_eq!(fs::read_to_string(game.join("world")).unwrap(), "old");
    assert!(tree.data.root().join("gsc-prod-3.manman.json").exists());
}

#[test]
fn a_marker_that_cannot_be_read_is_not_overwritten() {
    let tree = tree();
    fs::create_dir_all(tree.data.root()).unwrap();
    let marker = tree.data.root().join("gsc-prod-3.manman.json");
    fs::write(&marker, "{").unwrap();
    assert_eq!(kind(tree.data.prepare(&spec(), us())), ErrorKind::Corrupt);
    assert_eq!(fs::read_to_string(&marker).unwrap(), "{");
}

#[test]
fn no_link_that_a_game_planted_is_followed() {
    let tree = tree();
    tree.data.prepare(&spec(), us()).unwrap();
    let elsewhere = tree.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mods = tree.data.root().join("gsc-prod-3/mods");
    fs::remove_dir(&mods).unwrap();
    for target in [elsewhere.as_path(), Path::new("/etc"), Path::new("nowhere"), Path::new("../..")] {
        symlink(target, &mods).unwrap();
        assert_eq!(kind(tree.data.prepare(&spec(), us())), ErrorKind::Denied, "{}", target.display());
        assert_eq!(kind(tree.data.places(&spec())), ErrorKind::Denied, "{}", target.display());
        fs::remove_file(&mods).unwrap();
    }
    let mut deep = spec();
    deep.mounts[1].source = Some("mods/inner".parse().unwrap());
    symlink(&elsewhere, &mods).unwrap();
    assert_eq!(kind(tree.data.prepare(&deep, us())), ErrorKind::Denied);
    assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "nothing was made beyond the link");
}

#[test]
fn what_was_not_prepared_is_not_mounted() {
    let tree = tree();
    fs::create_dir_all(tree.data.root()).unwrap();
    assert_eq!(kind(tree.data.places(&spec())), ErrorKind::NotFound);
    tree.data.prepare(&spec(), us()).unwrap();
    fs::remove_dir(tree.data.root().join("gsc-prod-3/mods")).unwrap();
    assert_eq!(kind(tree.data.places(&spec())), ErrorKind::NotFound);
}

#[test]
fn a_full_disk_takes_no_new_game() {
    let tree = tree();
    let full = DataDir::new(tree.data.root(), &owner(), u64::MAX);
    let error = full.prepare(&spec(), us()).unwrap_err();
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true));
}

#[test]
fn a_nonce_leaves_nothing_behind() {
    let tree = tree();
    let nonce = tree.data.nonce().unwrap();
    assert!(tree.data.root().join(&nonce.name).is_dir());
    drop(nonce);
    assert!(fs::read_dir(tree.data.root()).unwrap().next().is_none());
}
