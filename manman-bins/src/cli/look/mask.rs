//! Secrets taken out of what is shown to others.

/// What names of secrets have in them.
const SECRET: [&str; 6] = ["TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL", "AUTH"];

/// What stands for one.
const MASK: &str = "***";

/// The value of a variable, as it may be shown.
pub fn value(name: &str, value: &str) -> String {
    if is_secret(name) { MASK.to_owned() } else { masked(value) }
}

/// Text without the passwords of URLs and what follows `password=` and its like. Rather too
/// much is taken than too little: passwords may have `/` and `@` in them.
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || "\"'`;,&<>()".contains(c)) {
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || "\"'`;,&<>()".contains(c));
        shown.push_str(&without_password(word));
        shown.push_str(&piece[word.len()..]);
    }
    shown
}

fn without_password(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(begin) = word.find("://").map(|at| at + 3)
        && let Some(end) = word[begin..].rfind('@').map(|at| begin + at)
    {
        let begin = word[begin..end].find(':').map_or(begin, |at| begin + at + 1);
        word.replace_range(begin..end, MASK);
    }
    // The first one after the query begins: values may end with some of their own.
    let from = word.rfind('?').map_or(0, |at| at + 1);
    match word[from..].find('=').map(|at| from + at) {
        Some(at) if is_secret(word[from..at].rsplit('/').next().unwrap_or_default()) => {
            format!("{}={MASK}", &word[..at])
        }
        _ => word,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        for (name, text, shown) in [
            ("LISTEN", "127.0.0.1:50051", "127.0.0.1:50051"),
            ("API_TOKEN", "mm_hunter2", "***"),
            ("MANMAN_RABBITMQ_PASSWORD", "hunter2", "***"),
            ("aws_secret_access_key", "hunter2", "***"),
            ("DATABASE_URL", "postgres://me:hunter2@db/x", "postgres://me:***@db/x"),
            ("DATABASE_URL", "postgres://me:hunt/er2@x@db/x", "postgres://me:***@db/x"),
            ("BROKER_URL", "amqps://hunter2@mq", "amqps://***@mq"),
            (
                "DATABASE_URL",
                "postgres://db/x?user=me&password=hunter2",
                "postgres://db/x?user=me&password=***",
            ),
            ("DATABASE_URL", "host=db password=hunter2 user=me", "host=db password=*** user=me"),
            ("X", "password=aHVudGVyMg==", "password=***"),
            ("BLOB_URL", "az://store?account_key=aHVudGVyMg==", "az://store?account_key=***"),
            ("API_PASS", "hunter2", "***"),
            ("DOCKER_AUTH_CONFIG", "{}", "***"),
            ("DOCKER_HOST", "unix:///run/docker.sock", "unix:///run/docker.sock"),
            ("X", "no \"s3://id:hunter2@store\" here", "no \"s3://id:***@store\" here"),
        ] {
            assert_eq!(value(name, text), shown, "{name}={text}");
        }
    }
}
