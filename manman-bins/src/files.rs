//! What is done to files in more than one place.

use std::{fs, io, path::Path};

/// Removes a file that need not be there.
///
/// # Errors
/// If it is there and stays.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
