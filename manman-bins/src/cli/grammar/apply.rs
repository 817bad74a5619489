//! `apply`.

use std::path::PathBuf;

use clap::Args;

/// Make games, configs and deployments be as files declare them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLE)]
pub struct ApplyArgs {
    /// A file in YAML, a directory with such files, or '-' for stdin; may be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Apply without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

const EXAMPLE: &str = "\
Examples:
  manman apply -f games.yaml
  manman apply -f games.yaml --yes

A file:
  version: 1
  games:
    - name: openttd
      configs:
        - name: vanilla
          image: openttd:13.0
          ports: [3979/tcp, 3979/udp]
          stop: [save:2s, quit:10s]
          limits: {memory: 512MiB, cpus: 1.5}
  deployments:
    - name: trains
      config: openttd/vanilla
      ports: [3979/udp=any:30000-30100]";
