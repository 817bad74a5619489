//! Probes: containers that only look. None stays, whatever becomes of the look.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use manman_core::{
    clock::{Clock, SystemClock, Timestamp},
    error::ErrorKind,
    model::ImageRef,
    runtime::Runtime,
};
use manman_docker::{
    DockerRuntime,
    testkit::{Fault, Proxy, socket},
};

use crate::{
    pull::{import, remove},
    support::{Ground, PATIENCE, eventually, refused},
};

const CREATE: &str = "/containers/create?name=manman-probe-";

/// Looks into an image that is here until that, and no call before it, runs out of time.
async fn run_out_of_time(runtime: &DockerRuntime, image: &ImageRef) {
    eventually("the look runs out of time", || async {
        let error = refused(runtime.pull(image, Box::new(|_| {})).await);
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        (error.operation() == "read the image's users").then_some(())
    })
    .await;
}

/// Waits until the engine has removed a container of this cluster since then.
async fn removed(ground: &Ground, since: Timestamp) {
    let filters = HashMap::from([
        ("label".to_owned(), vec![format!("manman.cluster={}", ground.owner.cluster)]),
        ("event".to_owned(), vec!["destroy".to_owned()]),
    ]);
    let since = (since.as_micros() / 1_000_000).to_string();
    let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
    let mut events = ground.docker.events(Some(options));
    let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("the probe goes in time");
    event.expect("the engine's events go on").unwrap();
}

fn hurried(ground: &Ground, proxy: &Proxy) -> DockerRuntime {
    ground.runtime_with(|config| {
        config.socket = proxy.socket();
        config.call_timeout_millis = 3_000;
    })
}

#[tokio::test]
async fn a_look_into_an_image_that_hangs_leaves_nothing_behind() {
    let (ground, began) = (Ground::new().await, SystemClock.now());
    let proxy = Proxy::new(&socket()).unwrap();
    let image = import(&ground, "steam", &[("etc/passwd", "steam:x:1001:1002:::\n")]).await;
    proxy.set("GET", "/archive", Fault::Hang);
    run_out_of_time(&hurried(&ground, &proxy), &image).await;
    removed(&ground, began).await;
    assert_eq!(ground.left().await, (0, 0));
    proxy.clear();
    let info = ground.runtime().pull(&image, Box::new(|_| {})).await.unwrap();
    assert_eq!((info.uid, info.gid), (Some(1001), Some(1002)));
    remove(&ground, &image).await;
}

/// The engine makes it when nobody waits for it any more.
#[tokio::test]
async fn a_probe_that_comes_late_goes() {
    let (ground, began) = (Ground::new().await, SystemClock.now());
    let proxy = Proxy::new(&socket()).unwrap();
    let image = import(&ground, "steam", &[("etc/passwd", "steam:x:1001:1002:::\n")]).await;
    proxy.set("POST", CREATE, Fault::Hold);
    run_out_of_time(&hurried(&ground, &proxy), &image).await;
    assert_eq!(ground.left().await, (0, 0));
    proxy.clear();
    removed(&ground, began).await;
    assert_eq!(ground.left().await, (0, 0));
    remove(&ground, &image).await;
}

#[tokio::test]
async fn a_probe_whose_answer_was_lost_goes() {
    let ground = Ground::new().await;
    let proxy = Proxy::new(&socket()).unwrap();
    let image = import(&ground, "steam", &[("etc/passwd", "steam:x:1001:1002:::\n")]).await;
    proxy.set("POST", CREATE, Fault::LoseAnswer);
    let runtime = ground.runtime_with(|config| config.socket = proxy.socket());
    let error = refused(runtime.pull(&image, Box::new(|_| {})).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    eventually("the probe goes", || async { (ground.left().await == (0, 0)).then_some(()) }).await;
    remove(&ground, &image).await;
}
