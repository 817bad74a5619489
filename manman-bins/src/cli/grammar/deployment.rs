//! `deployment …`.

use clap::{Args, Subcommand};
use manman_core::model::Name;

use crate::cli::parse::{self, Pair, PortAsked};

/// Deployments: a config on a server, with its ports and files.
#[derive(Debug, Subcommand)]
pub enum DeploymentCommand {
    /// Deploy a config to a server and take its ports
    #[command(after_help = EXAMPLE)]
    Create(DeploymentCreate),
    /// List deployments
    #[command(visible_alias = "ls")]
    #[command(after_help = "Example:\n  manman deployment list --server box")]
    List {
        /// Only those of this server, by name or id
        #[arg(long, value_name = "SERVER")]
        server: Option<String>,
    },
    /// Show a deployment
    #[command(after_help = "Example:\n  manman deployment show trains")]
    Show {
        /// Its name or id
        deployment: String,
    },
    /// Delete a deployment that has no live session, and free its ports; its files stay
    #[command(visible_alias = "rm")]
    #[command(after_help = "Example:\n  manman deployment delete trains")]
    Delete {
        /// Its name or id
        deployment: String,
    },
}

const EXAMPLE: &str = "\
Example:
  manman deployment create trains --config openttd/vanilla --port 3979/udp=3979 \\
      --port 3979/tcp=any:30000-30100";

/// Deploy a config to a server and take its ports.
#[derive(Args, Debug)]
pub struct DeploymentCreate {
    /// Its name, unique in the installation
    pub name: Name,
    /// The server, by name or id; needed when there are several
    #[arg(long, value_name = "SERVER")]
    pub server: Option<String>,
    /// The config, by name or id, or as game/config
    #[arg(long, value_name = "CONFIG")]
    pub config: String,
    /// A port that the config needs and the one of the machine: 3979/udp=3979,
    /// 3979/tcp=any:30000-30100, or 3979/udp for the same number; may be repeated
    #[arg(long = "port", value_name = "PORT", value_parser = parse::port_asked)]
    pub ports: Vec<PortAsked>,
    /// A free label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub labels: Vec<Pair>,
}
