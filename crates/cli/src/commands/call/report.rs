//! What a call shows: words for people, JSON lines for scripts.

use std::path;

use metered_realtime::diagnosis::Diagnosis;
use metered_realtime::media::audio::SILENCE_DBFS;
use metered_realtime::media::{AudioStats, VideoCodec};
use metered_realtime::peer::{CandidatePairStats, CandidateType, RemoteState};
use serde_json::{Value, json};

use crate::media::record::Recorded;
use crate::media::{Named, not_taken};
use crate::output::{self, BAD, BOLD, DIM, Failure, GOOD, NOTE, printable};

/// A remote's last second.
pub(super) struct Line {
    pub(super) peer_id: String,
    pub(super) state: RemoteState,
    /// For how long it has been connecting.
    pub(super) connecting_s: u32,
    pub(super) pictures: Vec<Picture>,
    pub(super) sounds: Vec<Sound>,
    pub(super) sent_bps: f64,
    pub(super) path: Option<Path>,
}

pub(super) struct Picture {
    pub(super) track_id: String,
    pub(super) codec: Option<VideoCodec>,
    pub(super) size: Option<(u32, u32)>,
    pub(super) frozen: bool,
    pub(super) frames: u64,
    pub(super) fps: f64,
    pub(super) bps: f64,
    pub(super) packets_lost: u64,
    pub(super) freezes: u64,
    pub(super) jitter_ms: f64,
    /// How much later than the first one the pictures came, by their own times.
    pub(super) behind_ms: Option<f64>,
}

pub(super) struct Sound {
    pub(super) track_id: String,
    pub(super) bps: f64,
    pub(super) level_dbfs: f32,
    /// The same, at the ear.
    pub(super) behind_ms: Option<f64>,
    pub(super) stats: AudioStats,
}

/// The way that a connection goes.
pub(super) struct Path {
    /// `direct`, or `relay` with the relay's URL if it is ours.
    way: String,
    protocol: String,
    round_trip_ms: Option<f64>,
}

impl From<CandidatePairStats> for Path {
    fn from(pair: CandidatePairStats) -> Self {
        let relayed = [&pair.local, &pair.remote]
            .iter()
            .any(|candidate| candidate.candidate_type == CandidateType::Relay);
        let way = match (relayed, pair.local.relay_url) {
            (true, Some(url)) => format!("relay {url}"),
            (true, None) => "relay".to_owned(),
            (false, _) => "direct".to_owned(),
        };
        let protocol = pair.local.protocol;
        Self { way, protocol, round_trip_ms: pair.round_trip_time_ms }
    }
}

fn kbit(bps: f64) -> f64 {
    (bps / 1e3).round()
}

impl Line {
    fn words(&self) -> String {
        let mut parts = Vec::new();
        for picture in &self.pictures {
            let size = picture.size.map_or_else(String::new, |(w, h)| format!(" {w}x{h}"));
            let codec = picture.codec.map_or("", VideoCodec::mime_type).replacen("video/", " ", 1);
            let lost = match picture.packets_lost {
                0 => String::new(),
                lost => format!(", {lost} lost"),
            };
            parts.push(if picture.frozen {
                format!("video{size}{codec} frozen{lost}")
            } else {
                let (fps, bps) = (picture.fps.round(), kbit(picture.bps));
                format!("video{size}{codec} {fps} fps {bps} kbit/s{lost}")
            });
        }
        for sound in &self.sounds {
            let lost = match sound.stats.packets_lost {
                0 => String::new(),
                lost => format!(", {lost} lost"),
            };
            let level = match sound.level_dbfs {
                level if level <= SILENCE_DBFS => "silent".to_owned(),
                level => format!("{level:.0} dB"),
            };
            parts.push(format!("audio {level} {} kbit/s{lost}", kbit(sound.bps)));
        }
        if parts.is_empty() {
            parts.push("nothing comes".to_owned());
        }
        match &self.path {
            Some(path) => {
                let time = path.round_trip_ms.map_or_else(String::new, |ms| format!(" {ms:.1} ms"));
                parts.push(format!("{} {}{time}", path.way, path.protocol));
                parts.push(format!("we send {} kbit/s", kbit(self.sent_bps)));
            }
            None => parts.push(self.state.to_string()),
        }
        parts.join(" · ")
    }

    fn json(&self) -> Value {
        let video = self.pictures.iter().map(|picture| {
            json!({
                "trackId": picture.track_id,
                "codec": picture.codec,
                "width": picture.size.map(|(width, _)| width),
                "height": picture.size.map(|(_, height)| height),
                "frozen": picture.frozen,
                "frames": picture.frames,
                "fps": picture.fps,
                "kbps": picture.bps / 1e3,
                "packetsLost": picture.packets_lost,
                "jitterMs": picture.jitter_ms,
                "freezes": picture.freezes,
                "behindMs": picture.behind_ms,
            })
        });
        let audio = self.sounds.iter().map(|sound| {
            json!({
                "trackId": sound.track_id,
                "packets": sound.stats.packets_received,
                "packetsLost": sound.stats.packets_lost,
                "jitterMs": sound.stats.jitter_ms,
                "concealedSamples": sound.stats.concealed_samples,
                "delayMs": sound.stats.delay_ms,
                "kbps": sound.bps / 1e3,
                "levelDbfs": sound.level_dbfs,
                "behindMs": sound.behind_ms,
            })
        });
        json!({
            "type": "remote",
            "peerId": self.peer_id,
            "state": self.state,
            "video": video.collect::<Vec<_>>(),
            "audio": audio.collect::<Vec<_>>(),
            "sentKbps": self.sent_bps / 1e3,
            "path": self.path.as_ref().map(|path| json!({
                "way": path.way, "protocol": path.protocol, "roundTripTimeMs": path.round_trip_ms,
            })),
        })
    }
}

pub(super) struct Report {
    json: bool,
}

impl Report {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    fn tell(&self, json: &Value, words: impl std::fmt::Display) -> Result<(), Failure> {
        if self.json { output::say_json(json) } else { output::say(words) }
    }

    pub(super) fn joined(&self, room: &str, peer_id: Option<&str>) -> Result<(), Failure> {
        let (me, name) = (printable(peer_id.unwrap_or_default()), printable(room));
        self.tell(
            &json!({ "type": "joined", "room": room, "peerId": peer_id }),
            format_args!("{GOOD}in {name}{GOOD:#} as {BOLD}{me}{BOLD:#}; Ctrl-C leaves"),
        )
    }

    pub(super) fn came(&self, id: &str) -> Result<(), Failure> {
        let words = format!("{BOLD}{}{BOLD:#} is here", printable(id));
        self.tell(&json!({ "type": "peer-joined", "peerId": id }), words)
    }

    pub(super) fn left(&self, id: &str) -> Result<(), Failure> {
        let words = format!("{DIM}{} left{DIM:#}", printable(id));
        self.tell(&json!({ "type": "peer-left", "peerId": id }), words)
    }

    pub(super) fn state(&self, id: &str, state: RemoteState) -> Result<(), Failure> {
        let words = format!("{DIM}{} is {state}{DIM:#}", printable(id));
        self.tell(&json!({ "type": "state", "peerId": id, "state": state }), words)
    }

    pub(super) fn note(&self, text: &str) -> Result<(), Failure> {
        self.tell(&json!({ "type": "note", "text": text }), format_args!("{NOTE}{text}{NOTE:#}"))
    }

    pub(super) fn line(&self, line: &Line) -> Result<(), Failure> {
        let words = format!("{BOLD}{}{BOLD:#}  {}", printable(&line.peer_id), line.words());
        self.tell(&line.json(), words)
    }

    pub(super) fn problem(
        &self,
        id: &str,
        code: &str,
        message: &str,
        diagnosis: &Diagnosis,
    ) -> Result<(), Failure> {
        let Diagnosis { cause, fix, .. } = diagnosis;
        let whose = if id.is_empty() { String::new() } else { format!("{}: ", printable(id)) };
        let message = printable(message);
        let json = json!({
            "type": "problem", "peerId": id, "code": code, "message": message,
            "cause": cause, "fix": fix,
        });
        let words = format!(
            "{BAD}problem:{BAD:#} {whose}{message} [{code}]\n  {DIM}cause:{DIM:#} {}\n    {DIM}fix:{DIM:#} {}",
            printable(cause),
            printable(fix)
        );
        self.tell(&json, words)
    }

    pub(super) fn no_codec(&self, id: &str, codec: &str) -> Result<(), Failure> {
        let (message, diagnosis) = not_taken(codec, Named::Options);
        self.problem(id, "codec_not_supported", &message, &diagnosis)
    }

    pub(super) fn recording(&self, id: &str, file: &path::Path) -> Result<(), Failure> {
        let shown = printable(&file.display().to_string());
        self.tell(
            &json!({ "type": "recording", "peerId": id, "file": file.to_string_lossy() }),
            format_args!("{DIM}recording {shown}{DIM:#}"),
        )
    }

    pub(super) fn recorded(&self, id: &str, recorded: &Recorded) -> Result<(), Failure> {
        let Recorded { file, frames, bytes } = recorded;
        let shown = printable(&file.display().to_string());
        self.tell(
            &json!({
                "type": "recorded", "peerId": id, "file": file.to_string_lossy(),
                "frames": frames, "bytes": bytes,
            }),
            format_args!(
                "{GOOD}recorded{GOOD:#} {shown} {DIM}{frames} frames, {bytes} bytes{DIM:#}"
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let picture = Picture {
            track_id: "cam".into(),
            codec: Some(VideoCodec::Vp8),
            size: Some((320, 180)),
            frozen: false,
            frames: 50,
            fps: 24.96,
            bps: 112_345.0,
            packets_lost: 0,
            freezes: 0,
            jitter_ms: 1.5,
            behind_ms: Some(0.4),
        };
        let stats = AudioStats { packets_received: 100, ..AudioStats::default() };
        let sound = Sound {
            track_id: "mic".into(),
            bps: 32_800.0,
            level_dbfs: -15.04,
            behind_ms: Some(31.0),
            stats,
        };
        let path = Path { way: "direct".into(), protocol: "udp".into(), round_trip_ms: Some(0.31) };
        Line {
            peer_id: "bob".into(),
            state: RemoteState::Connected,
            connecting_s: 0,
            pictures: vec![picture],
            sounds: vec![sound],
            sent_bps: 0.0,
            path: Some(path),
        }
    }

    #[test]
    fn a_line_says_what_comes_and_how() {
        assert_eq!(
            line().words(),
            "video 320x180 VP8 25 fps 112 kbit/s · audio -15 dB 33 kbit/s · direct udp 0.3 ms · we send 0 kbit/s"
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut line = line();
        line.pictures[0].frozen = true;
        line.pictures[0].packets_lost = 3;
        line.sounds[0].level_dbfs = SILENCE_DBFS;
        line.path = None;
        line.state = RemoteState::Reconnecting;
        assert_eq!(
            line.words(),
            "video 320x180 VP8 frozen, 3 lost · audio silent 33 kbit/s · reconnecting"
        );
        (line.pictures, line.sounds) = (Vec::new(), Vec::new());
        assert_eq!(line.words(), "nothing comes · reconnecting");
    }
}
