//! Telling one run of the engine from the next one. Its API does not say.

use std::fs;

use crate::client::Client;

/// What stays the same for as long as the engine's process lives, and changes with the
/// next one; empty where nothing tells.
///
/// That is the process that listens on the socket, if it is the engine (with socket
/// activation it is not); else the creation of the network `bridge`, which an engine
/// makes anew when it starts and finds no games that outlived it.
pub(crate) async fn boot(client: &Client) -> String {
    if let Some(pid) = client.listener().await
        && let Some(start) = engine_started(pid)
    {
        return format!("process {pid} of {start}");
    }
    let operation = "ask the engine";
    let Ok(docker) = client.docker(operation).await else { return String::new() };
    let bridge = docker.inspect_network("bridge", None).await;
    bridge.ok().and_then(|bridge| bridge.created).map(|at| format!("bridge of {at}")).unwrap_or_default()
}

/// When the process was started, in the kernel's ticks, if it is a dockerd.
fn engine_started(pid: i32) -> Option<u64> {
    started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, "dockerd")
}

/// The 22nd field of /proc/pid/stat (proc(5)) if the second is `(name)`, which may have
/// blanks and brackets in it.
fn started(stat: &str, name: &str) -> Option<u64> {
    let (before, after) = stat.rsplit_once(')')?;
    (before.split_once('(')?.1 == name).then_some(())?;
    after.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_read() {
        let stat = "812 (dockerd) S 1 812 812 0 -1 4194560 9 0 0 0 5 5 0 0 20 0 15 0 4242 1 2 3";
        assert_eq!(started(stat, "dockerd"), Some(4242));
        assert_eq!(started(&stat.replace("dockerd", "systemd"), "dockerd"), None);
        assert_eq!(started("", "dockerd"), None);
    }
}
