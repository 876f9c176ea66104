//! `metered serve`: the service on this machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use metered_dev_server::{Config, DevServer, TurnConfig};
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::output::{self, BOLD, DIM, Failure, NOTE};
use crate::terminated::terminated;

/// Plays the service on this machine: signalling, presence, REST, limits, and faults on demand.
///
/// For development only: its keys are known to everybody. Every official SDK and this one can connect to it.
/// A browser finds a page at http://127.0.0.1:8787 that joins a room: with the JavaScript SDK, from
/// npm install @metered-ca/realtime in the working directory.
/// Faults are injected over HTTP, for example:
///
///   curl -X POST http://127.0.0.1:8787/_dev/drop
///   curl -X POST http://127.0.0.1:8787/_dev/close -d '{"code":4001,"peerId":"alice"}'
///   curl http://127.0.0.1:8787/_dev/state
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A TOML file; `--print-config` shows one with every default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Port to listen on, 8787 unless the file names one; 0 for any that is free.
    #[arg(long)]
    port: Option<u16>,
    /// Address to listen on. Others than this machine's need TLS files or --insecure-lan.
    #[arg(long)]
    host: Option<IpAddr>,
    /// Allow a --host of the network without TLS. This SDK does not connect so: it needs wss:// to other machines.
    #[arg(long)]
    insecure_lan: bool,
    /// PEM file of a certificate chain, for wss.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Write everything seen as JSON lines to a file, or to standard error with "-".
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A TURN or STUN URL for welcomes; may be repeated.
    #[arg(long, value_name = "URL")]
    turn_url: Vec<String>,
    /// The secret shared with coturn (use-auth-secret), for time-limited TURN passwords.
    #[arg(long, value_name = "SECRET", env = "METERED_TURN_SECRET", hide_env_values = true)]
    turn_secret: Option<String>,
    /// Where npm installed @metered-ca/realtime, for the page at /; by default the working directory.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
    /// Print one line of JSON when ready, instead of words.
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Keep what is seen for GET /_dev/log.
    #[arg(long)]
    record: bool,
    /// Print a commented configuration file and exit.
    #[arg(long)]
    print_config: bool,
}

/// The port when neither an option nor the file gives one.
const DEFAULT_PORT: u16 = 8787;

impl Args {
    fn configuration(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let message = format!("{}: {error}", path.display());
                    Failure::new("unreadable_file", message, "", "Check the path.")
                })?;
                Config::from_toml(&text).map_err(|error| {
                    let fix = "`metered serve --print-config` shows every name and default.";
                    Failure::new(error.code(), error, "", fix)
                })?
            }
        };
        config.port = self.port.or(config.port).or(Some(DEFAULT_PORT));
        config.host = self.host.unwrap_or(config.host);
        config.insecure_lan |= self.insecure_lan;
        config.tls_cert = self.tls_cert.clone().or(config.tls_cert);
        config.tls_key = self.tls_key.clone().or(config.tls_key);
        config.log = self.log.clone().or(config.log);
        config.sdk = self.sdk.clone().or(config.sdk);
        if !self.turn_url.is_empty() {
            let mut turn = config.turn.unwrap_or_default();
            turn.urls.clone_from(&self.turn_url);
            config.turn = Some(turn);
        }
        if let Some(secret) = &self.turn_secret {
            let turn = config.turn.get_or_insert_with(TurnConfig::default);
            turn.shared_secret = Some(secret.clone());
        }
        Ok(config)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    if args.print_config {
        return output::raw(Config::default_toml().as_bytes());
    }
    let config = args.configuration()?;
    let key = config.keys.first().map(|key| key.id.clone());
    let secret = config.secrets.first().map(|key| (key.id.clone(), key.secret.clone()));
    let mut builder = DevServer::builder().config(config);
    if args.record {
        builder = builder.record();
    }
    // Whoever reads that it is there may stop it.
    let stop = terminated();
    let server = builder.start().await?;
    let (url, http_url) = (server.url(), server.http_url());
    if args.json {
        output::say_json(&json!({
            "url": url,
            "httpUrl": http_url,
            "apiKey": key,
            "secretId": secret.as_ref().map(|(id, _)| id),
            "secret": secret.as_ref().map(|(_, secret)| secret),
        }))?;
    } else {
        let key = key.unwrap_or_default();
        output::say(format_args!("{NOTE}{}{NOTE:#}", server.banner()))?;
        output::say("")?;
        output::say(format_args!("  url    {BOLD}{url}{BOLD:#}"))?;
        output::say(format_args!("  page   {BOLD}{http_url}{BOLD:#}  (a room in a browser)"))?;
        output::say(format_args!("  key    {BOLD}{key}{BOLD:#}"))?;
        if let Some((id, _)) = &secret {
            output::say(format_args!("  tokens {BOLD}metered mint alice{BOLD:#}  (kid {id})"))?;
        }
        output::say("")?;
        output::say(format_args!(
            "{DIM}Another terminal:{DIM:#} metered join lobby --url {url} --key {key}"
        ))?;
        output::say(format_args!(
            "{DIM}JavaScript SDK:{DIM:#}   new MeteredPeer({{ url: \"{url}\", apiKey: \"{key}\" }})"
        ))?;
        output::say(format_args!(
            "{DIM}Make it fail:{DIM:#}     curl -X POST {http_url}/_dev/drop"
        ))?;
        output::say(format_args!("{DIM}Ctrl-C stops it.{DIM:#}"))?;
    }
    let with_stdin = args.exit_with_stdin;
    tokio::select! {
        () = stop => {}
        () = stdin_ends(), if with_stdin => {}
    }
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn stdin_ends() {
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 1024];
    while matches!(stdin.read(&mut buffer).await, Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        serve: Args,
    }

    #[test]
    fn the_port_is_8787_unless_an_option_or_the_file_names_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        let port = |text: Option<&str>, option: &[&str]| {
            let mut args = vec!["serve"];
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
                args.extend(["--config", file.to_str().unwrap()]);
            }
            args.extend(option);
            Command::parse_from(args).serve.configuration().unwrap().port.unwrap()
        };
        let without = "[limits]\nsubscriptions = 3";
        assert_eq!(port(None, &[]), 8787);
        assert_eq!(port(Some(without), &[]), 8787);
        assert_eq!(port(Some(Config::default_toml()), &[]), 8787);
        let uncommented = Config::default_toml().replace("# port", "port");
        assert_eq!(port(Some(&uncommented), &[]), DEFAULT_PORT);
        assert_eq!(port(Some("port = 0"), &[]), 0);
        assert_eq!(port(Some("port = 1234"), &[]), 1234);
        assert_eq!(port(Some("port = 1234"), &["--port", "4321"]), 4321);
        assert_eq!(port(Some(without), &["--port", "0"]), 0);
    }
}
