//! What the program's exit code says.

use std::process::ExitCode;

/// What the program's exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Refused, or it did not come to what was asked.
    Failed,
    /// The command line, or a file that it names, is invalid.
    Usage,
    /// No manman answers (`EX_UNAVAILABLE` of sysexits.h).
    Unreachable,
    /// The caller may not (`EX_NOPERM`).
    NotPermitted,
    /// manman's own configuration is invalid (`EX_CONFIG`).
    Config,
    /// Broken off by Ctrl-C, as shells show it: 128 and the number of SIGINT.
    Interrupted,
}

/// All of them, for the documentation.
#[cfg(test)]
const ALL: [(Exit, &str); 7] = [
    (Exit::Ok, "done"),
    (Exit::Failed, "failed: it was refused, or did not come to what was asked"),
    (Exit::Usage, "usage: invalid command line or input file"),
    (Exit::Unreachable, "unreachable: no manman answers"),
    (Exit::NotPermitted, "not permitted: no valid token, or not your files"),
    (Exit::Config, "config: manman's configuration is invalid"),
    (Exit::Interrupted, "interrupted: broken off by Ctrl-C; what was asked for goes on"),
];

/// The end of `--help`.
pub const HELP: &str = "\
Names and ids are taken everywhere; a session also by its deployment's name.

Exit codes: 0 done, 1 failed, 2 usage, 69 no answer, 77 not permitted, 78 configuration, 130 Ctrl-C.
NO_COLOR turns colours off. Errors with -o json are JSON objects on stderr.";

impl Exit {
    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::NotPermitted => 77,
            Self::Config => 78,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.number().into()
    }
}

/// The page `docs/exit-codes.md`.
#[cfg(test)]
fn as_markdown() -> String {
    let mut page = String::from(
        "# Exit codes of `manman`\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for (exit, meaning) in ALL {
        page.push_str(&format!("| {} | {meaning} |\n", exit.number()));
    }
    page.push_str(
        "\n`start` and `restart` exit with 1 when the game does not come up, `stop` and `kill` with 0 once it\n\
         has ended, whatever its own exit code was: that is printed, and `-o json` has it as `exit_code`.\n\
         `send` exits with 1 unless the line was written. A reader that goes away (`manman logs NAME | head`)\n\
         is no failure. `doctor` exits with 1 if it finds a problem. `up` exits with 1, not 78, where its address\n\
         is taken or not there yet: that passes, and systemd tries again.\n\n\
         Ctrl-C (SIGINT) while `start`, `stop`, `kill`, `restart` or `down` wait breaks the wait off, not what was\n\
         asked for: the message says what goes on, and the exit code is 130. It ends `up` with 0, and its games go\n\
         on; a second one ends it at once, with 1. In a `console` at a terminal it is a key. All other commands end\n\
         by the signal itself, which shells show as 130.\n\n\
         With `-o json` an error is an object on stderr: `{\"error\": {\"code\", \"message\", \"cause\", \"remedy\",\n\
         \"exit_code\", …}}`; the codes are those of [errors.md](errors.md), and `usage`, `unreachable`,\n\
         `not_permitted`, `config`, `up`, `interrupted`, `failed` where the program itself refuses.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_page_name_every_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/exit-codes.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(page, as_markdown(), "docs/exit-codes.md is to be what this test expects");
        for (exit, _) in ALL {
            assert!(HELP.contains(&format!(" {} ", exit.number())), "{exit:?}");
        }
    }
}
