use proptest::prelude::*;

use super::*;
use crate::{
    id::{Generation, SessionId, SgcId},
    model::{ConfigBody, Deployment, DeploymentStatus, SessionSpec, State, StopPlan, StopStep},
    runtime::Exit,
    wire::End,
};

const T0: Timestamp = Timestamp::from_micros(1_000_000_000);

fn after(secs: u64) -> Timestamp {
    T0.plus(Duration::from_secs(secs))
}

fn spec(steps: &[(&str, u32)]) -> SessionSpec {
    let mut body = ConfigBody::new("game:1".parse().unwrap());
    body.stop = StopPlan {
        steps: steps
            .iter()
            .map(|&(command, wait_millis)| StopStep { command: command.parse().unwrap(), wait_millis })
            .collect(),
        ..StopPlan::default()
    };
    let deployment = Deployment {
        id: SgcId(3),
        name: "one".parse().unwrap(),
        server: crate::id::ServerId(1),
        config: crate::id::ConfigId(1),
        ports: Vec::new(),
        status: DeploymentStatus::Active,
        labels: Default::default(),
        created_at: T0,
    };
    SessionSpec::render(SessionId(7), &deployment, &body, b"secret")
}

fn desired(want: Want) -> Desired {
    Desired {
        session: SessionId(7),
        sgc: SgcId(3),
        want,
        generation: Generation(1),
        not_after: after(60),
        attempt: 0,
        state: State::Pending,
    }
}

const RUN: Want = Want::Run { restarts: 0 };
const STOP: Want = Want::Stop(StopMode::Graceful);
const KILL: Want = Want::Stop(StopMode::Kill);

fn memory() -> Memory {
    Memory { spec: Some(spec(&[]).into()), ..Memory::default() }
}

fn at(stage: Stage) -> Memory {
    let attempt = Attempt { stage, ..Attempt::begun(0, true) };
    Memory { attempts: [(1, attempt)].into(), highest: 1, ..memory() }
}

fn running() -> AttemptState {
    AttemptState::Running { started_at: None, pid: None, paused: false }
}

fn exit(code: i32) -> Exit {
    Exit { code, out_of_memory: false, at: None, error: String::new() }
}

fn exited(code: i32) -> AttemptState {
    AttemptState::Exited(exit(code))
}

fn seen(state: impl Into<Option<AttemptState>>) -> Actual {
    Actual { seen: Some(state.into().map(|state| (1, state)).into_iter().collect()), work: Work::default() }
}

fn steps(want: Want, actual: &Actual, memory: &Memory, secs: u64) -> Vec<Step> {
    plan(&desired(want), actual, memory, after(secs)).steps
}

fn end(cause: Cause) -> Vec<Step> {
    vec![Step::End { attempt: 1, cause }]
}

#[test]
fn a_first_start_goes_its_way() {
    let unknown = Memory { spec: None, ..memory() };
    assert_eq!(steps(RUN, &seen(None), &unknown, 1), [Step::FetchSpec]);
    assert_eq!(steps(RUN, &seen(None), &memory(), 1), [Step::Begin { attempt: 1, restarts: 0, first: true }]);
    assert_eq!(
        steps(RUN, &seen(None), &at(Stage::Begun), 1),
        [Step::Pull, Step::Prepare, Step::Create { attempt: 1 }, Step::Start { attempt: 1 }]
    );
    assert_eq!(steps(RUN, &seen(AttemptState::Created), &at(Stage::Begun), 1), [Step::Start { attempt: 1 }]);
    assert_eq!(
        steps(RUN, &seen(running()), &at(Stage::Starting), 1),
        [Step::NoteRunning { attempt: 1, started_at: None }]
    );
    assert_eq!(steps(RUN, &seen(running()), &at(Stage::Running), 1), []);
}

#[test]
fn a_start_expires_only_while_nothing_was_created() {
    let never = |steps: Vec<Step>| matches!(&steps[..], [Step::End { cause: Cause::Never(reason), .. }] if reason.code == ReasonCode::Expired);
    assert!(never(steps(RUN, &seen(None), &memory(), 61)));
    assert!(never(steps(RUN, &seen(None), &at(Stage::Begun), 61)));
    assert_eq!(steps(RUN, &seen(AttemptState::Created), &at(Stage::Begun), 61), [Step::Start { attempt: 1 }]);
    // A pull of an hour that was begun in time goes on, in the process that began it.
    let mut pulling = seen(None);
    pulling.work.begun = true;
    assert_eq!(steps(RUN, &pulling, &at(Stage::Begun), 3_600)[0], Step::Pull);
    // A restart was begun long ago by its nature.
    let mut restarting = at(Stage::Begun);
    restarting.attempts.get_mut(&1).unwrap().first = false;
    assert_eq!(steps(RUN, &seen(None), &restarting, 3_600)[0], Step::Pull);
}

#[test]
fn while_it_is_not_known_what_time_it_is_no_start_is_begun_and_none_expires() {
    let unknown = |state: Option<AttemptState>| {
        let mut actual = seen(state);
        actual.work.time_unknown = true;
        actual
    };
    for secs in [1, 61] {
        for memory in [memory(), at(Stage::Begun)] {
            assert_eq!(plan(&desired(RUN), &unknown(None), &memory, after(secs)), Plan::default());
            let blind = Actual { seen: None, ..unknown(None) };
            let whole = Memory { whole: true, ..memory.clone() };
            assert_eq!(plan(&desired(RUN), &blind, &whole, after(secs)), Plan::default());
            assert!(matches!(steps(STOP, &unknown(None), &memory, secs)[..], [Step::End { .. }]));
        }
        // What was created is not held up, nor is what follows an attempt.
        let created = unknown(Some(AttemptState::Created));
        assert_eq!(steps(RUN, &created, &at(Stage::Begun), secs), [Step::Start { attempt: 1 }]);
        let mut restarting = at(Stage::Begun);
        restarting.attempts.get_mut(&1).unwrap().first = false;
        assert_eq!(steps(RUN, &unknown(None), &restarting, secs)[0], Step::Pull);
        let over = at(Stage::Over { cause: Cause::Exited(exit(0)), receipted: false });
        let again = [Step::Begin { attempt: 2, restarts: 1, first: false }];
        assert_eq!(steps(Want::Run { restarts: 1 }, &unknown(None), &over, secs), again);
    }
}

#[test]
fn what_is_on_record_and_nowhere_else_is_gone() {
    let mut forgotten = desired(RUN);
    forgotten.attempt = 4;
    let plan_at = |secs| plan(&forgotten, &seen(None), &memory(), after(secs)).steps;
    assert_eq!(plan_at(61), [Step::End { attempt: 4, cause: Cause::Gone }]);
    assert_eq!(plan_at(59), [Step::Begin { attempt: 5, restarts: 0, first: false }]);
}

#[test]
fn how_it_ended_follows_what_is_seen_and_what_was_asked() {
    use Stage::*;
    let lost = |mut memory: Memory| {
        memory.attempts.get_mut(&1).unwrap().engine_lost = true;
        memory
    };
    for (memory, state, cause) in [
        (at(Running), Some(exited(42)), Cause::Exited(exit(42))),
        (at(Starting), Some(exited(0)), Cause::Exited(exit(0))),
        (at(Begun), Some(exited(1)), Cause::Exited(exit(1))),
        (at(Running), None, Cause::Gone),
        (at(Starting), None, Cause::Gone),
        (at(Running), Some(AttemptState::Removing), Cause::Gone),
        (lost(at(Running)), Some(exited(0)), Cause::EngineRestart(Some(exit(0)))),
        (lost(at(Running)), None, Cause::EngineRestart(None)),
    ] {
        for want in [RUN, STOP, KILL] {
            assert_eq!(steps(want, &seen(state.clone()), &memory, 1), end(cause.clone()), "{want:?}");
        }
        // A restart that was asked for goes on instead of ending.
        assert_eq!(
            steps(Want::Run { restarts: 1 }, &seen(state), &memory, 1),
            [Step::Over { attempt: 1, cause }]
        );
    }
}

#[test]
fn a_game_that_outlived_its_engine_is_as_before() {
    let mut memory = at(Stage::Running);
    memory.attempts.get_mut(&1).unwrap().engine_lost = true;
    assert_eq!(
        steps(RUN, &seen(running()), &memory, 1),
        [Step::NoteRunning { attempt: 1, started_at: None }]
    );
}

#[test]
fn silence_of_the_engine_concludes_nothing() {
    for stage in [Stage::Begun, Stage::Starting, Stage::Running] {
        for want in [RUN, STOP, Want::Run { restarts: 1 }] {
            if (&stage, want) == (&Stage::Begun, STOP) {
                // It was not started, and needs no engine to say so.
                continue;
            }
            assert_eq!(
                plan(&desired(want), &Actual::default(), &at(stage.clone()), after(100)),
                Plan::default()
            );
        }
    }
    assert_eq!(steps(KILL, &Actual::default(), &at(Stage::Running), 1), [Step::Kill { attempt: 1 }]);
}

#[test]
fn a_stop_goes_through_its_commands_to_the_signal() {
    let mut memory = at(Stage::Running);
    memory.spec = Some(spec(&[("save", 2_000), ("quit", 5_000)]).into());
    let mut now = 1;
    let mut told = Vec::new();
    for _ in 0..5 {
        let next = plan(&desired(STOP), &seen(running()), &memory, after(now));
        match next.steps.first() {
            Some(Step::Say { line, progress, .. }) => {
                told.push((now, line.as_str().to_owned()));
                memory.attempts.get_mut(&1).unwrap().stop = Some(*progress);
            }
            Some(Step::Signal { grace, progress, .. }) => {
                told.push((now, format!("signal {}", grace.as_secs())));
                memory.attempts.get_mut(&1).unwrap().stop = *progress;
                break;
            }
            other => {
                assert_eq!(other, None);
                now = next.wake_at.unwrap().since(T0).as_secs();
            }
        }
    }
    assert_eq!(told, [(1, "save".to_owned()), (3, "quit".to_owned()), (8, "signal 30".to_owned())]);
}

#[test]
fn a_stop_goes_on_where_a_dead_manager_left_it() {
    let mut memory = at(Stage::Running);
    let mut signalled = |tries, secs| {
        memory.attempts.get_mut(&1).unwrap().stop = Some(StopProgress::Signalled { at: T0, tries });
        steps(STOP, &seen(running()), &memory, secs).remove(0)
    };
    let signal = |secs, at, tries| Step::Signal {
        attempt: 1,
        grace: Duration::from_secs(secs),
        progress: Some(StopProgress::Signalled { at, tries }),
    };
    assert_eq!(signalled(1, 10), signal(20, T0, 1));
    assert_eq!(signalled(1, 40), signal(30, after(40), 2));
    assert_eq!(signalled(3, 40), Step::Kill { attempt: 1 });
}

#[test]
fn a_kill_overtakes_everything() {
    let mut stopping = seen(running());
    for busy in [
        Step::Signal { attempt: 1, grace: Duration::from_secs(30), progress: None },
        Step::Say {
            attempt: 1,
            line: "save".parse().unwrap(),
            progress: StopProgress::Said { index: 0, at: T0 },
        },
    ] {
        stopping.work.busy = Some(busy);
        assert_eq!(steps(STOP, &stopping, &at(Stage::Running), 1), []);
        assert_eq!(steps(KILL, &stopping, &at(Stage::Running), 1), [Step::Kill { attempt: 1 }]);
    }
    stopping.work.killed_at = Some(T0);
    let next = plan(&desired(KILL), &stopping, &at(Stage::Running), after(1));
    assert_eq!(next, Plan { steps: Vec::new(), wake_at: Some(after(5)) });
    assert_eq!(steps(KILL, &stopping, &at(Stage::Running), 6), [Step::Kill { attempt: 1 }]);
    // It is not in the future that one was sent, whatever the clock shows now.
    stopping.work.killed_at = Some(after(3_600));
    assert_eq!(steps(KILL, &stopping, &at(Stage::Running), 1), [Step::Kill { attempt: 1 }]);
}

#[test]
fn a_stop_lets_go_of_a_pull() {
    let mut pulling = seen(None);
    pulling.work = Work { busy: Some(Step::Pull), begun: true, ..Work::default() };
    assert_eq!(steps(RUN, &pulling, &at(Stage::Begun), 1), []);
    let not_started = Step::End { attempt: 1, cause: Cause::NotStarted };
    assert_eq!(steps(STOP, &pulling, &at(Stage::Begun), 1), [Step::Cancel, not_started]);
    // So does an end that is seen before the engine has answered to the stop.
    let mut stopping = seen(exited(0));
    stopping.work.busy = Some(Step::Signal { attempt: 1, grace: Duration::ZERO, progress: None });
    let stopped = Step::End { attempt: 1, cause: Cause::Exited(exit(0)) };
    assert_eq!(steps(STOP, &stopping, &at(Stage::Running), 1), [Step::Cancel, stopped]);
    // What cannot be let go of is waited for.
    pulling.work.busy = Some(Step::Create { attempt: 1 });
    assert_eq!(steps(STOP, &pulling, &at(Stage::Begun), 1), []);
}

#[test]
fn what_failed_a_moment_ago_waits_unless_something_else_is_wanted() {
    let mut actual = seen(AttemptState::Created);
    actual.work.held = Some((Step::Start { attempt: 1 }, after(5)));
    assert_eq!(
        plan(&desired(RUN), &actual, &at(Stage::Starting), after(1)),
        Plan { steps: Vec::new(), wake_at: Some(after(5)) }
    );
    assert_eq!(steps(RUN, &actual, &at(Stage::Starting), 5), [Step::Start { attempt: 1 }]);
    assert_eq!(steps(STOP, &actual, &at(Stage::Starting), 1), end(Cause::NotStarted));
    // A clock that is set back an hour makes no wait of an hour.
    actual.work.held = Some((Step::Start { attempt: 1 }, after(3_605)));
    assert_eq!(steps(RUN, &actual, &at(Stage::Starting), 5), [Step::Start { attempt: 1 }]);
}

#[test]
fn a_restart_is_a_stop_and_the_next_attempt() {
    let restart = Want::Run { restarts: 1 };
    assert!(matches!(&steps(restart, &seen(running()), &at(Stage::Running), 100)[..], [Step::Signal { .. }]));
    let over = at(Stage::Over { cause: Cause::Exited(exit(0)), receipted: false });
    assert_eq!(steps(restart, &seen(exited(0)), &over, 100), [Step::Retire { attempt: 1 }]);
    let mut retired = over;
    retired.attempts.get_mut(&1).unwrap().retired = true;
    // By whom is a matter of this process: a runtime may have worked around one that clings to its
    // name, and its successor has to be asked again.
    assert_eq!(steps(restart, &seen(exited(0)), &retired, 100), [Step::Retire { attempt: 1 }]);
    let mut nameless = seen(exited(0));
    nameless.work.retired.insert(1);
    assert_eq!(
        steps(restart, &nameless, &retired, 100),
        [Step::Begin { attempt: 2, restarts: 1, first: false }]
    );
    // One that has not started yet answers the restart itself.
    assert_eq!(steps(restart, &seen(None), &at(Stage::Begun), 1), [Step::Serve { attempt: 1, restarts: 1 }]);
    // A stop that comes between ends it.
    assert_eq!(steps(STOP, &seen(exited(0)), &retired, 100), end(Cause::Exited(exit(0))));
}

#[test]
fn an_end_frees_the_name_at_once_and_the_rest_when_receipted() {
    let mut memory = at(Stage::Running);
    memory.end = Some(Ended {
        attempt: 1,
        cause: Cause::Exited(exit(0)),
        at: T0,
        last_lines: Vec::new(),
        receipted: false,
    });
    assert_eq!(steps(RUN, &seen(exited(0)), &memory, 1), [Step::Retire { attempt: 1 }]);
    memory.attempts.get_mut(&1).unwrap().retired = true;
    let mut nameless = seen(exited(0));
    nameless.work.retired.insert(1);
    assert_eq!(steps(RUN, &nameless, &memory, 1), []);
    memory.end.as_mut().unwrap().receipted = true;
    assert_eq!(steps(RUN, &nameless, &memory, 1), [Step::Remove { attempt: 1 }]);
    assert_eq!(steps(RUN, &seen(exited(0)), &memory, 1), [Step::Retire { attempt: 1 }]);
    assert_eq!(steps(RUN, &seen(None), &memory, 1), [Step::RemoveNetwork, Step::Forget]);
    // An end stays one, whatever is asked.
    assert_eq!(
        steps(Want::Run { restarts: 9 }, &seen(None), &memory, 1),
        [Step::RemoveNetwork, Step::Forget]
    );
}

#[test]
fn a_disowned_session_is_stopped_like_any_other() {
    let mut memory = at(Stage::Running);
    memory.disowned = true;
    assert!(matches!(&steps(RUN, &seen(running()), &memory, 1)[..], [Step::Signal { .. }]));
    assert_eq!(steps(RUN, &seen(exited(143)), &memory, 1), end(Cause::Exited(exit(143))));
}

/// An engine, a journal and a process as far as a plan can tell, that do what they are told,
/// or fail, or do it and say that they failed.
#[derive(Debug)]
struct World {
    desired: Desired,
    memory: Memory,
    engine: BTreeMap<u32, AttemptState>,
    network: bool,
    work: Work,
    now: Timestamp,
    started: Vec<u32>,
    forgotten: bool,
}

/// What becomes of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Luck {
    Done,
    Undone,
    DoneUnheard,
    Refused,
}

/// What happens from outside.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Steps(Luck),
    Exit(i32),
    RemovedOutside,
    ManagerDies,
    EngineRestarts,
    EngineSilent,
    Receipt,
    Want(Want),
    Disowned,
    Wait(u64),
}

impl World {
    fn new() -> Self {
        Self {
            desired: desired(RUN),
            memory: Memory::default(),
            engine: BTreeMap::new(),
            network: false,
            work: Work::default(),
            now: T0,
            started: Vec::new(),
            forgotten: false,
        }
    }

    fn plan(&self) -> Plan {
        let actual = Actual { seen: Some(self.engine.clone()), work: self.work.clone() };
        plan(&self.desired, &actual, &self.memory, self.now)
    }

    fn current(&mut self) -> &mut Attempt {
        self.memory.attempts.get_mut(&self.memory.highest).unwrap()
    }

    /// Does one step; `false` if it failed, as far as anyone hears.
    fn act(&mut self, step: &Step, luck: Luck) -> bool {
        if luck == Luck::Undone {
            self.work.held = Some((step.clone(), self.now.plus(Duration::from_secs(1))));
            return false;
        }
        let refused = luck == Luck::Refused;
        match step.clone() {
            Step::Cancel => self.work.busy = None,
            Step::FetchSpec if refused => self.work.spec_refused = true,
            Step::FetchSpec => self.memory.spec = Some(spec(&[("save", 1_000)]).into()),
            Step::Begin { attempt, restarts, first } => {
                assert!(attempt > self.memory.highest && attempt > self.desired.attempt);
                assert!(self.memory.end.is_none());
                self.memory.attempts.insert(attempt, Attempt::begun(restarts, first));
                self.memory.highest = attempt;
                let retired = std::mem::take(&mut self.work.retired);
                self.work = Work { begun: true, retired, ..Work::default() };
            }
            Step::Serve { restarts, .. } => self.current().restarts = restarts,
            Step::Pull if refused => self.fail(),
            Step::Pull => self.work.image = true,
            Step::Prepare if refused => self.fail(),
            Step::Prepare => self.work.prepared = true,
            Step::Create { .. } if refused => self.fail(),
            Step::Create { attempt } => {
                assert!(!self.started.contains(&attempt), "{attempt} is created a second time");
                self.engine.entry(attempt).or_insert(AttemptState::Created);
                self.network = true;
            }
            Step::Start { .. } => {
                self.current().stage = Stage::Starting;
                let highest = self.memory.highest;
                if refused {
                    self.fail();
                } else if let Some(state @ AttemptState::Created) = self.engine.get_mut(&highest) {
                    *state = running();
                    assert!(!self.started.contains(&highest));
                    self.started.push(highest);
                }
            }
            Step::NoteRunning { .. } => {
                let attempt = self.current();
                attempt.stage = Stage::Running;
                attempt.engine_lost = false;
            }
            Step::Say { progress, .. } => self.current().stop = Some(progress),
            Step::Signal { attempt, progress, .. } => {
                if let Some(progress) = progress {
                    self.current().stop = Some(progress);
                }
                self.die(attempt, 143);
            }
            Step::Kill { attempt } => {
                self.work.killed_at = Some(self.now);
                self.die(attempt, 137);
            }
            Step::Over { attempt, cause } => {
                let known = self.memory.attempts.get_mut(&attempt).unwrap();
                known.stage = Stage::Over { cause, receipted: true };
            }
            Step::End { attempt, cause } => {
                assert!(self.memory.end.is_none(), "an end is changed");
                assert!(!self.engine.values().any(AttemptState::is_alive), "it ends while its game lives");
                let receipted = self.memory.disowned;
                self.memory.end =
                    Some(Ended { attempt, cause, at: self.now, last_lines: Vec::new(), receipted });
            }
            Step::Retire { attempt } => {
                assert!(!self.engine[&attempt].is_alive());
                if let Some(known) = self.memory.attempts.get_mut(&attempt) {
                    known.retired = true;
                }
                self.work.retired.insert(attempt);
            }
            Step::Remove { attempt } => {
                assert!(self.engine.get(&attempt).is_none_or(|state| !state.is_alive()));
                self.engine.remove(&attempt);
                if attempt < self.memory.highest {
                    self.memory.attempts.remove(&attempt);
                }
            }
            Step::RemoveNetwork => self.network = false,
            Step::Forget => {
                assert!(self.memory.end.as_ref().is_some_and(|end| end.receipted));
                self.forgotten = true;
            }
        }
        luck != Luck::DoneUnheard
    }

    fn fail(&mut self) {
        self.work.failure = Some(Reason::new(ReasonCode::EngineRefused, "no"));
    }

    fn die(&mut self, attempt: u32, code: i32) {
        if let Some(state) = self.engine.get_mut(&attempt)
            && state.is_alive()
        {
            *state = exited(code);
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Steps(luck) => {
                for step in self.plan().steps {
                    if self.forgotten || !self.act(&step, luck) {
                        break;
                    }
                }
            }
            Turn::Exit(code) => {
                for attempt in self.engine.keys().copied().collect::<Vec<_>>() {
                    self.die(attempt, code);
                }
            }
            Turn::RemovedOutside => self.engine.clear(),
            Turn::ManagerDies => self.work = Work::default(),
            Turn::EngineRestarts => {
                self.turn(Turn::Exit(255));
                for attempt in self.memory.attempts.values_mut() {
                    attempt.engine_lost |= attempt.stage == Stage::Running;
                }
            }
            Turn::EngineSilent => {
                let actual = Actual { seen: None, work: self.work.clone() };
                let steps = plan(&self.desired, &actual, &self.memory, self.now).steps;
                for step in steps {
                    let alive = self.engine.values().any(AttemptState::is_alive);
                    match step {
                        Step::Kill { .. } => {}
                        // Only what is certain.
                        Step::End { cause: Cause::NotStarted, .. } if !alive => {
                            self.act(&step, Luck::Done);
                        }
                        step => panic!("{step:?} while the engine has {:?}", self.engine),
                    }
                }
            }
            Turn::Receipt => {
                if let Some(end) = &mut self.memory.end {
                    end.receipted = true;
                }
            }
            Turn::Want(want) => match (self.desired.want, want) {
                (Want::Run { restarts }, Want::Run { .. }) => {
                    self.desired.want = Want::Run { restarts: restarts + 1 };
                }
                (Want::Run { .. }, stop) | (STOP, stop @ KILL) => self.desired.want = stop,
                _ => {}
            },
            Turn::Disowned => {
                self.memory.disowned = true;
                self.turn(Turn::Receipt);
            }
            Turn::Wait(secs) => self.now = self.now.plus(Duration::from_secs(secs)),
        }
        let alive = self.engine.values().filter(|state| state.is_alive()).count();
        assert!(alive <= 1, "two games of one session live");
    }
}

fn turns() -> impl Strategy<Value = Turn> {
    let luck = prop_oneof![
        6 => Just(Luck::Done),
        2 => Just(Luck::Undone),
        2 => Just(Luck::DoneUnheard),
        1 => Just(Luck::Refused),
    ];
    prop_oneof![
        12 => luck.prop_map(Turn::Steps),
        1 => (0..3).prop_map(Turn::Exit),
        1 => Just(Turn::RemovedOutside),
        2 => Just(Turn::ManagerDies),
        1 => Just(Turn::EngineRestarts),
        1 => Just(Turn::EngineSilent),
        1 => Just(Turn::Receipt),
        2 => prop_oneof![Just(RUN), Just(STOP), Just(KILL)].prop_map(Turn::Want),
        1 => Just(Turn::Disowned),
        3 => (0u64..20).prop_map(Turn::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happened, once nothing fails any more a session that is to run runs, or has
    /// ended; and one that has ended leaves nothing.
    #[test]
    fn every_history_comes_to_rest(turns in prop::collection::vec(turns(), 0..40)) {
        let mut world = World::new();
        for turn in turns {
            if !world.forgotten {
                world.turn(turn);
            }
        }
        for _ in 0..100 {
            let plan = world.plan();
            match plan.wake_at {
                _ if world.forgotten => break,
                Some(at) if plan.steps.is_empty() => world.now = world.now.max(at),
                _ if plan.steps.is_empty() => break,
                _ => world.turn(Turn::Steps(Luck::Done)),
            }
        }
        prop_assert!(world.forgotten || world.plan().steps.is_empty(), "{:?}", world.plan());
        if !world.forgotten && world.memory.end.is_none() {
            let to_run = matches!(world.desired.want, Want::Run { .. });
            prop_assert!(to_run);
            prop_assert!(world.engine[&world.memory.highest].is_alive() && world.memory.is_running());
            world.turn(Turn::Want(STOP));
        }
        for _ in 0..100 {
            if world.forgotten {
                break;
            }
            if let Some(at) = world.plan().wake_at {
                world.now = world.now.max(at);
            }
            world.turn(Turn::Steps(Luck::Done));
            world.turn(Turn::Receipt);
        }
        prop_assert!(world.forgotten && world.engine.is_empty() && !world.network, "{world:?}");
    }
}

#[test]
fn the_name_of_an_end_may_change_until_it_is_on_record() {
    let crash = Cause::Exited(exit(1));
    assert_eq!(verdict(&crash, RUN).0, End::Crashed);
    assert_eq!(verdict(&crash, STOP).0, End::Stopped);
}

#[test]
fn what_is_certain_needs_no_engine() {
    let blind = Actual::default();
    let whole = Memory { whole: true, ..memory() };
    assert_eq!(steps(RUN, &blind, &whole, 1), [Step::Begin { attempt: 1, restarts: 0, first: true }]);
    for want in [STOP, KILL] {
        let never = [Step::End { attempt: 0, cause: Cause::NotStarted }];
        assert_eq!(steps(want, &blind, &whole, 1), never);
        assert_eq!(steps(want, &blind, &at(Stage::Begun), 1), end(Cause::NotStarted));
        // It may be there.
        assert_eq!(steps(want, &blind, &memory(), 1), []);
        let kill = if want == KILL { vec![Step::Kill { attempt: 1 }] } else { Vec::new() };
        assert_eq!(steps(want, &blind, &at(Stage::Starting), 1), kill);
    }
    let over = |cause: Cause| {
        let mut memory = at(Stage::Over { cause, receipted: true });
        memory.attempts.insert(2, Attempt::begun(1, false));
        memory.highest = 2;
        memory
    };
    let never = [Step::End { attempt: 2, cause: Cause::NotStarted }];
    assert_eq!(steps(STOP, &blind, &over(Cause::Exited(exit(0))), 1), never);
    assert_eq!(steps(STOP, &blind, &over(Cause::Gone), 1), [], "it may have been taken for gone");
}

#[test]
fn a_begin_is_let_go_of_until_it_is_noted() {
    let mut busy = seen(None);
    busy.work.busy = Some(Step::Begin { attempt: 1, restarts: 0, first: true });
    assert_eq!(steps(STOP, &busy, &memory(), 1)[0], Step::Cancel);
    assert_eq!(steps(STOP, &busy, &at(Stage::Begun), 1), []);
}
