//! A backup as it is read.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use manman_core::{
    error::{Error, ErrorKind, Result},
    hex::Hex,
};
use sha2::{Digest as _, Sha256};

use super::{FORMAT, Header, Line, Table, Trailer, failed};

/// Reads a backup from its first line to its last.
pub(crate) struct Reader {
    lines: BufReader<File>,
    path: PathBuf,
    number: u64,
    digest: Sha256,
    rows: BTreeMap<String, u64>,
    table: Option<Table>,
}

/// The longest line: what a table holds in one row is far below.
const LONGEST_LINE: u64 = 64 << 20;

impl Reader {
    /// Opens the file and reads its header.
    pub fn open(path: &Path) -> Result<(Self, Header)> {
        let file = File::open(path).map_err(|error| {
            let message = format!("{} cannot be read", path.display());
            Error::new(ErrorKind::Invalid, "read a backup", message).because(error)
        })?;
        let mut reader = Self {
            lines: BufReader::new(file),
            path: path.to_owned(),
            number: 0,
            digest: Sha256::new(),
            rows: BTreeMap::new(),
            table: None,
        };
        let line = reader.line()?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|_| reader.damaged("it does not begin as a backup of a store does"))?;
        if header.format != FORMAT {
            let message = format!(
                "{} has the format {}, and this build reads {FORMAT}; use the build that wrote it",
                path.display(),
                header.format
            );
            return Err(Error::new(ErrorKind::Config, "read a backup", message));
        }
        reader.digest.update(&line);
        Ok((reader, header))
    }

    /// The next line; after the trailer comes nothing.
    pub fn next(&mut self) -> Result<Line> {
        let bytes = self.line()?;
        let line = serde_json::from_slice(&bytes)
            .map_err(|_| self.damaged(&format!("line {} is not whole", self.number)))?;
        match &line {
            Line::Table(table) => {
                if self.rows.insert(table.table.clone(), 0).is_some() {
                    return Err(self.damaged(&format!("the table {} comes twice", table.table)));
                }
                self.table = Some(table.clone());
            }
            Line::Row(values) => match &self.table {
                Some(table) if table.columns.len() == values.len() => {
                    *self.rows.entry(table.table.clone()).or_default() += 1;
                }
                _ => return Err(self.damaged(&format!("line {} has another number of values", self.number))),
            },
            Line::Trailer(trailer) => {
                let sha256 = Hex(&std::mem::take(&mut self.digest).finalize()).to_string();
                if trailer.sha256 != sha256 {
                    return Err(self.damaged("its digest is that of something else"));
                }
                if trailer.rows != self.rows {
                    return Err(self.damaged("it has not the rows that it says it has"));
                }
                let rest = self.lines.fill_buf().map_err(|error| failed(&self.path, "read", error))?;
                if !rest.is_empty() {
                    return Err(self.damaged("there is something after its end"));
                }
                return Ok(line);
            }
        }
        self.digest.update(&bytes);
        Ok(line)
    }

    /// Reads on to the end.
    pub fn verify(mut self) -> Result<Trailer> {
        loop {
            if let Line::Trailer(trailer) = self.next()? {
                return Ok(trailer);
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        use std::io::Read as _;
        let mut line = Vec::new();
        let read = self.lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| failed(&self.path, "read", error))?;
        self.number += 1;
        if line.pop() != Some(b'\n') {
            return Err(self.damaged("it ends before its end"));
        }
        line.push(b'\n');
        Ok(line)
    }

    fn damaged(&self, why: &str) -> Error {
        let message = format!("{} is damaged: {why}", self.path.display());
        Error::new(ErrorKind::Corrupt, "read a backup", message)
    }
}
