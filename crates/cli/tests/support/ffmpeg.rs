//! What ffmpeg makes of a file.

use std::path::Path;
use std::process::Command;

/// Decodes a file whole, to raw output of a format; any complaint fails the test.
pub(crate) fn decoded(file: &Path, output: &[&str]) -> Vec<u8> {
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "warning", "-xerror", "-i"])
        .arg(file)
        .args(output)
        .arg("-")
        .output()
        .expect("ffmpeg, which tools/test installs");
    let said = String::from_utf8_lossy(&run.stderr);
    let errors: Vec<_> = said.lines().filter(|line| !harmless(line)).collect();
    assert!(run.status.success() && errors.is_empty(), "{}: {errors:?}", file.display());
    run.stdout
}

/// Annex B has no times, and ffmpeg says so.
fn harmless(line: &str) -> bool {
    line.contains("Timestamps are unset")
        || line.contains("Estimating duration from bitrate")
        || line.contains("non monotonically increasing dts")
}

/// The numbers that the pictures of the test pattern show.
pub(crate) fn counted(file: &Path) -> Vec<u32> {
    const WIDTH: usize = 320;
    const HEIGHT: usize = 180;
    const BOX: usize = 16;
    let gray = decoded(file, &["-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough"]);
    assert_eq!(gray.len() % (WIDTH * HEIGHT), 0);
    gray.chunks(WIDTH * HEIGHT)
        .map(|picture| {
            (0..7).fold(0, |number, bit| {
                let (x, y) = (WIDTH - BOX * bit - BOX / 2, HEIGHT - BOX / 2);
                number | u32::from(picture[y * WIDTH + x] > 128) << bit
            })
        })
        .collect()
}

/// The sound, as mono PCM at 48 kHz.
pub(crate) fn heard(file: &Path) -> Vec<f32> {
    let bytes = decoded(file, &["-f", "f32le", "-ac", "1", "-ar", "48000"]);
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
