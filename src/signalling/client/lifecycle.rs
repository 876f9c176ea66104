//! Starting the actor and awaiting its end. At most one runs: `connect` and `close` take turns.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::SignallingClient;
use crate::signalling::actor::{Actor, Command};
use crate::signalling::error::ConnectError;
use crate::signalling::event::{Event, State};
use crate::signalling::session::Session;
use crate::wire::CloseCode;

/// Bytes of a close frame's reason (RFC 6455 section 5.5).
const MAX_CLOSE_REASON_BYTES: usize = 123;

#[derive(Debug)]
pub(super) struct Running {
    task: JoinHandle<()>,
    /// It was told to close, and goes on with that whether or not the caller waits for it.
    closing: bool,
}

impl SignallingClient {
    /// Connects, from idle or closed; done at the server's welcome.
    ///
    /// The first attempt is not repeated: its failure is the result. Every later drop is mended by itself.
    /// Dropping the future does not end the attempt; `close` does.
    ///
    /// # Errors
    /// [`ConnectError`] of the first attempt; [`ConnectError::InvalidState`] unless idle or closed.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let (reply, result) = oneshot::channel();
        {
            let mut running = self.inner.running.lock().await;
            if let Some(earlier) = running.as_mut() {
                let state = self.state();
                if state != State::Closed && !earlier.closing {
                    return Err(ConnectError::InvalidState { state });
                }
                // Its session is over, or about to be: at the latest when the server's close frame stays out.
                drop((&mut earlier.task).await);
            }
            *running = Some(self.start(reply));
        }
        result
            .await
            .unwrap_or(Err(ConnectError::Internal { what: "the client's task ended early" }))
    }

    fn start(&self, reply: oneshot::Sender<Result<(), ConnectError>>) -> Running {
        let (commands, receiver) = mpsc::unbounded_channel();
        let inner = &self.inner;
        // Changes at once, so that a second connect sees the first; the session tells of it.
        let before = inner.shared.state.send_replace(State::Connecting);
        let session =
            Session::new(inner.config.clone(), Box::new(fastrand::f64), before, Duration::ZERO);
        let actor = Actor::new(
            session,
            Arc::clone(&inner.shared),
            receiver,
            inner.credential.clone(),
            inner.preflight,
            Arc::clone(&inner.target),
        );
        inner.shared.queued.store(1, Ordering::Relaxed);
        // Cannot fail: the receiver is here.
        drop(commands.send(Command::Connect(reply)));
        *inner.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some(commands);
        Running { task: tokio::spawn(actor.run().boxed()), closing: false }
    }

    /// Ends the connection with code 1000 and every task of this client; returns when nothing is left.
    ///
    /// Dropping the future does not stop the close: the next `close` or `connect` waits for its end.
    pub async fn close(&self) {
        self.finish(CloseCode::NORMAL, "client requested close").await;
    }

    /// Like [`close`](Self::close), with a close code (1000, or 3000 to 4999) and a reason of up to 123 bytes.
    ///
    /// # Errors
    /// [`ConnectError::InvalidClose`] for another code or a longer reason; the client goes on then.
    ///
    /// ```
    /// # metered_scenes::play(async |metered_scenes::Client { client, .. }| {
    /// client.connect().await?;
    /// // The server's logs will say why.
    /// client.close_with(3001, "signed out").await?;
    /// assert_eq!(client.close_with(1001, "").await.unwrap_err().code(), "invalid_close");
    /// # Ok(())
    /// # });
    /// ```
    pub async fn close_with(&self, code: u16, reason: &str) -> Result<(), ConnectError> {
        let code = CloseCode(code);
        if !code.may_be_sent_by_an_application() {
            return Err(ConnectError::InvalidClose { what: "code" });
        }
        if reason.len() > MAX_CLOSE_REASON_BYTES {
            return Err(ConnectError::InvalidClose { what: "reason" });
        }
        self.finish(code, reason).await;
        Ok(())
    }

    async fn finish(&self, code: CloseCode, reason: &str) {
        let mut running = self.inner.running.lock().await;
        if let Some(current) = running.as_mut() {
            if !current.closing
                && let Some(commands) = self.sender()
            {
                self.inner.shared.queued.fetch_add(1, Ordering::Relaxed);
                // If the actor is gone there is nothing to close.
                drop(commands.send(Command::Close { code, reason: reason.to_owned() }));
                current.closing = true;
            }
            drop((&mut current.task).await);
        }
        *running = None;
        *self.inner.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let from = self.inner.shared.state.send_replace(State::Closed);
        if from != State::Closed {
            let event = Event::StateChange { from, to: State::Closed };
            self.inner.shared.events.publish(&event);
        }
    }
}
