//! What a compiler does not check, held by the tests of this crate: licences,
//! bans and sources of dependencies (`deny.toml` has the lists), which crate and
//! which part of the core may know of which, and that nothing is left unfinished.

pub mod layers;
pub mod policy;
pub mod spdx;
pub mod tree;

use std::path::{Path, PathBuf};

/// The directory of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The sources below `src` that end up in the library: unit tests in files of
/// their own (`tests.rs`, `…_tests.rs`) are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn library_sources(src: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = files(src, &[".rs"])?;
    found.retain(|path| !path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests")));
    Ok(found)
}

/// Every file below `dir` whose name ends in one of `endings`, in order.
///
/// Directories that are built or hidden are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn files(dir: &Path, endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&entry.path(), endings)?);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
