//! Which process holds a port, as the kernel shows it.

use std::{fs, path::Path};

use crate::model::{PortBinding, Protocol};

/// Who holds a port of this machine, for people: the process where it can be seen, `nginx (pid
/// 42)`.
pub fn port_holder(port: &PortBinding) -> String {
    seen(port).unwrap_or_else(|| "somebody else on this machine".to_owned())
}

/// The process that holds it, as far as /proc shows it.
fn seen(port: &PortBinding) -> Option<String> {
    let inodes = inodes(port);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        let holds =
            open.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| is_one_of(&target, &inodes));
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        holds.then(|| format!("{} (pid {pid})", name().trim()))
    })
}

fn is_one_of(target: &Path, inodes: &[u64]) -> bool {
    let inode =
        target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
    inode.is_some_and(|inode| inodes.contains(&inode))
}

/// The inodes of the sockets bound to a port.
fn inodes(port: &PortBinding) -> Vec<u64> {
    let files = match port.protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let tables = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    tables.flat_map(|table| inodes_in(&table, port.host_port.get())).collect()
}

/// Reads the kernel's table (proc(5)): column 1 is `address:port` in hex, column 9 the inode.
fn inodes_in(table: &str, port: u16) -> Vec<u64> {
    let lines = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    lines
        .filter(|columns| {
            let local = columns.get(1).and_then(|local| local.rsplit_once(':'));
            local.is_some_and(|(_, number)| u16::from_str_radix(number, 16) == Ok(port))
        })
        .filter_map(|columns| columns.get(9)?.parse().ok())
        .filter(|&inode| inode != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1E61 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0\n\
             1: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0\n";
        assert_eq!(inodes_in(table, 7777), [4242]);
        assert!(inodes_in(table, 80).is_empty());
    }
}
