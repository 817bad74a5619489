//! The file of a backup: lines of JSON. A header, then for each table a line with its columns
//! and a line for each row, then a trailer with what was written and a digest of it.

mod read;
mod write;

use std::{collections::BTreeMap, path::Path};

use manman_core::{
    clock::Timestamp,
    error::{Error, ErrorKind},
    hex::Hex,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use read::Reader;
pub(crate) use write::Writer;

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
    use std::path::PathBuf;

    use manman_core::error::Result;

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
    fn of_two_backups_to_one_file_one_is_there_and_the_other_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let begun = || {
            let mut writer = Writer::create(&path).unwrap();
            writer.header(&Header::new(3, "c".into(), Timestamp::from_micros(0), BTreeMap::new())).unwrap();
            writer
        };
        let (mut first, second) = (begun(), begun());
        first.table(Table { table: "games".into(), columns: vec!["id".into()] }).unwrap();
        first.row(vec![1.into()]).unwrap();
        first.finish().unwrap();
        assert_eq!(verified(&path).unwrap().rows["games"], 1);
        assert_eq!(second.finish().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(verified(&path).unwrap().rows["games"], 1);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_death_has_left_goes_with_the_next_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        let left = dir.path().join(format!("backup.{}.part", "0a".repeat(16)));
        let others = [dir.path().join("backup.part"), dir.path().join("backup.mine.part")];
        for file in [&left, &others[0], &others[1]] {
            std::fs::write(file, "half").unwrap();
        }
        // One that is being written stays.
        let under_way = Writer::create(&path).unwrap();
        assert!(!left.exists());
        Writer::create(&path).unwrap().finish().unwrap();
        drop(under_way);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), others.len());
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
