//! The front end of `cargo xtask`.
#![allow(clippy::print_stdout)] // results go to standard output
#![allow(clippy::print_stderr)] // and failures to standard error

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Parser, Subcommand};
use metered_xtask::{Error, bindings, library, root, size};

#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generates bindings/*/generated from the library as apps get it
    Bindings,
    /// Builds the library with the functions that fail on purpose, and its bindings, below target/
    TestLibrary,
    /// Builds a library as fast as what ships for bench/ffi, and its bindings, below target/
    BenchLibrary,
    /// Builds the library as it ships and prints its size and what takes it; fails if it has grown
    Size {
        /// With thin LTO: larger, and built in a fraction of the time
        #[arg(long)]
        thin: bool,
        /// Without the codec, for apps that use the platform's
        #[arg(long)]
        without_opus: bool,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Bindings => {
            let built = library::build(library::Kind::App)?;
            let into = root().join("bindings");
            bindings::generate(&built, &into)?;
            println!("{into}");
        }
        Command::TestLibrary => {
            // METERED_BINDINGS of the tests is what is printed here.
            println!("{}", with_bindings(library::Kind::Test)?);
        }
        Command::BenchLibrary => println!("{}", with_bindings(library::Kind::Measured)?),
        Command::Size { thin, without_opus } => {
            let measured = size::measure(match (thin, without_opus) {
                (false, false) => size::SHIPPED,
                (false, true) => size::SHIPPED_WITHOUT_OPUS,
                (true, false) => size::THIN,
                (true, true) => size::THIN_WITHOUT_OPUS,
            })?;
            print!("{}", measured.report);
            measured.check()?;
        }
    }
    Ok(())
}

/// A library and bindings of its own beside it; where they are.
fn with_bindings(kind: library::Kind) -> Result<Utf8PathBuf, Error> {
    let built = library::build(kind)?;
    let into = built.with_file_name("bindings");
    bindings::generate(&built, &into)?;
    bindings::install(&built, &into)?;
    Ok(into)
}
