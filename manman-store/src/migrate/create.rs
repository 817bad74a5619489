//! New migrations, as files.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use manman_core::error::{Error, ErrorKind};

/// The dialects, each with a directory of its own.
const DIALECTS: [&str; 2] = ["sqlite", "postgres"];

/// Makes the files of a new migration in `root` (`migrations/` of this crate): up and down,
/// for each dialect, under the next free number. Returns their paths. `Set` has to be told.
///
/// # Errors
/// `Invalid` for a name of other than `a-z`, `0-9` and `_`; else if a file cannot be made, and
/// then none is.
pub fn create(root: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let refused = |kind, why: String| Error::new(kind, "create a migration", why);
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 60 || !name.chars().all(fits) {
        let why = format!("{name:?} is no name for a migration: 1 to 60 of a-z, 0-9 and _ are");
        return Err(refused(ErrorKind::Invalid, why));
    }
    let mut latest = 0;
    for dialect in DIALECTS {
        let dir = root.join(dialect);
        let entries = fs::read_dir(&dir).map_err(|error| {
            let why = format!("{} cannot be read; is this the directory of migrations", dir.display());
            refused(ErrorKind::Config, why).because(error)
        })?;
        for entry in entries.filter_map(Result::ok) {
            let number = entry.file_name().to_str().and_then(|it| it.get(..4)?.parse::<i64>().ok());
            latest = latest.max(number.unwrap_or(0));
        }
    }
    let mut made = Vec::new();
    for dialect in DIALECTS {
        for way in ["up", "down"] {
            let path = root.join(dialect).join(format!("{:04}_{name}.{way}.sql", latest + 1));
            let file = fs::OpenOptions::new().write(true).create_new(true).open(&path);
            let written = file.and_then(|mut file| writeln!(file, "-- {name}, {way}, {dialect}"));
            if let Err(error) = written {
                for path in &made {
                    // What is left behind is seen by whoever looks at the error.
                    let _ = fs::remove_file(path);
                }
                let why = format!("{} cannot be made", path.display());
                return Err(refused(ErrorKind::Unavailable, why).because(error));
            }
            made.push(path);
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_is_free_in_both_dialects() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(create(root.path(), "x").unwrap_err().kind(), ErrorKind::Config);
        for dialect in DIALECTS {
            fs::create_dir(root.path().join(dialect)).unwrap();
        }
        fs::write(root.path().join("postgres/0007_old.up.sql"), "").unwrap();
        let made = create(root.path(), "more_names").unwrap();
        let made: Vec<_> = made.iter().map(|it| it.strip_prefix(root.path()).unwrap().to_owned()).collect();
        let names = ["sqlite/0008_more_names.up.sql", "sqlite/0008_more_names.down.sql"];
        assert_eq!(made[..2], names.map(PathBuf::from));
        assert_eq!(made.len(), 4);
        assert!(create(root.path(), "more").unwrap()[0].ends_with("sqlite/0009_more.up.sql"));
        for bad in ["", "Upper", "a b", "../x"] {
            assert_eq!(create(root.path(), bad).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
