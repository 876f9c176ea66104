//! Asks for lost packets, by the crate's generator of NACKs; awake only while one may be missing.
//!
//! The generator looks for gaps at a fixed pace from a stream's first packet on, and each look is a turn of the
//! driver: 25 a second at ours, for as long as pictures come. What it would look for is known when a packet
//! arrives, so its timer is shown to the driver from then until a look found nothing to ask for.
//!
//! What is sent again comes as a stream of its own (RTX, RFC 4588), which the crate turns back into the first one's
//! packets nearer to the app. The generator would ask for them on and on; it is told of them here.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc::interceptor::{
    Interceptor, NackGeneratorBuilder, NackGeneratorInterceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::sansio::Protocol;

/// Pause between requests for the same lost packets: below a round trip of most paths, so that a lost
/// retransmission costs little.
const PAUSE: Duration = Duration::from_millis(40);
/// From a gap to the first look at it: packets that were only overtaken come meanwhile.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// The latest packets are not asked for: they may only have been overtaken.
const PATIENCE: u16 = 3;
/// Requests for one packet; after them a key frame is asked for anyway.
const PER_PACKET: u16 = 12;
/// Sequence numbers that are further ahead than this are behind.
const HALF: u16 = 1 << 15;

pub(super) struct Requests {
    generator: NackGeneratorInterceptor,
    streams: HashMap<u32, Stream>,
    /// Streams of what is sent again, and the stream that each is for.
    repairs: HashMap<u32, u32>,
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
    /// When to look for gaps; none while there cannot be one.
    look: Option<Instant>,
}

/// A stream that lost packets are asked for.
#[derive(Default)]
struct Stream {
    highest: Option<u16>,
    /// Packets that must follow until the last gap is asked for.
    patience: u16,
}

impl Stream {
    /// A packet came: whether one before it may be missing that was not looked for.
    fn is_suspect(&mut self, sequence: u16) -> bool {
        let ahead = self.highest.map_or(1, |highest| sequence.wrapping_sub(highest));
        if ahead == 0 || ahead >= HALF {
            return false;
        }
        self.highest = Some(sequence);
        let waited = self.patience > 0;
        self.patience = if ahead > 1 { PATIENCE } else { self.patience.saturating_sub(1) };
        ahead > 1 || waited
    }
}

impl Default for Requests {
    fn default() -> Self {
        let generator = NackGeneratorBuilder::new()
            .with_interval(PAUSE)
            .with_skip_last_n(PATIENCE)
            .with_max_nacks_per_packet(PER_PACKET)
            .build();
        Self {
            generator,
            streams: HashMap::new(),
            repairs: HashMap::new(),
            inbound: VecDeque::new(),
            outbound: VecDeque::new(),
            look: None,
        }
    }
}

impl Requests {
    /// The packet that this one brings again, without what it carries.
    fn brought_again(&self, packet: &TaggedPacket) -> Option<TaggedPacket> {
        let Packet::Rtp(rtp) = &packet.message.packet else { return None };
        let of = *self.repairs.get(&rtp.header.ssrc)?;
        // A probe has padding alone.
        let number = *rtp.payload.first_chunk()?;
        let mut header = rtp.header.clone();
        (header.ssrc, header.sequence_number) = (of, u16::from_be_bytes(number));
        let first = rtc::rtp::Packet { header, ..Default::default() };
        let (now, transport) = (packet.now, packet.transport);
        Some(TaggedPacket { now, transport, message: Packet::Rtp(first).into() })
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Requests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        if let Some(first) = self.brought_again(&packet) {
            self.inbound.extend(std::iter::from_fn(|| self.generator.poll_read()));
            self.generator.handle_read(first)?;
            // It is none that came.
            drop(self.generator.poll_read());
            self.inbound.push_back(packet);
            return Ok(());
        }
        if let Packet::Rtp(rtp) = &packet.message.packet
            && let Some(stream) = self.streams.get_mut(&rtp.header.ssrc)
            && stream.is_suspect(rtp.header.sequence_number)
            && self.look.is_none()
        {
            // Never before the generator would.
            let first = packet.now + FIRST_LOOK;
            self.look = Some(self.generator.poll_timeout().map_or(first, |at| at.max(first)));
        }
        self.generator.handle_read(packet)
    }

    fn poll_read(&mut self) -> Option<Self::Rout> {
        self.inbound.pop_front().or_else(|| self.generator.poll_read())
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Self::Wout> {
        self.outbound.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::Error> {
        if self.look.is_none_or(|look| now < look) {
            return Ok(());
        }
        self.generator.handle_timeout(now)?;
        let before = self.outbound.len();
        self.outbound.extend(std::iter::from_fn(|| self.generator.poll_write()));
        // A gap among the latest packets is asked for when some more have come: they begin anew.
        self.look = (self.outbound.len() > before).then(|| now + PAUSE);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.look
    }
}

impl Interceptor for Requests {
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if self.repairs.contains_key(&info.ssrc) {
            // What is lost of it is asked for as the packet that it would have brought.
            return;
        }
        if let Some(repairs) = info.ssrc_rtx {
            self.repairs.insert(repairs, info.ssrc);
        }
        // As the generator decides it.
        let asks = |feedback: &rtc::interceptor::RTCPFeedback| {
            feedback.typ == "nack" && feedback.parameter.is_empty()
        };
        if info.rtcp_feedback.iter().any(asks) {
            self.streams.insert(info.ssrc, Stream::default());
        }
        self.generator.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
        self.repairs.retain(|repairs, of| *of != info.ssrc && *repairs != info.ssrc);
        self.generator.unbind_remote_stream(info);
    }

    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::interceptor::RTCPFeedback;
    use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
    use rtc::rtp;

    const SSRC: u32 = 7;
    const REPAIRS: u32 = 8;
    const TICK: Duration = Duration::from_millis(1);

    struct Way {
        requests: Requests,
        now: Instant,
    }

    impl Way {
        fn new() -> Self {
            let mut requests = Requests::default();
            let nack = RTCPFeedback { typ: "nack".to_owned(), parameter: String::new() };
            requests.bind_remote_stream(&StreamInfo {
                ssrc: SSRC,
                ssrc_rtx: Some(REPAIRS),
                rtcp_feedback: vec![nack.clone()],
                ..Default::default()
            });
            requests.bind_remote_stream(&StreamInfo {
                ssrc: REPAIRS,
                rtcp_feedback: vec![nack],
                ..Default::default()
            });
            Self { requests, now: Instant::now() }
        }

        fn come(&mut self, numbers: impl IntoIterator<Item = u16>) {
            for number in numbers {
                self.take(SSRC, number, &[]);
            }
        }

        /// A packet comes and goes on as it came, and nothing else does.
        fn take(&mut self, ssrc: u32, sequence_number: u16, payload: &[u8]) {
            let header = rtp::header::Header { ssrc, sequence_number, ..Default::default() };
            let packet = rtp::Packet { header, payload: payload.to_vec().into() };
            let tagged = TaggedPacket {
                now: self.now,
                transport: Default::default(),
                message: Packet::Rtp(packet.clone()).into(),
            };
            self.requests.handle_read(tagged).unwrap();
            let Some(Packet::Rtp(on)) = self.requests.poll_read().map(|on| on.message.packet)
            else {
                panic!("it is gone")
            };
            assert_eq!(on, packet);
            assert!(self.requests.poll_read().is_none());
        }

        /// What is asked for in this time, and after how many milliseconds of it.
        fn asked(&mut self, during: Duration) -> Vec<(u64, Vec<u16>)> {
            let (begun, mut asked) = (self.now, Vec::new());
            while self.now < begun + during {
                self.now += TICK;
                if self.requests.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.requests.handle_timeout(self.now).unwrap();
                }
                while let Some(packet) = self.requests.poll_write() {
                    let Packet::Rtcp(reports) = packet.message.packet else { panic!("no request") };
                    let nack = reports[0].as_any().downcast_ref::<TransportLayerNack>().unwrap();
                    let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list());
                    asked.push(((self.now - begun).as_millis() as u64, numbers.collect()));
                }
            }
            asked
        }
    }

    #[test]
    fn without_a_gap_nobody_wakes() {
        let mut way = Way::new();
        for first in [65_500, 65_516] {
            way.come(first..first + 16);
            assert_eq!(way.requests.poll_timeout(), None);
            way.now += PAUSE;
        }
        way.come([65_532, 65_533, 65_534, 65_535, 0, 1, 1, 65_530]);
        assert_eq!(way.requests.poll_timeout(), None);
    }

    #[test]
    fn a_lost_packet_is_asked_for_until_it_is_there_and_then_nobody_wakes() {
        let mut way = Way::new();
        way.come(1..=40);
        way.now += Duration::from_secs(1);
        way.come((41..=43).chain(45..=50));
        let asked = way.asked(Duration::from_millis(100));
        assert_eq!(asked, [(10, vec![44]), (50, vec![44]), (90, vec![44])]);
        way.come([44]);
        assert_eq!(way.asked(Duration::from_secs(1)), []);
        assert_eq!(way.requests.poll_timeout(), None);
    }

    #[test]
    fn what_came_again_as_a_stream_of_its_own_is_asked_for_no_more() {
        let mut way = Way::new();
        way.come(1..=40);
        way.now += Duration::from_secs(1);
        way.come((41..=43).chain(46..=50));
        assert_eq!(way.asked(Duration::from_millis(30)), [(10, vec![44, 45])]);
        way.take(REPAIRS, 900, &44_u16.to_be_bytes());
        assert_eq!(way.asked(Duration::from_millis(30)), [(20, vec![45])]);
        // A probe, a packet that nobody missed, and a gap of its own.
        way.take(REPAIRS, 901, &[]);
        way.take(REPAIRS, 950, &[0, 40, 1, 2]);
        way.take(REPAIRS, 951, &[0, 45, 1, 2]);
        assert_eq!(way.asked(Duration::from_secs(1)), []);
        assert_eq!(way.requests.poll_timeout(), None);
    }

    #[test]
    fn what_was_only_overtaken_is_not_asked_for() {
        let mut way = Way::new();
        way.come(1..=40);
        way.now += Duration::from_secs(1);
        way.come([42, 43, 44, 45, 46]);
        assert_eq!(way.asked(Duration::from_millis(5)), []);
        way.come([41]);
        assert_eq!(way.asked(Duration::from_secs(1)), []);
        assert_eq!(way.requests.poll_timeout(), None);
    }

    #[test]
    fn a_gap_at_the_end_waits_for_what_follows() {
        let mut way = Way::new();
        way.come(1..=40);
        way.now += Duration::from_secs(1);
        way.come([42]);
        assert_eq!(way.asked(Duration::from_millis(500)), []);
        assert_eq!(way.requests.poll_timeout(), None);
        way.come([43, 44, 45]);
        assert_eq!(way.asked(PAUSE), [(10, vec![41])]);
        // A packet that never comes is given up.
        let asked = way.asked(Duration::from_secs(2));
        assert_eq!(asked.len(), usize::from(PER_PACKET) - 1);
        assert_eq!(way.requests.poll_timeout(), None);
    }

    #[test]
    fn a_stream_that_is_not_asked_for_wakes_nobody() {
        let mut way = Way::new();
        way.requests.unbind_remote_stream(&StreamInfo { ssrc: SSRC, ..Default::default() });
        way.come([1, 9]);
        assert_eq!(way.requests.poll_timeout(), None);
    }
}
