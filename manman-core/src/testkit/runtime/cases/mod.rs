//! The cases, each with the words of the contract that it holds a backend to.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

pub mod console;
pub mod life;
pub mod look;

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    Game, PATIENCE, RuntimeFixture, Screen,
    fixture::{spec, tcp},
};
use crate::{
    console::Channel,
    error::{ErrorKind, Result},
    runtime::{AttemptState, ContainerSpec, Exit, Runtime},
};

/// Looks again until `look` gives something.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let all = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{what} in time"))
}

/// Creates what `spec` says, with all that comes before.
async fn made(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) {
    runtime.pull(&spec.image, Box::new(|_| {})).await.expect("the image of the fixture is to be had");
    runtime.prepare(spec, None).await.expect("the directories can be made");
    runtime.create(spec).await.expect("create");
}

/// Creates and starts what `spec` says, and waits until it would obey.
async fn ready(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) -> Screen {
    made(runtime, spec).await;
    let mut screen = Screen::open(runtime, spec.run).await;
    runtime.start(spec.run).await.expect("start");
    screen.until_line(Channel::Stdout, "ready").await;
    screen
}

/// Waits until the attempt has ended.
async fn ended(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) -> Exit {
    eventually("the game ends", || async {
        match runtime.inspect(spec.run).await.expect("inspect").expect("it is there").state {
            AttemptState::Exited(exit) => Some(exit),
            _ => None,
        }
    })
    .await
}

/// Stops it if it lives, and removes it and its network.
async fn gone(runtime: &Arc<dyn Runtime>, spec: &ContainerSpec) {
    runtime.kill(spec.run).await.expect("kill");
    eventually("the container goes", || async {
        match runtime.remove(spec.run).await {
            Ok(()) => Some(()),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Busy) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
    runtime.remove_network(spec.run.session).await.expect("remove network");
}

/// The kind of error, or a panic if there is none.
fn refused<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("this is refused").kind()
}
