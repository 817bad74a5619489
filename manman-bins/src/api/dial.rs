//! How an API is reached: its address, whether the way there is encrypted, and the proof
//! that each call carries.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

/// The port that an API is served on unless said otherwise.
pub const DEFAULT_PORT: u16 = 50051;

/// Where an API is served over TCP: `host`, `host:port`, `http://…` or `https://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host's name or address, as it was written.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it was said that the way is encrypted; `None` where nothing was said.
    pub tls: Option<bool>,
}

impl Address {
    /// The usual port of this machine.
    pub fn local() -> Self {
        Self { host: "localhost".to_owned(), port: DEFAULT_PORT, tls: None }
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether calls are encrypted: as was said, else where there is a CA to check with.
    pub fn is_encrypted(&self, has_ca: bool) -> bool {
        self.tls.unwrap_or(has_ca)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is not a valid address; expected host:port, http://host:port or https://host:port"
            )
        };
        let (tls, rest) = match text.split_once("://") {
            None => (None, text),
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err(bad()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
            // An IPv6 address without brackets has no port.
            None if rest.parse::<IpAddr>().is_ok() => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if host.is_empty() || !(host.bytes().all(fits) || host.parse::<IpAddr>().is_ok()) {
            return Err(bad());
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|&port| port > 0).ok_or_else(bad)?,
        };
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The way to an API; connecting is for later. `ca` is the PEM of the only authorities that
/// are trusted; without it those of the system are.
///
/// # Errors
/// If the CA cannot be used, in a sentence.
pub fn endpoint(address: &Address, ca: Option<&[u8]>) -> Result<Endpoint, String> {
    let encrypted = address.is_encrypted(ca.is_some());
    let scheme = if encrypted { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|error| format!("{address} is not a valid address: {error}"))?
        .connect_timeout(Duration::from_secs(5));
    if !encrypted {
        return Ok(endpoint);
    }
    let tls = match ca {
        Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    endpoint.tls_config(tls).map_err(|error| format!("the CA certificates cannot be used: {error}"))
}

/// Puts the token into each call.
#[derive(Clone)]
pub struct Proof(Option<MetadataValue<Ascii>>);

impl Proof {
    /// No token: over a Unix socket the kernel says who calls.
    pub fn none() -> Self {
        Self(None)
    }

    /// This one.
    ///
    /// # Errors
    /// If it cannot be part of a header.
    pub fn token(token: &str) -> Result<Self, String> {
        let bearer: Result<MetadataValue<Ascii>, _> = format!("Bearer {token}").parse();
        let mut bearer = bearer.map_err(|_| "the token cannot be sent".to_owned())?;
        bearer.set_sensitive(true);
        Ok(Self(Some(bearer)))
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl Interceptor for Proof {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_many_spellings() {
        for (text, host, port, tls) in [
            ("localhost:1", "localhost", 1, None),
            ("localhost", "localhost", 50051, None),
            ("http://127.0.0.1:50051/", "127.0.0.1", 50051, Some(false)),
            ("https://game-1.example.org", "game-1.example.org", 50051, Some(true)),
            ("[::1]:7", "::1", 7, None),
            ("::1", "::1", 50051, None),
            ("game-1.example.org:65535", "game-1.example.org", 65535, None),
        ] {
            assert_eq!(text.parse(), Ok(Address { host: host.to_owned(), port, tls }), "{text}");
        }
        for bad in [
            "", ":1", "a:", "a:0", "a:65536", "a:b", "a b:1", "a:1:2", "https://", "ftp://a", "[::1",
            "[::1]x", "a/b:1", "a@b:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_ca_means_encryption_unless_it_was_said_otherwise() {
        let encrypted = |text: &str, has_ca| text.parse::<Address>().unwrap().is_encrypted(has_ca);
        assert!(!encrypted("a", false) && encrypted("a", true));
        assert!(encrypted("https://a", false) && !encrypted("http://a", true));
    }

    #[test]
    fn a_token_does_not_print() {
        assert!(!format!("{:?}", Proof::token("mm_secret").unwrap()).contains("secret"));
        assert!(Proof::token("a\nb").is_err());
    }
}
