//! What the options of `config create` and its file say.

use std::{io::Read as _, path::Path};

use manman_core::model::{ConfigBody, Invalid};

use crate::{
    api::v1,
    cli::{failure::Failure, grammar::ConfigCreate, json},
};

/// The largest file that is read as a config; a request may have 1 MiB.
const LARGEST_FILE: u64 = 1 << 20;

/// The config that the file and the options say: options replace what is one value and
/// add to what are several.
pub fn body(args: ConfigCreate) -> Result<ConfigBody, Failure> {
    let mut body = match (&args.file, args.image.clone()) {
        (Some(file), _) => read(file)?,
        (None, Some(image)) => ConfigBody::new(image),
        // The grammar asks for one of them.
        (None, None) => return Err(Failure::usage("there is neither --image nor --file")),
    };
    if let Some(image) = args.image {
        body.image = image;
    }
    if !args.entrypoint.is_empty() {
        body.entrypoint = args.entrypoint;
    }
    if !args.command.is_empty() {
        body.command = args.command;
    }
    body.env_template.extend(args.env);
    body.ports.extend(args.ports);
    body.volumes.extend(args.volumes);
    body.stop.steps.extend(args.stop);
    body.labels.extend(args.labels);
    set(&mut body.data_path, args.data_path);
    set(&mut body.stop.signal, args.stop_signal);
    set(&mut body.stop.grace_millis, args.stop_grace);
    set(&mut body.limits.memory_bytes, args.memory.map(Some));
    set(&mut body.limits.cpu_millis, args.cpus.map(Some));
    set(&mut body.limits.pids, args.pids.map(Some));
    set(&mut body.user, args.user.map(Some));
    set(&mut body.capabilities, args.cap_profile);
    set(&mut body.network, args.network);
    set(&mut body.console, args.console);
    set(&mut body.log.driver, args.log_driver);
    set(&mut body.log.max_size_bytes, args.log_max_size);
    set(&mut body.log.max_files, args.log_max_files);
    body.tty |= args.tty;
    body.validate().map_err(|invalid| Failure::usage(invalid.to_string()).detail("field", invalid.field))?;
    Ok(body)
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn read(file: &Path) -> Result<ConfigBody, Failure> {
    let shown = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(LARGEST_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failure::usage(format!("{shown} cannot be read: {error}"))
            .remedy("Name a file that is there and that this user may read, or '-' for stdin.")
    })?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(Failure::usage(format!("{shown} is larger than 1 MiB")));
    }
    parse(&text).map_err(|problem| {
        Failure::usage(format!("{shown}: {problem}"))
            .remedy("The file holds what `manman config show NAME -o json` has as `body`.")
    })
}

fn parse(text: &str) -> Result<ConfigBody, String> {
    let body = json::read::<v1::ConfigBody>(text)?;
    ConfigBody::try_from(body).map_err(|invalid: Invalid| invalid.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::grammar::{Cli, Command, ConfigCommand};

    fn created(options: &[&str]) -> Result<ConfigBody, Failure> {
        let words = ["manman", "config", "create", "vanilla", "--game", "openttd"];
        let cli = Cli::try_parse_from(words.iter().chain(options)).unwrap();
        let Command::Config(ConfigCommand::Create(args)) = cli.command else {
            unreachable!("parsed a create")
        };
        body(*args)
    }

    #[test]
    fn options_become_a_config() {
        let body = created(&[
            "--image=openttd:13.0",
            "--entrypoint=sh",
            "--entrypoint=-c",
            "--env=A=b",
            "--port=3979/udp",
            "--port=3979/tcp",
            "--volume=saves:/saves:ro",
            "--data-path=/data",
            "--stop=save:2s",
            "--stop=quit:500ms",
            "--stop-signal=INT",
            "--stop-grace=1m",
            "--memory=2GiB",
            "--cpus=1.5",
            "--pids=64",
            "--user=1000:1000",
            "--tty",
            "--cap-profile=image",
            "--network=shared:proxy",
            "--console=best-effort",
            "--log-driver=syslog",
            "--log-max-size=10MB",
            "--log-max-files=3",
            "--label=a=b",
            "--",
            "-D",
            "-c",
            "x",
        ])
        .unwrap();
        let again = ConfigBody::try_from(v1::ConfigBody::from(body.clone())).unwrap();
        assert_eq!(again, body);
        assert_eq!(body.entrypoint, ["sh", "-c"]);
        assert_eq!(body.command, ["-D", "-c", "x"]);
        assert_eq!(body.stop.steps[1].wait_millis, 500);
        assert_eq!(body.limits.memory_bytes, Some(2 << 30));
        assert_eq!(body.log.max_files, 3);
        assert!(body.tty && body.volumes[0].read_only);
    }

    #[test]
    fn what_could_not_run_is_refused_before_it_is_sent() {
        for (options, problem) in [
            (vec!["--image=a", "--port=1/tcp", "--port=1/tcp"], "ports[1]"),
            (vec!["--image=a", "--user=root"], "user"),
            (vec!["--image=a", "--memory=1MiB"], "limits.memory_bytes"),
            (vec!["--image=a", "--log-driver=none"], "log.driver"),
            (vec!["--file=/nonexistent"], "/nonexistent cannot be read"),
        ] {
            let failure = created(&options).unwrap_err();
            let Failure::Told(told) = &failure else { unreachable!("there is something to tell") };
            assert!(told.message.starts_with(problem), "{}", told.message);
            assert_eq!(failure.exit(), crate::cli::exit::Exit::Usage);
        }
    }

    #[test]
    fn options_change_and_add_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.json");
        let text = r#"{"image": "a", "env_template": {"A": "1", "B": "2"}, "tty": true, "command": ["x"],
            "ports": [{"container_port": 1, "protocol": "tcp"}], "stop": {"steps": [{"command": "q", "wait_millis": 1}]}}"#;
        std::fs::write(&file, text).unwrap();
        let file = format!("--file={}", file.display());
        let body = created(&[&file, "--image=b", "--env=B=3", "--port=2/udp", "--", "y"]).unwrap();
        assert_eq!(body.image.as_str(), "b:latest");
        assert_eq!(body.env_template["A"], "1");
        assert_eq!(body.env_template["B"], "3");
        assert_eq!(body.ports.len(), 2);
        assert_eq!(body.command, ["y"]);
        assert!(body.tty);
        assert_eq!(created(&[&file]).unwrap().stop.grace_millis, 30_000);
    }

    #[test]
    fn a_shown_config_can_be_read_back() {
        let body = created(&["--image=a", "--port=1/udp", "--stop=save:2s", "--env=A=b"]).unwrap();
        let shown = json::write(&v1::ConfigBody::from(body.clone())).to_string();
        assert_eq!(parse(&shown), Ok(body));
        assert!(parse(r#"{"image": "a", "user": "root"}"#).is_ok(), "checked as a whole, later");
        assert!(parse(r#"{"image": ""}"#).unwrap_err().starts_with("image:"));
        assert!(parse(r#"{"image": "a", "privileged": true}"#).unwrap_err().starts_with("privileged:"));
    }
}
