//! Arrivals of real calls, recorded in front of the jitter buffers by a test (`src/peer/recording.rs`):
//! `tests/traces` has them, and says how they are made. The tests of both buffers play them in virtual time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use super::local::lock;
use crate::rtc::engine::*;

/// Bytes of each payload that are kept: what the buffers read of it lies in them.
const HEAD: usize = 8;
/// The folder that a recording goes to; nothing is recorded without it.
const FOLDER: &str = "METERED_TRACE_FOLDER";

/// A packet as it came. What it carried is gone but for its beginning: zeros stand for it.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Since the first one.
    pub(crate) at: Duration,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Bytes,
}

impl Arrival {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let at = Duration::from_micros(words.next()?.parse().ok()?);
        let (sequence, timestamp) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (marker, size) = (words.next()? == "1", words.next()?.parse().ok()?);
        let head = words.next().unwrap_or_default().as_bytes().chunks(2);
        let head = head.map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok());
        let mut payload = head.collect::<Option<Vec<u8>>>()?;
        assert_eq!(payload.len(), HEAD.min(size));
        payload.resize(size, 0);
        Some(Self { at, sequence, timestamp, marker, payload: payload.into() })
    }
}

/// The arrivals of a file in `tests/traces`.
pub(crate) fn arrivals(name: &str) -> Vec<Arrival> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let arrivals: Vec<_> = lines.map(|line| Arrival::read(line).expect(line)).collect();
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
    arrivals
}

/// The receiver, with a recording of what it gives if one is made.
pub(super) fn recorded(receiver: Arc<dyn TrackReceiver>) -> Arc<dyn TrackReceiver> {
    let Some(folder) = std::env::var_os(FOLDER) else { return receiver };
    let name = format!("{}.txt", receiver.info().kind.as_str());
    let file = BufWriter::new(File::create_new(PathBuf::from(folder).join(name)).unwrap());
    Arc::new(Recorded { receiver, file: Mutex::new((file, None)) })
}

#[derive(Debug)]
struct Recorded {
    receiver: Arc<dyn TrackReceiver>,
    file: Mutex<(BufWriter<File>, Option<Instant>)>,
}

#[async_trait]
impl TrackReceiver for Recorded {
    fn info(&self) -> &RemoteTrackInfo {
        self.receiver.info()
    }

    async fn next(&self) -> Option<IncomingPacket> {
        let packet = self.receiver.next().await?;
        let now = Instant::now();
        let mut file = lock(&self.file);
        let at = now.duration_since(*file.1.get_or_insert(now)).as_micros();
        let IncomingPacket { sequence, timestamp, payload, .. } = &packet;
        let (marker, size) = (u8::from(packet.marker), payload.len());
        write!(file.0, "{at} {sequence} {timestamp} {marker} {size} ").unwrap();
        for byte in payload.iter().take(HEAD) {
            write!(file.0, "{byte:02x}").unwrap();
        }
        writeln!(file.0).unwrap();
        Some(packet)
    }

    fn sender_report(&self, ssrc: u32) -> Option<SenderReport> {
        self.receiver.sender_report(ssrc)
    }

    async fn request_key_frame(&self) {
        self.receiver.request_key_frame().await;
    }
}
