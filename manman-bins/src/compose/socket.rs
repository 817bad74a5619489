//! The API's Unix socket.

use std::{io, os::unix::net::UnixListener, path::Path};

use rustix::{
    fs::{Mode, fchmod},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
};

use crate::files::remove_if_there;

/// Listens at `path`, which only its owner may connect to from its first moment on. What
/// an earlier process left there is replaced: whoever calls holds the directory's lock.
///
/// # Errors
/// If the path is too long for a socket (107 bytes, unix(7)), or cannot be made.
pub fn listen_at(path: &Path) -> io::Result<UnixListener> {
    remove_if_there(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux makes the file with the socket's own mode, so there is no moment in which
    // others could connect.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, 128)?;
    Ok(UnixListener::from(socket))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::PermissionsExt as _, net::UnixStream},
    };

    use super::*;

    #[test]
    fn only_the_owner_may_connect_and_what_was_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manman.sock");
        drop(listen_at(&path).unwrap());
        let _listener = listen_at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
    }
}
