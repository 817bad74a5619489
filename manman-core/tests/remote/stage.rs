//! What these stories share: replicas, viewers, and what is to be seen.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::BoxStream};
use manman_core::{
    console::Channel,
    control::{ControlConfig, RemoteConsoles},
    error::{ErrorKind, Result},
    id::SessionId,
    memory::runtime::{Act, Script},
    viewing::{Begin, Shown, Viewing},
};

use crate::{common::Seen, world::World};

/// A replica of the API.
pub fn replica(world: &World) -> RemoteConsoles {
    RemoteConsoles::new(world.store.clone(), Arc::new(world.broker.clone()), ControlConfig::default())
}

/// Prints so many pairs of lines and ends.
pub fn flood(lines: u32, pause: Duration) -> Script {
    Script::of([
        Act::Print(Channel::Stdout, b"ready\n".to_vec()),
        Act::Count { lines, pause, same: false },
        Act::Print(Channel::Stdout, b"> ".to_vec()),
        Act::Exit(0),
    ])
}

/// The console as soon as there is one.
pub async fn open(
    viewing: &dyn Viewing,
    session: SessionId,
    begin: Begin,
    follow: bool,
) -> BoxStream<'static, Shown> {
    loop {
        match viewing.view(session, begin, follow).await {
            Ok(shown) => return shown,
            Err(error) => {
                let kinds = [ErrorKind::NotFound, ErrorKind::Unavailable, ErrorKind::Timeout];
                assert!(kinds.contains(&error.kind()), "{error:?}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// All that is shown, taken with pauses of up to `slow`.
pub async fn watch(mut shown: BoxStream<'static, Shown>, slow: Duration, seed: u64) -> Seen {
    let (mut seen, mut random) = (Seen::default(), fastrand::Rng::with_seed(seed));
    while let Some(item) = shown.next().await {
        seen.take(item);
        if random.u8(..8) == 0 {
            tokio::time::sleep(slow.mul_f64(random.f64())).await;
        }
    }
    seen
}

/// What whoever looks at the host itself sees, all of it.
pub async fn whole(world: &World, session: SessionId) -> Seen {
    let local = world.manager().consoles();
    watch(local.view(session, Begin::At(1), false).await.unwrap(), Duration::ZERO, 0).await
}

/// What was seen from the first piece of it on is what the host has.
pub fn assert_alike(seen: &Seen, all: &Seen, what: &str) {
    let Some(&first) = seen.pieces.keys().next() else { panic!("{what}: nothing was seen") };
    let tail: Vec<_> = all.pieces.range(first..).collect();
    assert!(seen.pieces.iter().eq(tail), "{what}: not what the host has from {first} on");
    assert_eq!(seen.lagged, 0, "{what}");
    let gaps =
        |seen: &Seen| seen.gaps.iter().filter(|(number, _)| *number >= first).cloned().collect::<Vec<_>>();
    assert_eq!(gaps(seen), gaps(all), "{what}");
}

/// The error of a view that fails.
pub async fn refused(viewing: &dyn Viewing, session: SessionId, follow: bool) -> Result<()> {
    viewing.view(session, Begin::At(1), follow).await.map(drop)
}
