//! Whether a connection has a path: known to its channels, so that they do not send into the void.

use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Path {
    there: watch::Sender<bool>,
}

impl Default for Path {
    /// Before the first path no channel is open: nothing needs to wait.
    fn default() -> Self {
        Self { there: watch::Sender::new(true) }
    }
}

impl Path {
    /// It is silent, or being looked for anew.
    pub(super) fn lost(&self) {
        self.there.send_replace(false);
    }

    /// It was found, or the connection ended: then a send tells.
    pub(super) fn settled(&self) {
        self.there.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        // The sender lives as long as `self`.
        drop(self.there.subscribe().wait_for(|there| *there).await);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_send_waits_while_the_path_is_lost() {
        let path = Path::default();
        path.wait().await;
        path.lost();
        assert_eq!(path.wait().now_or_never(), None);
        path.settled();
        path.wait().await;
    }
}
