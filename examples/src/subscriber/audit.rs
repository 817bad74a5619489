//! A file with a line for each event, once.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use anyhow::Context as _;
use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Event, Sink};

/// Writes events into a file that is only added to. An event that comes again is written
/// once, also when this program was ended in between: what was written is read at the start.
#[derive(Debug)]
pub struct Audit {
    file: fs::File,
    written: HashSet<Uuid>,
}

impl Audit {
    /// Opens or makes the file. Half a line, which a death has left, is cut off.
    ///
    /// # Errors
    /// If it cannot be read or written, or is something else.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut open = fs::OpenOptions::new();
        let mut file = open.create(true).read(true).append(true).open(path)?;
        let (mut written, mut whole) = (HashSet::new(), 0);
        let mut reader = BufReader::new(&mut file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            let entry: Value =
                serde_json::from_str(&line).with_context(|| format!("{} is no audit", path.display()))?;
            let id = entry["id"].as_str().and_then(|id| id.parse().ok());
            written.insert(id.with_context(|| format!("{} has a line without an id", path.display()))?);
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, written })
    }
}

#[async_trait]
impl Sink for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    async fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        if self.written.contains(&event.id) {
            return Ok(());
        }
        let line = json!({ "id": event.id, "key": event.key, "event": event.what });
        // One write, so that a death leaves a line or a beginning of one.
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_data()?;
        self.written.insert(event.id);
        Ok(())
    }
}
