//! The `metered` command.

mod commands;
mod connection;
mod folder;
mod media;
mod names;
mod output;
mod terminated;
mod token_command;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use crate::output::Failure;

/// Metered Realtime Messaging on your machine: a local service, a terminal client, calls, a scriptable client,
/// files from device to device, tokens, a doctor for what does not connect, and a demonstration of what happens
/// when things go wrong.
#[derive(Debug, Parser)]
#[command(name = "metered", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// Trace to standard error; credentials are never in it.
    #[arg(long, global = true, value_name = "LEVEL", env = "METERED_LOG", default_value = "error",
          value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    log_level: String,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Try it:
  metered demo                         everything at once, on a local server
  metered serve                        a local service at ws://127.0.0.1:8787
  metered join lobby --url ws://127.0.0.1:8787 --key pk_live_dev
  metered call lobby --video test-pattern --audio tone --url ws://127.0.0.1:8787 --key pk_live_dev
  metered receive --room lobby --url ws://127.0.0.1:8787 --key pk_live_dev
  metered send FILE --room lobby --url ws://127.0.0.1:8787 --key pk_live_dev
  metered doctor --room lobby --url ws://127.0.0.1:8787 --key pk_live_dev
  metered mint alice                   a token for the local service";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(commands::serve::Args),
    Demo(commands::demo::Args),
    Join(commands::join::Args),
    Call(commands::call::Args),
    Send(commands::files::send::Args),
    Receive(commands::files::receive::Args),
    Doctor(commands::doctor::Args),
    Rpc(commands::rpc::Args),
    Mint(commands::mint::Args),
    /// Prints a completion script for your shell.
    ///
    /// For bash: metered completions bash > ~/.local/share/bash-completion/completions/metered
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Prints the manual page, in roff: metered man > metered.1
    Man,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    output::trace(&cli.log_level);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            let fix = "Close other programs; the system refuses threads.";
            return output::fail(&Failure::new("no_runtime", error.to_string(), "", fix));
        }
    };
    let done = runtime.block_on(run(cli.command));
    // A read of standard input cannot be ended; everything else has been.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match done {
        Ok(code) => code,
        Err(failure) => output::fail(&failure),
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => commands::serve::run(args).await,
        Command::Demo(args) => commands::demo::run(args).await,
        Command::Join(args) => commands::join::run(args).await,
        Command::Call(args) => commands::call::run(args).await,
        Command::Send(args) => commands::files::send::run(args).await,
        Command::Receive(args) => commands::files::receive::run(args).await,
        Command::Doctor(args) => commands::doctor::run(args).await,
        Command::Rpc(args) => commands::rpc::run(args).await,
        Command::Mint(args) => commands::mint::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "metered", &mut script);
            output::raw(&script)
        }
        Command::Man => {
            let mut page = Vec::new();
            let man = clap_mangen::Man::new(Cli::command());
            man.render(&mut page).map_err(output::unwritable)?;
            for sub in Cli::command().get_subcommands() {
                let name = format!("metered-{}", sub.get_name());
                let sub = sub.clone().name(name);
                clap_mangen::Man::new(sub).render(&mut page).map_err(output::unwritable)?;
            }
            output::raw(&page)
        }
    }
}
