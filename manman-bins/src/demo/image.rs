//! The demo game as an image: a root file system with one program in it. Nothing is
//! downloaded.

use std::io;

/// Where the program is inside the image.
pub const PROGRAM: &str = "/village";

/// Where the program finds its world inside the image.
pub const WORLD: &str = "/data/game";

/// A tar archive with `program` and the directory of its world.
pub fn tar(program: &[u8]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut directory = tar::Header::new_gnu();
    directory.set_entry_type(tar::EntryType::Directory);
    directory.set_size(0);
    directory.set_mode(0o777);
    for path in ["data/", "data/game/"] {
        tar.append_data(&mut directory.clone(), path, io::empty())?;
    }
    let mut file = tar::Header::new_gnu();
    file.set_size(program.len() as u64);
    file.set_mode(0o755);
    tar.append_data(&mut file, PROGRAM.trim_start_matches('/'), program)?;
    tar.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn it_holds_the_program_and_the_directory_of_its_world() {
        let bytes = tar(b"a program").unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut packed = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            packed.push((path, entry.header().mode().unwrap(), content));
        }
        let entry = |path: &str, mode, content: &str| (path.to_owned(), mode, content.to_owned());
        assert_eq!(
            packed,
            [entry("data/", 0o777, ""), entry("data/game/", 0o777, ""), entry("village", 0o755, "a program"),]
        );
    }
}
