//! A way to the service on which descriptions lose codecs, both ways: who is behind it seems not to know them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{SinkExt, StreamExt};
use metered_dev_server::DevServerHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{accept_hdr_async, client_async};

pub(crate) struct Narrow {
    pub(crate) url: String,
    wide: Arc<AtomicBool>,
}

impl Narrow {
    pub(crate) async fn before(server: &DevServerHandle, codecs: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (wide, service) = (Arc::<AtomicBool>::default(), server.url());
        let is_wide = Arc::clone(&wide);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, service.clone(), codecs, Arc::clone(&is_wide)));
            }
        });
        Self { url, wide }
    }

    /// From now on nothing is lost.
    pub(crate) fn widen(&self) {
        self.wide.store(true, Ordering::Relaxed);
    }
}

async fn carry(
    stream: TcpStream,
    service: String,
    codecs: &'static [&'static str],
    wide: Arc<AtomicBool>,
) {
    let mut path = String::new();
    #[allow(clippy::result_large_err)] // the crate's
    let note = |request: &Request, response: Response| {
        path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(response)
    };
    let inner = accept_hdr_async(stream, note).await.unwrap();
    let service = service.trim_end_matches('/');
    let wire = TcpStream::connect(service.trim_start_matches("ws://")).await.unwrap();
    let (outer, _) = client_async(format!("{service}{path}"), wire).await.unwrap();
    let narrowed = |message: Message| match message {
        Message::Text(text) if !wide.load(Ordering::Relaxed) => {
            // A codec, or the beginning of a profile of H.264.
            let name = |text: String, codec: &&str| {
                let text = text.replace(&format!(" {codec}/90000"), " unknown/90000");
                text.replace(&format!("profile-level-id={codec}"), "profile-level-id=f4")
            };
            Message::text(codecs.iter().fold(text.to_string(), name))
        }
        other => other,
    };
    let ((mut up, from), (mut to, down)) = (outer.split(), inner.split());
    let forth = async {
        let mut down = down;
        while let Some(Ok(message)) = down.next().await {
            if up.send(narrowed(message)).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut from = from;
        while let Some(Ok(message)) = from.next().await {
            if to.send(narrowed(message)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forth => {}
        () = back => {}
    }
}
