//! Whether a change is about what its caller takes it to be.

use crate::store::DeedError;

/// Refuses a change of something that is not what was seen of it.
pub fn same_as_seen<T: PartialEq>(
    noun: &'static str,
    id: impl ToString,
    seen: Option<&T>,
    now: &T,
) -> Result<(), DeedError> {
    if seen.is_none_or(|seen| seen == now) {
        return Ok(());
    }
    Err(DeedError::ChangedMeanwhile { noun, id: id.to_string() })
}
