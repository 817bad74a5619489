use std::sync::Arc;

use manman_core::{
    broker::{Broker, Class, Exchange, Message, RoutingKey},
    console::Channel,
    control::Receipt,
    id::{Epoch, Generation, SessionId},
    memory::runtime::{Script, Stdin},
    testkit::broker::Nastiness,
    wire::{Command, Envelope, OneShot, Outcome, VERSION},
};
use uuid::Uuid;

use super::world::{World, alice, millis, run, secs};

async fn input(world: &World, session: SessionId, line: &str) -> Receipt {
    world.control.session_input(session, &line.parse().unwrap(), &alice()).await.unwrap()
}

fn printed(world: &World, session: SessionId) -> String {
    String::from_utf8(world.engine.printed(run(session, 1), Channel::Stdout).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_input_is_written_and_answered() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let before = tokio::time::Instant::now();
    let receipt = input(&world, session, "hello").await;
    assert_eq!(receipt.outcome, Outcome::Done);
    assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
    for n in 0..50 {
        input(&world, session, &format!("line {n}")).await;
    }
    world.when(async || printed(&world, session).ends_with("line 49\n")).await;
    let lines: Vec<String> = printed(&world, session).lines().map(str::to_owned).collect();
    let expected: Vec<String> =
        std::iter::once("hello".to_owned()).chain((0..50).map(|n| format!("line {n}"))).collect();
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn an_input_is_written_once_whatever_the_broker_does() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.broker.set(Nastiness::worst());
    let mut done = 0;
    for n in 0..40 {
        let receipt = input(&world, session, &format!("line {n}")).await;
        done += usize::from(receipt.outcome == Outcome::Done);
    }
    world.broker.set(Nastiness::default());
    tokio::time::sleep(secs(60)).await;
    let printed = printed(&world, session);
    for n in 0..40 {
        let times = printed.lines().filter(|line| *line == format!("line {n}")).count();
        assert!(times <= 1, "line {n} was written {times} times");
    }
    assert!(printed.lines().count() >= done);
    assert!(done >= 20, "{done} of 40 were done");
}

#[tokio::test(start_paused = true)]
async fn an_input_for_another_attempt_too_late_or_for_nobody_is_refused() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let now = world.engine.clock().now();
    for (run, not_after) in [
        (run(session, 2), now.plus(secs(10))),
        (run(session, 1), now.minus(secs(1))),
        (run(SessionId(999), 1), now.plus(secs(10))),
    ] {
        let one_shot = OneShot { id: Uuid::now_v7(), run, not_after, what: "quit".parse().unwrap() };
        let message = command(&world, Command::Input(one_shot));
        world.broker.publish(message).await.unwrap();
    }
    tokio::time::sleep(secs(5)).await;
    assert_eq!(printed(&world, session), "");
    assert_eq!(world.live(), [run(session, 1)]);
}

fn command(world: &World, body: Command) -> Message {
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: world.engine.clock().now(),
        not_after: None,
        server: world.server,
        epoch: Epoch(1),
        generation: Generation(0),
        sequence: 0,
        trace: None,
        body,
    };
    Message {
        id: envelope.id,
        exchange: Exchange::Internal,
        key: RoutingKey::command(world.server),
        class: Class::Command,
        body: envelope.encode().unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_command_is_a_dead_letter_and_the_next_one_flows() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let good = command(&world, Command::Snapshot {});
    for body in [&b"{"[..], b"{\"version\":9}", &[0xff; 1_000]] {
        let poison = Message { id: Uuid::now_v7(), body: body.to_vec().into(), ..good.clone() };
        world.broker.publish(poison).await.unwrap();
    }
    let before = tokio::time::Instant::now();
    world.up(sgc).await;
    assert!(before.elapsed() < secs(1), "{:?}", before.elapsed());
    let reasons: Vec<String> =
        world.broker.dead_letters(10).await.unwrap().into_iter().map(|dead| dead.reason).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().any(|reason| reason.starts_with("unsupported_version")), "{reasons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_game_that_reads_no_lines_holds_up_nobody_else() {
    let mut world = World::begin().await;
    let deaf = world.playing(Script::default().stdin(Stdin::Unread)).await;
    let hears = world.playing(Script::default()).await;
    let (deaf, hears) = (world.up(deaf).await, world.up(hears).await);
    let control = Arc::new(world.control.clone());
    let long = "x".repeat(4_000);
    let mut asked = Vec::new();
    for _ in 0..120 {
        let (control, long) = (control.clone(), long.clone());
        asked.push(tokio::spawn(async move {
            control.session_input(deaf, &long.parse().unwrap(), &alice()).await.unwrap()
        }));
    }
    tokio::time::sleep(millis(100)).await;
    let before = tokio::time::Instant::now();
    assert_eq!(input(&world, hears, "hello").await.outcome, Outcome::Done);
    assert!(before.elapsed() < secs(3), "{:?}", before.elapsed());
    let mut outcomes = Vec::new();
    for asked in asked {
        outcomes.push(asked.await.unwrap().outcome);
    }
    assert!(outcomes.iter().any(|outcome| *outcome != Outcome::Done), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_cannot_be_noted_is_refused_and_said() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.disk.set_full(true);
    let receipt = input(&world, session, "hello").await;
    assert!(
        matches!(&receipt.outcome, Outcome::Refused(why) if why.contains("journal")),
        "{:?}",
        receipt.outcome
    );
    world.disk.set_full(false);
    assert_eq!(input(&world, session, "again").await.outcome, Outcome::Done);
    world.when(async || printed(&world, session) == "again\n").await;
}

#[tokio::test(start_paused = true)]
async fn lines_for_a_game_whose_console_is_just_being_opened_are_written_in_order() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    world.kill().await;
    // It says to nobody what runs and gives nobody a console; it is not waited for for long to
    // register, and then commands are taken.
    world.engine.freeze();
    world.manage();
    tokio::time::sleep(secs(3)).await;
    let world = Arc::new(world);
    let mut typed = Vec::new();
    for line in ["one", "two", "three"] {
        let asks = world.clone();
        typed.push(tokio::spawn(async move { input(&asks, session, line).await.outcome }));
        tokio::time::sleep(millis(300)).await;
    }
    world.engine.thaw();
    for typed in typed {
        assert_eq!(typed.await.unwrap(), Outcome::Done);
    }
    world.when(async || printed(&world, session).lines().count() == 3).await;
    assert_eq!(printed(&world, session), "one\ntwo\nthree\n");
}
