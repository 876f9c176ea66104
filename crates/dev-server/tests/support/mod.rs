//! A raw client of the protocol and a raw client of HTTP: what the wire says, and nothing of our SDK's.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test uses a part; a test fails by panicking

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use metered_dev_server::{DEV_SECRET, DEV_SECRET_ID, DevServerHandle, TokenClaims};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

pub async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens in time")
}

/// One socket that speaks frames.
pub struct Raw {
    socket: WebSocketStream<TcpStream>,
}

impl Raw {
    /// Connects with a query such as `key=pk_live_dev`; the welcome is not read.
    pub async fn open(server: &DevServerHandle, query: &str) -> Result<Self, u16> {
        let stream = TcpStream::connect(server.addr()).await.unwrap();
        let url = format!("{}/v1?{query}", server.url());
        match tokio_tungstenite::client_async(url, stream).await {
            Ok((socket, _)) => Ok(Self { socket }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub async fn by_claims(server: &DevServerHandle, claims: &TokenClaims) -> Self {
        let token = claims.mint(DEV_SECRET_ID, DEV_SECRET).unwrap();
        let mut raw = Self::open(server, &format!("token={token}")).await.unwrap();
        assert_eq!(raw.next().await["type"], "welcome");
        raw
    }

    pub async fn named(server: &DevServerHandle, peer_id: &str) -> Self {
        Self::by_claims(server, &TokenClaims::new(peer_id)).await
    }

    pub async fn write(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame.
    pub async fn next(&mut self) -> Value {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn ask(&mut self, text: &str) -> Value {
        self.write(text).await;
        self.next().await
    }

    /// The close code; frames before it are passed over. `None` if the connection was cut.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Subscribes and answers the snapshot.
    pub async fn subscribe(&mut self, channel: &str) -> Value {
        let request = format!(r#"{{"type":"subscribe","channel":"{channel}","requestId":"s"}}"#);
        assert_eq!(self.ask(&request).await["type"], "ack", "ack first");
        self.next().await
    }

    /// Whether nothing comes, judged by the answer to a ping.
    pub async fn hears_nothing(&mut self) -> bool {
        self.ask(r#"{"type":"ping"}"#).await["type"] == "pong"
    }
}

/// One HTTP request; answers status and body.
pub async fn http(
    server: &DevServerHandle,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let bearer = bearer.map(|b| format!("Authorization: Bearer {b}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{bearer}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, serde_json::from_str(body).unwrap_or(Value::String(body.to_owned())))
}
