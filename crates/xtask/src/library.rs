//! Builds the SDK as a dynamic library.
//!
//! `crate-type` is given on the command line, so that an ordinary build makes neither it nor the static one.

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::{Error, io, root};

/// Which library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What apps get, not optimised: its interface is the same.
    App,
    /// With the functions that fail on purpose.
    Test,
    /// What ships: optimised.
    Shipped,
    /// The same without Opus, for apps that use the platform's codec.
    ShippedWithoutOpus,
    /// What ships but for thin LTO: larger, and built in a fraction of the time.
    Thin,
    /// The same without Opus.
    ThinWithoutOpus,
    /// The same, with the functions that bench/ffi measures with.
    Measured,
}

impl Kind {
    fn features(self) -> &'static [&'static str] {
        match self {
            Self::App | Self::Shipped | Self::Thin => &["--features", "ffi"],
            Self::Test | Self::Measured => &["--features", "ffi-test"],
            Self::ShippedWithoutOpus | Self::ThinWithoutOpus => {
                &["--no-default-features", "--features", "ffi"]
            }
        }
    }

    fn profile(self) -> &'static [&'static str] {
        match self {
            Self::App | Self::Test => &[],
            Self::Shipped | Self::ShippedWithoutOpus => &["--profile", "mobile"],
            Self::Thin | Self::ThinWithoutOpus | Self::Measured => &["--profile", "mobile-thin"],
        }
    }

    /// What ships has no descriptions for the generator of bindings; the one for bench/ffi needs them.
    fn linker(self) -> Option<&'static str> {
        let ships = !self.profile().is_empty() && self != Self::Measured;
        ships.then_some("tools/link-mobile")
    }

    /// For all crates; a profile cannot say these.
    fn flags(self) -> Result<Option<String>, Error> {
        if self.profile().is_empty() {
            return Ok(None);
        }
        // With a frame pointer, a function's way out is described in fewer bytes: 2.5 % of the library. The
        // systems of phones ask for it on their processors anyway.
        let mut flags = vec!["-Cforce-frame-pointers=yes".to_owned()];
        for sources in registries()? {
            // Panics name their file: without who built it, and in the same number of bytes everywhere.
            flags.push(format!("--remap-path-prefix={sources}/="));
        }
        Ok(Some(flags.join("\u{1f}")))
    }

    /// Each kind is copied to a place of its own, since cargo puts all of them into one.
    fn folder(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Test => "test",
            Self::Shipped => "shipped",
            Self::ShippedWithoutOpus => "shipped-without-opus",
            Self::Thin => "thin",
            Self::ThinWithoutOpus => "thin-without-opus",
            Self::Measured => "measured",
        }
    }
}

/// The folders that cargo keeps the sources of crates in.
fn registries() -> Result<Vec<Utf8PathBuf>, Error> {
    let home = std::env::var("CARGO_HOME").map(Utf8PathBuf::from).ok();
    let home = home.or_else(|| Some(Utf8PathBuf::from(std::env::var("HOME").ok()?).join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else { return Ok(Vec::new()) };
    let entries = match sources.read_dir_utf8() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io(&sources))?,
    };
    entries.map(|entry| Ok(entry.map_err(io(&sources))?.into_path())).collect()
}

/// Builds a library; where it is.
pub fn build(kind: Kind) -> Result<Utf8PathBuf, Error> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(&cargo);
    command
        .args(["rustc", "--quiet", "--package", "metered-realtime", "--lib"])
        .args(["--crate-type", "cdylib", "--message-format", "json-render-diagnostics"])
        .args(kind.features())
        .args(kind.profile())
        .current_dir(root())
        .stderr(Stdio::inherit());
    if let Some(flags) = kind.flags()? {
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    if let Some(linker) = kind.linker() {
        command.args(["--", "-C", &format!("linker={}", root().join(linker))]);
    }
    let output = command.output().map_err(io(&cargo))?;
    if !output.status.success() {
        return Err(Error::Command { command: "cargo rustc".to_owned() });
    }
    let built = library_of(&String::from_utf8_lossy(&output.stdout)).ok_or(Error::NoLibrary)?;
    let folder = target_of(&built).join("ffi").join(kind.folder());
    let copy = folder.join(built.file_name().unwrap_or_default());
    std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    std::fs::copy(&built, &copy).map_err(io(&copy))?;
    Ok(copy)
}

/// The target folder: the library is in a folder of its profile there.
fn target_of(built: &Utf8Path) -> &Utf8Path {
    built.ancestors().nth(2).unwrap_or(built)
}

/// The dynamic library among cargo's messages.
fn library_of(messages: &str) -> Option<Utf8PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "metered_realtime")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(Utf8PathBuf::from))
        .find(|name| matches!(name.extension(), Some("so" | "dylib" | "dll")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_found_among_what_was_built() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"other"},"filenames":["/t/debug/libother.so"]}
{"reason":"compiler-artifact","target":{"name":"metered_realtime"},"filenames":["/t/debug/libmetered_realtime.rlib","/t/debug/libmetered_realtime.so"]}
{"reason":"build-finished","success":true}"#;
        let found = library_of(messages).unwrap();
        assert_eq!(found, "/t/debug/libmetered_realtime.so");
        assert_eq!(target_of(&found), "/t");
    }
}
