//! What became of the packets of a remote's sound, in figures.

use crate::media::audio::{JitterStats, PacketCounter};

/// Figures of a track of sound, since it came.
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
/// # let microphone = metered_realtime::media::LocalAudioTrack::default();
/// # bob.add_track(&microphone, None, None)?;
/// # let source = microphone.clone();
/// # let singing = tokio::spawn(async move {
/// #     let format = metered_realtime::media::audio::PcmFormat::OPUS_MONO;
/// #     let mut tone = metered_realtime::media::audio::Tone::new(440.0, 48_000, 1);
/// #     loop {
/// #         let mut chunk = [0.0; 480];
/// #         tone.fill(&mut chunk);
/// #         source.write_pcm(format, &chunk).unwrap();
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
/// # let audio = track.audio().ok_or("pictures")?.clone();
/// use metered_realtime::media::AudioStats;
/// let mut packets = audio.packets();
/// packets.next().await;
/// let AudioStats { packets_received, packets_lost, jitter_ms, .. } = audio.stats();
/// assert!(packets_received > 0);
/// println!("{packets_lost} packets lost, {jitter_ms:.1} ms of jitter");
/// # singing.abort();
/// # alice.close().await;
/// # bob.close().await;
/// # server.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudioStats {
    /// RTP packets, duplicates too.
    pub packets_received: u64,
    /// Bytes of RTP payload.
    pub bytes_received: u64,
    /// Packets that did not come, or not yet.
    pub packets_lost: u64,
    /// Variation of the transit time (RFC 3550 section 6.4.1).
    pub jitter_ms: f64,
    /// Samples at 48 kHz that were made up for packets that did not come in time, of the output that was opened
    /// last.
    pub concealed_samples: u64,
    /// Times that this began, of that output.
    pub concealments: u64,
    /// From a packet's arrival on the fastest way to its sound, of that output.
    pub delay_ms: f64,
}

impl AudioStats {
    /// Of what came, and of what an output made of it.
    pub(super) fn of(counted: &PacketCounter, played: &JitterStats) -> Self {
        Self {
            packets_received: counted.packets(),
            bytes_received: counted.bytes(),
            packets_lost: counted.lost(),
            jitter_ms: counted.jitter().as_secs_f64() * 1_000.0,
            concealed_samples: played.concealed_samples,
            concealments: played.concealments,
            delay_ms: played.delay.as_secs_f64() * 1_000.0,
        }
    }
}
