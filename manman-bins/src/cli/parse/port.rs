//! Ports: what a game listens on, and what a deployment asks for.

use manman_core::model::{Port, PortAsk, PortNeed, Protocol};

/// A port that a deployment asks for: `3979/udp=3979`, `3979/tcp=any:30000-30100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAsked {
    /// The port inside the container.
    pub need: PortNeed,
    /// What is asked for it.
    pub ask: PortAsk,
}

/// A port that a game listens on: `3979/udp`.
pub fn port_need(text: &str) -> Result<PortNeed, String> {
    let Some((number, protocol)) = text.split_once('/') else {
        return Err(match number(text) {
            Ok(_) => format!("{text:?} says no protocol: write {text}/udp or {text}/tcp"),
            Err(_) => {
                format!("{text:?} is not a valid port; expected a number and a protocol, e.g. 3979/udp")
            }
        });
    };
    let protocol = protocol
        .parse::<Protocol>()
        .map_err(|_| format!("{protocol:?} is neither tcp nor udp, in {text:?}"))?;
    Ok(PortNeed { container_port: number_in(number, text)?, protocol })
}

/// A port that a deployment asks for; without `=…` the number that it has inside.
pub fn port_asked(text: &str) -> Result<PortAsked, String> {
    let Some((need, ask)) = text.split_once('=') else {
        let need = port_need(text)?;
        return Ok(PortAsked { need, ask: PortAsk::Number(need.container_port) });
    };
    let need = port_need(need)?;
    let ask = match ask.strip_prefix("any:") {
        None => PortAsk::Number(number_in(ask, text)?),
        Some(range) => {
            let (first, last) = range.split_once('-').ok_or_else(|| {
                format!("{range:?} is not a valid range of ports; expected e.g. any:30000-30100")
            })?;
            let (first, last) = (number_in(first, text)?, number_in(last, text)?);
            if first > last {
                return Err(format!("in {text:?} the range ends before it begins"));
            }
            PortAsk::AnyOf(first, last)
        }
    };
    Ok(PortAsked { need, ask })
}

fn number(text: &str) -> Result<Port, String> {
    // `parse` takes a leading `+`, which nobody means here.
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    digits
        .then(|| text.parse::<i64>().ok())
        .flatten()
        .and_then(|number| Port::try_from(number).ok())
        .ok_or_else(|| format!("{text:?} is not a valid port number; expected 1 to 65535"))
}

fn number_in(text: &str, whole: &str) -> Result<Port, String> {
    number(text).map_err(|problem| if text == whole { problem } else { format!("{problem}, in {whole:?}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: i64) -> Port {
        number.try_into().unwrap()
    }

    #[test]
    fn a_need_has_its_protocol() {
        let udp = PortNeed { container_port: port(3979), protocol: Protocol::Udp };
        assert_eq!(port_need("3979/udp"), Ok(udp));
        assert_eq!(port_need("3979/UDP"), Ok(udp));
        for bad in [
            "",
            "3979",
            "/udp",
            "3979/",
            "3979/sctp",
            "0/udp",
            "65536/tcp",
            "-1/tcp",
            "+1/tcp",
            "1/tcp/udp",
            " 1/tcp",
        ] {
            assert!(port_need(bad).is_err(), "{bad:?}");
        }
        assert!(port_need("3979").unwrap_err().contains("3979/udp or 3979/tcp"));
    }

    #[test]
    fn a_deployment_asks_by_number_or_range() {
        let need = PortNeed { container_port: port(3979), protocol: Protocol::Tcp };
        for (text, ask) in [
            ("3979/tcp=3980", PortAsk::Number(port(3980))),
            ("3979/tcp=any:30000-30100", PortAsk::AnyOf(port(30000), port(30100))),
            ("3979/tcp=any:30000-30000", PortAsk::AnyOf(port(30000), port(30000))),
            ("3979/tcp", PortAsk::Number(port(3979))),
        ] {
            assert_eq!(port_asked(text), Ok(PortAsked { need, ask }), "{text}");
        }
        for bad in [
            "3979/tcp=",
            "3979/tcp=any",
            "3979/tcp=any:",
            "3979/tcp=any:1",
            "3979/tcp=any:2-1",
            "3979/tcp=any:0-1",
            "3979/tcp=1-2",
            "3979=3979",
            "3979/tcp=99999",
            "=1",
        ] {
            assert!(port_asked(bad).is_err(), "{bad:?}");
        }
    }
}
