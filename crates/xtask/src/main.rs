//! The front end of `cargo xtask`.
#![allow(clippy::print_stdout)] // results go to standard output
#![allow(clippy::print_stderr)] // and failures to standard error

use std::process::ExitCode;

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
    /// Builds the library as it ships and prints its size and what takes it
    Size,
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
            let built = library::build(library::Kind::Test)?;
            // METERED_BINDINGS of the tests is what is printed here.
            let into = built.with_file_name("bindings");
            bindings::generate(&built, &into)?;
            bindings::install(&built, &into)?;
            println!("{into}");
        }
        Command::Size => {
            let measured = size::measure()?;
            print!("{}", measured.report);
            measured.check()?;
        }
    }
    Ok(())
}
