//! Tracks of the remote: announced as its descriptions say, and read until the connection ends.
//!
//! The crate tells neither that a track was removed nor that one came back, and keeps ids that an m-line had
//! before. The remote's description is right about all of that, so tracks are known by their m-lines.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use async_trait::async_trait;
use futures_util::FutureExt;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::PeerConnection;
use webrtc::rtp_transceiver::RtpReceiver;

use super::codecs::ORIENTATION_URI;
use super::congestion::Feedback;
use crate::rtc::engine::{
    ConnectionEvent, IncomingPacket, RemoteTrackInfo, SenderReport, TrackReceiver,
};
use crate::rtc::sdp::MediaSection;

/// Tracks of one remote that are read.
const MAX_TRACKS: usize = 64;
/// Packets of a track that wait for its reader: a large key frame.
const MAX_WAITING: usize = 1_024;

pub(super) struct Tracks {
    events: mpsc::UnboundedSender<ConnectionEvent>,
    feedback: Arc<Feedback>,
    connection: OnceLock<Weak<dyn PeerConnection>>,
    /// Held while the connection is compared with the description; never across a call into the app.
    known: Arc<tokio::sync::Mutex<Known>>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Tracks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracks").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Known {
    /// The last description's.
    sections: Vec<MediaSection>,
    /// By m-line.
    lines: HashMap<String, Line>,
}

/// What comes by way of one m-line.
#[derive(Default)]
struct Line {
    announced: Option<RemoteTrackInfo>,
    source: Option<Arc<Source>>,
    pipe: Arc<Pipe>,
}

/// From the crate's track to the reader of the m-line's.
#[derive(Default)]
struct Pipe {
    sink: Mutex<Option<mpsc::Sender<IncomingPacket>>>,
    track: Mutex<Option<Arc<dyn TrackRemote>>>,
}

/// A track of the crate.
struct Source {
    track: Arc<dyn TrackRemote>,
    formats: Mutex<Formats>,
    pipe: Arc<Pipe>,
}

#[derive(Default)]
struct Formats {
    codecs: HashMap<u8, Arc<str>>,
    orientation: Option<u8>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tracks {
    pub(super) fn new(
        events: mpsc::UnboundedSender<ConnectionEvent>,
        feedback: Arc<Feedback>,
    ) -> Self {
        Self {
            events,
            feedback,
            connection: OnceLock::new(),
            known: Arc::default(),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    /// Set once, when the connection exists.
    pub(super) fn belongs_to(&self, connection: Weak<dyn PeerConnection>) {
        self.connection.get_or_init(|| connection);
    }

    /// The remote said what it sends.
    pub(super) async fn described(&self, sections: Vec<MediaSection>) {
        let mut known = self.known.lock().await;
        known.sections = sections;
        let Some(connection) = self.connection.get().and_then(Weak::upgrade) else { return };
        for source in known.compare(&*connection, self).await {
            self.read(source);
        }
    }

    /// The crate has a track for an m-line. Its driver waits for us, and looking needs the driver's locks.
    pub(super) fn opened(self: &Arc<Self>, _: Arc<dyn TrackRemote>) {
        let this = Arc::downgrade(self);
        lock(&self.tasks).spawn(
            async move {
                let Some(this) = this.upgrade() else { return };
                let mut known = this.known.lock().await;
                let Some(connection) = this.connection.get().and_then(Weak::upgrade) else {
                    return;
                };
                for source in known.compare(&*connection, &this).await {
                    this.read(source);
                }
            }
            .boxed(),
        );
    }

    fn read(&self, source: Arc<Source>) {
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        if tasks.len() < MAX_TRACKS {
            tasks.spawn(async move { source.read().await }.boxed());
        }
    }

    /// Ends all readers.
    pub(super) async fn close(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
        for line in std::mem::take(&mut self.known.lock().await.lines).into_values() {
            // Whoever reads learns of the end.
            *lock(&line.pipe.sink) = None;
        }
    }
}

impl Known {
    /// Announces what came and what went; returns what must be read from now on.
    async fn compare(
        &mut self,
        connection: &dyn PeerConnection,
        Tracks { events, feedback, .. }: &Tracks,
    ) -> Vec<Arc<Source>> {
        let mut receivers = HashMap::new();
        for transceiver in connection.get_transceivers().await {
            if let (Ok(Some(mid)), Ok(Some(receiver))) =
                (transceiver.mid().await, transceiver.receiver().await)
            {
                receivers.insert(mid, receiver);
            }
        }
        let mut fresh = Vec::new();
        for section in &self.sections {
            let line = self.lines.entry(section.mid.clone()).or_default();
            // Without a reader of the queue the connection is being closed.
            line.announce(section, feedback, |event| drop(events.send(event)));
            let Some(receiver) = receivers.get(&section.mid) else { continue };
            fresh.extend(line.connect(receiver.track()));
            if let Some(source) = &line.source {
                source.note_formats(&**receiver).await;
            }
        }
        fresh
    }
}

impl Line {
    /// Puts the crate's track behind the m-line; what must be read from now on.
    fn connect(&mut self, track: &Arc<dyn TrackRemote>) -> Option<Arc<Source>> {
        if self.source.as_ref().is_some_and(|source| Arc::ptr_eq(&source.track, track)) {
            return None;
        }
        *lock(&self.pipe.track) = Some(Arc::clone(track));
        let (track, pipe) = (Arc::clone(track), Arc::clone(&self.pipe));
        let source = Arc::new(Source { track, formats: Mutex::default(), pipe });
        self.source.insert(source).clone().into()
    }

    fn announce(
        &mut self,
        section: &MediaSection,
        feedback: &Arc<Feedback>,
        mut tell: impl FnMut(ConnectionEvent),
    ) {
        let track_id = section.track.as_ref().unwrap_or(&section.mid);
        let same = self
            .announced
            .as_ref()
            .is_some_and(|info| info.track_id == *track_id && info.stream_ids == section.streams);
        if same && section.sends {
            return;
        }
        if self.announced.take().is_some() {
            *lock(&self.pipe.sink) = None;
            tell(ConnectionEvent::TrackEnded { mid: section.mid.clone() });
        }
        if section.sends {
            let info = RemoteTrackInfo {
                mid: section.mid.clone(),
                track_id: track_id.clone(),
                stream_ids: section.streams.clone(),
                kind: section.kind,
                codec: section.codec.clone().unwrap_or_default(),
            };
            self.announced = Some(info.clone());
            let (sender, packets) = mpsc::channel(MAX_WAITING);
            *lock(&self.pipe.sink) = Some(sender);
            let (packets, pipe) = (tokio::sync::Mutex::new(packets), Arc::clone(&self.pipe));
            let feedback = Arc::clone(feedback);
            let receiver = CrateReceiver { info, pipe, feedback, packets };
            tell(ConnectionEvent::Track(Arc::new(receiver)));
        }
    }
}

impl Source {
    /// What payload types and extensions mean now.
    async fn note_formats(&self, receiver: &dyn RtpReceiver) {
        let Ok(parameters) = receiver.get_parameters().await else { return };
        let parameters = parameters.rtp_parameters;
        let mut formats = lock(&self.formats);
        let codecs = parameters.codecs.iter();
        formats.codecs = codecs
            .map(|codec| (codec.payload_type, Arc::from(codec.rtp_codec.mime_type.as_str())))
            .collect();
        let extensions = parameters.header_extensions.iter();
        formats.orientation = extensions
            .filter(|extension| extension.uri == ORIENTATION_URI)
            .find_map(|extension| u8::try_from(extension.id).ok());
    }

    async fn read(&self) {
        while let Some(event) = self.track.poll().await {
            let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
            let Some(packet) = self.translate(packet) else { continue };
            if let Some(sink) = &*lock(&self.pipe.sink) {
                // Full: the reader is too slow, and the packet counts as lost.
                drop(sink.try_send(packet));
            }
        }
    }

    fn translate(&self, packet: rtc::rtp::Packet) -> Option<IncomingPacket> {
        let header = packet.header;
        let formats = lock(&self.formats);
        let codec = Arc::clone(formats.codecs.get(&header.payload_type)?);
        let orientation = formats.orientation.and_then(|id| header.get_extension(id));
        Some(IncomingPacket {
            codec,
            ssrc: header.ssrc,
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            marker: header.marker,
            payload: packet.payload,
            orientation: orientation.and_then(|bytes| bytes.first().copied()),
        })
    }
}

struct CrateReceiver {
    info: RemoteTrackInfo,
    pipe: Arc<Pipe>,
    feedback: Arc<Feedback>,
    packets: tokio::sync::Mutex<mpsc::Receiver<IncomingPacket>>,
}

impl fmt::Debug for CrateReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateReceiver").field("info", &self.info).finish_non_exhaustive()
    }
}

#[async_trait]
impl TrackReceiver for CrateReceiver {
    fn info(&self) -> &RemoteTrackInfo {
        &self.info
    }

    async fn next(&self) -> Option<IncomingPacket> {
        self.packets.lock().await.recv().await
    }

    fn sender_report(&self, ssrc: u32) -> Option<SenderReport> {
        self.feedback.sender_report(ssrc)
    }

    async fn request_key_frame(&self) {
        let Some(track) = lock(&self.pipe.track).clone() else { return };
        // A sender that begins anew comes behind the one before.
        let Some(ssrc) = track.ssrcs().await.last().copied() else { return };
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        if let Err(error) = track.write_rtcp(vec![Box::new(request)]).await {
            // The connection is being closed.
            tracing::debug!(%error, "a key frame could not be asked for");
        }
    }
}
