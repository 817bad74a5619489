//! `control-migration`: brings the schema of the store to a version, and says where it is.

use std::{future::Future, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use manman_core::error::{Error, ErrorKind};
use manman_store::migrate::{Database, Goal, MigrateError, Standing, Step, create};

use super::Died;
use crate::{
    cli::Exit,
    config::{self, Process},
    telemetry::{self, LogFormat},
};

/// Brings the schema of manman's store to a version.
///
/// Only one changes a database at a time: a second one waits.
#[derive(Debug, Parser)]
#[command(name = "control-migration", version, after_help = HELP, max_term_width = 100)]
struct Cli {
    /// The database (DATABASE_URL, DATABASE_URL_FILE or MANMAN_POSTGRES_URL)
    ///
    /// A password in it shows in the list of processes: better set the variable.
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    #[command(subcommand)]
    command: Command,
}

const HELP: &str = "\
Examples:
  control-migration up
  control-migration goto 3 --dry-run

Exit codes: 0 done, 1 failed, 2 usage, 69 no answer, 77 not permitted, 78 configuration or schema.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the schema to the latest version
    #[command(alias = "run-migration")]
    Up(Dry),
    /// Undo every migration: the store is empty then
    Down {
        /// That is meant: all of the store is lost
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        dry: Dry,
    },
    /// Go so many migrations up, or down if negative
    Steps {
        /// How many
        #[arg(allow_negative_numbers = true)]
        steps: i64,
        #[command(flatten)]
        dry: Dry,
    },
    /// Go to a version, up or down
    #[command(alias = "run-downgrade")]
    Goto {
        /// The version; 0 is an empty database
        version: i64,
        #[command(flatten)]
        dry: Dry,
    },
    /// Print the version
    Version,
    /// Put a version on record without changing anything else: after a migration that died
    /// half-way was finished or undone by hand
    Force {
        /// The version
        version: i64,
    },
    /// List the migrations, and which are applied
    Status,
    /// Write the files of a new migration, for who changes manman itself
    Create {
        /// Its name, such as session_notes
        name: String,
        /// The directory of migrations
        #[arg(long, value_name = "DIR", default_value = "manman-store/migrations")]
        dir: PathBuf,
    },
}

#[derive(Args, Clone, Copy, Debug)]
struct Dry {
    /// Print the SQL that would be run, and run none
    #[arg(long)]
    dry_run: bool,
}

/// The whole life of the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody is left to be told when the output is gone.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    match run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(died) => {
            let (sentence, exit) = died.tell();
            let _ = writeln!(std::io::stderr(), "control-migration: {sentence}");
            exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Died> {
    let _writing = telemetry::start(LogFormat::Human, "warn")?;
    if let Command::Create { name, dir } = &cli.command {
        let made = create(dir, name).map_err(|error| Died::Part("a new migration", error))?;
        for path in made {
            say(&path.display().to_string());
        }
        say("add it to `Set` in manman-store/src/migrate/set.rs");
        return Ok(());
    }
    let url = config::database(&Process, cli.database.as_deref())?.to_url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Died::Said(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let database = Database::connect(url.reveal()).await;
        let database = database.map_err(|error| Died::Part("the store", error))?;
        let done = change(&database, cli.command).await;
        database.close().await;
        done
    })
}

async fn change(database: &Database, command: Command) -> Result<(), Died> {
    match command {
        Command::Up(dry) => go(database, Goal::Latest, dry).await,
        Command::Down { yes, dry } if yes || dry.dry_run => go(database, Goal::Version(0), dry).await,
        Command::Down { .. } => {
            let message = "`down` loses all that is in the store: say --yes if that is meant";
            Err(Died::Part("refused", Error::new(ErrorKind::Invalid, "down", message)))
        }
        Command::Steps { steps, dry } => go(database, Goal::Steps(steps), dry).await,
        Command::Goto { version, dry } => go(database, Goal::Version(version), dry).await,
        Command::Version => {
            let version = asked(database.version()).await?;
            say(&format!("{}{}", version.number, if version.dirty { " (died half-way)" } else { "" }));
            Ok(())
        }
        Command::Force { version } => {
            asked(database.force(version)).await?;
            say(&format!("version {version} is on record"));
            Ok(())
        }
        Command::Status => {
            for line in asked(database.status()).await? {
                let standing = match line.standing {
                    Standing::Pending => "pending",
                    Standing::Applied => "applied",
                    Standing::Changed => "applied, and differs from the one that this build knows",
                    Standing::Dirty => "died half-way",
                    Standing::Unknown => "applied by a newer build",
                };
                say(&format!("{:>4}  {:<24} {standing}", line.version, line.name));
            }
            Ok(())
        }
        // It needs no database.
        Command::Create { .. } => Ok(()),
    }
}

async fn go(database: &Database, goal: Goal, dry: Dry) -> Result<(), Died> {
    let steps: Vec<Step> =
        if dry.dry_run { asked(database.plan(goal)).await? } else { asked(database.run(goal)).await? };
    for step in &steps {
        let done = if dry.dry_run { "-- would go" } else { "went" };
        say(&format!("{done} {} {}", step.direction, step.migration.name));
        if dry.dry_run {
            say(step.sql());
        }
    }
    if steps.is_empty() {
        say("nothing to do");
    }
    Ok(())
}

async fn asked<T>(call: impl Future<Output = Result<T, MigrateError>>) -> Result<T, Died> {
    call.await.map_err(|error| Died::Part("the schema", error.into()))
}

fn say(line: &str) {
    // Nobody is left to be told when the output is gone.
    let _ = writeln!(std::io::stdout(), "{line}");
}
