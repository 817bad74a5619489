//! A configuration as a URL.

use super::config::{RabbitConfig, TlsConfig};
use crate::secret::Secret;

/// Reads a URL; an error says what is wrong without saying what is secret in it.
pub(super) fn read(url: &str) -> Result<RabbitConfig, String> {
    let mut config = RabbitConfig::default();
    let (scheme, rest) =
        url.split_once("://").ok_or("it does not begin with amqp:// or amqps://".to_owned())?;
    config.tls = match scheme {
        "amqp" => None,
        "amqps" => Some(TlsConfig::default()),
        other if other.len() < 12 && other.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            return Err(format!("{other}:// is neither amqp:// nor amqps://"));
        }
        _ => return Err("it does not begin with amqp:// or amqps://".to_owned()),
    };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
    if vhost.contains('/') {
        return Err("the virtual host has a '/' in it: write %2F".to_owned());
    }
    if !vhost.is_empty() {
        config.vhost = decoded("the virtual host", vhost)?;
    }
    let place = match authority.rsplit_once('@') {
        Some((who, place)) => {
            let (user, password) = who.split_once(':').unwrap_or((who, ""));
            config.user = decoded("the user name", user)?;
            config.password = Secret::new(decoded("the password", password)?);
            place
        }
        None => authority,
    };
    config.port = if config.tls.is_some() { 5671 } else { 5672 };
    read_place(place, &mut config)?;
    for pair in query.into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()) {
        read_parameter(pair, &mut config)?;
    }
    if let Some(tls) = &config.tls
        && tls.cert.is_some() != tls.key.is_some()
    {
        return Err("cert and key go together: one of them is missing".to_owned());
    }
    Ok(config)
}

fn read_place(place: &str, config: &mut RabbitConfig) -> Result<(), String> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        // An address of IPv6.
        let (host, rest) = rest.split_once(']').ok_or("the address lacks its ']'")?;
        (host, rest.strip_prefix(':'))
    } else {
        place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port)))
    };
    let odd = |b: u8| !(b.is_ascii_alphanumeric() || b"-._:%".contains(&b));
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    if host.bytes().any(odd) {
        // Perhaps a part of the password, so it is not repeated.
        return Err("the host has a character that none has: percent-encode user and password".to_owned());
    }
    config.host = host.to_owned();
    if let Some(port) = port {
        config.port = port.parse().ok().filter(|port| *port != 0).ok_or(
            "the port is not a number from 1 to 65535; if that is a part of the password, percent-encode it",
        )?;
    }
    Ok(())
}

fn read_parameter(pair: &str, config: &mut RabbitConfig) -> Result<(), String> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let Some(tls) = &mut config.tls else {
        return Err("it has parameters, which are for TLS: write amqps://".to_owned());
    };
    match name {
        "ca" => tls.ca = Some(decoded(name, value)?.into()),
        "cert" => tls.cert = Some(decoded(name, value)?.into()),
        "key" => tls.key = Some(decoded(name, value)?.into()),
        "server_name" => tls.server_name = Some(decoded(name, value)?),
        _ => return Err("it has a parameter that is none of ca, cert, key, server_name".to_owned()),
    }
    Ok(())
}

fn decoded(what: &str, text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        bytes.push(match byte {
            b'%' => {
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(format!("{what} has a '%' without two hexadecimal digits: write %25"));
                };
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_all_of_it() {
        let config = read(
            "amqps://us%40er:p%2Fa%3As%20s%C3%A4@mq.example:5999/%2Fgames?ca=/a%20b.pem&cert=c&key=k&server_name=mq",
        )
        .unwrap();
        let tls = config.tls.as_ref().unwrap();
        assert_eq!((config.user.as_str(), config.password.reveal()), ("us@er", "p/a:s sä"));
        assert_eq!(
            (config.host.as_str(), config.port, config.vhost.as_str()),
            ("mq.example", 5999, "/games")
        );
        assert_eq!(tls.ca.as_deref(), Some("/a b.pem".as_ref()));
        assert_eq!(config.server_name(), "mq");
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let config = read("amqp://mq").unwrap();
        assert_eq!(config, RabbitConfig { host: "mq".to_owned(), ..RabbitConfig::default() });
        assert_eq!(read("amqps://mq/").unwrap().port, 5671);
        assert_eq!(read("amqp://[::1]:7/v").unwrap().host, "::1");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (url, says) in [
            ("http://u:hunter2@h", "http:// is neither"),
            ("u:hunter2@h", "does not begin"),
            ("amqp://u:hunter2@", "no host"),
            ("amqp://u:hunter2#@h:x", "port is not a number"),
            ("amqp://u:hun/ter2@h", "port is not a number"),
            ("amqp://u:hunter2%zz@h", "the password has a '%'"),
            ("amqp://u:hunter2@h:0/v", "from 1 to 65535"),
            ("amqp://u:hunter2@h/v/w", "write %2F"),
            ("amqp://u:hunter2@h?ca=x", "write amqps://"),
            ("amqps://u:hunter2@h?verify=no", "none of ca"),
            ("amqps://u:hunter2@h?cert=x", "cert and key"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
            assert!(!error.contains("hun"), "{error}");
        }
    }
}
