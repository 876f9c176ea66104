//! What the handles and outputs of a track share, and its task, which hands each packet to all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::output::{Output, UNHEARD};
use super::packets::{AudioPacket, AudioPackets, PacketEvent};
use crate::events::{EVENT_QUEUE_BYTES, Hub};
use crate::media::audio::PacketCounter;
use crate::media::local::lock;
use crate::media::sounds::report_since;
use crate::media::sync::{Heard as Played, Report, Sound};
use crate::rtc::engine::{IncomingPacket, SenderReport, TrackReceiver};

/// What comes before the first output is kept, so that it begins with sound: half a second. The same for who takes
/// packets.
const MAX_EARLY: usize = 25;

#[derive(Debug)]
pub(in crate::media) struct Shared {
    epoch: Instant,
    hub: Hub<PacketEvent>,
    ended: AtomicBool,
    heard: Mutex<Heard>,
    /// The number of the output that is heard, and what it played last.
    played: Mutex<Option<(u64, Played)>>,
}

#[derive(Debug, Default)]
struct Heard {
    counter: PacketCounter,
    /// Whose packets came last, and the last report of their sender.
    stream: Option<(u32, Option<Report>)>,
    outputs_made: u64,
    outputs: Vec<Weak<Mutex<Output>>>,
    /// Before the first output: when they came, and what.
    early: VecDeque<(Duration, Arc<AudioPacket>)>,
}

impl Shared {
    /// Times count from the epoch.
    pub(super) fn new(epoch: Instant) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            hub: Hub::live(MAX_EARLY, EVENT_QUEUE_BYTES, |_| true),
            ended: AtomicBool::new(false),
            heard: Mutex::default(),
            played: Mutex::default(),
        })
    }

    /// The task: ends with its receiver.
    pub(super) async fn read(self: Arc<Self>, receiver: Arc<dyn TrackReceiver>) {
        let ending = Ending(Arc::clone(&self));
        while let Some(packet) = receiver.next().await {
            if packet.payload.is_empty() || !packet.codec.eq_ignore_ascii_case("audio/opus") {
                continue;
            }
            let report = receiver.sender_report(packet.ssrc);
            self.heard(packet, report);
        }
        drop(ending);
    }

    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    pub(super) fn packets(&self) -> AudioPackets {
        self.hub.subscribe()
    }

    pub(super) fn counted(&self) -> PacketCounter {
        lock(&self.heard).counter
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Takes in an output, the first one with what just came; gives the output's number, which counts up.
    pub(super) fn add(&self, mut output: Output) -> (u64, Arc<Mutex<Output>>) {
        let mut heard = lock(&self.heard);
        for (at, packet) in heard.early.drain(..) {
            output.handle(at, &packet);
        }
        let output = Arc::new(Mutex::new(output));
        heard.outputs.push(Arc::downgrade(&output));
        heard.outputs_made += 1;
        (heard.outputs_made, output)
    }

    pub(super) fn outputs(&self) -> Vec<Arc<Mutex<Output>>> {
        lock(&self.heard).outputs.iter().filter_map(Weak::upgrade).collect()
    }

    /// For the pictures beside it.
    pub(in crate::media) fn sound(&self) -> Option<Sound> {
        let (ssrc, report) = lock(&self.heard).stream?;
        let heard = lock(&self.played).map(|(_, played)| played);
        Some(Sound { ssrc, report, heard })
    }

    /// An output played. Of several the one that was made last is heard, as long as it is.
    pub(super) fn played(&self, number: u64, now: Duration, heard: Option<(Duration, u32)>) {
        let Some((at, rtp)) = heard else { return };
        let mut played = lock(&self.played);
        if played.is_none_or(|(known, played)| {
            known <= number || now.saturating_sub(played.at) > UNHEARD
        }) {
            *played = Some((number, Played { at, rtp }));
        }
    }

    fn heard(&self, packet: IncomingPacket, report: Option<SenderReport>) {
        let now = self.now();
        let IncomingPacket { ssrc, sequence, timestamp, marker, payload, .. } = packet;
        let report = report.map(|report| report_since(self.epoch, report));
        let packet = Arc::new(AudioPacket { sequence, timestamp, marker, payload });
        let outputs = {
            let mut heard = lock(&self.heard);
            heard.counter.note(now, sequence, timestamp, packet.payload.len());
            heard.stream = Some((ssrc, report));
            let known = heard.outputs.len();
            heard.outputs.retain(|output| output.strong_count() > 0);
            if known == 0 {
                if heard.early.len() >= MAX_EARLY {
                    heard.early.pop_front();
                }
                heard.early.push_back((now, Arc::clone(&packet)));
            }
            heard.outputs.iter().filter_map(Weak::upgrade).collect::<Vec<_>>()
        };
        for output in outputs {
            lock(&output).handle(now, &packet);
        }
        self.hub.publish(&PacketEvent::Packet(packet));
    }
}

/// Ends the track however its task ends.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
        self.0.hub.end();
    }
}
