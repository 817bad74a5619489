//! Images: used if they are here, else pulled from a registry, here one of the test's own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::{body_full, query_parameters::CreateImageOptionsBuilder};
use futures::StreamExt;
use manman_core::{
    error::ErrorKind,
    model::ImageRef,
    runtime::{PullProgress, Runtime},
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{Ground, refused};

/// How a registry answers.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Good,
    NoSuchImage,
    WantsCredentials,
    TooManyRequests,
    Stalls,
}

/// A registry with one image, as `x:1`.
struct Registry {
    port: u16,
    serving: JoinHandle<()>,
}

impl Registry {
    async fn new(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Another layer each time, so that no engine has it already.
        let layer = tar(&[("port", &port.to_string()), ("padding", &"x".repeat(3_000_000))]);
        let answers = Arc::new(image(layer));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, mood, Arc::clone(&answers)));
            }
        });
        Self { port, serving }
    }

    fn image(&self) -> ImageRef {
        format!("127.0.0.1:{}/x:1", self.port).parse().unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Manifest, config and layer by the end of their path.
fn image(layer: Vec<u8>) -> HashMap<String, (&'static str, Vec<u8>)> {
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/none"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}, "history": [],
    })
    .to_string()
    .into_bytes();
    let part = |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "size": bytes.len(), "digest": digest(bytes)});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": part("application/vnd.docker.container.image.v1+json", &config),
        "layers": [part("application/vnd.docker.image.rootfs.diff.tar.gzip", &layer)],
    })
    .to_string()
    .into_bytes();
    let blob = "application/octet-stream";
    HashMap::from([
        ("1".to_owned(), (MANIFEST, manifest.clone())),
        (digest(&manifest), (MANIFEST, manifest)),
        (digest(&config), (blob, config)),
        (digest(&layer), (blob, layer)),
    ])
}

/// A tar archive of these files (POSIX ustar).
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, text) in files {
        let mut header = vec![0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend(header);
        archive.extend(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Answers one request.
async fn answer(mut stream: TcpStream, mood: Mood, answers: Arc<HashMap<String, (&'static str, Vec<u8>)>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let last = path.rsplit('/').next().unwrap();
    let error =
        |code: &str| serde_json::json!({"errors": [{"code": code, "message": "as asked"}]}).to_string();
    let (status, kind, body) = match (mood, answers.get(last)) {
        (Mood::WantsCredentials, _) => (401, "application/json", error("UNAUTHORIZED").into_bytes()),
        (Mood::TooManyRequests, _) if path != "/v2/" => {
            (429, "application/json", error("TOOMANYREQUESTS").into_bytes())
        }
        _ if path == "/v2/" => (200, "application/json", b"{}".to_vec()),
        (Mood::NoSuchImage, _) | (_, None) => {
            (404, "application/json", error("MANIFEST_UNKNOWN").into_bytes())
        }
        (_, Some((kind, body))) => (200, *kind, body.clone()),
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nDocker-Content-Digest: {}\r\nConnection: \
         close\r\n\r\n",
        body.len(),
        digest(&body)
    );
    let _ = stream.write_all(head.as_bytes()).await;
    if method == "HEAD" {
        return;
    }
    if mood == Mood::Stalls && body.len() > 1_000_000 {
        let _ = stream.write_all(&body[..500_000]).await;
        // Until the engine gives up.
        while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
        return;
    }
    let _ = stream.write_all(&body).await;
}

#[tokio::test]
async fn an_image_is_pulled_once_with_progress() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let registry = Registry::new(Mood::Good).await;
    let seen = Arc::<Mutex<Vec<PullProgress>>>::default();
    let sink = Arc::clone(&seen);
    let image = registry.image();
    let pulled =
        runtime.pull(&image, Box::new(move |progress| sink.lock().unwrap().push(progress))).await.unwrap();
    assert!(pulled.digest.contains("@sha256:"), "{}", pulled.digest);
    assert_eq!((pulled.uid, pulled.gid), (Some(0), Some(0)));
    let texts: Vec<_> = seen.lock().unwrap().iter().map(|progress| progress.text.clone()).collect();
    assert!(texts.iter().any(|text| text.ends_with("of 3 MB")), "{texts:?}");
    // From now on nobody is asked.
    drop(registry);
    let silent = Box::new(|progress: PullProgress| panic!("{progress:?}"));
    assert_eq!(runtime.pull(&image, silent).await.unwrap(), pulled);
    remove(&ground, &image).await;
}

#[tokio::test]
async fn what_a_registry_refuses_is_told_apart() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    for (mood, kind, why) in [
        (Mood::NoSuchImage, ErrorKind::NotFound, "its registry has no such image"),
        (Mood::WantsCredentials, ErrorKind::Denied, "its registry wants other credentials"),
        (
            Mood::TooManyRequests,
            ErrorKind::Unavailable,
            "its registry asks to come back later: too many requests",
        ),
    ] {
        let registry = Registry::new(mood).await;
        let image = registry.image();
        let error = refused(runtime.pull(&image, Box::new(|_| {})).await);
        assert_eq!(
            (error.kind(), error.message()),
            (kind, format!("the image {image} is not available: {why}").as_str()),
            "{error:?}"
        );
    }
    let away = "127.0.0.1:1/x:1".parse().unwrap();
    let error = refused(runtime.pull(&away, Box::new(|_| {})).await);
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Unavailable, true));
    assert!(error.message().contains("its registry does not answer"), "{error}");
}

/// "Dropping the future cancels the pull", and nobody waits for one.
#[tokio::test]
async fn a_pull_that_hangs_holds_nobody_up() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let registry = Registry::new(Mood::Stalls).await;
    let image = registry.image();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let pull = runtime.pull(&image, Box::new(move |progress| drop(tell.send(progress))));
    tokio::select! {
        done = pull => panic!("{done:?}"),
        () = async {
            while told.recv().await.is_some_and(|progress| !progress.text.contains("MB")) {}
            runtime.list().await.unwrap();
        } => {}
    }
    // The pull was dropped: a second one is no continuation of a stuck one.
    let again = runtime.pull(&image, Box::new(|_| {}));
    assert!(tokio::time::timeout(Duration::from_millis(300), again).await.is_err());
    runtime.list().await.unwrap();
}

pub async fn remove(ground: &Ground, image: &ImageRef) {
    let options = None::<bollard::query_parameters::RemoveImageOptions>;
    ground.docker.remove_image(image.as_str(), options, None).await.unwrap();
}

/// Makes an image with these files whose processes run as `user`.
pub async fn import(ground: &Ground, user: &str, files: &[(&str, &str)]) -> ImageRef {
    let name = format!("manman-user-{}:{}", ground.owner.cluster.short(), user.replace(':', "-"));
    let options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(name.split(':').next().unwrap())
        .tag(name.split(':').next_back().unwrap())
        .changes(vec![format!("USER {user}")])
        .build();
    let body = body_full(tar(files).into());
    let mut steps = ground.docker.create_image(Some(options), Some(body), None);
    while let Some(step) = steps.next().await {
        step.unwrap();
    }
    name.parse().unwrap()
}

#[tokio::test]
async fn the_user_of_an_image_is_found_in_its_files() {
    let ground = Ground::new().await;
    let runtime = ground.runtime();
    let files =
        [("etc/passwd", "root:x:0:0:::\nsteam:x:1001:1002:::\n"), ("etc/group", "root:x:0:\ngames:x:60:\n")];
    for (user, uid, gid) in [
        ("steam", Some(1001), Some(1002)),
        ("steam:games", Some(1001), Some(60)),
        ("1001", Some(1001), Some(1002)),
        ("77:88", Some(77), Some(88)),
        ("nobody", None, None),
    ] {
        let image = import(&ground, user, &files).await;
        let info = runtime.pull(&image, Box::new(|_| {})).await.unwrap();
        assert_eq!((info.uid, info.gid), (uid, gid), "{user}");
        remove(&ground, &image).await;
    }
    let bare = import(&ground, "4242", &[("empty", "")]).await;
    let info = runtime.pull(&bare, Box::new(|_| {})).await.unwrap();
    assert_eq!((info.uid, info.gid), (Some(4242), Some(0)), "an image without a passwd");
    remove(&ground, &bare).await;
    assert_eq!(ground.left().await, (0, 0), "what was looked into is gone");
    let testgame =
        runtime.pull(&"manman-fixture/testgame:1".parse().unwrap(), Box::new(|_| {})).await.unwrap();
    assert_eq!((testgame.uid, testgame.gid), (Some(1000), Some(1000)));
}
