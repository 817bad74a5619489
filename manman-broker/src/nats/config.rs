//! Where the server is and who we are, read from a URL.

use std::{path::PathBuf, str::FromStr};

use manman_core::error::{Error, ErrorKind};

use crate::secret::Secret;

/// How to reach a NATS server, and who we are there:
/// `tls://user:password@one:4222,two:4222?ca=/etc/manman/ca.pem`.
///
/// The scheme is `nats` (TLS if the server asks for it) or `tls` (never without); the user is
/// named once for all servers. The port is 4222 unless given; a user without a password is a
/// token. `%` escapes what a URL cannot hold. What may follow after `?`, joined by `&`; `ca`,
/// `cert`, `key` and `server_name` only with `tls`:
///
/// | parameter | what |
/// |---|---|
/// | `ca` | file of the certificates that are trusted, instead of this machine's |
/// | `cert`, `key` | files of our own certificate and its key |
/// | `server_name` | what the server's certificate is for, if not the host of the URL |
/// | `creds` | credentials file (JWT and seed) |
/// | `nkey` | file with the seed of an nkey |
/// | `token`, `token_file` | a token, or the file that holds it |
/// | `prefix` | first word of all subjects and streams, `manman` unless given: installations with different ones share a server |
/// | `inbox` | prefix of the subjects on which answers come, `_INBOX` unless given: one for each user keeps others from reading them |
/// | `replicas` | how many servers of a cluster keep each message, 1 unless given |
///
/// Files are read when the connection is made. Secrets do not print.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatsConfig {
    /// The servers, host and port; any of them will do.
    pub servers: Vec<(String, u16)>,
    /// Whether a connection without TLS is refused.
    pub tls: bool,
    /// Who we are.
    pub auth: NatsAuth,
    /// Trusted certificates (PEM), instead of this machine's.
    pub ca: Option<PathBuf>,
    /// Our own certificate (PEM).
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// What the server's certificate is for, if not the host.
    pub server_name: Option<String>,
    /// The first word of all subjects and streams.
    pub prefix: String,
    /// The prefix of the subjects on which answers come.
    pub inbox: String,
    /// How many servers of a cluster keep each message.
    pub replicas: usize,
}

/// Who we are to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NatsAuth {
    /// Nobody in particular.
    None,
    /// A user with a password.
    Password(String, Secret),
    /// Whoever has this token.
    Token(Secret),
    /// Whoever has the token in this file.
    TokenFile(PathBuf),
    /// The owner of the seed in this file.
    Nkey(PathBuf),
    /// Who the credentials in this file say.
    Credentials(PathBuf),
}

impl FromStr for NatsConfig {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| wrong("it is not a URL: nats://host:4222"))?;
        let tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(wrong("unknown scheme: it is nats:// or tls://")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if query.contains('@') {
            return Err(wrong("an '@' comes after a '?': percent-encode both, %3F and %40"));
        }
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains('@')) {
            return Err(wrong(
                "there are several '@': several hosts have one user, nats://user:password@one,two; \
                 an '@' in a password is %40",
            ));
        }
        let mut config = Self {
            servers: hosts.trim_end_matches('/').split(',').map(server).collect::<Result<_, _>>()?,
            tls,
            auth: user.map_or(Ok(NatsAuth::None), auth)?,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            prefix: "manman".to_owned(),
            inbox: "_INBOX".to_owned(),
            replicas: 1,
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            config.set(name, decode(value)?)?;
        }
        if config.cert.is_some() != config.key.is_some() {
            return Err(wrong("cert and key go together: give both or neither"));
        }
        if !tls && (config.ca.is_some() || config.cert.is_some() || config.server_name.is_some()) {
            return Err(wrong("ca, cert, key and server_name are for TLS: write tls://"));
        }
        Ok(config)
    }
}

impl NatsConfig {
    fn set(&mut self, name: &str, value: String) -> Result<(), Error> {
        if value.is_empty() {
            return Err(wrong("a parameter has no value"));
        }
        match name {
            "ca" => self.ca = Some(value.into()),
            "cert" => self.cert = Some(value.into()),
            "key" => self.key = Some(value.into()),
            "server_name" => self.server_name = Some(value),
            "creds" => self.identify(NatsAuth::Credentials(value.into()))?,
            "nkey" => self.identify(NatsAuth::Nkey(value.into()))?,
            "token" => self.identify(NatsAuth::Token(Secret::new(value)))?,
            "token_file" => self.identify(NatsAuth::TokenFile(value.into()))?,
            "prefix" if word(&value) => self.prefix = value,
            "prefix" => {
                return Err(wrong("the prefix is not made of letters, digits and '-'"));
            }
            "inbox" if value.split('.').all(|part| word(&part.replace('_', "-"))) => self.inbox = value,
            "inbox" => return Err(wrong("the inbox is not words joined by dots")),
            "replicas" => match value.parse() {
                Ok(replicas @ 1..=5) => self.replicas = replicas,
                _ => return Err(wrong("replicas is not a number from 1 to 5")),
            },
            // Perhaps the rest of a token that has an '&' in it.
            _ => {
                return Err(wrong(
                    "it has an unknown parameter: there are ca, cert, key, server_name, creds, nkey, token, \
                     token_file, prefix, inbox, replicas",
                ));
            }
        }
        Ok(())
    }

    fn identify(&mut self, auth: NatsAuth) -> Result<(), Error> {
        if self.auth != NatsAuth::None {
            return Err(wrong(
                "two ways to say who we are: give one of user, creds, nkey, token, token_file",
            ));
        }
        self.auth = auth;
        Ok(())
    }
}

/// Neither a URL nor a piece of one stands in a message: it may hold a secret.
fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read the URL of the NATS server", what)
}

fn server(text: &str) -> Result<(String, u16), Error> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => {
            let odd =
                "the port of a host is not a number; if that is a part of the password, percent-encode it";
            (host, port.parse().map_err(|_| wrong(odd))?)
        }
        _ => (text, 4222),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(wrong(
            "what should be a host is not the name or address of one: percent-encode user and password",
        ));
    }
    Ok((host.to_owned(), port))
}

fn auth(text: &str) -> Result<NatsAuth, Error> {
    Ok(match text.split_once(':') {
        Some((user, password)) => NatsAuth::Password(decode(user)?, Secret::new(decode(password)?)),
        None => NatsAuth::Token(Secret::new(decode(text)?)),
    })
}

fn word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn decode(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err(wrong("a '%' is not followed by two hexadecimal digits")),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong("what is escaped by '%' is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_who() {
        let config: NatsConfig =
            "tls://u%40x:p%3Aw@one,two:4333?prefix=eu&inbox=_INBOX_host-7&replicas=3".parse().unwrap();
        assert_eq!(config.servers, [("one".to_owned(), 4222), ("two".to_owned(), 4333)]);
        assert_eq!(config.auth, NatsAuth::Password("u@x".to_owned(), Secret::new("p:w".to_owned())));
        assert!(
            config.tls && config.prefix == "eu" && config.inbox == "_INBOX_host-7" && config.replicas == 3
        );
        let token: NatsConfig = "nats://s3cret@[::1]:4222".parse().unwrap();
        assert_eq!(token.servers, [("[::1]".to_owned(), 4222)]);
        assert!(!format!("{config:?} {token:?}").contains("p:w"));
        assert!(!format!("{token:?}").contains("s3cret"));
    }

    #[test]
    fn a_bad_url_is_refused_without_its_secrets() {
        for (url, what) in [
            ("localhost", "not a URL"),
            ("amqp://u:canary@h", "unknown scheme"),
            ("nats://u:canary@h:x", "port"),
            ("nats://u:canary@", "is not the name"),
            ("nats://u:can?ary/canary@h", "percent-encode"),
            ("nats://canary!en?x@h", "percent-encode"),
            ("nats://u:12?canary@h", "percent-encode"),
            ("nats://u:a:canary?c@h", "percent-encode"),
            ("nats://u:canary", "percent-encode"),
            ("nats://u/canary", "percent-encode"),
            ("canary://h", "unknown scheme"),
            ("nats://u:canary@one,u:canary@two", "several hosts have one user"),
            ("nats://h?token=a&canary=b", "unknown parameter"),
            ("nats://h?token=a&canary", "no value"),
            ("nats://h?prefix=canary%20", "prefix"),
            ("nats://h?ca=/f", "write tls://"),
            ("nats://h?server_name=h", "write tls://"),
            ("nats://h?cert=/f&key=/f", "write tls://"),
            ("nats://u:canary@h?creds=/f", "two ways"),
            ("nats://h?colour=red", "unknown parameter"),
            ("nats://h?prefix=a.b", "prefix"),
            ("nats://h?cert=/f", "go together"),
            ("nats://h?token=", "no value"),
            ("nats://u:%zz@h", "hexadecimal"),
            ("nats://h?replicas=9", "replicas"),
        ] {
            let error = url.parse::<NatsConfig>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(what), "{url}: {error}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
