//! Images: used if they are here, else pulled; and the user that their processes run as.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bollard::{
    models::{CreateImageInfo, ImageInspect},
    query_parameters::{CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder},
};
use futures::StreamExt;
use manman_core::{
    error::{Error, ErrorKind, Result},
    model::{ImageRef, RunAs},
    runtime::{ImageInfo, ProgressSink, PullProgress},
};
use tracing::debug;

use crate::{
    client::Client,
    passwd::{self, Ids},
    probe::Probes,
    translate::{is_absent, translate, translate_pull},
};

const OPERATION: &str = "pull image";

/// The most of an image's passwd or group file that is read.
const MAX_FILE: usize = 1 << 20;

/// The images of an engine.
#[derive(Debug)]
pub(crate) struct Images {
    client: Arc<Client>,
    probes: Probes,
    /// Users by the image's id, which names its content.
    users: Mutex<HashMap<String, Ids>>,
}

impl Images {
    pub(crate) fn new(client: Arc<Client>, probes: Probes) -> Self {
        Self { client, probes, users: Mutex::default() }
    }

    /// Brings the image here unless it is.
    pub(crate) async fn pull(&self, image: &ImageRef, progress: &ProgressSink) -> Result<ImageInfo> {
        let here = match self.client.within(OPERATION, self.inspect(image)).await? {
            Some(here) => here,
            None if image.is_host() => {
                let message = format!(
                    "{} is the machine itself, and games run in containers here: name an image, or run them as plain \
                     processes (`manman up --runtime process`)",
                    ImageRef::HOST
                );
                return Err(Error::new(ErrorKind::NotFound, OPERATION, message));
            }
            None => {
                self.fetch(image, progress).await?;
                let here = self.client.within(OPERATION, self.inspect(image)).await?;
                here.ok_or_else(|| {
                    let message = format!("the image {image} was pulled and is not available");
                    Error::new(ErrorKind::Unexpected, OPERATION, message)
                })?
            }
        };
        let id = here.id.clone().unwrap_or_default();
        let user = here.config.as_ref().and_then(|config| config.user.clone()).unwrap_or_default();
        let ids = self.user(&id, &user).await?;
        let digest = here.repo_digests.unwrap_or_default().into_iter().next().unwrap_or(id);
        Ok(ImageInfo { digest, uid: ids.uid, gid: ids.gid })
    }

    async fn inspect(&self, image: &ImageRef) -> Result<Option<ImageInspect>> {
        match self.client.docker(OPERATION).await?.inspect_image(image.as_str()).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(translate(OPERATION, error)),
        }
    }

    /// Pulls. Dropping this closes the connection, by which the engine stops.
    async fn fetch(&self, image: &ImageRef, progress: &ProgressSink) -> Result<()> {
        let docker = self.client.within(OPERATION, self.client.docker(OPERATION)).await?;
        let options = CreateImageOptionsBuilder::new().from_image(image.as_str()).build();
        let mut steps = docker.create_image(Some(options), None, None);
        let mut layers = Layers::default();
        while let Some(step) = steps.next().await {
            let step = step.map_err(|error| translate_pull(OPERATION, image, error))?;
            // Also when nothing is to be told anew: that it goes on is word enough for whoever waits.
            if let Some(text) = layers.after(&step) {
                progress(PullProgress { text });
            }
        }
        Ok(())
    }

    /// Who `user`, as the image says it, is by the image's own files.
    async fn user(&self, image: &str, user: &str) -> Result<Ids> {
        if user.is_empty() {
            return Ok(Ids { uid: Some(0), gid: Some(0) });
        }
        if let Ok(RunAs { uid, gid: Some(gid) }) = user.parse() {
            return Ok(Ids { uid: Some(uid), gid: Some(gid) });
        }
        if let Some(&known) = self.users().get(image) {
            return Ok(known);
        }
        let files = self.client.within("read the image's users", self.files(image)).await?;
        let ids = passwd::resolve(user, &files.passwd, &files.group);
        let mut users = self.users();
        // Bounded, however many images come and go.
        if users.len() >= 256 {
            users.clear();
        }
        users.insert(image.to_owned(), ids);
        Ok(ids)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, Ids>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads them from a container that is never started. What ran out of time leaves none
    /// behind.
    async fn files(&self, image: &str) -> Result<Files> {
        let operation = "read the image's users";
        let probe = self.probes.create(operation, image, vec![]).await?;
        let passwd = self.file(probe.name(), "/etc/passwd").await?;
        let group = self.file(probe.name(), "/etc/group").await?;
        probe.remove(operation).await?;
        Ok(Files { passwd, group })
    }

    /// A file of a container; empty if there is none.
    async fn file(&self, container: &str, path: &str) -> Result<String> {
        let operation = "read the image's users";
        let docker = self.client.docker(operation).await?;
        let mut path = path.to_owned();
        // As many links as anybody would put in a row.
        for _ in 0..4 {
            let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
            let mut stream = docker.download_from_container(container, Some(options));
            let mut archive = Vec::new();
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) => archive.extend_from_slice(&chunk),
                    Err(error) if is_absent(&error) => return Ok(String::new()),
                    Err(error) => return Err(translate(operation, error)),
                }
                if archive.len() > MAX_FILE {
                    debug!("{path} of an image is longer than 1 MiB and is not read");
                    return Ok(String::new());
                }
            }
            match passwd::first_entry(&archive) {
                Some(passwd::Entry::File(text)) => return Ok(String::from_utf8_lossy(text).into_owned()),
                Some(passwd::Entry::Link(target)) if target.starts_with('/') => path = target,
                Some(passwd::Entry::Link(target)) => path = format!("/etc/{target}"),
                None => return Ok(String::new()),
            }
        }
        Ok(String::new())
    }
}

struct Files {
    passwd: String,
    group: String,
}

/// How far each layer of a pull is.
#[derive(Default)]
struct Layers {
    done: HashMap<String, (i64, i64)>,
    last: Option<String>,
}

impl Layers {
    /// What to tell after `step`, which may be what was told before; `None` before there is
    /// anything to tell.
    fn after(&mut self, step: &CreateImageInfo) -> Option<String> {
        if let Some(news) = self.news(step) {
            self.last = Some(news);
        }
        self.last.clone()
    }

    /// What there is to tell of `step`.
    fn news(&mut self, step: &CreateImageInfo) -> Option<String> {
        let status = step.status.as_deref()?;
        let detail = step.progress_detail.as_ref();
        if let (Some(id), Some((current, total))) =
            (&step.id, detail.and_then(|d| Some((d.current?, d.total?))))
            && status == "Downloading"
            && total > 0
        {
            self.done.insert(id.clone(), (current, total));
        }
        if let ("Download complete", Some(done)) =
            (status, step.id.as_ref().and_then(|id| self.done.get_mut(id)))
        {
            done.0 = done.1;
        }
        match status {
            "Downloading" | "Download complete" => self.downloaded(),
            "Extracting" => Some("extracting".to_owned()),
            "Verifying Checksum" => Some("verifying".to_owned()),
            "Waiting" | "Pulling fs layer" | "Pull complete" | "Already exists" => None,
            other => Some(other.to_lowercase()),
        }
    }

    fn downloaded(&self) -> Option<String> {
        let current: i64 = self.done.values().map(|done| done.0).sum();
        let total: i64 = self.done.values().map(|done| done.1).sum();
        let mega = |bytes: i64| (bytes + 500_000) / 1_000_000;
        (total > 0).then(|| format!("{} of {} MB", mega(current), mega(total).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(status: &str, id: &str, progress: Option<(i64, i64)>) -> CreateImageInfo {
        let detail = progress.map(|(current, total)| serde_json::json!({"current": current, "total": total}));
        let step = serde_json::json!({"status": status, "id": id, "progressDetail": detail});
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn progress_adds_up_the_layers() {
        let mut layers = Layers::default();
        assert_eq!(layers.after(&step("Pulling from x", "1", None)), Some("pulling from x".into()));
        let same = layers.after(&step("Pulling fs layer", "a", None));
        assert_eq!(same, Some("pulling from x".into()));
        let some = Some("2 of 10 MB".to_owned());
        assert_eq!(layers.after(&step("Downloading", "a", Some((2_000_000, 10_000_000)))), some);
        assert_eq!(layers.after(&step("Downloading", "a", Some((2_000_001, 10_000_000)))), some);
        assert_eq!(layers.after(&step("Downloading", "b", Some((0, 70_000_000)))), Some("2 of 80 MB".into()));
        assert_eq!(layers.after(&step("Download complete", "a", None)), Some("10 of 80 MB".into()));
        // A large layer says the same for many minutes, and each time that it goes on.
        for current in 1..=3 {
            assert_eq!(layers.after(&step("Extracting", "a", Some((current, 9)))), Some("extracting".into()));
        }
        assert_eq!(layers.after(&step("Pull complete", "a", None)), Some("extracting".into()));
    }
}
