//! What may stand in the query of a database's URL.

/// Refuses what the driver would leave out and log, with its value, which may be a secret.
pub(super) fn known(url: &str) -> Result<(), String> {
    const ENCODE: &str = "the URL of the database has an '@' after a '?': percent-encode both, %3F and %40";
    let Some((before, query)) = url.split_once('?') else { return Ok(()) };
    let may_be_a_password = query.contains('@');
    if may_be_a_password && !before.contains('/') {
        return Err(ENCODE.into());
    }
    let query = query.split('#').next().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // Without a name it may be the rest of a password that has an '&' in it.
        let (name, _) = pair.split_once('=').ok_or("the URL of the database has a parameter without '='")?;
        let name = name.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]");
        let is_option = name.starts_with("options[") && name.ends_with(']');
        if is_option || PARAMETERS.iter().chain(&OTHERS).chain(&UNREAD).any(|known| *known == name) {
            continue;
        }
        if may_be_a_password {
            return Err(ENCODE.into());
        }
        let why = "is no parameter of the URL of a database";
        return Err(format!("{name:?} {why}; there are {}", PARAMETERS.join(", ")));
    }
    Ok(())
}

/// What the driver reads.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "options",
];
/// Other ways to write the same, and what is said by us whatever the URL says.
const OTHERS: [&str; 7] = [
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "application_name",
    "statement-cache-capacity",
];

/// What nobody here reads, and stands in URLs that providers hand out: no secret, and nothing
/// is worse without it.
const UNREAD: [&str; 9] = [
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslsni",
    "target_session_attrs",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_nobody_reads_is_refused_by_its_name() {
        for (url, said) in [
            ("me@db/x?sslmode=require&pasword=hunter2", "\"pasword\" is no parameter"),
            ("me@db/x?sslpassword=hunter2", "\"sslpassword\" is no parameter"),
            ("me:a?b=c@db/x", "percent-encode"),
            ("me:a/b?hunter2=c@db/x", "percent-encode"),
        ] {
            let why = known(url).unwrap_err();
            assert!(why.contains(said) && !why.contains("hunter2"), "{why}");
        }
        let options =
            "sslmode=require&host=other&application_name=x&options=-c%20work_mem%3D8MB&options[jit]=off";
        known(&format!("me@db/x?{options}")).unwrap();
        known("me@db/x?options%5Bsearch_path%5D=x&channel_binding=require&password=p@ss").unwrap();
    }
}
