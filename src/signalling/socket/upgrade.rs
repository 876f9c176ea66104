//! The WebSocket handshake (RFC 6455 section 4), spoken by ourselves so that a refusal can be read whole.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use zeroize::Zeroizing;

use super::error::DialError;
use super::progress::DialProgress;
use super::response::{Answer, http_date};
use super::stream::{Socket, Stream};
use super::target::Target;
use crate::wire::{API_PATH, MAX_INBOUND_FRAME_BYTES};

/// Read at once; small, since most clients are idle most of the time.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Written at once.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Asks for a WebSocket on a stream to the server.
pub(super) async fn upgrade(
    mut stream: Stream,
    target: &Target,
    query: &SecretString,
    progress: &DialProgress,
) -> Result<Socket, DialError> {
    let key = STANDARD.encode(std::array::from_fn::<u8, 16, _>(|_| fastrand::u8(..)));
    let request = Zeroizing::new(request(target, query, &key));
    stream.write_all(request.as_bytes()).await.map_err(DialError::Broken)?;
    stream.flush().await.map_err(DialError::Broken)?;
    let answer = Answer::read(&mut stream).await?;
    if let Some(theirs) = answer.header("date").and_then(http_date) {
        progress.note(|attempt| attempt.clocks = Some((theirs, SystemTime::now())));
    }
    if answer.status != 101 {
        return Err(DialError::Refused(answer.refusal(&mut stream).await));
    }
    if !answer.lists("upgrade", "websocket") || !answer.lists("connection", "upgrade") {
        return Err(DialError::BadAnswer("it does not upgrade"));
    }
    if answer.header("sec-websocket-accept") != Some(&derive_accept_key(key.as_bytes())) {
        return Err(DialError::BadAnswer("its accept key is wrong"));
    }
    if answer.header("sec-websocket-extensions").is_some_and(|list| !list.is_empty())
        || answer.header("sec-websocket-protocol").is_some()
    {
        return Err(DialError::BadAnswer("it chose what was not offered"));
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_INBOUND_FRAME_BYTES))
        .max_frame_size(Some(MAX_INBOUND_FRAME_BYTES));
    Ok(Socket::from_partially_read(stream, answer.rest, Role::Client, Some(config)).await)
}

fn request(target: &Target, query: &SecretString, key: &str) -> String {
    let mut request = format!(
        "GET {API_PATH}?{} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
        query.expose_secret(),
        target.authority,
    );
    if let Some(origin) = &target.origin {
        request.push_str(&format!("Origin: {origin}\r\n"));
    }
    for (name, value) in &target.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}
