//! `metered mint`: a token from key, secret and claims.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args as ClapArgs;
use metered_dev_server::{DEV_SECRET, DEV_SECRET_ID, TokenClaims};
use metered_realtime::credential::preflight;
use serde_json::Value;

use crate::output::{self, Failure, NOTE};

/// Prints a token (JWT, HS256) for a peer.
///
/// Without key and secret it is for the local development server. It prints what you ask for, also a token
/// that the service would refuse, and warns of it on standard error.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The peer's id, which becomes `sub`.
    peer_id: String,
    /// The public half of the secret key, which becomes `kid`.
    #[arg(long, value_name = "SK_ID", env = "METERED_SECRET_ID", default_value = DEV_SECRET_ID)]
    key_id: String,
    /// The secret half. Prefer the environment: others on this machine can see a command line.
    #[arg(long, value_name = "SK_SECRET", env = "METERED_SECRET", hide_env_values = true,
          default_value = DEV_SECRET, hide_default_value = true)]
    secret: String,
    /// Life in seconds; may be negative, for a token that has ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, allow_negative_numbers = true)]
    expires_in: i64,
    /// A channel, or a pattern of channels (* stops at a slash, ** does not); may be repeated. All by default.
    #[arg(long = "channel", value_name = "PATTERN")]
    channels: Vec<String>,
    /// An action: subscribe, publish, presence, send; may be repeated. All by default.
    #[arg(long = "permission", value_name = "ACTION")]
    permissions: Vec<String>,
    /// A JSON object for the peer alone.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// A JSON object for the others to see.
    #[arg(long, value_name = "JSON")]
    peer_metadata: Option<String>,
    /// Print nothing but the token, and fail if the service would refuse it.
    #[arg(long)]
    strict: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    #[allow(clippy::cast_precision_loss)] // lives of millions of years
    let end = (now + args.expires_in as f64).floor();
    let mut claims = TokenClaims::new(&args.peer_id);
    #[allow(clippy::cast_possible_truncation)] // far below 2^63
    {
        claims.exp = Some((end as i64).into());
    }
    claims.channels = (!args.channels.is_empty()).then(|| args.channels.clone());
    claims.permissions = (!args.permissions.is_empty()).then(|| args.permissions.clone());
    claims.metadata = object("--metadata", args.metadata.as_deref())?;
    claims.peer_metadata = object("--peer-metadata", args.peer_metadata.as_deref())?;
    let token = claims.mint(&args.key_id, &args.secret)?;
    if let Err(error) = preflight::check(&token, now) {
        let diagnosis = error.diagnosis();
        let failure = Failure::new(error.code(), &error, diagnosis.cause, diagnosis.fix);
        if args.strict {
            return Err(failure);
        }
        output::note(NOTE, "warning: the service would refuse this token")?;
        // Its words; the exit code stays 0, as the token is what was asked for.
        let _code = output::fail(&failure);
    }
    output::say(token)?;
    Ok(ExitCode::SUCCESS)
}

fn object(option: &str, text: Option<&str>) -> Result<Option<Value>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        _ => Err(Failure::new(
            "not_an_object",
            format!("{option} is not a JSON object"),
            "",
            "Quote it for the shell: '{\"name\":\"Alice\"}'.",
        )),
    }
}
