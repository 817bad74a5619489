//! The file of a backup: lines of JSON. A header, then for each table a line with its columns
//! and a line for each row, then a trailer with what was written and a digest of it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use manman_core::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    hex::Hex,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The version of this format; what is newer is refused.
const FORMAT: u32 = 1;

/// What is said first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    #[serde(rename = "manman_store_backup")]
    pub format: u32,
    /// The version of the schema.
    pub schema: i64,
    pub cluster: String,
    pub taken_at: Timestamp,
    /// How far each table's ids have been given out.
    pub counters: BTreeMap<String, i64>,
}

impl Header {
    pub fn new(schema: i64, cluster: String, taken_at: Timestamp, counters: BTreeMap<String, i64>) -> Self {
        Self { format: FORMAT, schema, cluster, taken_at, counters }
    }
}

/// A line after the header.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Row(Vec<Value>),
    Table(Table),
    Trailer(Trailer),
}

/// The rows that follow are of this table and have these columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    pub table: String,
    pub columns: Vec<String>,
}

/// What is said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trailer {
    /// How many rows each table has.
    pub rows: BTreeMap<String, u64>,
    /// SHA-256 of all lines before this one.
    pub sha256: String,
}

fn failed(path: &Path, what: &str, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};

    let message = format!("{} cannot be {what}", path.display());
    let kind = match error.kind() {
        // What was named is no place for it, however often it is tried.
        NotFound | PermissionDenied | NotADirectory | IsADirectory => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, "back up the store", message).because(error)
}

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

/// Bytes as a value.
pub(crate) fn of_bytes(bytes: &[u8]) -> Value {
    serde_json::json!({ "hex": Hex(bytes).to_string() })
}

/// A value as bytes.
pub(crate) fn to_bytes(value: &Value) -> Option<Vec<u8>> {
    let digits = value.get("hex")?.as_str()?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    if digits.len() % 2 != 0 {
        return None;
    }
    digits.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> PathBuf {
        let path = dir.join("backup");
        let mut writer = Writer::create(&path).unwrap();
        let counters = BTreeMap::from([("games".to_owned(), 7)]);
        writer.header(&Header::new(3, "c".into(), Timestamp::from_micros(0), counters)).unwrap();
        let columns = vec!["id".to_owned(), "name".to_owned()];
        writer.table(Table { table: "games".into(), columns }).unwrap();
        for id in 0..3 {
            writer.row(vec![id.into(), format!("game {id}").into()]).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn verified(path: &Path) -> Result<Trailer> {
        Reader::open(path).and_then(|(reader, _)| reader.verify())
    }

    #[test]
    fn what_was_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        assert_eq!(verified(&path).unwrap().rows["games"], 3);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(Writer::create(&path).map(drop).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(to_bytes(&of_bytes(&[0, 15, 255])).unwrap(), [0, 15, 255]);
        assert_eq!(to_bytes(&serde_json::json!({ "hex": "0" })), None);
    }

    #[test]
    fn any_byte_that_is_missing_or_another_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path());
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(verified(&path).unwrap_err().kind(), ErrorKind::Corrupt, "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(verified(&path).is_err(), "changed at {at}");
        }
        let mut longer = whole.clone();
        longer.push(b'\n');
        std::fs::write(&path, longer).unwrap();
        assert!(verified(&path).is_err());
        let newer = String::from_utf8(whole).unwrap().replacen(":1,", ":2,", 1);
        std::fs::write(&path, newer).unwrap();
        assert_eq!(verified(&path).unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(verified(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
