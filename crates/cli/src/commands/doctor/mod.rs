//! `metered doctor`: every step of a connection, one after the other, and what is wrong with it.
//!
//! [`report`] is what was found and how it is shown; each other file is a part of the way: [`credential`],
//! [`service`] (from the name to the welcome), [`room`], [`servers`] (STUN and TURN), [`loopback`] (two peers of
//! ours), [`others`] (who else is there). All of it is done by the SDK itself; nothing is spoken here.

mod credential;
mod loopback;
mod others;
mod report;
mod room;
mod servers;
mod service;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use metered_realtime::platform::tls::TlsOptions;
use metered_realtime::signalling::{SignallingClient, SignallingOptions};

use self::credential::Verdict;
use self::report::{Report, Told, id};
use self::servers::Relays;
use crate::connection::PeerConnection;
use crate::output::Failure;
use crate::terminated::{INTERRUPTED, stoppable};

/// Of our data channels, so that an app can tell them.
const LABEL: &str = "metered-doctor";

/// What the command ends with when a check failed.
const SOMETHING_FAILED: u8 = 3;

/// Finds out why a connection or a call does not work: checks every step in the order in which a connection is
/// made, and names cause and fix of what fails.
///
/// Give it the url, the credential and the room of the app. It joins the room, publishes one message there
/// ({"meteredDoctor":…}), sends one to itself, asks every STUN and TURN server for an address, connects two peers
/// of its own directly and by a relay, and opens a data channel "metered-doctor" to who else is in the room, 16 peers
/// at most; the others are named. Without a room it uses one of its own. Run it on both devices at once, with the
/// same room: each says how it reaches the other.
///
/// With a token it is the same peer as the app that has this token; close the app, or mint another.
/// Credentials are never in its output. The exit code is 0 if nothing failed, 3 if something did.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The room of the app.
    #[arg(long)]
    room: Option<String>,
    #[command(flatten)]
    connection: PeerConnection,
    /// Longest time for one check.
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    timeout: Duration,
    /// How long to watch who else is in the room.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    stay: Duration,
    /// Print one JSON document at the end instead of lines.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  metered doctor --key pk_live_… --room lobby
  metered doctor --token-command ./mint-a-token --room lobby --json
  metered doctor --url ws://127.0.0.1:8787 --key pk_live_dev";

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no number of seconds above 0");
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero()).ok_or_else(wrong)
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let mut report = Report::new(args.json);
    if stoppable(examine(&args, &mut report)).await?.is_none() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    report.finish()?;
    Ok(match report.has_failed() {
        true => ExitCode::from(SOMETHING_FAILED),
        false => ExitCode::SUCCESS,
    })
}

async fn examine(args: &Args, report: &mut Report) -> Result<(), Failure> {
    let limit = args.timeout;
    let prepared = prepare(args, report).await?;
    let (welcome, because) = match &prepared {
        Ok(ready) => (service::connect(report, ready, limit).await?, id::WELCOME),
        Err(because) => {
            for id in [id::NAME, id::REACH, id::PROXY, id::TLS, id::UPGRADE, id::WELCOME, id::CLOCK]
            {
                report.skip(id, because)?;
            }
            (None, *because)
        }
    };
    let (Ok(ready), Some(welcome)) = (&prepared, welcome) else {
        let needs = [
            id::ROUND_TRIP,
            id::ROOM,
            id::PUBLISH,
            id::SEND,
            id::ICE_SERVERS,
            id::ICE_SERVER,
            id::UDP,
        ];
        for id in needs {
            report.skip(id, because)?;
        }
        let relays = Relays::none(because);
        loopback::check(report, &args.connection, &TlsOptions::default(), &relays, limit).await?;
        return report.skip(id::PEERS, because);
    };
    service::round_trip(report, &ready.client).await?;
    room::check(report, &ready.client, args.room.as_deref(), limit).await?;
    // Its place may be needed: a plan has so many.
    ready.client.close().await;
    let options = args.connection.with(ready.options.clone());
    let relays = servers::check(report, &options, &welcome, limit).await?;
    loopback::check(report, &args.connection, &ready.options.tls, &relays, limit).await?;
    match &args.room {
        Some(room) => others::check(report, options, room, args.stay, limit).await,
        None => report.needless(id::PEERS, "no --room was given"),
    }
}

/// What is needed to connect.
struct Ready {
    options: SignallingOptions,
    client: SignallingClient,
    /// The token has ended by this device's clock; the service shall say so too.
    expired: bool,
}

/// Looks at what was given; or which check forbids to go on.
async fn prepare(args: &Args, report: &mut Report) -> Result<Result<Ready, &'static str>, Failure> {
    let service = args.connection.service();
    if let Some(room) = &args.room {
        report.room(room);
    }
    let mut options = match service.credential() {
        Ok(options) => options,
        Err(failure) => {
            report.fail(id::CREDENTIAL, Told::default(), failure.into())?;
            report.skip(id::OPTIONS, id::CREDENTIAL)?;
            return Ok(Err(id::CREDENTIAL));
        }
    };
    let verdict =
        credential::check(report, service.given(), &options.credential, args.timeout).await?;
    options.preflight = verdict != Verdict::Expired;
    // A doctor says what is so; it does not wait for better times.
    options.reconnect = None;
    let client = match service.way(&mut options).and_then(|()| args.connection.check_addresses()) {
        Ok(()) => SignallingClient::new(options.clone()).map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match client {
        Err(failure) => {
            report.fail(id::OPTIONS, Told::default(), failure.into())?;
            Ok(Err(id::OPTIONS))
        }
        Ok(client) => {
            report.at(&options.url);
            report.ok(id::OPTIONS, Told::default(), &options.url)?;
            let expired = verdict == Verdict::Expired;
            Ok(match verdict {
                Verdict::Bad => Err(id::CREDENTIAL),
                _ => Ok(Ready { options, client, expired }),
            })
        }
    }
}
