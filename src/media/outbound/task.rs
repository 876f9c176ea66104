//! The task of a sender: gives each parcel of its source RTP headers, time and pace, and does what the owner and the
//! remote say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::Clock;
use super::{Figures, Orders, Refusal};
use crate::media::bandwidth::{Bandwidth, Membership};
use crate::media::local::{Attachment, LocalTrackEvent, Parcel, Shared};
use crate::media::video::Rotation;
use crate::rtc::engine::{
    Agreement, MediaKind, OutgoingPacket, SenderFeedback, SenderFormat, TrackSender,
};
use crate::rtc::h264::StreamProfile;

/// Bytes of a packet's headers, and of what encrypts it: about.
const OVERHEAD: usize = 40;

pub(super) struct Task {
    sender: Arc<dyn TrackSender>,
    orders: watch::Receiver<Orders>,
    bandwidth: Arc<Bandwidth>,
    figures: Arc<Figures>,
    source: Option<Arc<Shared>>,
    /// While the remote can be sent to.
    attachment: Option<(Attachment, Membership)>,
    /// What is being sent.
    current: Option<Current>,
    /// Whether the path had no room for the picture, so that it goes on with a key frame.
    held_back: bool,
    format: Option<SenderFormat>,
    /// The profile of H.264 that the format is for.
    profile: Option<StreamProfile>,
    clock: Clock,
    /// When the source is asked again for a key frame.
    retry: Option<Instant>,
    refusal: Arc<Refusal>,
    rotation: Rotation,
}

/// A parcel on its way out.
struct Current {
    parcel: Arc<Parcel>,
    timestamp: u32,
    /// The next payload to leave.
    next: usize,
    /// What the last packet says of the rotation.
    turned: Option<Rotation>,
}

enum Wake {
    /// None if the owner is gone.
    Orders(Option<watch::Receiver<Orders>>),
    Parcel(Arc<Parcel>),
    /// The next packet may leave.
    Due,
    Feedback(Option<SenderFeedback>),
    Retry,
}

/// The next change of what the owner says; none if it is gone.
async fn changed(mut orders: watch::Receiver<Orders>) -> Option<watch::Receiver<Orders>> {
    orders.changed().await.ok().map(|()| orders)
}

impl Task {
    /// Of a sender for sound or pictures, whose owner says the rest.
    pub(super) fn new(
        sender: Arc<dyn TrackSender>,
        kind: MediaKind,
        orders: watch::Receiver<Orders>,
        bandwidth: Arc<Bandwidth>,
        figures: &Arc<Figures>,
        refusal: &Arc<Refusal>,
    ) -> Self {
        Self {
            sender,
            orders,
            bandwidth,
            figures: Arc::clone(figures),
            source: None,
            attachment: None,
            current: None,
            held_back: false,
            format: None,
            profile: None,
            clock: Clock::new(kind),
            retry: None,
            refusal: Arc::clone(refusal),
            rotation: Rotation::None,
        }
    }

    pub(super) async fn run(mut self) {
        self.obey().await;
        // Both outlive a wake: made anew for each parcel they would cost more than all else here.
        let sender = Arc::clone(&self.sender);
        let mut feedback = Some(sender.next());
        let mut changed = Box::pin(changed(self.orders.clone()));
        loop {
            match self.wake(&mut feedback, &mut changed).await {
                Wake::Orders(None) => return,
                Wake::Orders(Some(orders)) => {
                    changed.set(self::changed(orders));
                    self.obey().await;
                }
                Wake::Parcel(parcel) => self.begin(parcel).await,
                Wake::Due => self.send().await,
                Wake::Feedback(Some(SenderFeedback::KeyFrameWanted)) => {
                    feedback = Some(sender.next());
                    self.want_key_frame();
                }
                // The connection ends; the owner will say so.
                Wake::Feedback(None) => feedback = None,
                Wake::Retry => self.want_key_frame(),
            }
        }
    }

    async fn wake(
        &mut self,
        feedback: &mut Option<impl Future<Output = Option<SenderFeedback>> + Unpin>,
        changed: &mut (impl Future<Output = Option<watch::Receiver<Orders>>> + Unpin),
    ) -> Wake {
        let Self { attachment, retry, current, .. } = self;
        let media = async {
            match attachment {
                // One after the other: what comes meanwhile waits in the attachment, which is bounded.
                Some((_, membership)) if current.is_some() => {
                    while let Some(due) = membership.wait() {
                        tokio::time::sleep_until(due).await;
                    }
                    Wake::Due
                }
                Some((attachment, _)) => Wake::Parcel(attachment.next().await),
                None => std::future::pending().await,
            }
        };
        let retry = async {
            match retry {
                Some(due) => tokio::time::sleep_until(*due).await,
                None => std::future::pending().await,
            }
        };
        let feedback = async {
            match feedback {
                Some(feedback) => feedback.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            orders = changed => Wake::Orders(orders),
            media = media => media,
            feedback = feedback => Wake::Feedback(feedback),
            () = retry => Wake::Retry,
        }
    }

    async fn obey(&mut self) {
        let orders = self.orders.borrow_and_update().clone();
        let same = match (&self.source, &orders.source) {
            (Some(now), Some(wanted)) => Arc::ptr_eq(now, wanted),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.source = orders.source;
            self.detach();
            self.clock.rebase(Instant::now());
        }
        let Some(source) = self.source.clone() else { return };
        if !orders.connected || orders.negotiations == 0 {
            return self.detach();
        }
        self.profile = source.profile();
        self.agree(&source).await;
    }

    /// Goes by what was agreed on for what is written.
    async fn agree(&mut self, source: &Arc<Shared>) {
        let fits = source.mime_type() == self.sender.mime_type();
        let agreement = match fits {
            true => self.sender.agreement(self.profile).await,
            false => Agreement::Refused,
        };
        let peer_id = self.bandwidth.peer_id().to_owned();
        let Agreement::Taken(format) = agreement else {
            self.format = None;
            self.detach();
            if agreement == Agreement::Refused {
                self.refusal.refused(source, self.profile, &peer_id);
            }
            return;
        };
        self.format = Some(format);
        self.refusal.agreed();
        if self.attachment.is_none() {
            self.held_back = false;
            let membership = self.bandwidth.join(self.sender.stream(), source);
            self.attachment = Some((source.attach(), membership));
            source.tell(&LocalTrackEvent::CodecAgreed { peer_id });
            self.want_key_frame();
        }
    }

    /// Nothing more is sent; a picture half on its way is lost.
    fn detach(&mut self) {
        self.attachment = None;
        self.current = None;
        self.figures.share.store(0, Ordering::Relaxed);
    }

    fn want_key_frame(&mut self) {
        let track = self.source.as_ref().filter(|_| self.attachment.is_some());
        let video = track.filter(|track| track.kind() == MediaKind::Video);
        self.retry = video.and_then(|track| track.want_key_frame(Instant::now()));
    }

    async fn begin(&mut self, parcel: Arc<Parcel>) {
        if parcel.profile.is_some() && parcel.profile != self.profile {
            // The encoder was set anew, or began after the agreement.
            self.profile = parcel.profile;
            if let Some(source) = self.source.clone() {
                self.agree(&source).await;
            }
        }
        if self.holds_back(&parcel) {
            return;
        }
        if parcel.key_frame {
            // It answers whatever was asked before.
            self.retry = None;
        }
        let timestamp = self.clock.timestamp(Instant::now(), parcel.timestamp_us);
        let captured = self.clock.captured(parcel.captured, parcel.timestamp_us);
        self.sender.captured(timestamp, captured);
        // With each picture that is turned, as libwebrtc has it: without a word a browser takes it for upright.
        let says = |rotation: &Rotation| {
            parcel.key_frame || *rotation != Rotation::None || *rotation != self.rotation
        };
        let turned = parcel.rotation.filter(says);
        self.rotation = parcel.rotation.unwrap_or_default();
        self.current = Some(Current { parcel, timestamp, next: 0, turned });
        self.send().await;
    }

    /// Whether the path has no room for the picture now, or has it again but only for a key frame.
    fn holds_back(&mut self, parcel: &Parcel) -> bool {
        let Some((_, membership)) = &self.attachment else { return true };
        let share = membership.share();
        self.figures.share.store(share.unwrap_or(0), Ordering::Relaxed);
        let holds = share == Some(0) || (self.held_back && !parcel.key_frame);
        self.held_back = holds;
        if holds && share != Some(0) && self.retry.is_none() {
            self.want_key_frame();
        }
        holds
    }

    /// Sends what may leave now of the present parcel.
    async fn send(&mut self) {
        let packets = self.due();
        if packets.is_empty() {
            return;
        }
        if let Err(error) = self.sender.send(packets).await {
            // The connection ends, or the m-line does; the owner will say so.
            tracing::debug!(%error, "packets were not sent");
            self.current = None;
        }
    }

    /// The packets of the present parcel that may leave now.
    fn due(&mut self) -> Vec<OutgoingPacket> {
        let mut due = Vec::new();
        let (Some((_, membership)), Some(format)) = (&self.attachment, self.format) else {
            self.current = None;
            return due;
        };
        let Some(current) = &mut self.current else { return due };
        let payloads = &current.parcel.payloads;
        while let Some(payload) = payloads.get(current.next) {
            if membership.wait().is_some() {
                return due;
            }
            let last = current.next + 1 == payloads.len();
            due.push(OutgoingPacket {
                format,
                sequence: self.clock.next_sequence(),
                timestamp: current.timestamp,
                marker: last && current.parcel.marker,
                payload: payload.clone(),
                orientation: current.turned.filter(|_| last).map(Rotation::bits),
            });
            current.next += 1;
            membership.spend(payload.len() + OVERHEAD);
        }
        self.figures.frames.fetch_add(1, Ordering::Relaxed);
        self.figures.key_frames.fetch_add(u64::from(current.parcel.key_frame), Ordering::Relaxed);
        self.current = None;
        due
    }
}
