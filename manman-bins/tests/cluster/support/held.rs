//! What is done to a session, held up in the database.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{Cluster, PATIENCE, until};

/// A session whose row is locked: whoever wants to write it waits, until this is dropped.
pub struct Held(Child);

impl Held {
    /// Locks that of the latest session of a deployment.
    #[track_caller]
    pub fn of(cluster: &Cluster, name: &str) -> Self {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-q", "-A", "-t", &cluster.database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut psql = command.spawn().unwrap();
        let id = &cluster.session(name)["session_id"];
        let lock = format!("BEGIN; SELECT 'held' FROM sessions WHERE id = {id} FOR UPDATE;\n");
        psql.stdin.as_mut().unwrap().write_all(lock.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(psql.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        assert_eq!(answer, "held\n");
        Self(psql)
    }

    /// Waits until one of these processes is held up in the midst of a change, and says which.
    #[track_caller]
    pub fn who_waits(&self, cluster: &Cluster, processes: &[u32]) -> usize {
        let waiting = "SELECT client_port FROM pg_stat_activity
            WHERE datname = current_database() AND client_port > 0
                AND wait_event_type = 'Lock' AND query LIKE '%sessions%'";
        until("somebody waits for the lock", PATIENCE, || {
            let ports = cluster.sql(waiting);
            let mut ports = ports.lines().map(|port| port.parse().unwrap());
            ports.find_map(|port| processes.iter().position(|&process| is_of(port, process)))
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a connection from this port of 127.0.0.1 is one of the process.
fn is_of(port: u16, process: u32) -> bool {
    let local = format!("0100007F:{port:04X}");
    let connections = fs::read_to_string("/proc/net/tcp").unwrap();
    // Several that go to different places may have the same.
    let sockets: Vec<PathBuf> = connections
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1) == Some(&local.as_str()))
        .map(|fields| format!("socket:[{}]", fields[9]).into())
        .collect();
    let Ok(open) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    open.flatten().any(|open| fs::read_link(open.path()).is_ok_and(|it| sockets.contains(&it)))
}
