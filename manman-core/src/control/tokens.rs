//! Who may call.

use super::{Control, check_page};
use crate::{
    id::TokenId,
    model::{Token, token::NewToken},
    store::{DeedError, Page, Write},
};

impl Control {
    /// Puts a token on record.
    pub async fn token_create(&self, new: &NewToken, write: &Write) -> Result<Token, DeedError> {
        self.store.token_create(new, write).await
    }

    /// Tokens by id, those included that are not valid any more.
    pub async fn token_list(&self, page: Page<TokenId>) -> Result<Vec<Token>, DeedError> {
        check_page(&page)?;
        Ok(self.store.token_list(page).await?)
    }

    /// Ends a token here and now.
    pub async fn token_revoke(&self, id: TokenId, write: &Write) -> Result<Token, DeedError> {
        self.store.token_revoke(id, write).await
    }
}
