//! Events that come from inside, for bench/ffi: what remains of an event's cost is what its way into the
//! language takes. Built with the feature `ffi-test` alone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::MissedTickBehavior;

use super::error::SdkError;
use super::event::DataChannelEvent;
use super::inbox::{Inbox, Source};
use super::remote_track::FrameEvent;
use super::runtime::Task;
use crate::events::{Event, Events, Hub};
use crate::media::{self, VideoCodec};
use crate::peer::{self, ChannelMessage};

/// What the clock of the runtime can.
const MOST_TICKS_PER_SECOND: u32 = 1_000;

/// A task that makes events, and its queue. Dropped, it ends.
struct Feed<E> {
    events: Events<E>,
    _maker: Task<()>,
}

impl<E: Event + Sync> Feed<E> {
    /// So many events per second, by the clock; 0 for as many as are taken.
    fn new(
        per_second: u32,
        mut make: impl FnMut(u64) -> E + Send + 'static,
    ) -> Result<Self, SdkError> {
        let hub = Hub::default();
        let events = hub.subscribe();
        let per_tick = per_second.clamp(1, MOST_TICKS_PER_SECOND);
        let maker = Task::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_tick);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut made, mut due) = (0, 0);
            for tick in 1_u64.. {
                if per_second > 0 {
                    ticks.tick().await;
                    due = tick * u64::from(per_second) / u64::from(per_tick);
                }
                while per_second == 0 || made < due {
                    hub.deliver(&make(made)).await;
                    made += 1;
                    // There may be room for ever, and the task must end with its feed.
                    tokio::task::consume_budget().await;
                }
            }
        })?;
        Ok(Self { events, _maker: maker })
    }
}

impl<E: Event> Source for Feed<E> {
    type Item = E;

    fn next_batch(&mut self, max: usize) -> impl Future<Output = Vec<E>> + Send {
        self.events.next_batch(max)
    }

    fn gathered(&self, wanted: usize) -> impl Future<Output = ()> + Send {
        self.events.waiting(wanted)
    }
}

/// A feed never ends by itself.
fn once_only<E>() -> Feed<E> {
    unreachable!("a feed is there from the beginning")
}

/// Messages as a data channel gives them.
#[derive(uniffi::Object)]
pub struct MessageFeed {
    inbox: Inbox<Feed<peer::DataChannelEvent>>,
}

impl fmt::Debug for MessageFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageFeed")
    }
}

#[uniffi::export]
impl MessageFeed {
    /// Messages of so many bytes, so many per second; 0 for as many as are taken. Text, or binary.
    #[uniffi::constructor]
    pub fn new(bytes: u32, per_second: u32, text: bool) -> Result<Arc<Self>, SdkError> {
        let data = Bytes::from(vec![b'.'; bytes as usize]);
        let feed = Feed::new(per_second, move |_| {
            peer::DataChannelEvent::Message(if text {
                ChannelMessage::Text(".".repeat(data.len()))
            } else {
                ChannelMessage::Binary(data.clone())
            })
        })?;
        Ok(Arc::new(Self { inbox: Inbox::new(Some(feed)) }))
    }

    /// As `DataChannel::next_events`.
    pub async fn next_events(&self, max: u32) -> Result<Vec<DataChannelEvent>, SdkError> {
        self.inbox.pull(max, once_only).await
    }
}

/// Pictures as a remote's track gives them.
#[derive(uniffi::Object)]
pub struct FrameFeed {
    inbox: Inbox<Feed<media::FrameEvent>>,
}

impl fmt::Debug for FrameFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameFeed")
    }
}

#[uniffi::export]
impl FrameFeed {
    /// Access units of so many bytes, so many per second; 0 for as many as are taken.
    #[uniffi::constructor]
    pub fn new(bytes: u32, per_second: u32) -> Result<Arc<Self>, SdkError> {
        let data = Bytes::from(vec![0; bytes as usize]);
        let feed = Feed::new(per_second, move |n| {
            media::FrameEvent::Frame(
                media::AccessUnit::new(VideoCodec::Vp8, data.clone(), n * 33_333).into(),
            )
        })?;
        Ok(Arc::new(Self { inbox: Inbox::new(Some(feed)) }))
    }

    /// As `VideoFrames::next_events`.
    pub async fn next_events(&self, max: u32) -> Result<Vec<FrameEvent>, SdkError> {
        self.inbox.pull(max, once_only).await
    }
}
