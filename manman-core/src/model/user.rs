//! Whom a game runs as.

use std::str::FromStr;

use super::Invalid;

/// The user that a game runs as, by numbers: `uid` or `uid:gid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunAs {
    /// The user.
    pub uid: u32,
    /// Its group; that of the engine's choice if absent, which is 0 for a user that the
    /// image does not know (Docker, `--user`).
    pub gid: Option<u32>,
}

impl FromStr for RunAs {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text, None),
        };
        let numbers = number(uid).zip(gid.map_or(Some(None), |gid| number(gid).map(Some)));
        match numbers {
            Some((uid, gid)) => Ok(Self { uid, gid }),
            None => {
                let shown: String = text.chars().take(64).collect();
                let problem = format!("{shown:?} is not a valid user; expected uid or uid:gid in numbers");
                Err(Invalid::new("user", problem))
            }
        }
    }
}

/// Digits only: Rust's numbers take a sign, and engines do not.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_one_or_two_numbers() {
        for (text, uid, gid) in
            [("0", 0, None), ("1000:100", 1000, Some(100)), ("4294967295", u32::MAX, None)]
        {
            assert_eq!(text.parse(), Ok(RunAs { uid, gid }));
        }
        for bad in ["", "root", "+1000", "1000:", ":1", "1:+1", "-1", "1:2:3", "4294967296", " 1"] {
            assert_eq!(bad.parse::<RunAs>().unwrap_err().field, "user", "{bad:?}");
        }
    }
}
