//! What a viewer is promised, told of a console here and of one on another machine alike.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use manman_core::{
    error::ErrorKind,
    host::{
        Manager,
        console::Consoles,
        journal::Journal,
        spool::{FileSpool, SpoolConfig},
    },
    id::SessionId,
    model::State,
    viewing::{Begin, Viewing},
};

use crate::{
    common::{Seen, next, within},
    stage::{assert_alike, flood, open, refused, replica, watch},
    world::{World, millis, secs},
};

/// An installation, and a way to look at its consoles.
struct Place {
    world: World,
    viewing: Arc<dyn Viewing>,
    local: Consoles,
}

impl Place {
    async fn new(remote: bool) -> Self {
        let mut world = World::still(7).await;
        world.process();
        let manager = world.manager();
        let local = manager.consoles();
        drop(world.run(manager));
        let viewing: Arc<dyn Viewing> =
            if remote { Arc::new(replica(&world)) } else { Arc::new(local.clone()) };
        Self { world, viewing, local }
    }

    /// A session that prints so many pairs of lines.
    async fn playing(&mut self, lines: u32, pause: Duration) -> SessionId {
        let sgc = self.world.playing(flood(lines, pause)).await;
        self.world.up(sgc).await
    }

    async fn seen(&self, session: SessionId, begin: Begin, follow: bool) -> Seen {
        within(watch(open(&*self.viewing, session, begin, follow).await, Duration::ZERO, 1)).await
    }

    /// All of a console, as it is here.
    async fn all(&self, session: SessionId) -> Seen {
        let shown = self.local.view(session, Begin::At(1), false).await.unwrap();
        watch(shown, Duration::ZERO, 1).await
    }
}

/// `NotFound` if nothing is kept of that session.
async fn what_is_not_kept_is_not_found(place: Place) {
    for follow in [true, false] {
        let refused = refused(&*place.viewing, SessionId(99), follow).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
    }
}

/// From `begin` on: at this number, or so many before the newest.
async fn a_viewer_begins_where_it_says(mut place: Place) {
    let session = place.playing(100, millis(1)).await;
    place.world.until(session, State::Completed).await;
    let all = place.all(session).await;
    assert_eq!(all.pieces.len(), 202);
    let begins = [(Begin::At(0), 1), (Begin::At(1), 1), (Begin::At(57), 57), (Begin::At(202), 202)];
    let lasts = [(Begin::Last(1), 202), (Begin::Last(60), 143), (Begin::Last(u64::MAX), 1)];
    for (begin, first) in begins.into_iter().chain(lasts) {
        for follow in [true, false] {
            let seen = place.seen(session, begin, follow).await;
            assert_eq!(seen.pieces.keys().next(), Some(&first), "{begin:?}");
            assert_alike(&seen, &all, &format!("{begin:?}"));
        }
    }
    for begin in [Begin::At(203), Begin::At(u64::MAX), Begin::Last(0)] {
        for follow in [true, false] {
            assert!(place.seen(session, begin, follow).await.pieces.is_empty(), "{begin:?}");
        }
    }
}

/// With `follow` it goes on until the session has ended and all is shown.
async fn who_follows_sees_all_to_the_end(mut place: Place) {
    let session = place.playing(1_000, millis(2)).await;
    let early = open(&*place.viewing, session, Begin::At(1), true).await;
    let early = tokio::spawn(watch(early, Duration::ZERO, 1));
    tokio::time::sleep(secs(1)).await;
    let late = place.seen(session, Begin::Last(10), true).await;
    assert_eq!(place.world.session(session).await.state, State::Completed);
    let (early, all) = (within(early).await.unwrap(), place.all(session).await);
    assert_eq!((early.pieces.len(), all.pieces.len()), (2_002, 2_002));
    assert_alike(&early, &all, "early");
    assert_alike(&late, &all, "late");
}

/// Else it ends with what there is.
async fn who_does_not_follow_sees_what_there_is(mut place: Place) {
    let session = place.playing(50_000, millis(1)).await;
    tokio::time::sleep(secs(5)).await;
    let before = place.all(session).await.pieces.len();
    let seen = place.seen(session, Begin::At(1), false).await;
    let after = place.all(session).await.pieces.len();
    seen.assert_contiguous("what there is");
    assert!((before..=after).contains(&seen.pieces.len()), "{before} {} {after}", seen.pieces.len());
    assert!(place.world.live().len() == 1);
}

/// Each viewer is on its own.
async fn who_does_not_read_holds_up_nobody(mut place: Place) {
    let session = place.playing(2_000, millis(1)).await;
    let mut stuck = open(&*place.viewing, session, Begin::At(1), true).await;
    let mut seen = Seen::default();
    seen.take(next(&mut stuck).await);
    let other = place.seen(session, Begin::At(1), true).await;
    let all = place.all(session).await;
    assert_alike(&other, &all, "another one");
    while let Some(item) = within(stuck.next()).await {
        seen.take(item);
    }
    assert_alike(&seen, &all, "the one who did not read");
}

/// The same in real time, with threads, and consoles on a disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_a_disk_is_shown_to_other_machines() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::still(7).await;
    world.process();
    let spool = FileSpool::new(dir.path(), SpoolConfig::default()).unwrap();
    let runtime = Arc::new(world.engine.runtime(world.owner.clone()));
    let manager = Manager::builder(runtime, Arc::new(world.broker.clone()), world.uplink.clone())
        .clock(world.engine.clock())
        .journal(Journal::open(world.disk.clone()).unwrap())
        .spool(Arc::new(spool))
        .build(world.config.clone())
        .unwrap();
    let local = manager.consoles();
    drop(world.run(manager));
    let mut place = Place { viewing: Arc::new(replica(&world)), world, local };
    let sgc = place.world.playing(flood(2_000, millis(1))).await;
    // It may be over before anybody has seen it running.
    let session = place.world.start(sgc).await;
    let early = open(&*place.viewing, session, Begin::At(1), true).await;
    let early = tokio::spawn(watch(early, Duration::ZERO, 1));
    let late = place.seen(session, Begin::Last(100), true).await;
    let (early, past) = (within(early).await.unwrap(), place.seen(session, Begin::At(7), false).await);
    let all = place.all(session).await;
    assert_eq!((early.pieces.len(), all.pieces.len()), (4_002, 4_002));
    for seen in [&early, &late, &past] {
        assert_alike(seen, &all, "on a disk");
    }
}

macro_rules! alike {
    ($($case:ident)*) => {
        mod here {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(super::Place::new(false).await).await;
            })*
        }

        mod there {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(super::Place::new(true).await).await;
            })*
        }
    };
}

alike! {
    what_is_not_kept_is_not_found
    a_viewer_begins_where_it_says
    who_follows_sees_all_to_the_end
    who_does_not_follow_sees_what_there_is
    who_does_not_read_holds_up_nobody
}
