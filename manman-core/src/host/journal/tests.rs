use super::*;
use crate::{
    host::plan::{Attempt, Cause, Ended, Stage},
    id::{ClusterId, Epoch, Generation, ServerId, SgcId},
    model::{State as SessionState, Want},
};

fn desired(session: i64) -> Desired {
    Desired {
        session: SessionId(session),
        sgc: SgcId(session),
        want: Want::Run { restarts: 0 },
        generation: Generation(1),
        not_after: Timestamp::from_micros(60),
        attempt: 0,
        state: SessionState::Pending,
    }
}

fn ready(mut written: Written) -> Result<()> {
    match futures::FutureExt::now_or_never(&mut written) {
        Some(result) => result,
        None => tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(written),
    }
}

fn fill(journal: &Journal) {
    let identity = Identity { cluster: ClusterId::random(), server: ServerId(1), epoch: Epoch(1) };
    ready(journal.identify(identity)).unwrap();
    for session in 1..=3 {
        ready(journal.take_up(desired(session))).unwrap();
        ready(journal.change(SessionId(session), |entry| {
            entry.memory.highest = 1;
            entry.memory.attempts.insert(1, Attempt::begun(0, true));
        }))
        .unwrap();
    }
    ready(journal.change(SessionId(2), |entry| {
        entry.memory.end = Some(Ended {
            attempt: 1,
            cause: Cause::Gone,
            at: Timestamp::from_micros(5),
            last_lines: vec!["bye".to_owned()],
            receipted: false,
        });
    }))
    .unwrap();
    ready(journal.forget(SessionId(3))).unwrap();
    let later = Timestamp::from_micros(100);
    assert!(journal.see(Uuid::from_u128(7), later, Timestamp::default()).is_some());
}

fn all(journal: &Journal) -> State {
    journal.look(Clone::clone)
}

#[test]
fn what_was_noted_is_known_after_a_death() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    fill(&journal);
    let before = all(&journal);
    drop(journal);
    let journal = Journal::open(disk).unwrap();
    assert_eq!(all(&journal), before);
    assert_eq!(journal.damage(), None);
    assert!(journal.see(Uuid::from_u128(7), Timestamp::default(), Timestamp::default()).is_none());
    // A session that is forgotten is not taken up again by an old word of it.
    ready(journal.take_up(desired(3))).unwrap();
    assert!(journal.session(SessionId(3)).is_none());
}

#[test]
fn a_specification_stays_with_its_session() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    let body = crate::model::ConfigBody::new("game:1".parse().unwrap());
    let deployment = crate::model::Deployment {
        id: SgcId(1),
        name: "one".parse().unwrap(),
        server: ServerId(1),
        config: crate::id::ConfigId(1),
        ports: Vec::new(),
        status: Default::default(),
        labels: Default::default(),
        created_at: Timestamp::default(),
    };
    let spec = SessionSpec::render(SessionId(1), &deployment, &body, b"secret");
    ready(journal.take_up(desired(1))).unwrap();
    ready(journal.change(SessionId(1), |entry| entry.memory.spec = Some(spec.clone().into()))).unwrap();
    let with_spec = disk.bytes().len();
    ready(journal.change(SessionId(1), |entry| entry.memory.highest = 1)).unwrap();
    assert!(disk.bytes().len() - with_spec < 400, "it is written again with every change");
    let entry = Journal::open(disk).unwrap().session(SessionId(1)).unwrap();
    assert_eq!((entry.memory.spec.as_deref(), entry.memory.highest), (Some(&spec), 1));
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    fill(&journal);
    let whole = disk.bytes();
    let records = frame::read(&whole).records.len();
    for cut in 0..whole.len() {
        let torn = MemoryDisk::new();
        torn.set(whole[..cut].to_vec());
        let journal = Journal::open(torn.clone()).unwrap();
        assert_eq!(journal.damage(), None, "cut at {cut}");
        // It is whole again at once, and goes on being so.
        fill(&journal);
        assert_eq!(frame::read(&torn.bytes()).end, Tail::Whole);
        assert!(frame::read(&whole[..cut]).records.len() <= records);
    }
    let mut zeros = whole.clone();
    zeros.extend([0; 100]);
    disk.set(zeros);
    assert_eq!(Journal::open(disk).unwrap().damage(), None);
}

#[test]
fn a_damaged_middle_is_set_aside_and_said() {
    let disk = MemoryDisk::new();
    fill(&Journal::open(disk.clone()).unwrap());
    let whole = disk.bytes();
    for at in frame::HEAD.len()..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let disk = MemoryDisk::new();
        disk.set(damaged.clone());
        let journal = Journal::open(disk.clone()).unwrap();
        match journal.damage() {
            Some(_) => {
                assert_eq!(disk.aside(), [damaged]);
                assert_eq!(all(&journal), State::default());
            }
            // In the last record it cannot be told from a torn one.
            None => assert!(at + 200 > whole.len(), "damage at {at} of {} is not seen", whole.len()),
        }
    }
}

#[test]
fn another_version_is_refused_and_left_alone() {
    let disk = MemoryDisk::new();
    disk.set(b"MMJRNL\x02\nwho knows".to_vec());
    assert_eq!(Journal::open(disk.clone()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(disk.bytes(), b"MMJRNL\x02\nwho knows");
}

#[test]
fn a_full_disk_is_said_and_made_up_for_when_there_is_room() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    disk.set_full(true);
    assert_eq!(ready(journal.take_up(desired(1))).unwrap_err().kind(), ErrorKind::Busy);
    assert!(ready(journal.flush()).is_err());
    disk.set_full(false);
    ready(journal.take_up(desired(2))).unwrap();
    let again = Journal::open(disk).unwrap();
    assert!(again.session(SessionId(1)).is_some() && again.session(SessionId(2)).is_some());
}

#[test]
fn what_is_noted_again_is_on_the_disk_or_is_not_said_to_be() {
    for how in [ErrorKind::Busy, ErrorKind::Denied, ErrorKind::Unavailable] {
        let disk = MemoryDisk::new();
        let journal = Journal::open(disk.clone()).unwrap();
        ready(journal.take_up(desired(1))).unwrap();
        let note = || ready(journal.change(SessionId(1), |entry| entry.memory.highest = 7));
        disk.refuse(Some(how));
        for _ in 0..3 {
            assert_eq!(note().unwrap_err().kind(), how);
        }
        assert!(journal.trouble().unwrap().contains("cannot be written"));
        disk.refuse(None);
        note().unwrap();
        assert_eq!(journal.trouble(), None);
        let again = Journal::open(disk).unwrap();
        assert_eq!(again.session(SessionId(1)).unwrap().memory.highest, 7);
    }
}

#[test]
fn a_long_life_stays_short_on_disk() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    ready(journal.take_up(desired(1))).unwrap();
    for highest in 1..5_000 {
        ready(journal.change(SessionId(1), |entry| entry.memory.highest = highest)).unwrap();
    }
    assert!(disk.bytes().len() < REWRITE_AFTER + 10_000, "{}", disk.bytes().len());
    assert_eq!(Journal::open(disk).unwrap().session(SessionId(1)).unwrap().memory.highest, 4_999);
}

#[test]
fn sequence_numbers_never_come_again() {
    let disk = MemoryDisk::new();
    let mut last = 0;
    for _ in 0..5 {
        let journal = Journal::open(disk.clone()).unwrap();
        for _ in 0..1_500 {
            let next = journal.next_sequence();
            assert!(next > last);
            last = next;
        }
    }
}

#[test]
fn a_file_is_written_by_many_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host").join("journal");
    let journal = Journal::open(FileDisk::open(&path).unwrap()).unwrap();
    assert_eq!(FileDisk::open(&path).unwrap_err().kind(), ErrorKind::Conflict);
    std::thread::scope(|scope| {
        for session in 1..=8 {
            let journal = &journal;
            scope.spawn(move || {
                ready(journal.take_up(desired(session))).unwrap();
                let attempt = Attempt { stage: Stage::Running, ..Attempt::begun(0, true) };
                ready(journal.change(SessionId(session), |entry| {
                    entry.memory.attempts.insert(1, attempt);
                }))
                .unwrap();
            });
        }
    });
    let before = all(&journal);
    ready(journal.flush()).unwrap();
    drop(journal);
    // The thread lets go of the lock when it has seen that nobody asks any more.
    let disk = loop {
        match FileDisk::open(&path) {
            Ok(disk) => break disk,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert_eq!(all(&Journal::open(disk).unwrap()), before);

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_damaged_file_is_kept_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    std::fs::write(&path, b"not a journal at all").unwrap();
    let journal = Journal::open(FileDisk::open(&path).unwrap()).unwrap();
    assert!(journal.damage().unwrap().contains("damaged-1"));
    assert_eq!(std::fs::read(directory.path().join("journal.damaged-1")).unwrap(), b"not a journal at all");
}

#[test]
fn a_session_given_out_after_the_journal_began_is_whole() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    ready(journal.take_up(desired(1))).unwrap();
    ready(journal.catch_up()).unwrap();
    let journal = Journal::open(disk.clone()).unwrap();
    ready(journal.take_up(desired(2))).unwrap();
    let whole = |journal: &Journal, id| journal.session(SessionId(id)).unwrap().memory.whole;
    assert_eq!((whole(&journal, 1), whole(&journal, 2)), (false, true));
    let journal = Journal::open(disk.clone()).unwrap();
    assert_eq!((whole(&journal, 1), whole(&journal, 2)), (false, true));
    disk.set(Vec::new());
    let journal = Journal::open(disk).unwrap();
    ready(journal.take_up(desired(3))).unwrap();
    assert!(!whole(&journal, 3));
}

#[test]
fn a_record_that_would_not_be_read_back_is_refused() {
    let disk = MemoryDisk::new();
    let journal = Journal::open(disk.clone()).unwrap();
    fill(&journal);
    let before = all(&journal);
    let error = ready(journal.change(SessionId(1), |entry| {
        entry.memory.end = Some(Ended {
            attempt: 1,
            cause: Cause::Gone,
            at: Timestamp::default(),
            last_lines: vec!["\u{1}".repeat(1 << 20)],
            receipted: false,
        });
    }));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(all(&journal), before);
    assert_eq!(all(&Journal::open(disk).unwrap()), before);
}
