//! Nearest to the wire: numbers every packet that leaves, retransmissions included, and reads what the remote
//! reports of them. Decides nothing: `media::bandwidth` does. Sees to it that sender reports tell of the clock by
//! which tracks were recorded, and keeps those of the remote.
//!
//! Not the crate's congestion control. Its history takes reordered packets for lost ones and never sees
//! retransmissions on a stream of their own; its estimate grows by 8 % a second at most, whether the app uses
//! it or not; and neither can be read from outside.

mod again;
mod clocks;
mod history;
mod reports;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::marshal::MarshalSize;
use tokio::sync::mpsc;

use super::numbers::Numbers;
use super::silenced::Silenced;

use self::again::Again;
use self::clocks::Clocks;
use self::history::History;
pub(super) use self::reports::StreamFigures;
use self::reports::{Figures, SentReports};
use crate::rtc::engine::{self, TransportFeedback};

/// The header extension of the transport-wide number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
const NUMBER_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// The header extension of the time of sending: remotes without numbers estimate by it (REMB).
pub(super) const SEND_TIME_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
/// Feedback that waits for its reader. Beyond it the latest is dropped, and the next one covers for it.
const MOST_WAITING: usize = 256;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From the interceptor to whoever asks the connection.
pub(super) struct Feedback {
    sender: mpsc::Sender<TransportFeedback>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<TransportFeedback>>,
    figures: Mutex<Figures>,
    /// The ids of the tracks behind streams.
    names: Mutex<HashMap<u32, String>>,
    clocks: Mutex<Clocks>,
    numbers: Numbers,
    silenced: Silenced,
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feedback").finish_non_exhaustive()
    }
}

impl Feedback {
    pub(super) fn new() -> Arc<Self> {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let receiver = tokio::sync::Mutex::new(receiver);
        let (figures, names, clocks) = Default::default();
        let (numbers, silenced) = Default::default();
        Arc::new(Self { sender, receiver, figures, names, clocks, numbers, silenced })
    }

    pub(super) fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub(super) fn silenced(&self) -> &Silenced {
        &self.silenced
    }

    /// The next feedback. Pending when there is none, for ever if the connection is closed.
    pub(super) async fn next(&self) -> TransportFeedback {
        match self.receiver.lock().await.recv().await {
            Some(feedback) => feedback,
            None => std::future::pending().await,
        }
    }

    fn tell(&self, feedback: TransportFeedback) {
        if self.sender.try_send(feedback).is_err() {
            tracing::trace!("nobody reads what the remote reports");
        }
    }

    pub(super) fn figures(&self, ssrc: u32) -> StreamFigures {
        self.lock().get(&ssrc).copied().unwrap_or_default()
    }

    /// A stream carries this track; the crate's report does not say so.
    pub(super) fn name(&self, ssrc: u32, track_id: &str) {
        lock(&self.names).insert(ssrc, track_id.to_owned());
    }

    pub(super) fn forget(&self, ssrc: u32) {
        lock(&self.names).remove(&ssrc);
        self.numbers.forget(ssrc);
        lock(&self.clocks).forget(ssrc);
    }

    /// When what has this time on a stream of ours was recorded.
    pub(super) fn captured(&self, ssrc: u32, timestamp: u32, at: Instant) {
        lock(&self.clocks).captured(ssrc, timestamp, at);
    }

    /// The last report of a stream of the remote.
    pub(super) fn sender_report(&self, ssrc: u32) -> Option<engine::SenderReport> {
        lock(&self.clocks).of(ssrc)
    }

    /// Empty if it is not known.
    pub(super) fn track_of(&self, ssrc: u32) -> String {
        lock(&self.names).get(&ssrc).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        lock(&self.figures)
    }
}

/// A stream that we send.
struct Stream {
    number: Option<u8>,
    send_time: Option<u8>,
    clock_rate: u32,
    /// Whose packets are sent again by it; itself for media.
    media: u32,
}

pub(super) struct Congestion {
    began: Instant,
    feedback: Arc<Feedback>,
    streams: HashMap<u32, Stream>,
    history: History,
    again: Again,
    sent_reports: SentReports,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Congestion {
    pub(super) fn new(feedback: Arc<Feedback>) -> Self {
        Self {
            began: Instant::now(),
            feedback,
            streams: HashMap::new(),
            history: History::default(),
            again: Again::default(),
            sent_reports: SentReports::default(),
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
        }
    }

    fn read(&mut self, now: Instant, packet: &dyn rtcp::Packet) {
        let packet = packet.as_any();
        if let Some(report) = packet.downcast_ref::<TransportLayerCc>() {
            let fates = self.history.report(now, report);
            if !fates.is_empty() {
                self.feedback.tell(TransportFeedback::Packets(fates));
            }
        } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
            self.reported(now, &report.reports);
        } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
            let (received, ntp, rtp) = (now.into(), report.ntp_time, report.rtp_time);
            let told = engine::SenderReport { received, ntp, rtp };
            lock(&self.feedback.clocks).heard(report.ssrc, told);
            self.reported(now, &report.reports);
        } else if let Some(remb) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>()
            && remb.bitrate.is_finite()
        {
            self.feedback.tell(TransportFeedback::Estimate(remb.bitrate as u64));
        }
    }

    fn reported(&mut self, now: Instant, reports: &[ReceptionReport]) {
        for report in reports {
            let stream = self.streams.get(&report.ssrc);
            let Some(stream) = stream.filter(|stream| stream.media == report.ssrc) else {
                continue;
            };
            let figures = self.sent_reports.read(now, report, stream.clock_rate);
            self.history.hint(figures.round_trip);
            self.feedback.lock().entry(report.ssrc).or_default().remote = Some(figures);
            self.feedback.tell(TransportFeedback::Report {
                stream: report.ssrc,
                fraction_lost: figures.fraction_lost,
                round_trip: figures.round_trip,
            });
        }
    }

    /// A report of ours, with the clock by which the track was recorded.
    fn as_recorded(&self, now: Instant, report: &SenderReport) -> SenderReport {
        let rate = self.streams.get(&report.ssrc).map_or(0, |stream| stream.clock_rate);
        let (ntp_time, rtp) = lock(&self.feedback.clocks).report(now, report.ssrc, rate);
        let rtp_time = rtp.filter(|_| rate > 0).unwrap_or(report.rtp_time);
        SenderReport { ntp_time, rtp_time, ..report.clone() }
    }

    /// Whether the packet leaves.
    fn send(&mut self, now: Instant, packet: &mut rtp::Packet, again: bool) -> bool {
        let Some(stream) = self.streams.get(&packet.header.ssrc) else { return true };
        let header = &mut packet.header;
        header.payload_type =
            self.feedback.numbers.of_the_remote(stream.media, header.payload_type);
        if again || stream.media != packet.header.ssrc {
            // On a stream of its own the payload begins with the number that it repeats (RFC 4588 section 4).
            let number = match packet.payload.first_chunk() {
                Some(number) if stream.media != packet.header.ssrc => u16::from_be_bytes(*number),
                _ => packet.header.sequence_number,
            };
            let round_trip = self.history.round_trip();
            if !self.again.leaves(now, (stream.media, number), round_trip) {
                return false;
            }
            let mut figures = self.feedback.lock();
            let figures = figures.entry(stream.media).or_default();
            figures.retransmitted_packets += 1;
            figures.retransmitted_bytes += packet.payload.len() as u64;
        }
        let (id, value) = match (stream.number, stream.send_time) {
            (Some(id), _) => {
                let number = self.history.send(now, packet.marshal_size());
                (id, Bytes::copy_from_slice(&number.to_be_bytes()))
            }
            (None, Some(id)) => (id, send_time(now.saturating_duration_since(self.began))),
            (None, None) => return true,
        };
        if let Err(error) = packet.header.set_extension(id, value) {
            tracing::debug!(%error, "a packet leaves without its number");
        }
        true
    }
}

/// 24 bits: 6 of seconds, 18 of their fraction. Its clock may be any that is never set.
fn send_time(since_start: Duration) -> Bytes {
    let ticks = (since_start.as_micros() << 18) / 1_000_000;
    Bytes::copy_from_slice(&(ticks as u32).to_be_bytes()[1..])
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Congestion {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        if let Packet::Rtcp(reports) = &packet.message.packet {
            for report in reports {
                self.read(packet.now, &**report);
            }
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<Self::Rout> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Self::Error> {
        let again = packet.message.has(&Attribute::Retransmission);
        let leaves = match &mut packet.message.packet {
            Packet::Rtp(rtp) => self.send(packet.now, rtp, again),
            Packet::Rtcp(reports) => {
                for report in reports {
                    let told = report.as_any().downcast_ref::<SenderReport>();
                    if let Some(told) = told.map(|told| self.as_recorded(packet.now, told)) {
                        self.sent_reports.note(packet.now, told.ntp_time);
                        *report = Box::new(told);
                    }
                }
                true
            }
            _ => true,
        };
        if leaves {
            self.outbound.push_back(packet);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Self::Wout> {
        self.outbound.pop_front()
    }
}

impl Interceptor for Congestion {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let extension = |uri: &str| {
            let mut known = info.rtp_header_extensions.iter();
            let id = known.find(|extension| extension.uri == uri)?.id;
            u8::try_from(id).ok().filter(|id| *id != 0)
        };
        for ssrc in [Some(info.ssrc), info.ssrc_rtx].into_iter().flatten() {
            let stream = Stream {
                number: extension(NUMBER_URI),
                send_time: extension(SEND_TIME_URI),
                clock_rate: info.clock_rate,
                media: info.ssrc,
            };
            self.streams.insert(ssrc, stream);
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        for ssrc in [Some(info.ssrc), info.ssrc_rtx].into_iter().flatten() {
            self.streams.remove(&ssrc);
        }
        self.feedback.lock().remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// Reads any bytes as transport-wide feedback, for the fuzzer.
#[cfg(feature = "fuzzing")]
pub(in crate::rtc) fn fuzz(bytes: &[u8]) {
    history::fuzz(bytes);
}
