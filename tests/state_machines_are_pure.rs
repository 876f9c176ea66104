//! What decides is told the time and draws no chance of its own: no clock, no randomness, no runtime.

#[path = "support/sources.rs"]
mod sources;

use sources::{code_of, rust_files};

/// Files and folders of pure code.
const PURE: &[&str] = &[
    "src/wire",
    "src/diagnosis",
    "src/credential/preflight.rs",
    "src/media/audio",
    "src/media/bandwidth/allocation.rs",
    "src/media/bandwidth/estimator.rs",
    "src/media/bandwidth/loss.rs",
    "src/media/bandwidth/observed.rs",
    "src/media/bandwidth/pacer.rs",
    "src/media/files/annex_b.rs",
    "src/media/files/ivf.rs",
    "src/media/files/looped.rs",
    "src/media/files/ogg.rs",
    "src/media/files/ogg_opus.rs",
    "src/media/files/wav.rs",
    "src/media/sync",
    "src/signalling/backoff.rs",
    "src/signalling/pacing.rs",
    "src/signalling/requests.rs",
    "src/signalling/subscriptions.rs",
    "src/signalling/session",
    "src/rtc/sdp.rs",
    "src/media/video",
    "src/peer/data_channel/reset.rs",
    "src/peer/negotiation",
    "src/peer/departure.rs",
    "src/peer/ice_restart.rs",
    "src/peer/roster.rs",
    "src/peer/roster_model.rs",
    "src/peer/track_metadata.rs",
    "src/peer/tracks.rs",
];

/// What they must not name.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "rand::",
    "fastrand",
    "tokio",
    "std::thread",
    "std::net",
    "std::fs",
    "std::env",
    "async ",
    ".await",
];

fn impurities(code: &str) -> Vec<&'static str> {
    IMPURE.iter().copied().filter(|word| code.contains(word)).collect()
}

#[test]
fn pure_code_names_nothing_impure() {
    for path in PURE {
        for file in rust_files(path) {
            let found = impurities(&code_of(&file));
            assert!(found.is_empty(), "{} names {found:?}", file.display());
        }
    }
}

#[test]
fn the_checker_sees_a_violation() {
    let code = sources::strip("let now = Instant::now(); // tokio\nlet text = \"fastrand\";");
    assert_eq!(impurities(&code), ["Instant"]);
}
