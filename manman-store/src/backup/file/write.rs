//! A backup as it is written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use manman_core::{
    error::{Error, ErrorKind, Result},
    hex::Hex,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Header, Line, Table, Trailer, failed};

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
            let message = format!("{} is there already, and is not overwritten", path.display());
            return Err(Error::new(ErrorKind::Conflict, "back up the store", message));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut open = std::fs::OpenOptions::new();
        // One that a death has left, or that somebody has prepared, is not written into.
        let _ = std::fs::remove_file(&part);
        open.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let file = open.open(&part).map_err(|error| failed(&part, "written", error))?;
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
        done.and_then(|()| std::fs::rename(&self.part, &self.path))
            .and_then(|()| match self.path.parent().filter(|it| !it.as_os_str().is_empty()) {
                Some(dir) => File::open(dir)?.sync_all(),
                None => Ok(()),
            })
            .map_err(|error| failed(&self.path, "written", error))?;
        self.finished = true;
        Ok(trailer)
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
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
