//! The token of a data directory.

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use manman_core::hex::Hex;

use crate::{files::remove_if_there, secret::Secret};

/// What a caller over TCP has to show: `mm_` and 32 random bytes in hex.
#[derive(Clone)]
pub struct Token(Secret);

impl Token {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(Secret::new(format!("mm_{}", Hex(&bytes)))))
    }

    /// The token in a text, if there is just that.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("mm_")?;
        let is_token = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        is_token.then(|| Self(Secret::new(text)))
    }

    /// The one in a file; blanks around it do not count.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        if let Some(token) = Self::parse(text.trim()) {
            return Ok(token);
        }
        let problem = format!("{} holds no token: mm_ and 64 hex digits are expected", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }

    /// The one in a file that only its owner can read; made if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or made, or holds no token.
    pub fn read_or_create(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            // An earlier version could die between making the file and writing it.
            Ok(found) if found.len() > 0 => {
                // One that others could read is no secret any more, but it is theirs to renew.
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Self::read(path)
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                let token = Self::random()?;
                token.write(path)?;
                Ok(token)
            }
        }
    }

    /// Writes it aside first: whoever dies on the way leaves no half of it. One process at a
    /// time does this: whoever has the data directory's lock.
    fn write(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_extension("new");
        remove_if_there(&aside)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        writeln!(file, "{}", self.reveal())?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        // The name has to outlive a power cut as well.
        match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => fs::File::open(dir)?.sync_all(),
            None => Ok(()),
        }
    }

    /// The text, for whoever has to send or digest it.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_for_its_owner_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let made = Token::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::read_or_create(&path).unwrap().reveal(), made.reveal());
        assert_eq!(Token::read(&path).unwrap().reveal(), made.reveal());
        assert!(!format!("{made:?}").contains("mm_"));
    }

    #[test]
    fn what_a_death_on_the_way_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for left in [&path, &path.with_extension("new")] {
            fs::write(left, "").unwrap();
        }
        let made = Token::read_or_create(&path).unwrap();
        assert_eq!(Token::read(&path).unwrap().reveal(), made.reveal());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_a_token_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for bad in ["", "secret", "mm_12", &format!("mm_{}", "g".repeat(64))] {
            fs::write(&path, bad).unwrap();
            let error = Token::read(&path).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(&format!("{bad} ")), "{error}");
        }
    }
}
