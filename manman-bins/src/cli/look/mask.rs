//! Secrets taken out of what is shown to others.

/// What names of secrets have in them.
const SECRET: [&str; 6] = ["TOKEN", "PASS", "SECRET", "KEY", "CREDENTIAL", "AUTH"];

/// What stands for one.
const MASK: &str = "***";

/// The value of a variable, as it may be shown.
pub fn value(name: &str, value: &str) -> String {
    // A variable is one URL, blanks or not.
    if is_secret(name) { MASK.to_owned() } else { masked(&without_userinfo(value)) }
}

/// Text without the passwords of URLs and what follows `password=` and its like. Rather too
/// much is taken than too little: passwords may have nearly any character in them.
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // No URL has blanks in it; everything else that looks like its end may be in its password.
    for piece in text.split_inclusive(char::is_whitespace) {
        shown.push_str(&without_userinfo(piece));
    }
    without_values(&shown)
}

/// What stands between `://` and the last `@`, save for the user's name.
fn without_userinfo(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(begin) = word.find("://").map(|at| at + 3)
        && let Some(end) = word[begin..].rfind('@').map(|at| begin + at)
    {
        let begin = word[begin..end].find(':').map_or(begin, |at| begin + at + 1);
        word.replace_range(begin..end, MASK);
    }
    word
}

/// What follows `=` after the name of a secret: to the end of its quotes, else to the next
/// parameter or blank.
fn without_values(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let named = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        let name = before.rfind(|c| !named(c)).map_or(before, |end| &before[end..]);
        shown.push_str(before);
        shown.push('=');
        rest = after;
        if is_secret(name) && !after.is_empty() {
            shown.push_str(MASK);
            rest = &after[value_len(after)..];
        }
    }
    shown + rest
}

/// How long the value at the beginning of `text` is.
fn value_len(text: &str) -> usize {
    match text.chars().next() {
        Some(quote @ ('\'' | '"')) => text[1..].find(quote).map_or(text.len(), |end| end + 2),
        _ => text.find(|c: char| c.is_whitespace() || c == '&').unwrap_or(text.len()),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// All that RFC 3986 lets userinfo have, and what people put there all the same.
        #[test]
        fn no_password_is_shown_whatever_is_in_it(
            user in "[a-z!$&'()*+,;=._~-]{1,8}",
            password in "[a-zA-Z0-9!$&'()*+,;=._~:%/?#@<>`\"-]{1,24}",
            around in prop::sample::select(vec![("", ""), ("no ", " here"), ("at \"", "\" in vain")]),
        ) {
            let (before, after) = around;
            let text = format!("{before}postgres://{user}:{password}@db/x{after}");
            let shown = masked(&text);
            // The names of users may look like those of secrets.
            prop_assume!(!is_secret(&user));
            prop_assert_eq!(shown, format!("{before}postgres://{user}:***@db/x{after}"));
            let shown = value("DATABASE_URL", &text);
            prop_assert!(shown.ends_with(&format!("***@db/x{after}")), "{}", shown);
        }
    }

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
            ("DATABASE_URL", "postgres://me:hun&ter2@db/x", "postgres://me:***@db/x"),
            ("DATABASE_URL", "postgres://me:h;(u)n'<t>e`r2@db/x", "postgres://me:***@db/x"),
            (
                "DATABASE_URL",
                "postgres://db/x?password=hun,t(e)r2&user=me",
                "postgres://db/x?password=***&user=me",
            ),
            ("DATABASE_URL", "postgres://me:hun ter2@db/x", "postgres://me:***@db/x"),
            ("DATABASE_URL", "host=db password='hun ter2' user=me", "host=db password=*** user=me"),
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
