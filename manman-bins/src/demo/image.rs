//! An image made of this very program: its file and the libraries it is linked with,
//! packed as they lie on this machine. Nothing is downloaded and nothing compiled.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// Where the program is inside the image.
pub const PROGRAM: &str = "/manman";

/// The program and its libraries, as a root file system for an image.
#[derive(Debug)]
pub struct ProgramImage {
    program: PathBuf,
    libraries: BTreeSet<PathBuf>,
    /// A digest of the program, fit for a tag: a rebuilt program makes another image.
    pub digest: String,
}

impl ProgramImage {
    /// The running program.
    pub fn of_this_program() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let maps = std::fs::read_to_string("/proc/self/maps").context("cannot read /proc/self/maps")?;
        let digest = digest(&program).with_context(|| format!("cannot read {}", program.display()))?;
        Ok(Self { libraries: libraries(&maps), program, digest })
    }

    /// Writes it as a tar archive.
    pub fn write_tar(&self, into: impl Write) -> anyhow::Result<()> {
        let mut tar = tar::Builder::new(into);
        tar.follow_symlinks(true);
        // The engine does not know the header of sparse files.
        tar.sparse(false);
        let mut directory = tar::Header::new_gnu();
        directory.set_entry_type(tar::EntryType::Directory);
        directory.set_size(0);
        directory.set_mode(0o777);
        for path in ["data/", "data/game/"] {
            tar.append_data(&mut directory.clone(), path, io::empty())?;
        }
        tar.append_path_with_name(&self.program, PROGRAM.trim_start_matches('/'))
            .with_context(|| format!("cannot pack {}", self.program.display()))?;
        for library in &self.libraries {
            let inside = library.strip_prefix("/").unwrap_or(library);
            tar.append_path_with_name(library, inside)
                .with_context(|| format!("cannot pack {}", library.display()))?;
        }
        tar.finish()?;
        Ok(())
    }
}

/// The shared objects among what is mapped. The loader itself is one of them; it is also
/// put where the program's header asks for it, which on merged file systems is a link.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = maps
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(5))
        .filter(|path| path.starts_with('/') && (path.contains(".so.") || path.ends_with(".so")))
        .map(PathBuf::from)
        .collect();
    let asked_for: Vec<_> = found
        .iter()
        .filter_map(|path| path.file_name())
        .filter(|name| name.to_string_lossy().starts_with("ld-linux"))
        .flat_map(|name| ["/lib64", "/lib"].map(|directory| Path::new(directory).join(name)))
        .filter(|path| path.exists())
        .collect();
    found.extend(asked_for);
    found
}

fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_those_that_are_mapped() {
        let maps = "\
7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6
7f01-7f02 r-xp 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6
7f02-7f03 r-xp 00000000 08:01 2 /usr/bin/manman
7f03-7f04 rw-p 00000000 00:00 0 [heap]
7f04-7f05 rw-p 00000000 00:00 0";
        let found = libraries(maps);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [Path::new("/usr/lib/x86_64-linux-gnu/libc.so.6")]);
    }

    #[test]
    fn a_program_is_packed_with_what_it_needs() {
        let image = ProgramImage::of_this_program().unwrap();
        assert!(!image.libraries.is_empty());
        let mut bytes = Vec::new();
        image.write_tar(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let packed: Vec<PathBuf> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert!(packed.contains(&PathBuf::from("manman")));
        assert!(packed.iter().any(|path| path.to_string_lossy().contains("libc.so")));
    }
}
