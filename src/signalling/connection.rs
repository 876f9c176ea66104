//! One open WebSocket: frames in, frames out, and how many of those really left.
//!
//! Owns the socket. Decides nothing: what comes of an event is the session's to say. Reading never waits
//! for writing, so that a server that does not read is still heard.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::CapacityError};

use super::socket::Socket;
use crate::wire::CloseCode;

/// What a socket did.
#[derive(Debug)]
pub(crate) enum SocketEvent {
    Text(Utf8Bytes),
    Binary,
    /// A frame above our limit came; the socket is of no further use.
    TooBig,
    /// So many frames have left since the start.
    Flushed(u64),
    Closed {
        code: CloseCode,
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    waiting: VecDeque<Message>,
    fed: u64,
    flushed: u64,
    ended: bool,
}

impl Connection {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, waiting: VecDeque::new(), fed: 0, flushed: 0, ended: false }
    }

    /// Whether the network that it was made over is no longer the one to the server.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.socket.get_ref().is_left_behind()
    }

    /// Puts a frame behind those that wait for the socket. The session bounds them.
    pub(crate) fn send(&mut self, text: String) {
        self.waiting.push_back(Message::text(text));
    }

    /// Puts a close frame behind what waits; the server's answer comes as [`SocketEvent::Closed`].
    pub(crate) fn start_close(&mut self, code: CloseCode, reason: &str) {
        self.waiting.push_back(close_frame(code, reason));
    }

    /// Leaves now: a close frame is tried once and nothing is waited for.
    pub(crate) fn leave(mut self, code: CloseCode, reason: &str) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.waiting.is_empty() && self.poll_write(&mut cx).is_ready() {
            self.waiting.push_back(close_frame(code, reason));
            // Whatever comes of it, the socket is dropped next.
            let _tried_once = self.poll_write(&mut cx);
        }
    }

    /// The next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> SocketEvent {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        if self.ended {
            return Poll::Pending;
        }
        match self.poll_write(cx) {
            Poll::Ready(Ok(())) if self.flushed < self.fed => {
                self.flushed = self.fed;
                return Poll::Ready(SocketEvent::Flushed(self.flushed));
            }
            Poll::Ready(Err(error)) => {
                // What the server said before it left may still be readable, and tells why.
                if let Poll::Ready(event) = self.poll_read(cx) {
                    return Poll::Ready(event);
                }
                return Poll::Ready(self.broken(&error));
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        self.poll_read(cx)
    }

    /// Ready when nothing waits and all that was fed has left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.waiting.is_empty() {
            std::task::ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(message) = self.waiting.pop_front() {
                self.fed += u64::from(message.is_text());
                Pin::new(&mut self.socket).start_send(message)?;
            }
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<SocketEvent> {
        loop {
            let event = match std::task::ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Text(text))) => SocketEvent::Text(text),
                Some(Ok(Message::Binary(_))) => SocketEvent::Binary,
                Some(Ok(Message::Close(frame))) => {
                    // The answering close frame is queued; give it one chance to leave.
                    let _tried_once = Pin::new(&mut self.socket).poll_flush(cx);
                    self.ended = true;
                    let (code, reason) = match frame {
                        Some(frame) => (u16::from(frame.code), frame.reason.to_string()),
                        None => (1005, String::new()),
                    };
                    SocketEvent::Closed { code: CloseCode(code), reason }
                }
                Some(Ok(_)) => continue,
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    self.ended = true;
                    SocketEvent::TooBig
                }
                Some(Err(error)) => self.broken(&error),
                None => self.broken(&Error::ConnectionClosed),
            };
            return Poll::Ready(event);
        }
    }

    fn broken(&mut self, error: &Error) -> SocketEvent {
        self.ended = true;
        tracing::debug!(%error, "the socket broke");
        SocketEvent::Closed { code: CloseCode::ABNORMAL, reason: String::new() }
    }
}

fn close_frame(code: CloseCode, reason: &str) -> Message {
    let reason = Utf8Bytes::from(reason);
    Message::Close(Some(CloseFrame { code: code.get().into(), reason }))
}
