//! Tracks that come from a remote, and the pictures among them, whole, for any number of sinks.
//!
//! Each track has one task that owns its receiver and, for video, its jitter buffer, and what is held until its
//! sound is heard. A sink that is too slow loses the oldest and is told; a sink of pictures goes on with the next
//! key frame, which is asked for.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::remote_audio::RemoteAudioTrack;
use super::sounds::{Sounds, report_since};
use super::sync::{Held, LipSync};
use super::video::{AccessUnit, Output, Rotation, RtpVideoPacket, VideoCodec, VideoJitterBuffer};
use crate::events::{Event, Events, Hub};
use crate::rtc::engine::{IncomingPacket, MediaKind, TrackReceiver};

/// Between two requests for a key frame, whoever wants them.
const REQUEST_PAUSE: Duration = Duration::from_millis(300);

/// The task of a track: ends with its receiver.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A track and its task.
pub(crate) enum Inbound {
    Video(RemoteVideoTrack, Work),
    Audio(RemoteAudioTrack, Work),
}

/// Makes the track of a receiver, one of a remote's, whose sounds are known.
pub(crate) fn receive(receiver: Arc<dyn TrackReceiver>, sounds: &Sounds) -> Inbound {
    #[cfg(test)]
    let receiver = super::traces::recorded(receiver);
    match receiver.info().kind {
        MediaKind::Video => {
            let shared = Arc::new(VideoShared::default());
            let track = RemoteVideoTrack { shared: Arc::clone(&shared) };
            Inbound::Video(track, Box::pin(read_video(receiver, shared, sounds.clone())))
        }
        MediaKind::Audio => {
            let track = RemoteAudioTrack::new(sounds.epoch());
            sounds.add(&receiver.info().stream_ids, &track);
            let work = track.read(receiver);
            Inbound::Audio(track, Box::pin(work))
        }
    }
}

#[derive(Debug, Default)]
struct VideoShared {
    hub: Hub<FrameEvent>,
    stats: Mutex<VideoStats>,
    key_frame_wanted: Notify,
    /// Whether pictures do not wait for their sound.
    apart: AtomicBool,
}

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

/// Figures of a track of pictures, since it came.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let camera = metered_realtime::media::LocalVideoTrack::new(metered_realtime::media::VideoCodec::Vp8);
/// # bob.add_track(&camera, None, None)?;
/// # let source = camera.clone();
/// # let filming = tokio::spawn(async move {
/// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// #     for n in 0.. {
/// #         let codec = metered_realtime::media::VideoCodec::Vp8;
/// #         let unit = metered_realtime::media::AccessUnit::new(codec, key_frame.clone().into(), n * 40_000);
/// #         source.write(&unit).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut arrivals = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     let event = arrivals.next().await.ok_or("gone")?;
/// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
/// # };
/// # let mut of_bob = to_bob.events();
/// # let track = loop {
/// #     let event = of_bob.next().await.ok_or("bob left")?;
/// #     if let metered_realtime::peer::RemoteEvent::Track(track) = event { break track }
/// # };
/// # let video = track.video().ok_or("sound")?.clone();
/// use metered_realtime::media::VideoStats;
/// let mut frames = video.frames();
/// frames.next().await; // a picture is here
/// let VideoStats { frames_received, key_frames_received, packets_lost, jitter_ms, .. } = video.stats();
/// assert!(frames_received >= key_frames_received && key_frames_received > 0);
/// println!("{packets_lost} packets lost, {jitter_ms:.1} ms of jitter");
/// # filming.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoStats {
    /// Whole pictures.
    pub frames_received: u64,
    /// Those of them that a decoder can begin with.
    pub key_frames_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// RTP packets.
    pub packets_received: u64,
    /// Packets that never came, nor their retransmissions in time.
    pub packets_lost: u64,
    /// Times that a key frame was asked for because of losses.
    pub key_frames_asked: u64,
    /// Times without a picture for a second.
    pub freezes: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
}

/// Pictures from a remote. Handles are cheap clones of one track.
///
/// ```
/// use metered_realtime::media::{FrameEvent, RemoteVideoTrack};
/// use metered_realtime::peer::RemoteEvent;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use metered_realtime::media::{AccessUnit, LocalVideoTrack, VideoCodec};
/// # use metered_realtime::peer::{MeteredPeer, PeerEvent, PeerOptions};
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<MeteredPeer, Box<dyn std::error::Error>> {
/// #     let mut options = PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let mut events = alice.events();
/// # let camera = LocalVideoTrack::new(VideoCodec::Vp8);
/// # bob.add_track(&camera, None, None)?;
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     if let PeerEvent::PeerJoined(remote) = events.next().await.ok_or("gone")? { break remote }
/// # };
/// # let filming = tokio::spawn(async move {
/// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// #     for n in 0.. {
/// #         camera.write(&AccessUnit::new(VideoCodec::Vp8, key_frame.clone().into(), n * 40_000)).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut remote_events = to_bob.events();
/// let track = loop {
///     if let RemoteEvent::Track(track) = remote_events.next().await.ok_or("bob left")? { break track }
/// };
/// let video: &RemoteVideoTrack = track.video().ok_or("sound")?;
/// let mut frames = video.frames(); // each sink begins with a key frame
/// while let Some(event) = frames.next().await {
///     if let FrameEvent::Frame(unit) = event {
///         assert!(unit.key_frame); // to a decoder
///         break;
///     }
/// }
/// assert!(video.stats().packets_received > 0);
/// # filming.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RemoteVideoTrack {
    shared: Arc<VideoShared>,
}

impl RemoteVideoTrack {
    /// A sink. It begins with the next key frame, which is asked for now.
    pub fn frames(&self) -> VideoFrames {
        let events = self.shared.hub.subscribe();
        self.request_key_frame();
        VideoFrames { events, shared: Arc::clone(&self.shared), waits_for_key_frame: true }
    }

    /// Whether pictures wait for the sound of their stream; they do unless told otherwise. Then a picture is at most
    /// 37 ms ahead of the sound that an [`AudioOutput`](super::AudioOutput) or mix plays, and held for half a second
    /// at most. Sound never waits. Without, each picture comes as soon as it is whole: for a game, or for a screen
    /// that somebody controls.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let camera = metered_realtime::media::LocalVideoTrack::new(metered_realtime::media::VideoCodec::Vp8);
    /// # bob.add_track(&camera, None, None)?;
    /// # let source = camera.clone();
    /// # let filming = tokio::spawn(async move {
    /// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
    /// #     for n in 0.. {
    /// #         let codec = metered_realtime::media::VideoCodec::Vp8;
    /// #         let unit = metered_realtime::media::AccessUnit::new(codec, key_frame.clone().into(), n * 40_000);
    /// #         source.write(&unit).unwrap();
    /// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    /// #     }
    /// # });
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let mut of_bob = to_bob.events();
    /// # let track = loop {
    /// #     let event = of_bob.next().await.ok_or("bob left")?;
    /// #     if let metered_realtime::peer::RemoteEvent::Track(track) = event { break track }
    /// # };
    /// # let video = track.video().ok_or("sound")?.clone();
    /// // What is seen answers to what the hand does: it must not wait for the sound.
    /// video.set_lip_sync(false);
    /// # filming.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn set_lip_sync(&self, on: bool) {
        self.shared.apart.store(!on, Ordering::Relaxed);
    }

    /// Asks the sender for a key frame, at most one per 300 ms.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// # let server = metered_dev_server::DevServer::builder().start().await?;
    /// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
    /// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
    /// #     options.signalling.url = server.url();
    /// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
    /// # };
    /// # let (alice, bob) = (peer("alice")?, peer("bob")?);
    /// # let camera = metered_realtime::media::LocalVideoTrack::new(metered_realtime::media::VideoCodec::Vp8);
    /// # bob.add_track(&camera, None, None)?;
    /// # let source = camera.clone();
    /// # let filming = tokio::spawn(async move {
    /// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
    /// #     for n in 0.. {
    /// #         let codec = metered_realtime::media::VideoCodec::Vp8;
    /// #         let unit = metered_realtime::media::AccessUnit::new(codec, key_frame.clone().into(), n * 40_000);
    /// #         source.write(&unit).unwrap();
    /// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    /// #     }
    /// # });
    /// # let mut arrivals = alice.events();
    /// # alice.join("lobby").await?;
    /// # bob.join("lobby").await?;
    /// # let to_bob = loop {
    /// #     let event = arrivals.next().await.ok_or("gone")?;
    /// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
    /// # };
    /// # let mut of_bob = to_bob.events();
    /// # let track = loop {
    /// #     let event = of_bob.next().await.ok_or("bob left")?;
    /// #     if let metered_realtime::peer::RemoteEvent::Track(track) = event { break track }
    /// # };
    /// # let video = track.video().ok_or("sound")?.clone();
    /// // The decoder refused a picture and cannot go on from here. After losses this is done by itself.
    /// video.request_key_frame();
    /// # filming.abort();
    /// # alice.close().await;
    /// # bob.close().await;
    /// # server.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn request_key_frame(&self) {
        self.shared.key_frame_wanted.notify_one();
    }

    /// Figures since the track came.
    pub fn stats(&self) -> VideoStats {
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sink of pictures. Ends with its track, or when dropped.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let server = metered_dev_server::DevServer::builder().start().await?;
/// # let peer = |id: &str| -> Result<_, Box<dyn std::error::Error>> {
/// #     let mut options = metered_realtime::peer::PeerOptions::with_token(server.token(id)?)?;
/// #     options.signalling.url = server.url();
/// #     Ok(metered_realtime::peer::MeteredPeer::new(options)?)
/// # };
/// # let (alice, bob) = (peer("alice")?, peer("bob")?);
/// # let camera = metered_realtime::media::LocalVideoTrack::new(metered_realtime::media::VideoCodec::Vp8);
/// # bob.add_track(&camera, None, None)?;
/// # let source = camera.clone();
/// # let filming = tokio::spawn(async move {
/// #     let key_frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 2, 0, 2, 0];
/// #     for n in 0.. {
/// #         let codec = metered_realtime::media::VideoCodec::Vp8;
/// #         let unit = metered_realtime::media::AccessUnit::new(codec, key_frame.clone().into(), n * 40_000);
/// #         source.write(&unit).unwrap();
/// #         tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// #     }
/// # });
/// # let mut arrivals = alice.events();
/// # alice.join("lobby").await?;
/// # bob.join("lobby").await?;
/// # let to_bob = loop {
/// #     let event = arrivals.next().await.ok_or("gone")?;
/// #     if let metered_realtime::peer::PeerEvent::PeerJoined(remote) = event { break remote }
/// # };
/// # let mut of_bob = to_bob.events();
/// # let track = loop {
/// #     let event = of_bob.next().await.ok_or("bob left")?;
/// #     if let metered_realtime::peer::RemoteEvent::Track(track) = event { break track }
/// # };
/// # let video = track.video().ok_or("sound")?.clone();
/// use metered_realtime::media::{FrameEvent, VideoFrames};
/// let mut frames: VideoFrames = video.frames();
/// let first = frames.next().await.ok_or("bob stopped")?;
/// assert!(matches!(&first, FrameEvent::Frame(unit) if unit.key_frame));
/// // All that came while the decoder was busy, at once.
/// let more = frames.next_batch(30).await;
/// assert!((1..=30).contains(&more.len()));
/// # filming.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct VideoFrames {
    events: Events<FrameEvent>,
    shared: Arc<VideoShared>,
    waits_for_key_frame: bool,
}

impl VideoFrames {
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

/// Ends the track however its task ends.
struct Ending(Arc<VideoShared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.hub.end();
    }
}

/// What a task of pictures owns.
struct Reader {
    receiver: Arc<dyn TrackReceiver>,
    shared: Arc<VideoShared>,
    sounds: Sounds,
    buffer: VideoJitterBuffer,
    ssrc: Option<u32>,
    sync: LipSync,
    held: Held<FrameEvent>,
    requested: Option<Instant>,
    request_due: Option<Instant>,
}

async fn read_video(receiver: Arc<dyn TrackReceiver>, shared: Arc<VideoShared>, sounds: Sounds) {
    let ending = Ending(Arc::clone(&shared));
    let mut reader = Reader {
        receiver,
        shared,
        sounds,
        buffer: VideoJitterBuffer::new(),
        ssrc: None,
        sync: LipSync::new(),
        held: Held::default(),
        requested: None,
        request_due: None,
    };
    while reader.turn().await {}
    reader.held.drain().for_each(|event| reader.shared.hub.publish(&event));
    drop(ending);
}

impl Reader {
    fn now(&self) -> Duration {
        self.sounds.epoch().elapsed()
    }

    /// Whether the track goes on.
    async fn turn(&mut self) -> bool {
        let deadlines = [self.buffer.next_deadline(), self.held.next_deadline()];
        let deadlines = deadlines.map(|after| after.map(|after| self.sounds.epoch() + after));
        let wake = deadlines.into_iter().chain([self.request_due]).flatten().min();
        let timer = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            packet = self.receiver.next() => match packet {
                Some(packet) => self.take(packet),
                None => return false,
            },
            () = self.shared.key_frame_wanted.notified() => {
                self.request_due.get_or_insert_with(Instant::now);
            }
            () = timer => {
                let now = self.now();
                self.buffer.timeout(now);
            }
        }
        self.hand_on();
        self.request().await;
        let figures = figures(&self.buffer);
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = figures;
        true
    }

    fn take(&mut self, packet: IncomingPacket) {
        if self.ssrc.replace(packet.ssrc).is_some_and(|before| before != packet.ssrc) {
            self.buffer.stream_changed();
            self.sync.stream_changed();
        }
        let now = self.now();
        if let Some(packet) = video_packet(packet) {
            self.buffer.packet(now, packet);
        }
    }

    /// What the buffer gives, to the sinks when it is due.
    fn hand_on(&mut self) {
        let now = self.now();
        while let Some(output) = self.buffer.poll_output() {
            match output {
                Output::Frame(unit, rtp) => {
                    if unit.key_frame {
                        self.request_due = None;
                    }
                    let due = self.due(now, rtp);
                    self.held.push(due, unit.data.len(), FrameEvent::Frame(Arc::new(unit)));
                }
                Output::KeyFrameWanted => {
                    self.request_due.get_or_insert_with(Instant::now);
                }
                Output::Frozen => self.held.push(now, 0, FrameEvent::Frozen),
                Output::Resumed => self.held.push(now, 0, FrameEvent::Resumed),
            }
        }
        while let Some(event) = self.held.pop(now) {
            self.shared.hub.publish(&event);
        }
    }

    fn due(&mut self, now: Duration, rtp: u32) -> Duration {
        if self.shared.apart.load(Ordering::Relaxed) {
            self.sync.let_go();
            return self.sync.due(now, rtp, None);
        }
        let report = self.ssrc.and_then(|ssrc| self.receiver.sender_report(ssrc));
        if let Some(report) = report {
            self.sync.reported(report_since(self.sounds.epoch(), report));
        }
        self.sync.due(now, rtp, self.sounds.of(&self.receiver.info().stream_ids))
    }

    async fn request(&mut self) {
        let Some(due) = self.request_due else { return };
        let due = self.requested.map_or(due, |before| due.max(before + REQUEST_PAUSE));
        self.request_due = Some(due);
        let now = Instant::now();
        if now >= due {
            self.request_due = None;
            self.requested = Some(now);
            self.receiver.request_key_frame().await;
        }
    }
}

fn figures(buffer: &VideoJitterBuffer) -> VideoStats {
    let stats = buffer.stats();
    VideoStats {
        frames_received: stats.frames,
        key_frames_received: stats.key_frames,
        bytes_received: stats.bytes,
        packets_received: stats.packets,
        packets_lost: stats.lost,
        key_frames_asked: stats.key_frames_asked,
        freezes: stats.freezes,
        jitter_ms: stats.jitter_ms,
    }
}

/// `None` for what is no video: retransmission formats and codecs that we do not take.
fn video_packet(packet: IncomingPacket) -> Option<RtpVideoPacket> {
    Some(RtpVideoPacket {
        codec: VideoCodec::from_mime_type(&packet.codec)?,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        marker: packet.marker,
        payload: packet.payload,
        rotation: packet.orientation.map(Rotation::from_bits),
    })
}
