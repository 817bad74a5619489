//! How soon, and in how many messages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures::StreamExt;
use manman_core::{
    broker::{Broker, Exchange, MAX_BODY, Pattern, Queue},
    console::Channel,
    memory::runtime::{Act, Script},
    model::State,
    viewing::{Begin, Shown},
};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    common::{next, within},
    stage::{open, replica},
    world::{World, alice, millis, secs},
};

/// Counts messages.
pub struct Tap(
    Arc<AtomicUsize>,
    #[expect(dead_code, reason = "counts while it lives")] AbortOnDropHandle<()>,
);

impl Tap {
    pub async fn on(world: &World, pattern: &str) -> Self {
        let queue = Queue {
            name: format!("tap of {pattern}"),
            bindings: vec![(Exchange::Internal, Pattern::new(pattern))],
            durable: false,
            single_consumer: true,
            max_messages: 100_000,
            max_deliveries: 1,
            max_age: None,
        };
        world.queues.declare(&queue).await.unwrap();
        let mut consumer = world.queues.consume(&queue.name).await.unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let counts = count.clone();
        Self(
            count,
            AbortOnDropHandle::new(tokio::spawn(async move {
                while let Ok(delivery) = consumer.next().await {
                    assert!(delivery.message.body.len() <= MAX_BODY);
                    counts.fetch_add(1, SeqCst);
                    delivery.handle.ack().await.unwrap();
                }
            })),
        )
    }

    pub fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_is_shown_when_it_is_printed() {
    let mut world = World::begin().await;
    let sgc = world.playing(Script::default()).await;
    let session = world.up(sgc).await;
    let input = |text: &str| {
        let (control, line) = (world.control.clone(), text.parse().unwrap());
        async move { control.session_input(session, &line, &alice()).await.unwrap() }
    };
    input("hello").await;
    let mut shown = open(&replica(&world), session, Begin::At(1), true).await;
    within(shown.next()).await.unwrap();
    for pause in [0, 50, 4_900, 5_100, 60_000] {
        tokio::time::sleep(millis(pause)).await;
        input("again").await;
        let printed = Instant::now();
        next(&mut shown).await;
        assert!(printed.elapsed() <= millis(100), "{:?} after a pause of {pause} ms", printed.elapsed());
    }
    // After a rest, at once.
    let asked = Instant::now();
    tokio::time::sleep(secs(1)).await;
    input("at once").await;
    next(&mut shown).await;
    assert!(asked.elapsed() < millis(1_100), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_lines_a_second_are_followed_with_a_few_messages() {
    let mut world = World::begin().await;
    let ten = b"a line of a console, of which a game prints very many\n".repeat(10);
    let tick = [Act::Print(Channel::Stdout, ten), Act::Wait(millis(1))];
    let ticks = tick.iter().cycle().take(20_000).cloned();
    let sgc = world.playing(Script::of(ticks.chain([Act::Exit(0)]))).await;
    let session = world.up(sgc).await;
    let (answers, questions) = (Tap::on(&world, "logs.#").await, Tap::on(&world, "ask.#").await);
    let mut shown = open(&replica(&world), session, Begin::At(1), true).await;
    let (began, mut lines) = (Instant::now(), 0);
    let work = std::time::Instant::now();
    while let Some(item) = within(shown.next()).await {
        if let Shown::Output { batch, skip, .. } = item {
            lines += batch.len() - skip;
        }
    }
    let took = began.elapsed();
    world.until(session, State::Completed).await;
    assert_eq!(lines, 100_000);
    let (answers, questions) = (answers.count(), questions.count());
    println!(
        "{lines} lines in {took:?}: {questions} questions, {answers} answers; {:?} of work",
        work.elapsed()
    );
    assert!(answers as f64 / took.as_secs_f64() < 20.0, "{answers} answers in {took:?}");
}
