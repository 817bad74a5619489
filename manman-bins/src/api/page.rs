//! Pages of lists. A page token names the last entry shown and is sealed, so that a
//! forged one, or one of another list, is refused.

use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::Sha256;

use manman_core::{control::Control, hex::Hex, store::Page};

use super::errors::ApiError;

/// How many entries a page has that does not say.
const USUAL: i32 = 50;

/// Seals page tokens of one installation.
#[derive(Clone)]
pub struct Pages {
    secret: Vec<u8>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pages")
    }
}

/// A list request: its page fields can be taken out, the rest says which list it is.
pub trait Listing: Message + Clone {
    /// Takes page size and token.
    fn take_page(&mut self) -> (Option<i32>, String);
}

macro_rules! listings {
    ($($request:ident)*) => {$(
        impl Listing for super::v1::$request {
            fn take_page(&mut self) -> (Option<i32>, String) {
                (self.page_size.take(), std::mem::take(&mut self.page_token))
            }
        }
    )*};
}

listings!(ListServersRequest ListTokensRequest ListGamesRequest ListGameConfigsRequest ListServerGameConfigsRequest ListSessionsRequest);

/// Which list it is, and how far it was shown.
#[derive(Debug)]
pub struct Stretch {
    list: Vec<u8>,
    limit: usize,
    after: Option<i64>,
}

impl Pages {
    /// Seals with the installation's secret.
    pub fn new(secret: Vec<u8>) -> Self {
        Self { secret }
    }

    /// What a request asks for.
    pub fn open(&self, name: &str, request: &impl Listing) -> Result<Stretch, ApiError> {
        let mut list = request.clone();
        let (size, token) = list.take_page();
        let size = size.unwrap_or(USUAL);
        let limit = usize::try_from(size)
            .ok()
            .filter(|size| (1..=Control::PAGE_MOST).contains(size))
            .ok_or_else(|| {
                ApiError::invalid("page_size", format!("{size} is not within 1 to {}", Control::PAGE_MOST))
            })?;
        let mut key = name.as_bytes().to_vec();
        key.push(0);
        key.extend(list.encode_to_vec());
        let after = if token.is_empty() {
            None
        } else {
            let refused = || ApiError::invalid("page_token", "is not one that this list gave out");
            let (id, seal) = token.split_once('.').ok_or_else(refused)?;
            let id: i64 = id.parse().map_err(|_| refused())?;
            if self.seal(&key, id) != seal {
                return Err(refused());
            }
            Some(id)
        };
        Ok(Stretch { list: key, limit, after })
    }

    /// The token of the page after one that ends with `last`; empty if it was the last one.
    pub fn next(&self, stretch: &Stretch, shown: usize, last: Option<i64>) -> String {
        match last {
            Some(id) if shown == stretch.limit => format!("{id}.{}", self.seal(&stretch.list, id)),
            _ => String::new(),
        }
    }

    fn seal(&self, list: &[u8], id: i64) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(b"page");
        mac.update(&id.to_be_bytes());
        mac.update(list);
        Hex(&mac.finalize().into_bytes()[..8]).to_string()
    }
}

impl Stretch {
    /// As the store takes it.
    pub fn page<Id>(&self, make: fn(i64) -> Id) -> Page<Id> {
        Page { after: self.after.map(make), limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use manman_core::id::GameId;

    use super::*;
    use crate::api::v1::{ListGameConfigsRequest, ListGamesRequest};

    #[test]
    fn a_token_opens_its_own_list_only() {
        let pages = Pages::new(vec![7; 32]);
        let mut request = ListGamesRequest { page_size: Some(2), page_token: String::new() };
        let first = pages.open("ListGames", &request).unwrap();
        assert_eq!(pages.next(&first, 1, Some(9)), "");
        let token = pages.next(&first, 2, Some(9));
        request.page_token = token.clone();
        let page = pages.open("ListGames", &request).unwrap().page(GameId);
        assert_eq!((page.after, page.limit), (Some(GameId(9)), 2));

        assert!(pages.open("ListServers", &request).is_err());
        let of_game =
            ListGameConfigsRequest { game_id: Some(1), page_size: Some(2), page_token: token.clone() };
        assert!(pages.open("ListGames", &of_game).is_err());
        for forged in ["x", "9", "9.", "10.0011223344556677", &token.replace("9.", "8.")] {
            request.page_token = forged.to_owned();
            assert!(pages.open("ListGames", &request).is_err(), "{forged}");
        }
    }

    #[test]
    fn a_page_has_1_to_200_entries() {
        let pages = Pages::new(vec![7; 32]);
        for (size, fits) in [
            (None, true),
            (Some(1), true),
            (Some(200), true),
            (Some(0), false),
            (Some(201), false),
            (Some(-1), false),
        ] {
            let request = ListGamesRequest { page_size: size, page_token: String::new() };
            assert_eq!(pages.open("ListGames", &request).is_ok(), fits, "{size:?}");
        }
    }
}
