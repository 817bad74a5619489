//! Probes: containers that only look. None stays, whatever becomes of the look.

use manman_core::{error::ErrorKind, runtime::Runtime};
use manman_docker::testkit::{Fault, Proxy, socket};

use crate::{
    pull::{import, remove},
    support::{Ground, eventually, refused},
};

/// Not even a container that only looked.
#[tokio::test]
async fn a_look_into_an_image_that_hangs_leaves_nothing_behind() {
    let ground = Ground::new().await;
    let proxy = Proxy::new(&socket()).unwrap();
    let hurried = ground.runtime_with(|config| {
        config.socket = proxy.socket();
        config.call_timeout_millis = 3_000;
    });
    let image = import(&ground, "steam", &[("etc/passwd", "steam:x:1001:1002:::\n")]).await;
    proxy.set("GET", "/archive", Fault::Hang);
    let error = refused(hurried.pull(&image, Box::new(|_| {})).await);
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    eventually("the probe goes", || async { (ground.left().await == (0, 0)).then_some(()) }).await;
    proxy.clear();
    let info = ground.runtime().pull(&image, Box::new(|_| {})).await.unwrap();
    assert_eq!((info.uid, info.gid), (Some(1001), Some(1002)));
    remove(&ground, &image).await;
}
