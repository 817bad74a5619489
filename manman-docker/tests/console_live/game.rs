//! Containers to read consoles of, and somebody who keeps what they print.

use std::{process::Command, sync::Arc, time::Duration};

use bollard::{
    ClientVersion, Docker,
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig},
    query_parameters::CreateContainerOptions,
};
use futures::StreamExt;
use manman_core::{
    clock::SystemClock,
    console::{Channel, Console, EndCause, Gap, Output, Position, Resume},
};
use manman_docker::{Engine, console::Consoles};
use tokio::time::Instant;

const SOCKET: &str = "/var/run/docker.sock";

/// How long what is to come may take, all of it: of a log of 20 MB nothing is shown until its
/// place is found, which takes a busy engine a quarter of a minute. Bounds a hang, measures nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether tests run at full length.
pub fn full() -> bool {
    std::env::var("MANMAN_TESTS").as_deref() == Ok("full")
}

pub fn docker(arguments: &[&str]) -> String {
    let output =
        Command::new("docker").args(arguments).output().expect("no docker command: run scripts/docker-up");
    assert!(
        output.status.success(),
        "docker {}: {}(is an engine running? scripts/docker-up starts one, scripts/images/all builds the images)",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container of this test, removed with it.
pub struct Game {
    pub id: String,
}

impl Game {
    /// Creates, without starting it. Its stdin stays open for the next console, which
    /// the command line cannot say.
    pub async fn create(
        driver: &str,
        options: &[(&str, &str)],
        tty: bool,
        image: &str,
        command: &[&str],
    ) -> Self {
        let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let body = ContainerCreateBody {
            image: Some(format!("manman-fixture/{image}:1")),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            open_stdin: Some(true),
            tty: Some(tty),
            labels: Some([("manman.test".to_owned(), "console_live".to_owned())].into()),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                log_config: Some(HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(options) }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let engine =
            Docker::connect_with_unix(SOCKET, 60, &ClientVersion { major_version: 1, minor_version: 41 })
                .expect("no engine: run scripts/docker-up");
        let created = engine.create_container(None::<CreateContainerOptions>, body).await;
        Self { id: created.expect("scripts/images/all builds the images").id }
    }

    pub fn start(self) -> Self {
        docker(&["start", &self.id]);
        self
    }

    /// Waits for its end and tells its exit code.
    pub fn wait(&self) -> String {
        docker(&["wait", &self.id])
    }

    pub fn runs(&self) -> bool {
        docker(&["inspect", "--format", "{{.State.Running}}", &self.id]) == "true"
    }
}

impl Drop for Game {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", "-v", &self.id]).output();
    }
}

pub fn consoles() -> Consoles {
    Consoles::new(Engine::new(SOCKET, (1, 41)), Arc::new(SystemClock))
}

/// Keeps what a console shows, as a spool would.
#[derive(Default)]
pub struct Keeper {
    pub text: [Vec<u8>; 2],
    pub gaps: Vec<Gap>,
    pub end: Option<EndCause>,
    position: Option<Position>,
    tail: Vec<(Channel, Vec<u8>)>,
}

impl Keeper {
    pub fn keep(&mut self, output: Output) {
        assert!(self.end.is_none(), "something came after the end");
        match output {
            Output::Batch(batch) => {
                for (channel, piece) in batch.pieces() {
                    self.text[channel.index()].extend_from_slice(piece);
                    self.tail.push((channel, piece.to_vec()));
                }
                for channel in Channel::BOTH {
                    let mut surplus = self
                        .tail
                        .iter()
                        .filter(|(of, _)| *of == channel)
                        .count()
                        .saturating_sub(Resume::TAIL);
                    self.tail.retain(|(of, _)| {
                        let goes = *of == channel && surplus > 0;
                        surplus -= usize::from(goes);
                        !goes
                    });
                }
                self.position = Some(batch.position);
            }
            Output::Gap(gap, position) => {
                self.gaps.push(gap);
                self.position = Some(position);
            }
            Output::End(cause) => self.end = Some(cause),
        }
    }

    pub fn resume(&self) -> Option<Resume> {
        Some(Resume { position: self.position?, tail: self.tail.clone() })
    }

    pub fn bytes(&self) -> usize {
        self.text[0].len() + self.text[1].len()
    }

    /// Follows until `until` says so, or the end.
    pub async fn follow(&mut self, console: &mut Console, mut until: impl FnMut(&Self) -> bool) {
        let patience = Instant::now() + PATIENCE;
        while !until(self) && self.end.is_none() {
            match tokio::time::timeout_at(patience, console.output.next()).await {
                // One that never ends takes too long too.
                Ok(Some(output)) if Instant::now() < patience => self.keep(output),
                Ok(None) => panic!("the stream ended without saying why"),
                _ => panic!("it takes too long; so far {} bytes, the last {:?}", self.bytes(), self.last()),
            }
        }
    }

    /// Follows for a while, or until the end.
    pub async fn follow_for(&mut self, console: &mut Console, time: Duration) {
        let until = Instant::now() + time;
        while self.end.is_none()
            && let Ok(output) = tokio::time::timeout_at(until, console.output.next()).await
        {
            self.keep(output.expect("the stream ended without saying why"));
        }
    }

    pub fn last(&self) -> [String; 2] {
        self.text.each_ref().map(|text| {
            let tail = &text[text.len().saturating_sub(200)..];
            String::from_utf8_lossy(tail).into_owned()
        })
    }

    /// Asserts that each channel shows exactly this.
    pub fn shows(&self, channel: Channel, expected: &[u8]) {
        let text = &self.text[channel.index()];
        if text == expected {
            return;
        }
        let at = text.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let around = |text: &[u8]| {
            String::from_utf8_lossy(&text[at.saturating_sub(80).min(text.len())..(at + 160).min(text.len())])
                .into_owned()
        };
        panic!(
            "{channel} differs at byte {at}: {} bytes shown, {} printed\nshown:   {:?}\nprinted: {:?}\ngaps: {:?}",
            text.len(),
            expected.len(),
            around(text),
            around(expected),
            self.gaps
        );
    }
}

/// What the flooder prints on a channel as its `lines` lines.
pub fn flood(channel: Channel, lines: u64, identical: bool) -> Vec<u8> {
    let name = if channel == Channel::Stdout { "out" } else { "err" };
    let mut text = Vec::new();
    for number in 1..=lines {
        let line = if identical { format!("{name} identical ") } else { format!("{name} {number:06} ") };
        text.extend_from_slice(format!("{line:.<64}\n").as_bytes());
    }
    text
}
