//! What may stand in the query of a database's URL.

/// Refuses what the driver would leave out and log, with its value, which may be a secret.
pub(super) fn known(url: &str) -> Result<(), String> {
    let Some((_, query)) = url.split_once('?') else { return Ok(()) };
    if query.contains('@') {
        return Err("the URL of the database has an '@' after a '?': percent-encode both, %3F and %40".into());
    }
    let query = query.split('#').next().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        // Without a name it may be the rest of a password that has an '&' in it.
        let (name, _) = pair.split_once('=').ok_or("the URL of the database has a parameter without '='")?;
        let is_option = name.starts_with("options[") && name.ends_with(']');
        if !is_option && !PARAMETERS.contains(&name) && !OTHERS.contains(&name) {
            let why = "is no parameter of the URL of a database";
            return Err(format!("{name:?} {why}; there are {}", PARAMETERS.join(", ")));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_nobody_reads_is_refused_by_its_name() {
        for (url, said) in [
            ("postgres://me@db/x?sslmode=require&pasword=hunter2", "\"pasword\" is no parameter"),
            ("postgres://me@db/x?connect_timeout=5", "\"connect_timeout\" is no parameter"),
            ("postgres://me:a?b=c@db/x", "percent-encode"),
        ] {
            let why = known(url).unwrap_err();
            assert!(why.contains(said) && !why.contains("hunter2"), "{why}");
        }
        let options =
            "sslmode=require&host=other&application_name=x&options=-c%20work_mem%3D8MB&options[jit]=off";
        known(&format!("postgres://me@db/x?{options}")).unwrap();
    }
}
