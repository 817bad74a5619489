//! A file with a line for each event, once.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
};

use anyhow::Context as _;
use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Event, Sink};

/// Writes events into a file that is only added to. An event that comes again is written
/// once, also when this program was ended in between: what was written is read at the start.
/// What a full disk took the half of is taken back before the next one.
#[derive(Debug)]
pub struct Audit {
    file: fs::File,
    written: HashSet<Uuid>,
    /// How long the lines are that were written.
    whole: u64,
    /// Whether there may be more in the file: what a write has left that failed.
    is_torn: bool,
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
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            let entry: Value =
                serde_json::from_slice(&line).with_context(|| format!("{} is no audit", path.display()))?;
            let id = entry["id"].as_str().and_then(|id| id.parse().ok());
            written.insert(id.with_context(|| format!("{} has a line without an id", path.display()))?);
            whole += line.len() as u64;
            line.clear();
        }
        file.set_len(whole)?;
        Ok(Self { file, written, whole, is_torn: false })
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
        if self.is_torn {
            self.file.set_len(self.whole)?;
        }
        let line = json!({ "id": event.id, "key": event.key, "event": event.what });
        let line = format!("{line}\n");
        self.is_torn = true;
        // One write, so that a death leaves a line or a beginning of one.
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.is_torn = false;
        self.whole += line.len() as u64;
        self.written.insert(event.id);
        Ok(())
    }
}
