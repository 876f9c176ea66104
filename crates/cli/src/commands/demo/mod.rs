//! `metered demo`: a conversation through drops and refusals, on a server of its own.
//!
//! Every line that it prints was checked; a step that does not hold makes the exit code non-zero.

mod call;
mod peers;
mod steps;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use metered_dev_server::DevServer;

use crate::output::{self, BAD, BOLD, DIM, Failure, GOOD};

/// Shows the SDK at work, from a first message to a lost connection, an expired token, a full quota, a path
/// between two peers that dies, and a call with picture and sound.
///
/// Starts a local server, clients and peers, lets things go wrong one after the other, and says what the SDK
/// did about each. Takes less than half a minute, needs no network, and ends with exit code 0 only if every
/// step held.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {}

/// What a step has to say when it held.
type Told = Result<String, String>;

/// Counts steps and prints them.
pub(crate) struct Story {
    held: u32,
    failed: u32,
}

impl Story {
    fn chapter(&self, title: &str) -> Result<(), Failure> {
        output::say(format_args!("\n{BOLD}{title}{BOLD:#}"))
    }

    fn tell(&mut self, what: &str, told: Told) -> Result<(), Failure> {
        match told {
            Ok(text) => {
                self.held += 1;
                output::say(format_args!("  {GOOD}✓{GOOD:#} {what}"))?;
                output::say(format_args!("    {DIM}{text}{DIM:#}"))
            }
            Err(text) => {
                self.failed += 1;
                output::say(format_args!("  {BAD}✗ {what}{BAD:#}"))?;
                output::say(format_args!("    {BAD}{text}{BAD:#}"))
            }
        }
    }
}

/// No step may take longer, on whatever machine.
const STEP_LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn run(_: Args) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let server = DevServer::builder().record().start().await?;
    output::say(format_args!("{DIM}{}{DIM:#}", server.banner()))?;
    let mut story = Story { held: 0, failed: 0 };
    steps::refusals(&server, &mut story).await?;
    steps::conversation(&server, &mut story).await?;
    steps::tokens(&server, &mut story).await?;
    steps::limits(&server, &mut story).await?;
    peers::peers(&server, &mut story).await?;
    call::call(&server, &mut story).await?;
    let left = server.connections();
    story.chapter("The end")?;
    let told = match left {
        0 => Ok("No connection is left on the server.".to_owned()),
        n => Err(format!("{n} connections are left on the server.")),
    };
    story.tell("close() leaves nothing behind", told)?;
    server.shutdown().await;
    let Story { held, failed } = story;
    let seconds = began.elapsed().as_secs_f64();
    output::say("")?;
    if failed == 0 {
        output::say(format_args!("{GOOD}All {held} steps held{GOOD:#}, in {seconds:.1} s."))?;
        Ok(ExitCode::SUCCESS)
    } else {
        output::say(format_args!(
            "{BAD}{failed} of {} steps failed{BAD:#}, in {seconds:.1} s.",
            held + failed
        ))?;
        Ok(ExitCode::FAILURE)
    }
}

/// Runs a step within the limit.
async fn within<T>(step: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(STEP_LIMIT, step)
        .await
        .unwrap_or_else(|_| Err(format!("nothing happened within {} s", STEP_LIMIT.as_secs())))
}
