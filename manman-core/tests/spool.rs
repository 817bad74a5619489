//! The spool on a disk: exact after a death at any byte, bounded, and readable from anywhere.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{fs, path::Path, sync::Arc};

use manman_core::{
    clock::Timestamp,
    console::{Batch, Channel, Gap, Position, Resume},
    error::ErrorKind,
    host::spool::{Entry, FileSpool, Kept, MemorySpool, Spool, SpoolConfig},
    id::SessionId,
};
use proptest::prelude::*;

const SESSION: SessionId = SessionId(7);

/// Entries with every kind of thing in them, numbered from `first`.
fn entries(random: &mut fastrand::Rng, first: u64, count: usize, longest: usize) -> Vec<Entry> {
    let (mut next, mut attempt, mut entries) = (first, 1, Vec::new());
    for n in 0..count {
        if random.u8(..) < 20 {
            attempt += 1;
        }
        let position = Position::from_bytes(&(n as u64 + 1).to_le_bytes()).unwrap();
        let at = Timestamp::from_micros(n as i64);
        let what = if random.u8(..) < 20 {
            let gap = Gap {
                channel: random.bool().then_some(Channel::Stderr),
                bytes: Some(random.u64(..)),
                lines: None,
                uncertain: random.bool(),
                reason: "told by a test".to_owned(),
            };
            Kept::Gap(gap, position, at)
        } else {
            let pieces: Vec<(Channel, Vec<u8>)> = (0..random.usize(1..12))
                .map(|_| {
                    let mut piece: Vec<u8> = (0..random.usize(0..longest)).map(|_| random.u8(..)).collect();
                    piece.push(b'\n');
                    (*random.choice(&Channel::BOTH).unwrap(), piece)
                })
                .collect();
            let pieces = pieces.iter().map(|(channel, piece)| (*channel, piece.as_slice()));
            Kept::Output(Arc::new(Batch::of(pieces, position, at).unwrap()))
        };
        let numbers = match &what {
            Kept::Output(batch) => batch.len() as u64,
            Kept::Gap(..) => random.u64(1..5),
        };
        let entry = Entry { first: next, numbers, attempt, what };
        next = entry.next();
        entries.push(entry);
    }
    entries
}

/// Where to go on, told by all that was kept.
fn resume_of(entries: &[Entry], attempt: u32) -> Option<Resume> {
    let of_attempt = || entries.iter().filter(|entry| entry.attempt == attempt);
    let position = of_attempt().next_back()?.position();
    let mut pieces = Vec::new();
    for entry in of_attempt() {
        match &entry.what {
            Kept::Output(batch) => pieces.extend(batch.pieces().map(|(of, piece)| (of, piece.to_vec()))),
            Kept::Gap(..) => pieces.clear(),
        }
    }
    for channel in Channel::BOTH {
        let many = pieces.iter().filter(|(of, _)| *of == channel).count();
        let mut over = many.saturating_sub(Resume::TAIL);
        pieces.retain(|(of, _)| {
            let drop = *of == channel && over > 0;
            over -= usize::from(drop);
            !drop
        });
    }
    Some(Resume { position, tail: pieces })
}

/// Looks at the last attempts; beyond a cap only the last one is sure to be told.
fn assert_resumes(spool: &dyn Spool, entries: &[Entry], oldest: u32) {
    let attempts = entries.last().map_or(1, |entry| entry.attempt);
    let next = entries.last().map_or(1, Entry::next);
    for attempt in attempts.saturating_sub(oldest).max(1)..=attempts + 1 {
        let (told, wanted) = (spool.resume(SESSION, attempt, next).unwrap(), resume_of(entries, attempt));
        assert_eq!(told.is_some(), wanted.is_some(), "attempt {attempt}");
        if let (Some(told), Some(wanted)) = (told, wanted) {
            assert_eq!(told.position, wanted.position);
            // A tail is bounded in bytes, so it may be shorter, at its old end.
            assert!(wanted.tail.ends_with(&told.tail), "attempt {attempt}");
            let bytes: usize = wanted.tail.iter().map(|(_, piece)| piece.len()).sum();
            assert!(
                told.tail.len() == wanted.tail.len() || bytes > 60_000,
                "attempt {attempt}: {} of {} pieces with {bytes} bytes by {spool:?}",
                told.tail.len(),
                wanted.tail.len()
            );
        }
    }
}

fn read_all(spool: &dyn Spool, enough: usize) -> Vec<Entry> {
    let mut history = spool.read(SESSION).unwrap().expect("something is kept");
    let span = history.span().unwrap();
    let (mut all, mut from) = (Vec::new(), span.first);
    while from < span.next {
        let read = history.read(from, span.next, enough).unwrap();
        assert!(!read.is_empty(), "nothing at {from} of {span:?}");
        from = read.last().unwrap().next();
        all.extend(read);
    }
    all
}

fn config(session_bytes: u64) -> SpoolConfig {
    let mut config = SpoolConfig::default();
    config.session_bytes = session_bytes;
    config
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let session = fs::read_dir(dir.join(SESSION.to_string())).unwrap();
    let mut paths: Vec<_> = session.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

/// Cuts the newest segment to `len` bytes, and shows that what is kept is a beginning of
/// `entries`, that its numbers go on, and that nothing else changed.
fn assert_survives_cut(dir: &Path, last: &Path, whole: &[u8], len: usize, entries: &[Entry]) {
    fs::write(last, &whole[..len]).unwrap();
    let spool = FileSpool::new(dir, config(1 << 20)).unwrap();
    let mut keeper = spool.open(SESSION).unwrap();
    let next = keeper.span().next;
    let kept = entries.iter().take_while(|entry| entry.next() <= next).count();
    assert_eq!(next, entries[..kept].last().map_or(1, Entry::next), "a cut at {len} falls between entries");
    if next > 1 {
        assert!(read_all(&spool, usize::MAX) == entries[..kept], "a cut at {len} changes nothing before it");
    }
    assert_resumes(&spool, &entries[..kept], 2);
    keeper.append(&entries[kept..]).unwrap();
    drop(keeper);
    assert!(read_all(&spool, 1 << 10) == entries, "after a cut at {len} all can be appended again");
}

#[test]
fn a_death_at_any_byte_leaves_numbering_exact() {
    let dir = tempfile::tempdir().unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(3), 1, 24, 20);
    let spool = FileSpool::new(dir.path(), config(1 << 20)).unwrap();
    for some in entries.chunks(5) {
        // Each life appends a little.
        spool.open(SESSION).unwrap().append(some).unwrap();
    }
    let paths = segments(dir.path());
    let whole = fs::read(&paths[0]).unwrap();
    for len in 0..whole.len() {
        assert_survives_cut(dir.path(), &paths[0], &whole, len, &entries);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_appended_is_read_from_anywhere(seed: u64, longest in 1usize..3000) {
        let random = &mut fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let entries = entries(random, 1, 60, longest);
        let files = FileSpool::new(dir.path(), config(64 << 20)).unwrap();
        let small = FileSpool::new(dir.path(), config(64 << 10)).unwrap();
        let memory = MemorySpool::default();
        let mut in_memory = memory.open(SESSION).unwrap();
        let mut left = &entries[..];
        while !left.is_empty() {
            let mut keeper = files.open(SESSION).unwrap();
            for _ in 0..random.usize(1..20) {
                let (some, rest) = left.split_at(random.usize(0..=left.len().min(4)));
                keeper.append(some).unwrap();
                in_memory.append(some).unwrap();
                left = rest;
            }
        }
        let next = entries.last().unwrap().next();
        for spool in [&files as &dyn Spool, &memory] {
            prop_assert!(read_all(spool, random.usize(1..20_000)) == entries);
            assert_resumes(spool, &entries, 2);
            for _ in 0..20 {
                let from = random.u64(1..=next);
                let until = random.choice(&entries).unwrap().first.max(1);
                let wanted: Vec<_> = entries.iter().filter(|it| it.next() > from && it.first < until).collect();
                let mut history = spool.read(SESSION).unwrap().unwrap();
                let read = history.read(from, until, usize::MAX).unwrap();
                prop_assert!(read.iter().collect::<Vec<_>>() == wanted, "{from}..{until}");
            }
            let until = entries[entries.len() / 2].first;
            let early: Vec<_> = entries.iter().filter(|entry| entry.next() <= until).cloned().collect();
            let attempt = early.last().map_or(1, |entry| entry.attempt);
            let told = spool.resume(SESSION, attempt, until).unwrap().map(|resume| resume.position);
            prop_assert_eq!(told, resume_of(&early, attempt).map(|resume| resume.position));
        }
        // The same directory, with a cap: the oldest go, the numbers stay.
        let mut keeper = small.open(SESSION).unwrap();
        let more = self::entries(random, next, 30, longest);
        let attempt = entries.last().unwrap().attempt;
        let more: Vec<_> = more.into_iter().map(|it| Entry { attempt: it.attempt + attempt, ..it }).collect();
        more.iter().for_each(|entry| keeper.append(std::slice::from_ref(entry)).unwrap());
        let all: Vec<_> = entries.iter().chain(&more).cloned().collect();
        let span = keeper.span();
        let kept: Vec<_> = all.iter().filter(|entry| entry.first >= span.first).cloned().collect();
        prop_assert!(read_all(&small, 5_000) == kept);
        let bytes = small.list().unwrap()[0].bytes;
        prop_assert!(bytes <= (64 << 10) + 12 * 3000 + (150 << 10), "{} bytes are kept", bytes);
        assert_resumes(&small, &all, 0);
        drop(keeper);
        for _ in 0..4 {
            let cut = segments(dir.path()).pop().unwrap();
            let whole = fs::read(&cut).unwrap();
            fs::write(&cut, &whole[..random.usize(0..=whole.len())]).unwrap();
            let mut keeper = small.open(SESSION).unwrap();
            let next = keeper.span().next;
            let kept = all.iter().position(|entry| entry.first == next).unwrap_or(all.len());
            keeper.append(&all[kept..]).unwrap();
            prop_assert!(read_all(&small, 5_000).last() == all.last());
            assert_resumes(&small, &all, 0);
        }
    }
}

#[test]
fn the_cap_drops_the_oldest_and_says_what_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), config(64 << 10)).unwrap();
    let mut keeper = spool.open(SESSION).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(5), 1, 400, 300);
    let mut firsts = Vec::new();
    for entry in &entries {
        keeper.append(std::slice::from_ref(entry)).unwrap();
        firsts.push(keeper.span().first);
    }
    assert!(firsts.is_sorted() && firsts[0] == 1);
    let first = keeper.span().first;
    assert!(first > 1000, "{first}");
    assert!(spool.list().unwrap()[0].bytes <= 64 << 10);
    let mut history = spool.read(SESSION).unwrap().unwrap();
    let read = history.read(1, u64::MAX, usize::MAX).unwrap();
    assert_eq!(read.first().map(|entry| entry.first), Some(first));
    assert_eq!(read.last(), entries.last());
}

#[test]
fn a_reader_whose_segment_is_dropped_goes_on_with_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), config(64 << 10)).unwrap();
    let mut keeper = spool.open(SESSION).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(8), 1, 600, 300);
    keeper.append(&entries[..10]).unwrap();
    let mut history = spool.read(SESSION).unwrap().unwrap();
    let mut from = history.read(1, u64::MAX, 1).unwrap()[0].next();
    entries[10..].iter().for_each(|entry| keeper.append(std::slice::from_ref(entry)).unwrap());
    let next = keeper.span().next;
    let mut passed = 0;
    while from < next {
        for entry in history.read(from, next, 10_000).unwrap() {
            assert_eq!(entry.first, from, "numbers have no hole that is not told");
            from = entry.next();
            if !entries.contains(&entry) {
                assert!(matches!(entry.what, Kept::Gap(..)));
                passed += entry.numbers;
            }
        }
    }
    assert!(passed > 0);
}

#[test]
fn a_damaged_segment_is_a_gap_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), config(1 << 20)).unwrap();
    let mut keeper = spool.open(SESSION).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(11), 1, 100, 400);
    entries.iter().for_each(|entry| keeper.append(std::slice::from_ref(entry)).unwrap());
    let paths = segments(dir.path());
    assert!(paths.len() > 4, "{paths:?}");
    let mut bytes = fs::read(&paths[2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&paths[2], bytes).unwrap();
    let mut bytes = fs::read(&paths[3]).unwrap();
    bytes[3] ^= 1;
    fs::write(&paths[3], bytes).unwrap();
    for enough in [1, 5_000, usize::MAX] {
        let read = read_all(&spool, enough);
        let mut next = 1;
        for entry in &read {
            assert_eq!(entry.first, next);
            next = entry.next();
        }
        let holes: Vec<_> = read.iter().filter(|entry| !entries.contains(entry)).collect();
        let [hole] = holes[..] else { panic!("one hole, not {holes:?}") };
        let Kept::Gap(gap, ..) = &hole.what else { panic!("{hole:?}") };
        assert_eq!(gap.lines, Some(hole.numbers));
        assert_eq!(read.last(), entries.last());
    }
}

#[test]
fn a_full_disk_is_said_and_the_same_can_be_appended_later() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), config(1 << 20)).unwrap();
    let mut keeper = spool.open(SESSION).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(2), 1, 10, 20);
    // The first segment is to be written where there is never any room.
    let segment = dir.path().join("7/00000000000000000001.seg");
    std::os::unix::fs::symlink("/dev/full", &segment).unwrap();
    let error = keeper.append(&entries).unwrap_err();
    assert_eq!((error.kind(), error.is_temporary()), (ErrorKind::Busy, true));
    assert_eq!(keeper.span().next, 1);
    keeper.append(&entries).unwrap();
    assert!(read_all(&spool, usize::MAX) == entries);
}

#[test]
fn what_does_not_follow_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let files = FileSpool::new(dir.path(), config(1 << 20)).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(2), 1, 10, 20);
    for spool in [&files as &dyn Spool, &MemorySpool::default()] {
        let mut keeper = spool.open(SESSION).unwrap();
        assert_eq!(keeper.append(&entries[1..]).unwrap_err().kind(), ErrorKind::Unexpected);
        keeper.append(&entries).unwrap();
        assert_eq!(keeper.append(&entries).unwrap_err().kind(), ErrorKind::Unexpected);
    }
}

#[test]
fn an_end_is_noted_once_and_a_session_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let files = FileSpool::new(dir.path(), config(1 << 20)).unwrap();
    let entries = entries(&mut fastrand::Rng::with_seed(2), 1, 10, 20);
    for spool in [&files as &dyn Spool, &MemorySpool::default()] {
        assert!(spool.read(SESSION).unwrap().is_none());
        assert!(spool.resume(SESSION, 1, 9).unwrap().is_none());
        spool.open(SESSION).unwrap().append(&entries).unwrap();
        assert_eq!(spool.ended(SESSION).unwrap(), None);
        let at = Timestamp::from_micros(1_763_715_600_123_456);
        spool.end(SESSION, at).unwrap();
        spool.end(SESSION, at.plus(std::time::Duration::from_secs(9))).unwrap();
        assert_eq!(spool.ended(SESSION).unwrap(), Some(at));
        let held = spool.list().unwrap();
        assert_eq!((held.len(), held[0].session, held[0].ended_at), (1, SESSION, Some(at)));
        assert!(held[0].bytes > 0);
        spool.remove(SESSION).unwrap();
        spool.remove(SESSION).unwrap();
        assert!(spool.read(SESSION).unwrap().is_none());
        assert_eq!(spool.list().unwrap(), []);
    }
}

/// Version 1 as bytes: whatever changes them needs another version.
#[test]
fn the_format_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let spool = FileSpool::new(dir.path(), SpoolConfig::default()).unwrap();
    let position = Position::from_bytes(b"P").unwrap();
    let pieces: [(Channel, &[u8]); 2] = [(Channel::Stdout, b"a\n"), (Channel::Stderr, b"b")];
    let batch = Batch::of(pieces, position, Timestamp::from_micros(5)).unwrap();
    let entry = Entry { first: 1, numbers: 2, attempt: 3, what: Kept::Output(Arc::new(batch)) };
    spool.open(SESSION).unwrap().append(&[entry]).unwrap();
    let bytes = fs::read(&segments(dir.path())[0]).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let wanted = concat!(
        // The head of the segment.
        "4d4d53504f4f4c31",
        "0700000000000000",
        "0100000000000000",
        "4d4628aa",
        // A checkpoint of nothing.
        "22000000830f051a",
        "030100000000000000000000000000000000000000000000000000000000",
        "00000000",
        // The output.
        "3c000000af10734a",
        "0101000000000000000200000000000000030000000500000000000000",
        "0150",
        "0200000002000000",
        "0200000003000000",
        "02000000010300000002",
        "610a62",
    );
    assert_eq!(hex, wanted);
}
