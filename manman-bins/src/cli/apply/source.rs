//! The files that were named.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::cli::failure::Failure;

/// The largest file; a request may have as much.
const LARGEST_FILE: u64 = 1 << 20;

/// The most files of one run.
const MOST_FILES: usize = 1_000;

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Reads the files: of a directory those that end in `.yaml` or `.yml`, by name.
pub fn read(files: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut paths = Vec::new();
    for file in files {
        if file == Path::new("-") && paths.contains(file) {
            return Err(Failure::usage("stdin ('-') can be read once"));
        }
        if file.is_dir() { paths.extend(within(file)?) } else { paths.push(file.clone()) }
    }
    if paths.len() > MOST_FILES {
        return Err(Failure::usage(format!("there are {} files, {MOST_FILES} are allowed", paths.len())));
    }
    paths.iter().map(|path| source(path)).collect()
}

fn within(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread = |error| cannot(directory, &error);
    let entries = directory.read_dir().map_err(unread)?;
    let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml") && !path.is_dir();
    let mut paths: Vec<_> = paths.map_err(unread)?.into_iter().filter(is_yaml).collect();
    if paths.is_empty() {
        return Err(Failure::usage(format!("there is no *.yaml or *.yml in {}", directory.display())));
    }
    paths.sort();
    Ok(paths)
}

fn source(path: &Path) -> Result<Source, Failure> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(LARGEST_FILE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot(path, &error))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(Failure::usage(format!("{name} is larger than 1 MiB")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
            Err(Failure::usage(format!("{name}:{line}: is not UTF-8")))
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{} cannot be read: {error}", path.display()))
        .remedy("Name a file or directory that is there and that this user may read, or '-' for stdin.")
}
