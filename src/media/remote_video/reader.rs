//! The task of a track of pictures: owns its receiver, its jitter buffer, and what is held until its sound is heard.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{FrameEvent, Shared, VideoStats};
use crate::media::local::lock;
use crate::media::sounds::{Sounds, report_since};
use crate::media::sync::{Held, LipSync};
use crate::media::video::{
    Output, Rotation, RtpVideoPacket, Stream, Streams, VideoCodec, VideoJitterBuffer,
};
use crate::rtc::engine::{IncomingPacket, TrackReceiver};

/// Between two requests for a key frame, whoever wants them.
const REQUEST_PAUSE: Duration = Duration::from_millis(300);

/// Ends the track however its task ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.hub.end();
    }
}

/// What a task of pictures owns.
struct Reader {
    receiver: Arc<dyn TrackReceiver>,
    shared: Arc<Shared>,
    sounds: Sounds,
    buffer: VideoJitterBuffer,
    streams: Streams,
    sync: LipSync,
    held: Held<FrameEvent>,
    requested: Option<Instant>,
    request_due: Option<Instant>,
}

/// Reads a receiver to its end.
pub(super) async fn read(receiver: Arc<dyn TrackReceiver>, shared: Arc<Shared>, sounds: Sounds) {
    let ending = Ending(Arc::clone(&shared));
    let mut reader = Reader {
        receiver,
        shared,
        sounds,
        buffer: VideoJitterBuffer::new(),
        streams: Streams::default(),
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
        *lock(&self.shared.stats) = VideoStats::of(&self.buffer);
        true
    }

    fn take(&mut self, packet: IncomingPacket) {
        let ssrc = packet.ssrc;
        let Some(packet) = video_packet(packet) else { return };
        let now = self.now();
        match self.streams.of(now, ssrc) {
            Stream::Current => {}
            Stream::New => {
                self.buffer.stream_changed();
                self.sync.stream_changed();
            }
            Stream::Late => return,
        }
        self.buffer.packet(now, packet);
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
        let report = self.streams.current().and_then(|ssrc| self.receiver.sender_report(ssrc));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::RemoteVideoTrack;
    use crate::media::scripted::scripted;
    use crate::rtc::engine::MediaKind;

    /// 30 pictures a second.
    const FRAME: Duration = Duration::from_micros(33_333);

    /// VP8 pictures of one packet each, the first of them a key frame.
    fn small_pictures(ssrc: u32, first: u16, count: u16) -> Vec<IncomingPacket> {
        let packets = (0..count).map(|n| IncomingPacket {
            codec: "video/VP8".into(),
            ssrc,
            sequence: first.wrapping_add(n),
            timestamp: u32::from(n) * 3_000,
            marker: true,
            payload: [&[0x10, u8::from(n > 0), 0, 0, 0x9d, 1, 0x2a][..], &[2; 40]].concat().into(),
            orientation: None,
        });
        packets.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn late_packets_of_the_stream_before_and_other_formats_cost_no_picture() {
        let (receiver, sender) = scripted(MediaKind::Video, "video/VP8");
        let remote = RemoteVideoTrack::new();
        let mut frames = remote.frames();
        let task = tokio::spawn(remote.read(receiver, Sounds::default()));
        let old = small_pictures(1, 30_000, 12);
        let (in_time, late) = old.split_at(10);
        let mut sent = in_time.to_vec();
        for (n, packet) in small_pictures(2, 100, 12).into_iter().enumerate() {
            // A packet in a format that is no video, on a stream of its own.
            let repaired = IncomingPacket { codec: "video/rtx".into(), ssrc: 3, ..packet.clone() };
            sent.extend([packet, repaired]);
            sent.extend(late.get(n.wrapping_sub(2)).cloned());
        }
        for packet in sent {
            sender.send(packet).unwrap();
            tokio::time::sleep(FRAME).await;
        }
        drop(sender);
        let mut pictures = 0;
        while let Some(event) = frames.next().await {
            assert!(matches!(event, FrameEvent::Frame(_)), "{event:?}");
            pictures += 1;
        }
        task.await.unwrap();
        assert_eq!(pictures, 22);
        assert_eq!(remote.stats().packets_lost, 0);
    }
    #[tokio::test(start_paused = true)]
    async fn the_first_sink_begins_with_what_came_before_it_and_the_second_does_not() {
        let (receiver, sender) = scripted(MediaKind::Video, "video/VP8");
        let remote = RemoteVideoTrack::new();
        let task = tokio::spawn(remote.read(receiver, Sounds::default()));
        let mut pictures = small_pictures(1, 100, 5).into_iter();
        for packet in pictures.by_ref().take(3) {
            sender.send(packet).unwrap();
            tokio::time::sleep(FRAME).await;
        }
        let (mut first, mut second) = (remote.frames(), remote.frames());
        pictures.for_each(|packet| sender.send(packet).unwrap());
        drop(sender);
        task.await.unwrap();
        let mut keys = Vec::new();
        while let Some(FrameEvent::Frame(unit)) = first.next().await {
            keys.push(unit.key_frame);
        }
        assert_eq!(keys, [true, false, false, false, false]);
        // It waits for a key frame of its own.
        assert!(second.next().await.is_none());
    }
}
