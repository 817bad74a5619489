//! What names and ids mean.

use crate::{
    api::v1,
    cli::{client::Client, failure::Failure},
};

/// What a name or id means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: i64,
    /// Its name; its id for a session.
    pub name: String,
}

/// Finds what a name or an id means. What is nearly the name is in the refusal.
pub async fn find(client: &Client, noun: v1::Noun, text: &str) -> Result<Found, Failure> {
    let request = v1::ResolveRequest { noun: noun.into(), text: text.to_owned() };
    let found = client.call(request, async |mut api, request| api.resolve(request).await).await?;
    let name = if found.name.is_empty() { found.id.to_string() } else { found.name };
    Ok(Found { id: found.id, name })
}
