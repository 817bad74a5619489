//! A game small enough to be part of the program: a village by the sea that villagers
//! come to and leave. It prints what happens, answers commands, saves its world, and can
//! be told to crash.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    signal::unix::{SignalKind, signal},
};

const NAMES: [&str; 12] =
    ["Ada", "Bo", "Cleo", "Dov", "Edda", "Finn", "Greta", "Hal", "Ida", "Jon", "Kaja", "Lou"];

const HELP: &str = "commands: help, list, say TEXT, save, weather, quit, crash [CODE]";

/// What is saved.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct World {
    /// Days since the village was founded, over all runs.
    day: u64,
    /// Who is there.
    villagers: Vec<String>,
}

impl World {
    fn load(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all: written beside, then renamed.
    fn save(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        fs::rename(&beside, path)
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
    path: PathBuf,
}

impl Game {
    /// A day passes: somebody comes, goes, or does something worth a line.
    fn day(&mut self, random: &mut fastrand::Rng) -> String {
        self.world.day += 1;
        let day = self.world.day;
        let away: Vec<_> =
            NAMES.iter().filter(|name| !self.world.villagers.iter().any(|it| it == *name)).collect();
        let comes = self.world.villagers.len() < 3 || random.u8(..) < 100;
        match random.choice(away) {
            Some(name) if comes => {
                self.world.villagers.push((*name).to_string());
                format!("[day {day}] {name} joined the village ({} here)", self.world.villagers.len())
            }
            _ => {
                let gone = self.world.villagers.swap_remove(random.usize(..self.world.villagers.len()));
                format!("[day {day}] {gone} left the village ({} here)", self.world.villagers.len())
            }
        }
    }

    fn save(&self) -> io::Result<String> {
        self.world.save(&self.path)?;
        Ok(format!("saved day {} to {}", self.world.day, self.path.display()))
    }

    fn obey(&mut self, line: &str) -> (String, Next) {
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let here = &self.world.villagers;
        match word {
            "help" => (HELP.to_owned(), Next::GoOn),
            "list" if here.is_empty() => ("nobody is here".to_owned(), Next::GoOn),
            "list" => (format!("{} here: {}", here.len(), here.join(", ")), Next::GoOn),
            "say" => (format!("<server> {rest}"), Next::GoOn),
            "weather" => (format!("day {}: a light breeze from the sea", self.world.day), Next::GoOn),
            "save" => match self.save() {
                Ok(text) => (text, Next::GoOn),
                Err(error) => (format!("could not save: {error}"), Next::GoOn),
            },
            "quit" => ("the village goes to sleep".to_owned(), Next::Quit),
            "crash" => ("a dragon! all is lost".to_owned(), Next::Crash(rest.parse().unwrap_or(1))),
            _ => (format!("unknown command {word:?}; {HELP}"), Next::GoOn),
        }
    }
}

/// Runs the game in `directory` until it is told to end: `quit`, SIGTERM, or `crash`.
/// A day lasts `day`. Returns its exit code.
pub async fn run(directory: &Path, day: Duration) -> io::Result<u8> {
    let path = directory.join("village.json");
    let mut game = Game { world: World::load(&path)?, path };
    let mut out = io::stdout();
    writeln!(out, "village demo: day {}, {} villagers", game.world.day, game.world.villagers.len())?;
    writeln!(out, "ready; {HELP}")?;
    let mut random = fastrand::Rng::new();
    let mut days = tokio::time::interval(day);
    days.tick().await;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut stdin_open = true;
    loop {
        let next = tokio::select! {
            _ = days.tick() => {
                writeln!(out, "{}", game.day(&mut random))?;
                Next::GoOn
            }
            _ = terminated.recv() => {
                writeln!(out, "asked to end")?;
                Next::Quit
            }
            line = lines.next_line(), if stdin_open => match line? {
                Some(line) => {
                    let (answer, next) = game.obey(&line);
                    writeln!(out, "{answer}")?;
                    next
                }
                None => {
                    stdin_open = false;
                    Next::GoOn
                }
            },
        };
        match next {
            Next::GoOn => {}
            Next::Quit => {
                writeln!(out, "{}", game.save()?)?;
                return Ok(0);
            }
            Next::Crash(code) => {
                writeln!(io::stderr(), "the village was lost on day {}", game.world.day)?;
                return Ok(code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("village.json");
        let mut game = Game { world: World::load(&path).unwrap(), path: path.clone() };
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..100 {
            game.day(&mut random);
            assert!(game.world.villagers.len() <= NAMES.len());
        }
        game.save().unwrap();
        assert_eq!(World::load(&path).unwrap(), game.world);
    }

    #[test]
    fn commands_are_answered() {
        let directory = tempfile::tempdir().unwrap();
        let mut game = Game { world: World::default(), path: directory.path().join("village.json") };
        assert_eq!(game.obey("list"), ("nobody is here".to_owned(), Next::GoOn));
        assert_eq!(game.obey("say hello you").0, "<server> hello you");
        assert_eq!(game.obey("crash 42").1, Next::Crash(42));
        assert_eq!(game.obey("quit").1, Next::Quit);
        assert!(game.obey("dance").0.starts_with("unknown command \"dance\""));
    }
}
