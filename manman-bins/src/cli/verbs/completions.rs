//! `completions`: what a shell is told of the command line.

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::cli::{failure::Failure, grammar::Cli, output::Screen};

/// Writes the script of a shell to stdout, whatever the format: it is a program.
pub fn completions(screen: &mut Screen, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(shell, &mut shown(&Cli::command()), "manman", &mut script);
    Ok(screen.write_out(&script)?)
}

/// The same grammar without its hidden commands: shells would offer them.
fn shown(whole: &Command) -> Command {
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("manman").args(whole.get_arguments().cloned()).subcommands(visible)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_has_a_script_without_hidden_commands() {
        for shell in Shell::value_variants() {
            let (mut screen, shown) = Screen::captured();
            completions(&mut screen, *shell).unwrap();
            let script = shown.out();
            assert!(script.contains("deployment") && script.contains("data-dir"), "{shell}");
            assert!(!script.contains("demo-game"), "{shell}");
        }
    }
}
