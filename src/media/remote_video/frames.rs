//! A sink of whole pictures. It begins with a key frame, and again when it was too slow.

use std::sync::Arc;

use super::Shared;
use crate::events::{Event, Events};
use crate::media::video::AccessUnit;

/// What a track of pictures has to say.
///
/// ```
/// use metered_realtime::media::FrameEvent;
/// /// What the view of a remote does.
/// fn show(event: FrameEvent) -> &'static str {
///     match event {
///         FrameEvent::Frame(unit) if unit.key_frame => "decode, from here on",
///         FrameEvent::Frame(_) => "decode",
///         FrameEvent::Frozen => "show that it stands still",
///         FrameEvent::Resumed => "show the picture again",
///         FrameEvent::Lagged { .. } => "reset the decoder: a key frame follows",
///         _ => "nothing",
///     }
/// }
/// assert_eq!(show(FrameEvent::Frozen), "show that it stands still");
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FrameEvent {
    /// A picture, in decode order. The first one of a sink is a key frame, and after a gap too.
    Frame(Arc<AccessUnit>),
    /// No picture came for a second.
    Frozen,
    /// Pictures come again.
    Resumed,
    /// This sink was too slow: so many events are lost. It goes on with a key frame.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event for FrameEvent {
    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn size(&self) -> usize {
        match self {
            Self::Frame(unit) => unit.data.len(),
            _ => 0,
        }
    }
}

/// A sink of pictures. Ends with its track, or when dropped.
///
/// ```
/// # metered_scenes::play(async |metered_scenes::Filmed { video, .. }| {
/// use metered_realtime::media::{FrameEvent, VideoFrames};
/// let mut frames: VideoFrames = video.frames();
/// let first = frames.next().await.ok_or("bob stopped")?;
/// assert!(matches!(&first, FrameEvent::Frame(unit) if unit.key_frame));
/// // All that came while the decoder was busy, at once.
/// let more = frames.next_batch(30).await;
/// assert!((1..=30).contains(&more.len()));
/// # Ok(())
/// # });
/// ```
#[derive(Debug)]
pub struct VideoFrames {
    events: Events<FrameEvent>,
    shared: Arc<Shared>,
    waits_for_key_frame: bool,
}

impl VideoFrames {
    pub(super) const fn new(events: Events<FrameEvent>, shared: Arc<Shared>) -> Self {
        Self { events, shared, waits_for_key_frame: true }
    }

    /// The next event; `None` when the track has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<FrameEvent> {
        loop {
            let event = self.events.next().await?;
            if let Some(event) = self.checked(event) {
                return Some(event);
            }
        }
    }

    /// Up to `max` events at once, at least one; empty when the track has ended. Cancel-safe.
    pub async fn next_batch(&mut self, max: usize) -> Vec<FrameEvent> {
        let Some(first) = self.next().await else { return Vec::new() };
        let mut batch = vec![first];
        while batch.len() < max
            && let Some(event) = self.events.try_next()
        {
            batch.extend(self.checked(event));
        }
        batch
    }

    /// The event, unless no decoder can begin with it.
    fn checked(&mut self, event: FrameEvent) -> Option<FrameEvent> {
        match &event {
            FrameEvent::Frame(unit) if self.waits_for_key_frame => {
                if !unit.key_frame {
                    return None;
                }
                self.waits_for_key_frame = false;
            }
            FrameEvent::Lagged { .. } => {
                self.waits_for_key_frame = true;
                self.shared.key_frame_wanted.notify_one();
            }
            _ => {}
        }
        Some(event)
    }
}
