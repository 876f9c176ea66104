//! What is done to the repository by a command.
//!
//! ```text
//!   cargo xtask bindings         bindings/*/generated, from the library as apps get it
//!   cargo xtask test-library     library and bindings for the tests of the bindings, below target/
//!   cargo xtask bench-library    the same, optimised, for bench/ffi
//!   cargo xtask size             the library as it ships, its size and what takes it
//!   cargo xtask size --thin      the same with thin LTO, as `tools/test size` checks it
//!   … --without-opus             either without the codec
//! ```

pub mod api;
pub mod bindings;
pub mod kotlin;
pub mod library;
pub mod parity;
pub mod size;
pub mod swift;

use camino::{Utf8Path, Utf8PathBuf};

/// The repository's root.
pub fn root() -> Utf8PathBuf {
    // Cargo says it to what it runs. What was built may come from a checkout that is gone: they share a cache.
    let here = std::env::var("CARGO_MANIFEST_DIR");
    let here = here.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let here = Utf8Path::new(&here);
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or a command.
    #[error("{what}: {error}")]
    Io {
        /// Which.
        what: String,
        /// Its failure.
        error: std::io::Error,
    },
    /// A command ended with a failure; it has said why.
    #[error("{command} failed")]
    Command {
        /// Which.
        command: String,
    },
    /// Cargo built no library.
    #[error("cargo named no library among what it built")]
    NoLibrary,
    /// The generator.
    #[error("the bindings could not be generated: {0}")]
    Generator(String),
    /// A source file that is not as it is expected to be.
    #[error("{0}")]
    Source(String),
    /// The library is too large.
    #[error("the library has {bytes} bytes, and {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The library is larger than the committed figure says.
    #[error(
        "the library has {bytes} bytes; {committed} are committed, and 5 % more are allowed. What took them \
             is above; if it is worth it, write the new figure into crates/xtask/src/size.rs"
    )]
    Grown {
        /// Its size.
        bytes: u64,
        /// What it was.
        committed: u64,
    },
}

pub(crate) fn io(what: impl ToString) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::Io { what: what.to_string(), error }
}
