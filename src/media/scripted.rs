//! A receiver of packets that a test makes.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use crate::rtc::engine::*;

#[derive(Debug)]
struct Scripted {
    info: RemoteTrackInfo,
    packets: Mutex<mpsc::UnboundedReceiver<IncomingPacket>>,
}

/// What a connection would hand over, and where its packets go in. It ends when that is dropped.
pub(super) fn scripted(
    kind: MediaKind,
    codec: &str,
) -> (Arc<dyn TrackReceiver>, mpsc::UnboundedSender<IncomingPacket>) {
    let (sender, packets) = mpsc::unbounded_channel();
    let info = RemoteTrackInfo {
        mid: "0".into(),
        track_id: "track".into(),
        stream_ids: vec!["stream".into()],
        kind,
        codec: codec.into(),
    };
    (Arc::new(Scripted { info, packets: Mutex::new(packets) }), sender)
}

#[async_trait]
impl TrackReceiver for Scripted {
    fn info(&self) -> &RemoteTrackInfo {
        &self.info
    }

    async fn next(&self) -> Option<IncomingPacket> {
        self.packets.lock().await.recv().await
    }

    fn sender_report(&self, _: u32) -> Option<SenderReport> {
        None
    }

    async fn request_key_frame(&self) {}
}
