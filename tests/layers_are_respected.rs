//! An arrow never points upward: which module may name which, read from the sources.

#[path = "support/sources.rs"]
mod sources;

use sources::{code_of, rust_files};

/// Module, and the modules of the crate that it may name.
const LAYERS: &[(&str, &[&str])] = &[
    ("bench", &["wire", "rtc"]),
    ("diagnosis", &[]),
    ("wire", &[]),
    ("events", &[]),
    (
        "ffi",
        &[
            "wire",
            "credential",
            "diagnosis",
            "events",
            "platform",
            "signalling",
            "media",
            "peer",
            "UniFfiTag",
        ],
    ),
    ("credential", &["wire", "diagnosis"]),
    ("platform", &["diagnosis"]),
    ("rtc", &["wire", "platform"]),
    ("media", &["wire", "diagnosis", "events", "rtc"]),
    (
        "peer",
        &["wire", "credential", "diagnosis", "events", "platform", "signalling", "rtc", "media"],
    ),
    ("signalling", &["wire", "credential", "diagnosis", "events", "platform"]),
];

/// Crates that only one folder may name.
const OWNED: &[(&str, &str)] = &[
    ("uniffi", "src/ffi"),
    ("webrtc", "src/rtc"),
    ("rtc::rtp_transceiver", "src/rtc"),
    ("rtc::peer_connection", "src/rtc"),
    ("jsonwebtoken", "src/credential"),
    ("ropus", "src/media/audio/opus"),
    ("tokio_tungstenite", "src/signalling"),
];

/// Modules of the crate that the code names but may not.
fn upward(module: &str, allowed: &[&str], code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let name: String =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if name != module && !name.is_empty() && !allowed.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found
}

#[test]
fn no_module_names_one_above_it() {
    let mut wrong = Vec::new();
    for (module, allowed) in LAYERS {
        for file in rust_files(&format!("src/{module}")) {
            for name in upward(module, allowed, &code_of(&file)) {
                wrong.push(format!("{} names {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_its_layer() {
    for entry in std::fs::read_dir("src").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        assert!(
            module == "lib" || LAYERS.iter().any(|(known, _)| *known == module),
            "{module} is not in the list of layers"
        );
    }
}

#[test]
fn what_one_folder_owns_no_other_names() {
    for file in rust_files("src") {
        let code = code_of(&file);
        for (owned, owner) in OWNED {
            let names = code.contains(&format!("{owned}::"));
            assert!(!names || file.starts_with(owner), "{} names {owned}", file.display());
        }
    }
}

#[test]
fn the_checker_sees_a_violation() {
    let code =
        sources::strip("use crate::signalling::Event; // crate::peer\nlet x = \"crate::rtc\";");
    assert_eq!(upward("wire", &[], &code), ["signalling"]);
}
