//! Sockets on a network of the platform's choice.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use socket2::SockRef;

use super::error::CallbackError;
use crate::peer;

/// Binds sockets to a network of the platform, such as Android's `Network.bindSocket` does.
#[uniffi::export(with_foreign)]
pub trait SocketBinder: Send + Sync {
    /// Called with the file descriptor of each new socket, before anything is sent. It is still the SDK's:
    /// it is not to be closed. If it fails, the socket is not used. It holds a thread of the SDK up, so it
    /// must not wait.
    fn bind_socket(&self, file_descriptor: i32) -> Result<(), CallbackError>;
}

/// Holds the app's binder until `shutdown` frees it.
#[derive(Default)]
pub(super) struct BinderSlot(Mutex<Option<Arc<dyn SocketBinder>>>);

impl BinderSlot {
    pub(super) fn set(&self, binder: Option<Arc<dyn SocketBinder>>) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *slot, binder);
        drop(slot);
        // Without the lock: freeing calls into the app's language.
        drop(before);
    }
}

impl peer::SocketBinder for BinderSlot {
    fn bind(&self, socket: &SockRef<'_>) -> io::Result<()> {
        let binder = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(binder) = binder else { return Ok(()) };
        // Its words are the app's own and may hold a credential: not for our log.
        binder
            .bind_socket(descriptor(socket)?)
            .map_err(|_| io::Error::other("the app's binder failed"))
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // elsewhere there is none
fn descriptor(socket: &SockRef<'_>) -> io::Result<i32> {
    use std::os::fd::AsRawFd;
    Ok(socket.as_raw_fd())
}

#[cfg(not(unix))]
fn descriptor(_: &SockRef<'_>) -> io::Result<i32> {
    Err(io::ErrorKind::Unsupported.into())
}
