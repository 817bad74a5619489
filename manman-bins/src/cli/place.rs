//! Where manman answers, and with what proof.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use manman_core::error::cause;

use super::{exit::Exit, failure::Failure, grammar::Common};
use crate::{
    api::{dial::Address, tls},
    config::{self, Environment, Places},
};

/// Where manman answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a Unix socket; the kernel says who we are.
    Socket(PathBuf),
    /// At a TCP address, with a token.
    Tcp {
        /// The address.
        address: Address,
        /// The proof.
        token: Token,
        /// The authorities that are trusted instead of the system's, as PEM.
        ca: Option<Vec<u8>>,
    },
}

/// A token. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// What is sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Place {
    /// The place to talk to: what was asked for, else the data directory if that was
    /// asked for, else API_ADDRESS, else the socket of the usual data directory, else
    /// the usual port of this machine.
    pub fn find(common: &Common, around: &impl Environment) -> Result<Self, Failure> {
        let asked = common.data_dir.as_ref().map(|dir| dir.to_string_lossy());
        let data_dir = config::data_dir(asked.as_deref(), around)?;
        let files = Places(&data_dir);
        let address = match &common.address {
            Some(address) => Some(address.clone()),
            None if common.data_dir.is_some() => None,
            None => text(around, "API_ADDRESS"),
        };
        let Some(address) = address else {
            let (socket, token) = (files.socket(), files.token());
            // Without a socket, manman may still listen at its usual port, unless another
            // data directory was asked for.
            if common.data_dir.is_none() && !exists(&socket) && exists(&token) {
                let token = read_token(&token)?;
                return Ok(Self::Tcp { address: Address::local(), token, ca: None });
            }
            return Ok(Self::Socket(socket));
        };
        if let Some(path) = address.strip_prefix("unix:") {
            return Ok(Self::Socket(PathBuf::from(path.strip_prefix("//").unwrap_or(path))));
        }
        let address: Address = address.parse().map_err(Failure::usage)?;
        let ca = match common.ca.clone().or_else(|| around.get("API_CA").map(PathBuf::from)) {
            None => None,
            Some(file) => Some(fs::read(&file).map_err(|error| {
                Failure::usage(format!("the CA certificates cannot be read: {}: {error}", file.display()))
            })?),
        };
        if !address.is_encrypted(ca.is_some()) && !address.is_loopback() && !common.plaintext {
            return Err(Failure::usage(format!("the token would go to {} without encryption", address.host))
                .remedy(
                    "Say https:// if the API is served encrypted, use an SSH tunnel or a VPN, or say --plaintext if the network is your own.",
                ));
        }
        Ok(Self::Tcp { address, token: find_token(common, around, &files)?, ca })
    }

    /// What to say when nobody answers there.
    pub fn nobody(&self) -> Failure {
        let failure = match self {
            // `sun_path` of unix(7).
            Self::Socket(path) if path.as_os_str().len() > 107 => {
                let message = format!("{} is too long for a socket", path.display());
                Failure::new(Exit::Unreachable, "unreachable", message)
                    .remedy("The path of a socket has at most 107 bytes: choose a shorter --data-dir.")
            }
            Self::Socket(path) => {
                let dir = path.parent().unwrap_or(path).display();
                Failure::new(Exit::Unreachable, "unreachable", format!("no manman is running for {dir}"))
                    .remedy(
                        "Start it with `manman up`, or say where it is: --data-dir DIR or --address ADDRESS.",
                    )
            }
            Self::Tcp { .. } => {
                Failure::new(Exit::Unreachable, "unreachable", format!("no manman answers at {self}"))
                    .remedy("Start it with `manman up`, or say where it is: --address ADDRESS.")
            }
        };
        failure.detail("address", self.to_string())
    }

    /// What to say when a connection could not be made.
    pub fn unreached(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        if cause::<io::Error>(error).is_some_and(|it| it.kind() == io::ErrorKind::PermissionDenied) {
            return self.forbidden();
        }
        let trouble = match self {
            Self::Tcp { address, .. } => tls::trouble(address, error),
            Self::Socket(_) => None,
        };
        match trouble {
            Some(tls::Trouble { what, remedy }) => Failure::new(Exit::Unreachable, "unreachable", what)
                .remedy(remedy)
                .detail("address", self.to_string()),
            None => self.nobody(),
        }
    }

    /// What to say when the place may not be used.
    pub fn forbidden(&self) -> Failure {
        Failure::new(Exit::NotPermitted, "not_permitted", format!("{self} belongs to another user"))
            .remedy("Run this as the user who runs `manman up`, or use --address with --token-file.")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { address, .. } => address.fmt(f),
        }
    }
}

fn exists(path: &Path) -> bool {
    // One that may not be looked at is there.
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn text(around: &impl Environment, name: &str) -> Option<String> {
    around.get(name).map(|value| value.to_string_lossy().into_owned())
}

fn find_token(common: &Common, around: &impl Environment, files: &Places<'_>) -> Result<Token, Failure> {
    if let Some(file) = &common.token_file {
        return read_token(file);
    }
    if let Some(file) = around.get("API_TOKEN_FILE") {
        return read_token(Path::new(&file));
    }
    match text(around, "API_TOKEN") {
        Some(token) => checked(&token, "API_TOKEN"),
        None => read_token(&files.token()),
    }
}

fn read_token(file: &Path) -> Result<Token, Failure> {
    let text = fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Exit::NotPermitted,
            "unauthenticated",
            format!("the token cannot be read: {}: {error}", file.display()),
        )
        .remedy("`manman up` writes it into its data directory; copy that file, and say --token-file FILE.")
    })?;
    checked(text.trim(), &file.display().to_string())
}

/// A token is one word of printable ASCII: it goes into a header.
fn checked(token: &str, from: &str) -> Result<Token, Failure> {
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(Exit::NotPermitted, "unauthenticated", format!("{from} holds no token")));
    }
    Ok(Token(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Fixed;

    fn common(address: Option<&str>, data_dir: Option<&str>) -> Common {
        Common {
            address: address.map(str::to_owned),
            data_dir: data_dir.map(PathBuf::from),
            ..Common::default()
        }
    }

    #[test]
    fn a_token_does_not_leave_this_machine_in_the_clear_unasked() {
        let around = Fixed([("API_TOKEN", "mm_x")].into());
        for far in ["example.org:1", "10.0.0.1", "127.0.0.1.example.org"] {
            assert_eq!(
                Place::find(&common(Some(far), None), &around).unwrap_err().exit(),
                Exit::Usage,
                "{far}"
            );
            let asked = Common { plaintext: true, ..common(Some(far), None) };
            assert!(Place::find(&asked, &around).is_ok(), "{far}");
        }
        for near in ["localhost", "127.0.0.2:1", "[::1]:1"] {
            assert!(Place::find(&common(Some(near), None), &around).is_ok(), "{near}");
        }
    }

    #[test]
    fn what_is_asked_for_comes_before_what_is_usual() {
        let dir = tempfile::tempdir().unwrap();
        let usual: &'static str = dir.path().to_str().unwrap().to_owned().leak();
        let around =
            Fixed([("DATA_DIR", usual), ("API_ADDRESS", "localhost:7"), ("API_TOKEN", "mm_x")].into());
        let port = |place: Result<Place, Failure>| match place.unwrap() {
            Place::Tcp { address, .. } => Some(address.port),
            Place::Socket(_) => None,
        };
        assert_eq!(port(Place::find(&common(Some("localhost:8"), None), &around)), Some(8));
        assert_eq!(port(Place::find(&common(None, None), &around)), Some(7));
        let asked = Place::find(&common(None, Some("/other")), &around).unwrap();
        assert_eq!(asked, Place::Socket("/other/manman.sock".into()));

        let around = Fixed([("DATA_DIR", usual)].into());
        let socket = Place::Socket(dir.path().join("manman.sock"));
        assert_eq!(Place::find(&common(None, None), &around).unwrap(), socket);
        fs::write(dir.path().join("token"), "mm_x\n").unwrap();
        assert_eq!(port(Place::find(&common(None, None), &around)), Some(50051));
        fs::write(dir.path().join("manman.sock"), "").unwrap();
        assert_eq!(Place::find(&common(None, None), &around).unwrap(), socket);
        assert_eq!(
            Place::find(&common(Some("unix:/run/m.sock"), None), &around).unwrap(),
            Place::Socket("/run/m.sock".into())
        );
    }

    #[test]
    fn a_token_is_one_word() {
        assert!(checked("mm_a", "x").is_ok());
        for bad in ["", "a b", "a\nb", "ä"] {
            assert_eq!(checked(bad, "x").unwrap_err().exit(), Exit::NotPermitted, "{bad:?}");
        }
        assert!(!format!("{:?}", checked("mm_secret", "x")).contains("secret"));
    }
}
