//! Why an encrypted connection to an API could not be had, in words.

use std::error::Error as StdError;

use manman_core::{clock::Timestamp, error::cause};
use rustls::{CertificateError, Error, pki_types::UnixTime};

use super::dial::Address;

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong, without a full stop.
    pub what: String,
    /// What to do about it: sentences.
    pub remedy: &'static str,
}

/// What is wrong with the encryption of the API at `address`, if that is what `error` is about.
pub fn trouble(address: &Address, error: &(dyn StdError + 'static)) -> Option<Trouble> {
    let (what, remedy) = match cause::<Error>(error)? {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::InvalidMessage(_) => (
            "does not speak TLS".to_owned(),
            "See that it is the API's address, or say http:// if its network is trusted.",
        ),
        other => (format!("does not agree with us on TLS: {other}"), "See what its log says."),
    };
    Some(Trouble { what: format!("the API at {address} {what}"), remedy })
}

fn of_certificate(why: &CertificateError) -> (String, &'static str) {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
        UnknownIssuer,
    };
    const RENEW: &str = "Give it a new one (TLS_CERT), or set this machine's clock if that is wrong.";
    const WAIT: &str = "Set this machine's clock if that is wrong, or give it another one (TLS_CERT).";
    const RENAME: &str =
        "Use a name that it is made out to as the address, or give it one that is made out to this one.";
    match why {
        Expired => ("has a certificate that has expired".to_owned(), RENEW),
        ExpiredContext { not_after, .. } => {
            (format!("has a certificate that expired at {}", moment(*not_after)), RENEW)
        }
        NotValidYet => ("has a certificate that is not valid yet".to_owned(), WAIT),
        NotValidYetContext { not_before, .. } => {
            (format!("has a certificate that is not valid yet, only from {}", moment(*not_before)), WAIT)
        }
        NotValidForName => ("has a certificate for another name".to_owned(), RENAME),
        NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            (format!("has a certificate for another name: {names}"), RENAME)
        }
        UnknownIssuer => (
            "has a certificate of an authority that is not trusted here".to_owned(),
            "Name the authority's certificate: API_CA, or --ca of `manman`.",
        ),
        other => (
            format!("has a certificate that cannot be accepted: {}", Error::from(other.clone())),
            "Give it another one (TLS_CERT).",
        ),
    }
}

fn moment(at: UnixTime) -> Timestamp {
    Timestamp::from_micros(i64::try_from(at.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn each_way_to_be_wrong_has_its_words() {
        let address: Address = "https://api.example.org:1".parse().unwrap();
        let hour = |hour: u64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(hour * 3_600));
        let told = |why: CertificateError| {
            // As it comes out of a connection.
            let error = io::Error::new(io::ErrorKind::InvalidData, Error::from(why));
            trouble(&address, &io::Error::other(error)).unwrap()
        };
        for (why, what) in [
            (CertificateError::Expired, "that has expired"),
            (
                CertificateError::ExpiredContext { time: hour(2), not_after: hour(1) },
                "that expired at 1970-01-01T01:00:00Z",
            ),
            (
                CertificateError::NotValidYetContext { time: hour(2), not_before: hour(3) },
                "that is not valid yet, only from 1970-01-01T03:00:00Z",
            ),
            (CertificateError::NotValidForName, "for another name"),
            (CertificateError::UnknownIssuer, "of an authority that is not trusted here"),
            (CertificateError::BadSignature, "that cannot be accepted"),
        ] {
            let trouble = told(why);
            assert!(
                trouble.what.starts_with("the API at api.example.org:1 has a certificate"),
                "{trouble:?}"
            );
            assert!(trouble.what.contains(what), "{trouble:?}");
        }
        assert_eq!(trouble(&address, &io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
