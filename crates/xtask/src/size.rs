//! The size of the library as it ships, and which crates take it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;

use camino::Utf8Path;

use crate::library::{self, Kind};
use crate::{Error, io};

/// Bytes of the stripped library for x86-64 that may ship, with Opus.
const LIMIT: u64 = 7 * 1024 * 1024;
/// The same without it.
const LIMIT_WITHOUT_OPUS: u64 = 6 * 1024 * 1024;
/// It may grow by so many percent before somebody must say that it is worth it.
const GROWTH_PERCENT: u64 = 5;

/// One way to build it.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    kind: Kind,
    /// Bytes that it had when the figure was last committed, if that was done.
    committed: Option<u64>,
    /// Bytes that it may have at all, if it ships.
    limit: Option<u64>,
}

/// What ships: fat LTO.
pub const SHIPPED: Build =
    Build { kind: Kind::Shipped, committed: Some(6_511_400), limit: Some(LIMIT) };
/// The same without the codec.
pub const SHIPPED_WITHOUT_OPUS: Build = Build {
    kind: Kind::ShippedWithoutOpus,
    committed: Some(5_950_600),
    limit: Some(LIMIT_WITHOUT_OPUS),
};
/// Thin LTO, which CI has the time for.
pub const THIN: Build = Build { kind: Kind::Thin, committed: Some(7_407_744), limit: None };
/// The same without the codec.
pub const THIN_WITHOUT_OPUS: Build =
    Build { kind: Kind::ThinWithoutOpus, committed: Some(6_796_504), limit: None };
/// Not optimised, as a test of the default run builds it anyway.
pub const PLAIN: Build = Build { kind: Kind::App, committed: Some(23_877_520), limit: None };

/// Crates that the report names.
const SHOWN: usize = 20;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// Bytes of the stripped library.
    pub bytes: u64,
    /// For people: the size and what takes it.
    pub report: String,
    build: Build,
}

impl Measured {
    /// An error if it is too large, or has grown.
    pub fn check(&self) -> Result<(), Error> {
        let Self { bytes, build: Build { committed, limit, .. }, .. } = *self;
        if let Some(limit) = limit.filter(|limit| bytes > *limit) {
            return Err(Error::TooLarge { bytes, limit });
        }
        match committed {
            Some(committed) if bytes * 100 > committed * (100 + GROWTH_PERCENT) => {
                Err(Error::Grown { bytes, committed })
            }
            _ => Ok(()),
        }
    }
}

/// Builds, strips and measures.
pub fn measure(build: Build) -> Result<Measured, Error> {
    let built = library::build(build.kind)?;
    let stripped = built.with_extension("stripped.so");
    run(Command::new("strip").arg("--strip-all").arg("-o").arg(&stripped).arg(&built))?;
    let bytes = std::fs::metadata(&stripped).map_err(io(&stripped))?.len();
    let mut report = format!("library {bytes} bytes stripped ({:.2} MiB)\n", mib(bytes));
    for (name, bytes) in by_crate(&built)?.into_iter().take(SHOWN) {
        // Writing to a string cannot fail.
        let _ = writeln!(report, "{:>9.1} KiB  {name}", mib(bytes) * 1024.0);
    }
    Ok(Measured { bytes, report, build })
}

#[allow(clippy::cast_precision_loss)] // far below what a double holds exactly
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn run(command: &mut Command) -> Result<String, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(io(&name))?;
    if !output.status.success() {
        return Err(Error::Command { command: name });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Bytes of code per crate, the largest first. A generic function counts for the crate that wrote it.
fn by_crate(library: &Utf8Path) -> Result<Vec<(String, u64)>, Error> {
    let symbols = run(Command::new("nm").args(["--print-size", "--defined-only"]).arg(library))?;
    let mut sums = BTreeMap::<String, u64>::new();
    let mut places = BTreeSet::new();
    for (place, name, bytes) in symbols.lines().filter_map(symbol) {
        // The linker makes functions with the same code one, which has all their names.
        if places.insert(place) {
            *sums.entry(name).or_default() += bytes;
        }
    }
    let mut sorted: Vec<_> = sums.into_iter().collect();
    sorted.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(sorted)
}

/// Address, crate and size of a line of `nm`; only code counts.
fn symbol(line: &str) -> Option<(&str, String, u64)> {
    let mut fields = line.split_whitespace();
    let (place, size, kind, name) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let bytes = u64::from_str_radix(size, 16).ok()?;
    matches!(kind, "t" | "T")
        .then(|| (place, crate_of(name).unwrap_or("(C and assembler)").to_owned(), bytes))
}

/// The crate in a mangled name, of either mangling.
fn crate_of(mangled: &str) -> Option<&str> {
    match mangled.strip_prefix("_ZN") {
        Some(rest) => legacy_crate(identifier(rest)?),
        None => mangled.strip_prefix("_R")?.split("Cs").skip(1).find_map(|root| {
            // A crate's root: `Cs`, its hash in base 62, `_`, its name.
            let (hash, name) = root.split_once('_')?;
            hash.chars().all(|c| c.is_ascii_alphanumeric()).then(|| identifier(name))?
        }),
    }
}

/// A name behind its length.
fn identifier(text: &str) -> Option<&str> {
    let length = text.find(|c: char| !c.is_ascii_digit())?;
    let count: usize = text[..length].parse().ok()?;
    text.get(length..length + count)
}

/// The first word in `tokio` or `_$LT$alloc..vec..Vec…`.
fn legacy_crate(name: &str) -> Option<&str> {
    let inner = name.trim_start_matches("_$LT$").trim_start_matches("impl$u20$");
    let inner = inner.trim_start_matches("$RF$").trim_start_matches("mut$u20$");
    inner.split(['.', '$']).find(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_grown_is_refused() {
        let check = |bytes, committed, limit| {
            let build = Build { kind: Kind::Thin, committed, limit };
            Measured { bytes, report: String::new(), build }.check()
        };
        assert!(check(105, Some(100), None).is_ok());
        assert!(matches!(check(106, Some(100), None), Err(Error::Grown { bytes: 106, .. })));
        assert!(matches!(check(106, Some(106), Some(105)), Err(Error::TooLarge { .. })));
        assert!(check(105, None, Some(105)).is_ok());
    }

    #[test]
    fn a_symbol_counts_for_its_crate() {
        let line = |name: &str| {
            let line = format!("0000000000001000 0000000000000010 t {name}");
            symbol(&line).map(|(_, name, bytes)| (name, bytes))
        };
        assert_eq!(line("_ZN5tokio7runtime4task3runE"), Some(("tokio".into(), 16)));
        let of_trait = "_ZN74_$LT$rtc..peer..Connection$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE";
        assert_eq!(line(of_trait).unwrap().0, "rtc");
        let generic = "_RINvNtCs8nXp1F3Y2gB_4core3ptr13drop_in_placeNtCsa_5tokioE";
        assert_eq!(line(generic).unwrap().0, "core");
        assert_eq!(line("ring_core_p256_mul").unwrap().0, "(C and assembler)");
        assert_eq!(symbol("0000000000001000 0000000000000010 d _ZN5tokio1xE"), None);
    }
}
