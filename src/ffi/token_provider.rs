//! The app's source of tokens.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::error::CallbackError;
use crate::credential::{self, TokenFuture, TokenProviderError};

/// Gives a token for each connection.
#[uniffi::export(with_foreign)]
#[async_trait]
pub trait TokenProvider: Send + Sync {
    /// A token that is valid now. It is given up after `token_provider_timeout_ms`.
    async fn token(&self) -> Result<String, CallbackError>;
}

/// Holds the app's provider until `shutdown` frees it, whoever still holds the client.
#[derive(Default)]
pub(super) struct ProviderSlot(Mutex<Option<Arc<dyn TokenProvider>>>);

impl ProviderSlot {
    pub(super) fn new(provider: Arc<dyn TokenProvider>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(provider))))
    }

    fn get(&self) -> Option<Arc<dyn TokenProvider>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn free(&self) {
        let provider = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Dropped without the lock: freeing calls into the app's language.
        drop(provider);
    }
}

/// The slot, as the core asks it.
pub(super) struct Asked(pub(super) Arc<ProviderSlot>);

impl credential::TokenProvider for Asked {
    fn token(&self) -> TokenFuture<'_> {
        let provider = self.0.get();
        Box::pin(async move {
            match provider {
                Some(provider) => provider.token().await.map_err(TokenProviderError::new),
                None => Err(TokenProviderError::new("the client was shut down")),
            }
        })
    }
}
