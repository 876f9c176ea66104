//! Sources as users give them, fed to tracks in virtual time.

use std::io::Cursor;
use std::time::Duration;

use metered_realtime::media::audio::{OpusEncoder, OpusOptions, PcmFormat, Tone};
use metered_realtime::media::files::{OggOpusHead, OggOpusWriter, WavWriter};
use metered_realtime::media::{Rotation, VideoCodec};
use serde_json::json;

use super::*;

async fn open(source: serde_json::Value) -> Result<Media, SourceError> {
    serde_json::from_value::<Source>(source).unwrap().open().await
}

async fn refusal(source: serde_json::Value) -> &'static str {
    let error = open(source).await.err().unwrap();
    assert!(!error.diagnosis().cause.is_empty() && !error.diagnosis().fix.is_empty());
    error.code()
}

fn clip(name: &str) -> String {
    format!("{}/../../tests/interop/browser/clips/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn frames(media: Media) -> Clip {
    match media {
        Media::Video(clip) => clip,
        Media::Audio(_) => panic!("sound"),
    }
}

#[tokio::test]
async fn there_is_a_test_pattern_of_each_codec_near_its_size() {
    for codec in ["vp8", "vp9", "h264", "av1"] {
        let wanted = json!({ "width": 320, "height": 240, "fps": 15, "codec": codec });
        let clip = frames(open(json!({ "testPattern": wanted })).await.unwrap());
        assert_eq!((clip.frames().len(), clip.frames()[0].size()), (100, Some((320, 180))));
        assert_eq!(clip.frames()[99].timestamp_us, 3_960_000, "{codec}");
    }
    assert!(open(json!({ "testPattern": {} })).await.is_ok());
    for beyond in [json!({ "width": 1280 }), json!({ "height": 2 }), json!({ "fps": 60 })] {
        assert_eq!(refusal(json!({ "testPattern": beyond })).await, "no_such_pattern");
    }
}

#[tokio::test]
async fn pictures_are_turned_and_filled() {
    let turned = json!({ "testPattern": { "bitrate": 1_000_000 }, "rotation": 90 });
    let clip = frames(open(turned).await.unwrap());
    assert_eq!(clip.codec(), VideoCodec::H264);
    assert!(clip.frames().iter().all(|frame| frame.rotation == Rotation::Quarter));
    let vp8 = json!({ "codec": "vp8", "bitrate": 1_000_000 });
    assert_eq!(refusal(json!({ "testPattern": vp8 })).await, "no_such_pattern");
    assert_eq!(refusal(json!({ "testPattern": { "bitrate": 1 } })).await, "no_such_pattern");
    assert_eq!(refusal(json!({ "testPattern": {}, "rotation": 45 })).await, "rotation_unknown");
    assert_eq!(refusal(json!({ "tone": {}, "rotation": 90 })).await, "source_other_kind");
}

#[tokio::test]
async fn clips_are_read_picture_by_picture() {
    for name in ["pattern-vp8.ivf", "pattern-vp9.ivf", "pattern.h264"] {
        let clip = frames(open(json!({ "file": clip(name) })).await.unwrap());
        let keys: Vec<_> =
            (0..clip.frames().len()).filter(|n| clip.frames()[*n].key_frame).collect();
        assert_eq!((clip.frames().len(), keys.as_slice()), (40, &[0, 10, 20, 30][..]), "{name}");
        assert_eq!([0, 4, 5, 6, 39].map(|at| clip.nearest_key_frame(at)), [0, 0, 0, 10, 30]);
    }
}

#[tokio::test]
async fn what_is_no_source_is_refused() {
    let whole = std::fs::read(clip("pattern-vp8.ivf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8], &str); 9] = [
        ("cut.ivf", &whole[..20], "file_cut_short"),
        ("headless.ivf", &whole[..32], "source_empty"),
        ("none.ivf", b"", "source_empty"),
        ("none.ogg", b"", "source_empty"),
        ("short.ivf", b"DKIF", "file_cut_short"),
        ("delta.h264", &[0, 0, 1, 0x41, 0x80], "source_no_key_frame"),
        ("b.h264", &[0, 0, 1, 0x65, 0x88, 0, 0, 1, 1, 0x9e, 9], "file_unsupported"),
        ("a.mp4", b"x", "source_kind_unknown"),
        ("a.wav", b"RIFFxxxxWAVE", "file_cut_short"),
    ];
    for (name, bytes, code) in files {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(refusal(json!({ "file": path })).await, code, "{name}");
    }
    assert_eq!(refusal(json!({ "file": "nowhere.ivf" })).await, "file_io");
    let inside = folder.path().join("folder.wav");
    std::fs::create_dir(&inside).unwrap();
    assert_eq!(refusal(json!({ "file": inside })).await, "source_not_a_file");
    #[cfg(unix)]
    {
        // Nobody ever writes into it.
        let pipe = folder.path().join("pipe.ivf");
        std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert_eq!(refusal(json!({ "file": pipe })).await, "source_not_a_file");
    }
    assert_eq!(refusal(json!({})).await, "source_unclear");
    assert_eq!(refusal(json!({ "tone": {}, "file": "a.ivf" })).await, "source_unclear");
    assert_eq!(refusal(json!({ "tone": { "hz": 1e9 } })).await, "tone_out_of_range");
    let tone: Source = "tone:500".parse().unwrap();
    assert_eq!(tone.open_as(MediaKind::Video).await.err().unwrap().code(), "source_other_kind");
    assert!("tone:x".parse::<Source>().is_err() && "test-pattern:h263".parse::<Source>().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_cut_off_plays_as_far_as_it_is_whole_and_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let format = PcmFormat::new(8_000, 1).unwrap();
    let mut wav = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut wav, format).unwrap();
    writer.write(&[0.5; 16_000]).unwrap();
    writer.finish().unwrap();
    // A page a second.
    let head = OggOpusHead { channels: 1, pre_skip: 312, input_rate: 48_000 };
    let mut ogg = OggOpusWriter::new(Vec::new(), head).unwrap();
    for _ in 0..100 {
        ogg.write(&[0x78, 1, 2, 3]).unwrap();
    }
    let ivf = std::fs::read(clip("pattern-vp8.ivf")).unwrap();
    let ended = |of: &str, seconds: &str| {
        format!(
            "the file ends in the middle of {of}; the {seconds} s before that are sent. Copy or record it again for the rest"
        )
    };
    for (name, whole, told, ms) in [
        ("cut.ivf", ivf, ended("a frame", "1.95"), 1_950),
        ("cut.wav", wav.into_inner(), ended("the samples", "1.99"), 1_980),
        ("cut.ogg", ogg.finish().unwrap(), ended("a page", "1.00"), 980),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &whole).unwrap();
        assert!(open(json!({ "file": path })).await.unwrap().cut().is_none(), "{name}");
        std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let media = open(json!({ "file": path })).await.unwrap();
        assert_eq!(media.cut().unwrap().to_string(), told, "{name}");
        assert_eq!(played(media).await.as_millis(), ms, "{name}");
        // Where it is cut it begins again.
        let media = open(json!({ "file": path, "loop": true })).await.unwrap();
        let playing = tokio::time::timeout(Duration::from_secs(10), played(media)).await;
        assert!(playing.is_err(), "{name}");
    }
}

/// How long a source plays, in virtual time.
async fn played(media: Media) -> Duration {
    let track = media.track(None);
    let began = tokio::time::Instant::now();
    media.play(track).await.unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_source_lasts_as_long_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut pcm = vec![0.0; 44_100];
    Tone::new(440.0, 44_100, 1).fill(&mut pcm);
    let format = PcmFormat::new(44_100, 1).unwrap();
    let wav = folder.path().join("a.wav");
    let mut writer = WavWriter::new(std::fs::File::create(&wav).unwrap(), format).unwrap();
    writer.write(&pcm).unwrap();
    writer.finish().unwrap();
    let mut encoder = OpusEncoder::new(format, OpusOptions::default()).unwrap();
    let ogg = folder.path().join("a.OGG");
    let head = OggOpusHead { channels: 1, pre_skip: 312, input_rate: 44_100 };
    let mut writer = OggOpusWriter::new(std::fs::File::create(&ogg).unwrap(), head).unwrap();
    for packet in encoder.push(&pcm).unwrap() {
        writer.write(&packet).unwrap();
    }
    writer.finish().unwrap();
    let clip = open(json!({ "file": clip("pattern-vp8.ivf") })).await.unwrap();
    assert_eq!(played(clip).await.as_millis(), 2_000);
    // To the time of the last chunk or packet.
    let wav = open(json!({ "file": wav })).await.unwrap();
    assert_eq!(played(wav).await.as_millis(), 990);
    let ogg = open(json!({ "file": ogg })).await.unwrap();
    assert!((900..1_000).contains(&played(ogg).await.as_millis()));
}

#[tokio::test(start_paused = true)]
async fn patterns_and_tones_have_no_end() {
    for source in ["test-pattern:h264", "tone"] {
        let media = source.parse::<Source>().unwrap().open().await.unwrap();
        let playing = tokio::time::timeout(Duration::from_secs(10), played(media)).await;
        assert!(playing.is_err(), "{source}");
    }
}
