//! The task between a local track and one remote's sender: RTP headers, time, pace, and what the remote asks.
//!
//! The track behind a sender may be swapped; the sender's packets go on in one row, with their time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::bandwidth::{Bandwidth, Membership};
use super::local::{Attachment, LocalTrackEvent, Parcel, Shared, lock};
use super::sync::CaptureClock;
use super::video::Rotation;
use crate::rtc::engine::{
    Agreement, MediaKind, OutgoingPacket, SenderFeedback, SenderFormat, TrackSender,
};
use crate::rtc::h264::StreamProfile;

/// Bytes of a packet's headers, and of what encrypts it: about.
const OVERHEAD: usize = 40;

/// What the owner of the sender says.
#[derive(Clone, Debug, Default)]
struct Orders {
    source: Option<Arc<Shared>>,
    /// Counts negotiations: what was agreed on is read anew.
    negotiations: u64,
    /// Whether packets reach the remote.
    connected: bool,
}

/// The owner's handle. The task ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Outbound {
    orders: watch::Sender<Orders>,
    figures: Arc<Figures>,
    refusal: Arc<Refusal>,
}

/// What became of a track at a remote that does not take its codec.
#[derive(Debug)]
pub(crate) struct Refusal {
    state: Mutex<RefusalState>,
    /// Of the owner, who ends the sender then: a track without packets is a black picture.
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct RefusalState {
    /// Whether the last negotiation says so.
    refused: bool,
    /// The profile of H.264 that was written then.
    profile: Option<StreamProfile>,
    /// The track that was told last, if nothing was agreed on since.
    told: Option<String>,
}

impl Refusal {
    /// `told` is the track that was told already, by the sender before.
    pub(crate) fn new(wake: &Arc<Notify>, told: Option<String>) -> Arc<Self> {
        let state = Mutex::new(RefusalState { told, ..RefusalState::default() });
        Arc::new(Self { state, wake: Arc::clone(wake) })
    }

    /// Tells the source, unless it was told.
    fn refused(&self, source: &Shared, profile: Option<StreamProfile>, peer_id: &str) {
        let mut state = lock(&self.state);
        (state.refused, state.profile) = (true, profile);
        let told = state.told.replace(source.id().to_owned());
        drop(state);
        if told.as_deref() != Some(source.id()) {
            source.refused(peer_id);
        }
        self.wake.notify_one();
    }

    fn agreed(&self) {
        *lock(&self.state) = RefusalState::default();
    }
}

/// What a sender sent.
#[derive(Debug, Default)]
struct Figures {
    frames: AtomicU64,
    key_frames: AtomicU64,
    /// Bits per second of the path; 0 while unknown.
    share: AtomicU64,
}

impl Outbound {
    #[cfg(test)]
    pub(crate) fn new(
        sender: Arc<dyn TrackSender>,
        source: Arc<Shared>,
        bandwidth: Arc<Bandwidth>,
        connected: bool,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let refusal = Refusal::new(&Arc::default(), None);
        Self::after(sender, source, bandwidth, connected, refusal)
    }

    /// The handle and the task of a sender on the connection that the bandwidth is of.
    pub(crate) fn after(
        sender: Arc<dyn TrackSender>,
        source: Arc<Shared>,
        bandwidth: Arc<Bandwidth>,
        connected: bool,
        refusal: Arc<Refusal>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let kind = source.kind();
        let orders = Orders { source: Some(source), negotiations: 0, connected };
        let (orders, receiver) = watch::channel(orders);
        let figures = Arc::<Figures>::default();
        let task = Task {
            sender,
            orders: receiver,
            bandwidth,
            figures: Arc::clone(&figures),
            source: None,
            attachment: None,
            current: None,
            held_back: false,
            format: None,
            profile: None,
            clock: Clock::new(kind),
            retry: None,
            refusal: Arc::clone(&refusal),
            rotation: Rotation::None,
        };
        (Self { orders, figures, refusal }, task.run())
    }

    /// Another source behind the same sender; `None` for silence.
    pub(crate) fn set_source(&self, source: Option<Arc<Shared>>) {
        self.orders.send_modify(|orders| orders.source = source);
    }

    /// Whole pictures that were sent, the key frames among them, and the bits per second of the path, if known.
    pub(crate) fn figures(&self) -> (u64, u64, Option<u64>) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let share = Some(read(&self.figures.share)).filter(|share| *share > 0);
        (read(&self.figures.frames), read(&self.figures.key_frames), share)
    }

    /// Whether the remote takes nothing of it, as the last negotiation says.
    pub(crate) fn is_refused(&self) -> bool {
        lock(&self.refusal.state).refused
    }

    /// The profile of H.264 that was written when it was refused.
    pub(crate) fn refused_profile(&self) -> Option<StreamProfile> {
        lock(&self.refusal.state).profile
    }

    /// The track whose source knows that the remote does not take it.
    pub(crate) fn told(&self) -> Option<String> {
        lock(&self.refusal.state).told.clone()
    }

    pub(crate) fn negotiated(&self) {
        self.orders.send_modify(|orders| orders.negotiations += 1);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.orders.send_if_modified(|orders| {
            std::mem::replace(&mut orders.connected, connected) != connected
        });
    }
}

/// A source whose time falls back by that much has begun anew: a camera that was opened again.
const BEGINS_ANEW_US: u64 = 1_000_000;

/// From a source's time to RTP's.
struct Clock {
    /// Ticks in a millisecond.
    rate: u64,
    sequence: u16,
    /// The timestamp that stands for the source's `origin`.
    base: u32,
    origin: Option<u64>,
    /// The source's latest time.
    latest: u64,
    last: Option<(u32, Instant)>,
    /// Our clock begins here.
    began: Instant,
    capture: CaptureClock,
}

impl Clock {
    fn new(kind: MediaKind) -> Self {
        let rate = if kind == MediaKind::Video { 90 } else { 48 };
        // Below the half, so that the first packets of a receiver do not wrap (RFC 3711 section 3.3.1).
        Self {
            rate,
            sequence: fastrand::u16(..0x8000),
            base: fastrand::u32(..),
            origin: None,
            latest: 0,
            last: None,
            began: Instant::now(),
            capture: CaptureClock::default(),
        }
    }

    /// The source is another one: its time begins where the last one's is by now.
    fn rebase(&mut self, now: Instant) {
        if let Some((timestamp, at)) = self.last {
            let elapsed = now.saturating_duration_since(at).as_micros() as u64;
            self.base = timestamp.wrapping_add(self.ticks(elapsed).max(1));
        }
        self.origin = None;
        self.capture = CaptureClock::default();
    }

    /// Wraps, as the wire's does.
    const fn ticks(&self, us: u64) -> u32 {
        (us as u128 * self.rate as u128 / 1_000) as u32
    }

    fn timestamp(&mut self, now: Instant, us: u64) -> u32 {
        if self.origin.is_some() && us.saturating_add(BEGINS_ANEW_US) < self.latest {
            self.rebase(now);
        }
        self.latest = if self.origin.is_some() { self.latest.max(us) } else { us };
        let origin = *self.origin.get_or_insert(us);
        let since = match us.checked_sub(origin) {
            Some(after) => self.ticks(after),
            None => self.ticks(origin - us).wrapping_neg(),
        };
        let timestamp = self.base.wrapping_add(since);
        self.last = Some((timestamp, now));
        timestamp
    }

    /// When what has a time of the source was recorded, as far as what came lately tells.
    fn captured(&mut self, at: Instant, us: u64) -> Instant {
        let after = at.saturating_duration_since(self.began).as_micros() as i64;
        let before = self.began.saturating_duration_since(at).as_micros() as i64;
        let captured = self.capture.captured_us(after - before, us);
        let span = Duration::from_micros(captured.unsigned_abs());
        let recorded = match captured < 0 {
            true => self.began.checked_sub(span),
            false => self.began.checked_add(span),
        };
        recorded.unwrap_or(at)
    }

    fn next_sequence(&mut self) -> u16 {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        sequence
    }
}

struct Task {
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
    async fn run(mut self) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;

    use super::*;
    use crate::media::{AccessUnit, LocalTrack, LocalVideoTrack, VideoCodec};
    use crate::rtc::RtcError;

    /// A wire that keeps when each packet left and whether it ended a picture, and that may refuse the codec.
    #[derive(Debug, Default)]
    struct Wire(Mutex<Vec<(Instant, u32, bool)>>, Mutex<Vec<Option<u8>>>, AtomicBool);

    impl Wire {
        fn pictures(&self) -> usize {
            self.0.lock().unwrap().iter().filter(|(.., last)| *last).count()
        }
    }

    #[async_trait]
    impl TrackSender for Wire {
        fn id(&self) -> &str {
            "wire"
        }

        fn stream(&self) -> u32 {
            7
        }

        fn mime_type(&self) -> &'static str {
            "video/VP8"
        }

        async fn agreement(&self, _: Option<StreamProfile>) -> Agreement {
            match self.2.load(Ordering::Relaxed) {
                true => Agreement::Refused,
                false => Agreement::Taken(SenderFormat { payload_type: 96, orientation: None }),
            }
        }

        async fn send(&self, packets: Vec<OutgoingPacket>) -> Result<(), RtcError> {
            for packet in packets {
                let left = (Instant::now(), packet.timestamp, packet.marker);
                self.0.lock().unwrap().push(left);
                if packet.marker {
                    self.1.lock().unwrap().push(packet.orientation);
                }
            }
            Ok(())
        }

        fn captured(&self, _: u32, _: Instant) {}

        async fn next(&self) -> Option<SenderFeedback> {
            std::future::pending().await
        }
    }

    fn picture(n: u64, key: bool, bytes: usize) -> AccessUnit {
        let head = [u8::from(!key) | 0x10, 0, 0, 0x9d, 1, 0x2a];
        let data = [&head[..], &vec![0x55; bytes]].concat().into();
        AccessUnit::new(VideoCodec::Vp8, data, n * 33_333)
    }

    async fn pass() {
        tokio::time::sleep(Duration::from_millis(34)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_remote_that_does_not_take_the_codec_gets_nothing_and_its_source_is_told_once() {
        let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
        wire.2.store(true, Ordering::Relaxed);
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let mut events = track.events();
        let source = Arc::clone(LocalTrack::from(&track).shared());
        let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
        let (outbound, task) = Outbound::new(sender, source, Arc::clone(&bandwidth), true);
        let task = tokio::spawn(task);
        for n in 0..3 {
            outbound.negotiated();
            pass().await;
            track.write(&picture(n, true, 1_000)).unwrap();
            pass().await;
        }
        let told: Vec<_> = std::iter::from_fn(|| events.try_next()).collect();
        let peer_id = bandwidth.peer_id().to_owned();
        assert_eq!(told, [LocalTrackEvent::CodecNotSupported { peer_id, codec: "video/VP8" }]);
        assert_eq!(wire.pictures(), 0);
        assert!(outbound.is_refused() && outbound.told().as_deref() == Some(track.id()));
        // Another negotiation agrees on it.
        wire.2.store(false, Ordering::Relaxed);
        outbound.negotiated();
        pass().await;
        let agreed = LocalTrackEvent::CodecAgreed { peer_id: bandwidth.peer_id().to_owned() };
        assert_eq!(events.try_next(), Some(agreed));
        assert!(!outbound.is_refused() && outbound.told().is_none());
        track.write(&picture(9, true, 1_000)).unwrap();
        pass().await;
        assert_eq!(wire.pictures(), 1);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_sender_after_a_refused_one_tells_only_another_track() {
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let mut events = track.events();
        let source = Arc::clone(LocalTrack::from(&track).shared());
        for (told, hears) in [(Some(track.id()), false), (Some("before"), true), (None, true)] {
            let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
            wire.2.store(true, Ordering::Relaxed);
            let refusal = Refusal::new(&Arc::default(), told.map(str::to_owned));
            let (outbound, task) =
                Outbound::after(wire, Arc::clone(&source), bandwidth, true, refusal);
            let task = tokio::spawn(task);
            outbound.negotiated();
            pass().await;
            assert_eq!((outbound.is_refused(), events.try_next().is_some()), (true, hears));
            task.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_path_without_room_gets_nothing_and_then_a_key_frame_first() {
        let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let mut wishes = track.events();
        let source = Arc::clone(LocalTrack::from(&track).shared());
        let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
        let (outbound, task) = Outbound::new(sender, source, Arc::clone(&bandwidth), true);
        let task = tokio::spawn(task);
        outbound.negotiated();
        pass().await;
        for n in 0..10 {
            track.write(&picture(n, n == 0, 2_000)).unwrap();
            pass().await;
        }
        assert_eq!((wire.pictures(), outbound.figures().0), (10, 10));
        bandwidth.set_share(0);
        for n in 10..20 {
            track.write(&picture(n, n == 15, 2_000)).unwrap();
            pass().await;
        }
        assert_eq!(wire.pictures(), 10);
        bandwidth.set_share(100_000);
        while wishes.try_next().is_some() {}
        for n in 20..40 {
            let key = std::iter::from_fn(|| wishes.try_next())
                .any(|event| event == LocalTrackEvent::KeyFrameWanted);
            track.write(&picture(n, key, 2_000)).unwrap();
            pass().await;
        }
        let (frames, key_frames, share) = outbound.figures();
        // The first picture asked for a key frame, and the second was one.
        assert_eq!((wire.pictures(), frames, key_frames), (29, 29, 2));
        assert_eq!(share, Some(100_000));
        drop(outbound);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_picture_leaves_in_bursts_that_buffers_hold() {
        let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let source = Arc::clone(LocalTrack::from(&track).shared());
        let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
        let (outbound, task) = Outbound::new(sender, source, bandwidth, true);
        let task = tokio::spawn(task);
        outbound.negotiated();
        pass().await;
        track.write(&picture(0, true, 1 << 20)).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let left = wire.0.lock().unwrap().clone();
        assert!(left.len() > 800 && left.iter().filter(|(.., last)| *last).count() == 1);
        for burst in left.chunk_by(|(one, ..), (two, ..)| one == two) {
            assert!(burst.len() <= 48, "{} packets at once", burst.len());
        }
        drop(outbound);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_turned_says_so() {
        let (wire, bandwidth) = (Arc::<Wire>::default(), Bandwidth::alone());
        let track = LocalVideoTrack::new(VideoCodec::Vp8);
        let source = Arc::clone(LocalTrack::from(&track).shared());
        let sender = Arc::clone(&wire) as Arc<dyn TrackSender>;
        let (outbound, task) = Outbound::new(sender, source, bandwidth, true);
        let task = tokio::spawn(task);
        outbound.negotiated();
        pass().await;
        let turns = [Rotation::None, Rotation::None, Rotation::Quarter, Rotation::Quarter];
        for (n, rotation) in (0..).zip(turns.into_iter().chain([Rotation::None; 2])) {
            track.write(&AccessUnit { rotation, ..picture(n, n == 0, 9) }).unwrap();
            pass().await;
        }
        let told = wire.1.lock().unwrap().clone();
        assert_eq!(told, [Some(0), None, Some(1), Some(1), Some(0), None]);
        drop(outbound);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_when_the_source_is_swapped() {
        let mut clock = Clock::new(MediaKind::Video);
        let begun = Instant::now();
        let first = clock.timestamp(begun, 5_000_000);
        assert_eq!(clock.timestamp(begun, 5_100_000).wrapping_sub(first), 9_000);
        let now = begun + Duration::from_millis(40);
        clock.rebase(now);
        // 40 ms after the last one, whatever the other source's clock says.
        assert_eq!(clock.timestamp(now, 77).wrapping_sub(first), 9_000 + 3_600);
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_when_the_sources_clock_begins_anew() {
        let mut clock = Clock::new(MediaKind::Video);
        let begun = Instant::now();
        let first = clock.timestamp(begun, 5_000_000);
        // Pictures may come out of order, before the first one as well.
        assert_eq!(first.wrapping_sub(clock.timestamp(begun, 4_900_000)), 9_000);
        let hour = begun + Duration::from_secs(3_600);
        let last = clock.timestamp(hour, 3_605_000_000);
        assert_eq!(last.wrapping_sub(first), 324_000_000);
        // Behind its origin, and ahead of it but behind what was.
        for us in [77, 10_000_000] {
            let mut clock = Clock { capture: CaptureClock::default(), ..clock };
            let anew = clock.timestamp(hour + Duration::from_millis(40), us);
            assert_eq!(anew.wrapping_sub(last), 3_600);
            let next = clock.timestamp(hour + Duration::from_millis(80), us + 40_000);
            assert_eq!(next.wrapping_sub(anew), 3_600);
        }
    }
}
