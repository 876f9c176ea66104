//! What became of the packets of a remote's pictures, in figures.

use crate::media::video::VideoJitterBuffer;

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

impl VideoStats {
    /// Of what a track's buffer took and gave.
    pub(super) fn of(buffer: &VideoJitterBuffer) -> Self {
        let stats = buffer.stats();
        Self {
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
}
