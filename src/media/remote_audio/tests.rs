//! Sound from microphone to ear, in virtual time.

use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::media::audio::{Level, OpusOptions, PcmFormat, Tone, tone_share};
use crate::media::scripted::scripted;
use crate::media::{AudioMix, LocalAudioTrack, LocalTrack};
use crate::rtc::engine::{IncomingPacket, MediaKind};

const MONO: PcmFormat = PcmFormat::OPUS_MONO;
const CHUNK: Duration = Duration::from_millis(10);

/// A remote's track and where its packets go in.
fn line() -> (RemoteAudioTrack, mpsc::UnboundedSender<IncomingPacket>) {
    let (receiver, sender) = scripted(MediaKind::Audio, "audio/opus");
    let track = RemoteAudioTrack::new(Instant::now());
    tokio::spawn(track.read(receiver));
    (track, sender)
}

/// A microphone that hears a tone and a network to one remote, without delay if not told otherwise.
struct Call {
    local: LocalAudioTrack,
    remote: RemoteAudioTrack,
    tone: Tone,
    written: usize,
}

impl Call {
    fn new(hz: f32) -> Self {
        Self::over(hz, 0.0, Duration::ZERO)
    }

    /// A network that loses a share of the packets and holds each for up to `jitter`.
    fn over(hz: f32, loss: f64, jitter: Duration) -> Self {
        let local = LocalAudioTrack::default();
        local.set_encoding(OpusOptions { dtx: false, ..OpusOptions::default() }).unwrap();
        let mut attachment = LocalTrack::from(&local).shared().attach();
        let (remote, sender) = line();
        let mut chance = fastrand::Rng::with_seed(hz as u64);
        tokio::spawn(async move {
            for sequence in 65_500_u64.. {
                let parcel = attachment.next().await;
                let packet = IncomingPacket {
                    codec: "audio/opus".into(),
                    ssrc: 7,
                    sequence: sequence as u16,
                    timestamp: (parcel.timestamp_us * 48 / 1_000) as u32,
                    marker: parcel.marker,
                    payload: parcel.payloads[0].clone(),
                    orientation: None,
                };
                let (held, lost) = (jitter.mul_f64(chance.f64()), chance.f64() < loss);
                let sender = sender.clone();
                if lost || sender.is_closed() {
                    continue;
                }
                if held.is_zero() {
                    sender.send(packet).unwrap();
                    continue;
                }
                tokio::spawn(async move {
                    tokio::time::sleep(held).await;
                    drop(sender.send(packet));
                });
            }
        });
        Self { local, remote, tone: Tone::new(hz, 48_000, 1), written: 0 }
    }

    /// The microphone hears 10 ms.
    fn speak(&mut self) -> [f32; 480] {
        let mut pcm = [0.0; 480];
        self.tone.fill(&mut pcm);
        self.local.write_pcm(MONO, &pcm).unwrap();
        self.written += pcm.len();
        pcm
    }

    /// 10 ms pass: the microphone first, then whoever plays.
    async fn tick(&mut self, mut play: impl FnMut(&mut [f32])) -> [f32; 480] {
        let mut pcm = self.speak();
        // Whoever has something to hand on does it in no time.
        tokio::time::sleep(CHUNK).await;
        play(&mut pcm);
        pcm
    }
}

#[tokio::test(start_paused = true)]
async fn a_tone_comes_out_as_it_went_in_and_is_measured_on_both_ends() {
    let mut call = Call::new(440.0);
    let mut output = call.remote.playout(MONO).unwrap();
    let mut heard = Vec::new();
    for _ in 0..300 {
        heard.extend(call.tick(|pcm| output.pull(pcm)).await);
    }
    assert!(tone_share(440.0, 48_000, &heard[96_000..]) > 0.95);
    for level in [call.local.level(), call.remote.level(), output.level()] {
        assert!((level.rms_dbfs + 15.0).abs() < 1.0, "{level:?}");
    }
    let stats = call.remote.stats();
    assert!(stats.packets_received >= 148, "{stats:?}");
    assert_eq!((stats.packets_lost, stats.concealed_samples), (0, 0));
    // Nothing jitters here: packets of 20 ms wait for two chunks at most.
    let first = heard.iter().position(|sample| sample.abs() > 0.05).unwrap();
    assert!(first < 48 * 60, "heard after {} ms", first / 48);
    assert!(stats.delay_ms <= 30.0, "{stats:?}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for level in [call.local.level(), call.remote.level(), output.level()] {
        assert_eq!(level, Level::SILENCE);
    }
}

#[tokio::test(start_paused = true)]
async fn mute_is_silence_that_ends_on_time() {
    let mut call = Call::new(440.0);
    let mut output = call.remote.playout(MONO).unwrap();
    for _ in 0..100 {
        call.tick(|pcm| output.pull(pcm)).await;
    }
    let before = output.stats().jitter;
    call.local.set_muted(true);
    assert_eq!(call.local.level(), Level::SILENCE);
    let mut muted = Vec::new();
    for _ in 0..500 {
        muted.extend(call.tick(|pcm| output.pull(pcm)).await);
    }
    assert!(muted[48_000..].iter().all(|sample| sample.abs() < 1e-3));
    call.local.set_muted(false);
    let mut heard = Vec::new();
    for _ in 0..200 {
        heard.extend(call.tick(|pcm| output.pull(pcm)).await);
    }
    let first = heard.iter().position(|sample| sample.abs() > 0.05).unwrap();
    assert!(first < 48 * 80, "heard after {} ms", first / 48);
    assert!(tone_share(440.0, 48_000, &heard[48_000..]) > 0.95);
    let after = output.stats().jitter;
    assert_eq!((after.restarts, after.late), (before.restarts, before.late));
    assert!(after.delay <= before.delay + Duration::from_millis(30), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mix_holds_every_remote_at_its_gain_and_lets_go_of_who_left() {
    for (loss, jitter, least) in [(0.0, 0, 0.95), (0.05, 60, 0.8)] {
        let jitter = Duration::from_millis(jitter);
        let mut low = Call::over(300.0, loss, jitter);
        let mut high = Call::over(1_700.0, loss, jitter);
        let mix = AudioMix::new(MONO);
        let inputs = [mix.add(&low.remote).unwrap(), mix.add(&high.remote).unwrap()];
        let mut heard = Vec::new();
        for round in 0..600 {
            low.speak();
            heard.extend(high.tick(|pcm| mix.pull(pcm)).await);
            let shares = [300.0, 1_700.0].map(|hz| {
                let end = &heard[heard.len().saturating_sub(48_000)..];
                tone_share(hz, 48_000, end)
            });
            match round {
                // Each is as loud as the other.
                199 => {
                    assert!(shares.iter().all(|share| *share > least / 2.0 - 0.05), "{shares:?}");
                    mix.set_gain(inputs[0], 0.0);
                }
                399 => {
                    assert!(shares[1] > least, "the other has no gain: {shares:?}");
                    mix.set_gain(inputs[0], 1.0);
                    mix.remove(inputs[1]);
                }
                599 => assert!(shares[0] > least, "the other has left: {shares:?}"),
                _ => {}
            }
        }
        assert!(mix.level().rms_dbfs > -20.0);
        assert_eq!(mix.inputs(), 1);
        for call in [&low, &high] {
            let stats = call.remote.stats();
            let share = stats.packets_lost as f64 / (stats.packets_received as f64);
            assert!((share - loss).abs() < 0.04, "{stats:?}");
            assert!(stats.packets_received > 250, "{stats:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_track_is_played_to_its_end_and_then_silent() {
    let (track, sender) = line();
    let (mix, mut packets) = (AudioMix::new(MONO), track.packets());
    mix.add(&track).unwrap();
    drop(sender);
    assert!(packets.next().await.is_none());
    assert!(track.is_ended());
    let mut pcm = [1.0; 480];
    for _ in 0..100 {
        mix.pull(&mut pcm);
        assert_eq!(pcm, [0.0; 480]);
    }
    assert_eq!(mix.inputs(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_output_begins_with_what_just_came() {
    let mut call = Call::new(440.0);
    for _ in 0..40 {
        call.tick(|_| ()).await;
    }
    let mut output = call.remote.playout(MONO).unwrap();
    let mut first = [0.0; 480];
    for _ in 0..3 {
        first = call.tick(|pcm| output.pull(pcm)).await;
    }
    assert!(first.iter().any(|sample| sample.abs() > 0.05));
    assert_eq!(call.remote.stats().packets_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn who_takes_packets_first_gets_those_from_before() {
    let (track, sender) = line();
    for sequence in 0..60 {
        let packet = IncomingPacket {
            codec: "audio/opus".into(),
            ssrc: 7,
            sequence,
            timestamp: u32::from(sequence) * 960,
            marker: false,
            payload: vec![0xf8, 0xff, 0xfe].into(),
            orientation: None,
        };
        sender.send(packet).unwrap();
        tokio::time::sleep(2 * CHUNK).await;
    }
    let mut packets = track.packets();
    assert!(track.packets().try_next().is_none(), "the second gets what comes");
    let early = std::iter::from_fn(|| packets.try_next());
    let numbers: Vec<_> = early
        .map(|event| match event {
            PacketEvent::Packet(packet) => packet.sequence,
            PacketEvent::Lagged { .. } => panic!("nobody was too slow"),
        })
        .collect();
    assert_eq!(numbers, (35..60).collect::<Vec<_>>());
}
