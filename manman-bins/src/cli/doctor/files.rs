//! The data directory and what is in it: whose it is, who may, how large it is.

use std::path::Path;

use rustix::process::geteuid;

use super::report::{Check, Section};
use crate::{
    cli::{
        look::{Entry, Look, blocking, owner, tree_size},
        output::size,
    },
    config::DatabaseUrl,
};

/// The data directory.
pub async fn section(look: &Look) -> Section {
    let places = look.places();
    let mut checks = Vec::new();
    let whole = {
        let path = places.0.to_owned();
        blocking(move || Ok(directory(&path))).await
    };
    match whole {
        Err(why) => checks.push(Check::unknown("directory", why)),
        Ok((check, there)) => {
            checks.push(check);
            if !there {
                return Section { title: "data directory", checks };
            }
        }
    }
    // One at a server is told beside its schema.
    let database = match look.database() {
        Ok(DatabaseUrl::Sqlite(path)) => Some(path),
        Ok(DatabaseUrl::Postgres(_)) => None,
        Err(_) => Some(places.database()),
    };
    let asked = [
        ("journal", places.journal(), true),
        ("spool", places.spool(), true),
        ("blobs", places.blobs(), false),
        ("token", places.token(), true),
        ("socket", places.socket(), true),
        ("lock", places.lock(), true),
    ];
    let asked = database.map(|path| ("database", path, true)).into_iter().chain(asked);
    let asked = asked.map(|(name, path, secret)| async move {
        blocking(move || Ok(file(name, &path, secret))).await.unwrap_or_else(|why| Check::unknown(name, why))
    });
    checks.extend(futures::future::join_all(asked).await);
    Section { title: "data directory", checks }
}

/// The directory itself, and whether it can be looked into.
fn directory(path: &Path) -> (Check, bool) {
    let shown = path.display();
    let remedy = "choose another with --data-dir or DATA_DIR, or make it readable for this user";
    let entry = match Entry::at(path) {
        Ok(Some(entry)) => entry,
        Ok(None) => {
            return (Check::note("directory", format!("{shown} is not there: `manman up` makes it")), false);
        }
        Err(error) => return (Check::problem("directory", format!("{shown}: {error}"), remedy), false),
    };
    // Also if it is a link.
    let is_dir = path.is_dir();
    let text = format!("{shown}, {}", entry.describe());
    let we = geteuid();
    if !is_dir {
        (Check::problem("directory", format!("{shown} is no directory"), remedy), false)
    } else if let Err(error) = std::fs::read_dir(path) {
        (Check::problem("directory", format!("{text}: {error}"), remedy), false)
    } else if entry.mode & 0o002 != 0 && entry.mode & 0o1000 == 0 {
        (
            Check::problem("directory", format!("{text}: everybody may write"), format!("chmod o-w {shown}")),
            true,
        )
    } else if !we.is_root() && entry.uid != we.as_raw() {
        let remedy = format!("run manman as {}, or choose another --data-dir", owner(entry.uid));
        (Check::problem("directory", format!("{text}: somebody else's"), remedy), true)
    } else {
        (Check::ok("directory", text), true)
    }
}

fn file(name: &str, path: &Path, secret: bool) -> Check {
    let entry = match Entry::at(path) {
        Ok(Some(entry)) => entry,
        Ok(None) => return Check::ok(name, "not there"),
        Err(error) => return Check::unknown(name, error.to_string()),
    };
    let mut text = entry.describe();
    if !entry.is_socket && name != "lock" && name != "token" {
        let (bytes, whole) = tree_size(path);
        text = format!("{}{}, {text}", if whole { "" } else { "at least " }, size(bytes));
    }
    if name == "socket" && !entry.is_socket {
        let remedy = format!("remove {}, and start manman again", path.display());
        return Check::problem(name, format!("{text}: is no socket"), remedy);
    }
    if secret && entry.mode & 0o077 != 0 {
        let mode = if entry.is_dir { "700" } else { "600" };
        let remedy = format!("chmod {mode} {}", path.display());
        let remedy = match name {
            "token" => format!("remove {} and start manman again: others may have read it", path.display()),
            _ => remedy,
        };
        return Check::problem(name, format!("{text}: not for its owner alone"), remedy);
    }
    Check::ok(name, text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn what_others_may_read_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let token = dir.path().join("token");
        fs::write(&token, "mm_hunter2").unwrap();
        let check = |mode| {
            fs::set_permissions(&token, fs::Permissions::from_mode(mode)).unwrap();
            format!("{:?}", file("token", &token, true))
        };
        let (bad, good) = (check(0o644), check(0o600));
        assert!(bad.contains("Problem") && bad.contains("0644"), "{bad}");
        assert!(good.contains("Ok") && !good.contains("hunter2"), "{good}");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(format!("{:?}", directory(dir.path())).contains("everybody may write"));
        let absent = directory(&dir.path().join("none"));
        assert!(!absent.1 && format!("{absent:?}").contains("Note"));
    }
}
