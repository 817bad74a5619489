use std::sync::Arc;

use super::*;
use crate::{
    broker::MAX_BODY,
    clock::Timestamp,
    console::{Batch, Channel, Gap, MAX_PIECE, Position},
    id::{Epoch, Generation, ServerId},
    viewing::Shown,
    wire::{Envelope, VERSION},
};

fn batch(pieces: &[(Channel, Vec<u8>)]) -> Arc<Batch> {
    let pieces = pieces.iter().map(|(channel, text)| (*channel, &text[..]));
    Batch::of(pieces, Position::START, Timestamp::from_micros(7)).unwrap().into()
}

fn any(random: &mut fastrand::Rng, count: usize, longest: usize) -> Vec<(Channel, Vec<u8>)> {
    let mut piece = |_| {
        let channel = random.choice(Channel::BOTH).unwrap();
        let length = random.usize(1..=longest);
        (channel, std::iter::repeat_with(|| random.u8(..)).take(length).collect())
    };
    (0..count).map(&mut piece).collect()
}

fn sent(page: Page) -> Page {
    let told = Told { view: Uuid::nil(), question: u64::MAX, answer: Answer::Shown(page) };
    let envelope = Envelope {
        version: VERSION,
        id: Uuid::now_v7(),
        issued_at: Timestamp::default(),
        not_after: None,
        server: ServerId(i64::MAX),
        epoch: Epoch(i64::MAX),
        generation: Generation::default(),
        sequence: 0,
        trace: None,
        body: told,
    };
    let body = envelope.encode().unwrap();
    assert!(body.len() <= MAX_BODY);
    let Answer::Shown(page) = Envelope::<Told>::decode(&body).unwrap().body.answer else { panic!("no page") };
    page
}

#[test]
fn pages_carry_every_piece_once_under_its_number() {
    let mut random = fastrand::Rng::with_seed(1);
    // Few long pieces, many of one byte, and all between.
    for (count, longest) in [(40, MAX_PIECE), (200_000, 1), (20_000, 200), (1, 1), (3, 5)] {
        let pieces = any(&mut random, count, longest);
        let skip = random.usize(..count);
        let mut left = Some((
            Shown::Output { first: 100 + skip as u64, skip, attempt: 3, batch: batch(&pieces) },
            100 + count as u64,
        ));
        let (mut at, mut seen, mut pages) = (100 + skip as u64, Vec::new(), 0);
        while let Some((shown, next)) = left {
            let (mut page, mut room) = (Page::new(at, 0), Page::MOST);
            left = page.add(shown, next, &mut room);
            let page = sent(page);
            (at, pages) = (page.next, pages + 1);
            for (shown, _) in page.open().unwrap() {
                let Shown::Output { first, skip: 0, attempt: 3, batch } = shown else { panic!("{shown:?}") };
                assert_eq!(first, 100 + skip as u64 + seen.len() as u64);
                assert_eq!(batch.read_at, Timestamp::from_micros(7));
                seen.extend(batch.pieces().map(|(channel, text)| (channel, text.to_vec())));
            }
        }
        assert!(seen == pieces[skip..], "{count} pieces of up to {longest} bytes");
        assert_eq!(at, 100 + count as u64);
        assert!(pages <= 16, "{pages} pages of {count} pieces");
    }
}

#[test]
fn a_full_page_of_anything_is_a_message() {
    let gap = |reason: &str| Gap {
        channel: None,
        bytes: None,
        lines: Some(1),
        uncertain: true,
        reason: reason.into(),
    };
    let (mut page, mut room, mut next) = (Page::new(1, 1), Page::MOST, 1);
    for turn in 0..100_000 {
        let shown = match turn % 3 {
            0 => Shown::Gap { sequence: next, attempt: 1, gap: gap(&"\u{1}".repeat(100_000)) },
            1 => Shown::Lagged(1),
            _ => Shown::Output {
                first: next,
                skip: 0,
                attempt: 1,
                batch: batch(&[(Channel::Stdout, vec![0; MAX_PIECE])]),
            },
        };
        if room == 0 || page.add(shown, next + 1, &mut room).is_some() {
            break;
        }
        next += 1;
    }
    assert_eq!(sent(page).open().unwrap().len() as u64, next - 1);
}

#[test]
fn what_no_console_shows_is_refused() {
    let page = |items: Vec<Item>, next| Page { from: 5, until: 9, items, next, ended: false };
    let lagged = |passed, next| Item::Lagged { passed, next };
    assert!(page(vec![lagged(1, 6)], 6).open().is_ok());
    for (items, next) in
        [(vec![lagged(1, 6), lagged(1, 6)], 6), (vec![lagged(1, 4)], 4), (vec![lagged(1, 6)], 7), (vec![], 6)]
    {
        assert!(page(items.clone(), next).open().is_err(), "{items:?}");
    }
    let bytes = |marks: &str, text: &str| {
        let json = format!(
            r#"{{"from":1,"until":1,"next":2,"ended":false,"items":[{{"output":{{"first":1,"attempt":1,"read_at":"1970-01-01T00:00:00Z","text":"{text}","marks":"{marks}"}}}}]}}"#
        );
        serde_json::from_str::<Page>(&json).map(Page::open)
    };
    // One piece of one byte is "Ag==", a length doubled.
    assert!(matches!(bytes("Ag==", "YQ=="), Ok(Ok(_))));
    for (marks, text) in [("Ag==", "YWE="), ("AA==", ""), ("gg==", "YQ=="), ("////fw==", "YQ=="), ("", "")] {
        assert!(matches!(bytes(marks, text), Ok(Err(_))), "{marks} {text}");
    }
    assert!(bytes("Ag==", "Y").is_err(), "no base64");
}
