//! A backup as it is written.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use manman_core::{
    error::{Error, ErrorKind, Result},
    hex::Hex,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Header, Line, Table, Trailer, failed};

/// How the name of a file ends that is not whole.
const PART: &str = ".part";

/// Writes a backup beside its place, and puts it there when it is whole.
pub(crate) struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    part: PathBuf,
    digest: Sha256,
    rows: BTreeMap<String, u64>,
    table: String,
    finished: bool,
}

impl Writer {
    /// Begins the file for `path`, readable for its owner alone: it holds the secrets of the
    /// installation.
    pub fn create(path: &Path) -> Result<Self> {
        if path.exists() {
            return Err(is_there(path));
        }
        remove_left(path);
        // A name of its own: another backup to the same file may be under way.
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}{PART}", Uuid::new_v4().simple()));
        let part = PathBuf::from(part);
        let mut open = OpenOptions::new();
        open.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let file = open.open(&part).map_err(|error| failed(&part, "written", error))?;
        // By which others know that it is being written, where the file system has locks.
        let _ = file.try_lock();
        Ok(Self {
            out: BufWriter::new(file),
            path: path.to_owned(),
            part,
            digest: Sha256::new(),
            rows: BTreeMap::new(),
            table: String::new(),
            finished: false,
        })
    }

    pub fn header(&mut self, header: &Header) -> Result<()> {
        self.line(header)
    }

    pub fn table(&mut self, table: Table) -> Result<()> {
        self.rows.insert(table.table.clone(), 0);
        self.table = table.table.clone();
        self.line(&Line::Table(table))
    }

    pub fn row(&mut self, row: Vec<Value>) -> Result<()> {
        *self.rows.entry(self.table.clone()).or_default() += 1;
        self.line(&Line::Row(row))
    }

    /// Writes the trailer, and puts the file in its place, on the disk.
    pub fn finish(mut self) -> Result<Trailer> {
        let sha256 = Hex(&std::mem::take(&mut self.digest).finalize()).to_string();
        let trailer = Trailer { rows: std::mem::take(&mut self.rows), sha256 };
        self.line(&Line::Trailer(trailer.clone()))?;
        let done = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        done.and_then(|()| self.put())
            .and_then(|()| match self.path.parent().filter(|it| !it.as_os_str().is_empty()) {
                Some(dir) => File::open(dir)?.sync_all(),
                None => Ok(()),
            })
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => is_there(&self.path),
                _ => failed(&self.path, "written", error),
            })?;
        self.finished = true;
        Ok(trailer)
    }

    /// Puts the file in its place, unless another one came there meanwhile.
    fn put(&self) -> io::Result<()> {
        match fs::hard_link(&self.part, &self.path) {
            Ok(()) => fs::remove_file(&self.part),
            // Not every file system has links.
            Err(_) if !self.path.exists() => fs::rename(&self.part, &self.path),
            Err(error) => Err(error),
        }
    }

    fn line(&mut self, line: &impl Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "back up the store", "a row has no JSON").because(error)
        })?;
        bytes.push(b'\n');
        self.digest.update(&bytes);
        self.out.write_all(&bytes).map_err(|error| failed(&self.part, "written", error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Half a backup is none; if it stays, its name says what it is.
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn is_there(path: &Path) -> Error {
    let message = format!("{} is there already, and is not overwritten", path.display());
    Error::new(ErrorKind::Conflict, "back up the store", message)
}

/// Removes what backups to `path` left that died: their locks are gone.
fn remove_left(path: &Path) {
    let (Some(name), Some(dir)) = (path.file_name(), path.parent()) else { return };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let begin = format!("{}.", name.to_string_lossy());
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let between = name.to_str().and_then(|name| name.strip_prefix(&begin)?.strip_suffix(PART));
        let is_ours = between.is_some_and(|it| it.len() == 32 && it.bytes().all(|b| b.is_ascii_hexdigit()));
        if is_ours
            && entry.file_type().is_ok_and(|it| it.is_file())
            && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            // Whatever hinders it, the next backup tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}
