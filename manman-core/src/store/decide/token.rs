//! Whether a join token lets somebody become a host.

use crate::{
    clock::Timestamp,
    model::{Name, Role, Token, token::TokenDigest},
    store::DeedError,
};

/// What a join comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// It was done before: the token of that host is on record.
    Again,
    /// It is to be done.
    Anew,
}

/// Whether `join` makes its holder the host `server` by the token of digest `host`;
/// `spent_on` is the digest of the host token that it was used for before. Where `is_taken`,
/// a host of that name holds a valid token: then it takes a join token that names it.
///
/// # Errors
/// [`DeedError::JoinRefused`], whatever is wrong: who guesses learns nothing.
pub fn joins(
    join: Option<&Token>,
    spent_on: Option<&TokenDigest>,
    server: &Name,
    host: &TokenDigest,
    is_taken: bool,
    now: Timestamp,
) -> Result<Joining, DeedError> {
    let refused = || DeedError::JoinRefused { server: server.clone() };
    let join = join.ok_or_else(refused)?;
    let Role::Join { server: only } = &join.role else { return Err(refused()) };
    if only.as_ref().is_some_and(|only| only != server) || join.revoked_at.is_some() {
        return Err(refused());
    }
    match spent_on {
        // An answer may be lost, and asked for again when the time is over.
        Some(spent_on) if spent_on == host => Ok(Joining::Again),
        None if join.is_valid(now) && (only.is_some() || !is_taken) => Ok(Joining::Anew),
        _ => Err(refused()),
    }
}
