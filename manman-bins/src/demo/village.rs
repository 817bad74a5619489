//! The game of `manman up --demo`: a village by the sea that villagers come to and leave.
//! It prints what happens, answers commands, saves its world, and can be told to crash.
//!
//! A program of its own: the build script compiles this file by itself, with nothing but
//! `std`, and linked statically, so that it runs in an image that holds nothing else.
//! Its world is in the directory that its argument names, the current one without.
//!
//! SIGTERM ends it without a word, as `std` cannot catch it: the stop plan of the demo's
//! config types `quit` first, and what was saved by itself a few days ago covers the rest.

use std::{
    collections::hash_map::RandomState,
    env, fmt,
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _},
    io::{self, BufRead, Read as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

const NAMES: [&str; 12] =
    ["Ada", "Bo", "Cleo", "Dov", "Edda", "Finn", "Greta", "Hal", "Ida", "Jon", "Kaja", "Lou"];

const HELP: &str = "commands: help, list, say TEXT, save, weather, quit, crash [CODE]";

/// How long a day lasts.
const DAY: Duration = Duration::from_secs(2);

/// How many days pass between two saves.
const SAVE_EVERY: u64 = 5;

/// The longest command; what is beyond it is not looked at.
const LONGEST_LINE: usize = 1024;

/// The longest save: with every villager in it, it has a tenth of this.
const LONGEST_SAVE: u64 = 4096;

/// The first and the last line of a save.
const BEGIN: &str = "village 1";
const END: &str = "end";

/// What is saved.
#[derive(Debug, Default, PartialEq, Eq)]
struct World {
    /// Days since the village was founded, over all runs.
    day: u64,
    /// Who is there, each at most once.
    villagers: Vec<&'static str>,
}

impl World {
    /// Reads what [`fmt::Display`] writes; `None` if it is anything else.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != BEGIN {
            return None;
        }
        let mut world = Self { day: lines.next()?.strip_prefix("day ")?.parse().ok()?, villagers: vec![] };
        loop {
            match lines.next()? {
                END => return lines.next().is_none().then_some(world),
                name => {
                    let name = NAMES.into_iter().find(|it| *it == name)?;
                    if world.villagers.contains(&name) {
                        return None;
                    }
                    world.villagers.push(name);
                }
            }
        }
    }

    /// A day passes: somebody comes or goes.
    fn pass(&mut self, random: &mut Random) -> String {
        self.day = self.day.saturating_add(1);
        let away: Vec<_> = NAMES.into_iter().filter(|name| !self.villagers.contains(name)).collect();
        let comes = self.villagers.len() < 3 || random.below(5) < 2;
        let (who, what) = if comes && !away.is_empty() {
            let name = away[random.below(away.len())];
            self.villagers.push(name);
            (name, "joined")
        } else {
            (self.villagers.swap_remove(random.below(self.villagers.len())), "left")
        };
        format!("[day {}] {who} {what} the village ({} here)", self.day, self.villagers.len())
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BEGIN}\nday {}", self.day)?;
        self.villagers.iter().try_for_each(|name| writeln!(f, "{name}"))?;
        writeln!(f, "{END}")
    }
}

/// The directory that holds the world.
struct Place(PathBuf);

impl Place {
    fn save(&self) -> PathBuf {
        self.0.join("village.save")
    }

    /// The world as it was saved, a new one if there is none, and what there is to say of it.
    ///
    /// What is no save is put aside, never written over.
    fn load(&self) -> io::Result<(World, Option<String>)> {
        let path = self.save();
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(LONGEST_SAVE + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((World::default(), None)),
            Err(error) => return Err(error),
        };
        match std::str::from_utf8(&bytes).ok().and_then(World::parse) {
            Some(world) => Ok((world, None)),
            None => {
                let aside = (1..)
                    .map(|n: u64| self.0.join(format!("village.damaged-{n}")))
                    .find(|path| path.symlink_metadata().is_err())
                    .unwrap_or_else(|| self.0.join("village.damaged"));
                fs::rename(&path, &aside)?;
                let said = format!(
                    "{} is damaged: put aside as {}, a new village begins",
                    show(&path),
                    show(&aside)
                );
                Ok((World::default(), Some(said)))
            }
        }
    }

    /// Whole or not at all: written beside, made to last, then renamed.
    fn keep(&self, world: &World) -> io::Result<String> {
        let (path, beside) = (self.save(), self.0.join("village.new"));
        let mut file = File::create(&beside)?;
        file.write_all(world.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.0)?.sync_all()?;
        Ok(format!("saved day {} to {}", world.day, show(&path)))
    }
}

fn show(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(".").unwrap_or(path).display()
}

/// Numbers that nobody guesses by hand (xorshift); good for villagers, not for keys.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    /// A number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// What a command makes of the game.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    Quit,
    Crash(u8),
}

struct Game {
    world: World,
    place: Place,
}

impl Game {
    /// A disk that is full or gone is said, and the game goes on.
    fn save(&self) -> String {
        self.place.keep(&self.world).unwrap_or_else(|error| format!("could not save: {error}"))
    }

    fn obey(&self, line: &str) -> (String, Next) {
        // What a console would obey is not repeated into one.
        let line = line.trim().replace(char::is_control, "\u{fffd}");
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let here = &self.world.villagers;
        let answer = match word {
            "" => String::new(),
            "help" => HELP.to_owned(),
            "list" if here.is_empty() => "nobody is here".to_owned(),
            "list" => format!("{} here: {}", here.len(), here.join(", ")),
            "say" => format!("<server> {rest}"),
            "weather" => format!("day {}: a light breeze from the sea", self.world.day),
            "save" => self.save(),
            "quit" => return ("the village goes to sleep".to_owned(), Next::Quit),
            "crash" => match if rest.is_empty() { Ok(1) } else { rest.trim().parse() } {
                Ok(code) => return ("a dragon! all is lost".to_owned(), Next::Crash(code)),
                Err(_) => format!("{rest:?} is no exit code: a number from 0 to 255 is"),
            },
            _ => format!("unknown command {word:?}; {HELP}"),
        };
        (answer, Next::GoOn)
    }

    /// Runs until it is told to end or nobody reads any more. Returns its exit code.
    fn run(&mut self, lines: &Receiver<String>, out: &mut impl Write) -> u8 {
        let mut random = Random::new();
        let mut dawn = Instant::now() + DAY;
        loop {
            let (said, next) = match lines.recv_timeout(dawn.saturating_duration_since(Instant::now())) {
                Ok(line) => self.obey(&line),
                Err(RecvTimeoutError::Timeout) => {
                    // A machine that slept does not make up for the days it missed.
                    dawn = Instant::now() + DAY;
                    (self.world.pass(&mut random), Next::GoOn)
                }
                // Does not happen: `main` has one of its senders.
                Err(RecvTimeoutError::Disconnected) => ("nobody can come any more".to_owned(), Next::Quit),
            };
            let mut heard = said.is_empty() || say(out, &said);
            match next {
                Next::GoOn if said.starts_with('[') && self.world.day.is_multiple_of(SAVE_EVERY) => {
                    heard &= say(out, &self.save());
                }
                Next::GoOn => {}
                Next::Quit => {
                    say(out, &self.save());
                    return 0;
                }
                Next::Crash(code) => {
                    complain(&format!("the village was lost on day {}", self.world.day));
                    return code;
                }
            }
            if !heard {
                complain(&format!("nobody reads what the village says; {}", self.save()));
                return 1;
            }
        }
    }
}

/// Prints a line; false if nobody will ever read it. A disk that is full may be emptied.
fn say(out: &mut impl Write, line: &str) -> bool {
    let said = writeln!(out, "{line}").and_then(|()| out.flush());
    !matches!(said, Err(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The next line, cut at [`LONGEST_LINE`], whatever bytes it is made of; `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
    }
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Passes lines on until there are no more: the end of stdin is not the end of the game.
fn listen(lines: &SyncSender<String>) {
    let mut input = io::stdin().lock();
    while let Ok(Some(line)) = next_line(&mut input) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

#[cfg_attr(test, expect(dead_code, reason = "the tests call what it calls"))]
fn main() -> ExitCode {
    let place = Place(env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from));
    let (world, trouble) = match place.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&format!("cannot read {}: {error}", show(&place.save())));
            return ExitCode::FAILURE;
        }
    };
    let mut out = io::stdout();
    say(&mut out, &format!("village demo: day {}, {} villagers", world.day, world.villagers.len()));
    if let Some(trouble) = trouble {
        say(&mut out, &trouble);
    }
    say(&mut out, &format!("ready; {HELP}"));
    let (sender, lines) = sync_channel(16);
    let heard = sender.clone();
    if let Err(error) = thread::Builder::new().spawn(move || listen(&heard)) {
        complain(&format!("cannot listen to commands: {error}"));
    }
    let code = Game { world, place }.run(&lines, &mut out);
    drop(sender);
    ExitCode::from(code)
}

#[cfg(test)]
mod tests;
