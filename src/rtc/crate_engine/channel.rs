//! A data channel of the crate: its events are polled, and nobody polling holds the whole connection up, so
//! the owner of a channel polls until the end.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use crate::rtc::RtcError;
use crate::rtc::engine::{Channel, ChannelEvent, ChannelInit, ChannelMessage};

pub(super) struct CrateChannel {
    channel: Arc<dyn DataChannel>,
    init: ChannelInit,
}

impl fmt::Debug for CrateChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateChannel").field("label", &self.init.label).finish_non_exhaustive()
    }
}

impl CrateChannel {
    pub(super) fn new(channel: Arc<dyn DataChannel>, init: ChannelInit) -> Self {
        Self { channel, init }
    }

    /// A channel that the remote opened.
    pub(super) async fn adopt(channel: Arc<dyn DataChannel>) -> Result<Self, RtcError> {
        let fail = |error| RtcError::new("adopt_channel", &error);
        let init = ChannelInit {
            label: channel.label().await.map_err(fail)?,
            ordered: channel.ordered().await.map_err(fail)?,
            max_retransmits: channel.max_retransmits().await.map_err(fail)?,
            max_packet_life_time_ms: channel.max_packet_life_time().await.map_err(fail)?,
            protocol: channel.protocol().await.map_err(fail)?,
            negotiated_id: None,
        };
        Ok(Self { channel, init })
    }
}

#[async_trait]
impl Channel for CrateChannel {
    fn init(&self) -> &ChannelInit {
        &self.init
    }

    async fn send(&self, message: &ChannelMessage) -> Result<(), RtcError> {
        match message {
            ChannelMessage::Text(text) => self.channel.send_text(text).await,
            ChannelMessage::Binary(bytes) => self.channel.send(BytesMut::from(&bytes[..])).await,
        }
        .map_err(|error| RtcError::new("send", &error))
    }

    async fn buffered_amount(&self) -> Result<usize, RtcError> {
        let bytes = self.channel.outstanding_bytes().await;
        bytes.map_err(|error| RtcError::new("buffered_amount", &error))
    }

    async fn set_low_threshold(&self, bytes: u32) -> Result<(), RtcError> {
        let result = self.channel.set_buffered_amount_low_threshold(bytes).await;
        result.map_err(|error| RtcError::new("set_low_threshold", &error))
    }

    async fn next(&self) -> Option<ChannelEvent> {
        loop {
            return Some(match self.channel.poll().await? {
                DataChannelEvent::OnOpen => ChannelEvent::Open,
                DataChannelEvent::OnError => ChannelEvent::Error,
                DataChannelEvent::OnClosing => ChannelEvent::Closing,
                DataChannelEvent::OnClose => ChannelEvent::Closed,
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
        self.channel.close().await.map_err(|error| RtcError::new("close_channel", &error))
    }
}
