//! A data channel of the crate: its events are polled, and nobody polling holds the whole connection up, so
//! the owner of a channel polls until the end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::BytesMut;
use tokio::sync::OnceCell;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::PeerConnection;

use super::association::Association;
use crate::rtc::RtcError;
use crate::rtc::engine::{Channel, ChannelEvent, ChannelInit, ChannelMessage};

/// The number of the channel that is there for its m-line alone. RFC 8832 section 6 lets nobody else use it.
pub(super) const UNUSED_STREAM: u16 = u16::MAX;

pub(super) struct CrateChannel {
    /// Empty until the association can carry it.
    channel: OnceCell<Arc<dyn DataChannel>>,
    init: ChannelInit,
    association: Arc<Association>,
    low_threshold: AtomicU32,
    /// Whether it is open and nobody has said so.
    open_untold: AtomicBool,
}

impl fmt::Debug for CrateChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateChannel").field("label", &self.init.label).finish_non_exhaustive()
    }
}

/// Opens a channel on the connection.
pub(super) async fn open(
    connection: &dyn PeerConnection,
    init: &ChannelInit,
) -> Result<Arc<dyn DataChannel>, RtcError> {
    let options = RTCDataChannelInit {
        ordered: init.ordered,
        max_packet_life_time: init.max_packet_life_time_ms,
        max_retransmits: init.max_retransmits,
        protocol: init.protocol.clone(),
        negotiated: init.negotiated_id,
    };
    let channel = connection.create_data_channel(&init.label, Some(options)).await;
    channel.map_err(|error| RtcError::new("open_channel", &error))
}

impl CrateChannel {
    pub(super) fn new(
        channel: Arc<dyn DataChannel>,
        init: ChannelInit,
        association: Arc<Association>,
    ) -> Self {
        Self::made(OnceCell::new_with(Some(channel)), init, association)
    }

    /// A channel that is open from the start, by a number that both sides agreed on.
    pub(super) fn open(self) -> Self {
        self.open_untold.store(true, Ordering::Relaxed);
        self
    }

    fn made(
        channel: OnceCell<Arc<dyn DataChannel>>,
        init: ChannelInit,
        association: Arc<Association>,
    ) -> Self {
        let (low_threshold, open_untold) = (AtomicU32::new(0), AtomicBool::new(false));
        Self { channel, init, association, low_threshold, open_untold }
    }

    /// A channel that its reader opens as soon as the association can carry it.
    pub(super) fn later(init: ChannelInit, association: Arc<Association>) -> Self {
        Self::made(OnceCell::new(), init, association)
    }

    /// A channel that the remote opened.
    pub(super) async fn adopt(
        channel: Arc<dyn DataChannel>,
        association: Arc<Association>,
    ) -> Result<Self, RtcError> {
        let fail = |error| RtcError::new("adopt_channel", &error);
        let init = ChannelInit {
            label: channel.label().await.map_err(fail)?,
            ordered: channel.ordered().await.map_err(fail)?,
            max_retransmits: channel.max_retransmits().await.map_err(fail)?,
            max_packet_life_time_ms: channel.max_packet_life_time().await.map_err(fail)?,
            protocol: channel.protocol().await.map_err(fail)?,
            negotiated_id: None,
        };
        Ok(Self::new(channel, init, association))
    }

    async fn open_when_ready(&self) -> Result<Arc<dyn DataChannel>, RtcError> {
        let connection = self.association.ready().await;
        let connection = connection.ok_or_else(|| RtcError::of("open_channel", "closed"))?;
        let channel = open(&*connection, &self.init).await?;
        let threshold = self.low_threshold.load(Ordering::Relaxed);
        let result = channel.set_buffered_amount_low_threshold(threshold).await;
        result.map_err(|error| RtcError::new("set_low_threshold", &error))?;
        self.open_untold.store(self.init.negotiated_id.is_some(), Ordering::Relaxed);
        Ok(channel)
    }
}

#[async_trait]
impl Channel for CrateChannel {
    fn init(&self) -> &ChannelInit {
        &self.init
    }

    async fn send(&self, message: &ChannelMessage) -> Result<(), RtcError> {
        let channel = self.channel.get().ok_or_else(|| RtcError::of("send", "NotOpen"))?;
        match message {
            ChannelMessage::Text(text) => channel.send_text(text).await,
            ChannelMessage::Binary(bytes) => channel.send(BytesMut::from(&bytes[..])).await,
        }
        .map_err(|error| RtcError::new("send", &error))
    }

    async fn path(&self, bytes: usize) {
        self.association.path.wait(bytes).await;
    }

    async fn buffered_amount(&self) -> Result<usize, RtcError> {
        let Some(channel) = self.channel.get() else { return Ok(0) };
        let bytes = channel.outstanding_bytes().await;
        bytes.map_err(|error| RtcError::new("buffered_amount", &error))
    }

    async fn set_low_threshold(&self, bytes: u32) -> Result<(), RtcError> {
        self.low_threshold.store(bytes, Ordering::Relaxed);
        let Some(channel) = self.channel.get() else { return Ok(()) };
        let result = channel.set_buffered_amount_low_threshold(bytes).await;
        result.map_err(|error| RtcError::new("set_low_threshold", &error))
    }

    async fn next(&self) -> Option<ChannelEvent> {
        let channel = match self.channel.get_or_try_init(|| self.open_when_ready()).await {
            Ok(channel) => channel,
            Err(error) => {
                tracing::debug!(%error, "the connection ended before a channel was opened on it");
                return None;
            }
        };
        if self.open_untold.swap(false, Ordering::Relaxed) {
            return Some(ChannelEvent::Open);
        }
        loop {
            return Some(match channel.poll().await? {
                DataChannelEvent::OnOpen => ChannelEvent::Open,
                DataChannelEvent::OnError => ChannelEvent::Error,
                DataChannelEvent::OnClosing => ChannelEvent::Closing,
                DataChannelEvent::OnClose => {
                    self.association.channel_closed().await;
                    ChannelEvent::Closed
                }
                DataChannelEvent::OnBufferedAmountLow => ChannelEvent::BufferedAmountLow,
                DataChannelEvent::OnMessage(message) => {
                    let bytes = message.data.freeze();
                    ChannelEvent::Message(match message.is_string {
                        // RFC 8831 section 6.6 promises UTF-8; a liar's bytes are replaced, not refused.
                        true => ChannelMessage::Text(String::from_utf8_lossy(&bytes).into_owned()),
                        false => ChannelMessage::Binary(bytes),
                    })
                }
                _ => continue,
            });
        }
    }

    async fn close(&self) -> Result<(), RtcError> {
        let Some(channel) = self.channel.get() else { return Ok(()) };
        channel.close().await.map_err(|error| RtcError::new("close_channel", &error))
    }
}
