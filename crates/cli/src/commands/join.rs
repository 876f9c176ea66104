//! `metered join`: a chat in the terminal.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use metered_realtime::signalling::{Event, SignallingClient, SubscribeOptions};
use metered_realtime::wire::{Json, PresencePeer};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::commands::rpc::events::source_event;
use crate::connection::Connection;
use crate::output::{self, BAD, BOLD, DIM, Failure, GOOD, NOTE, printable};
use crate::terminated::terminated;

/// Joins a channel and talks on it: what you type is published, what others say is shown.
///
/// /msg PEER TEXT writes to one peer, /who lists who is there, /reconnect hurries, /quit leaves.
/// A line that is JSON is sent as JSON, anything else as a string.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// The channel.
    channel: String,
    #[command(flatten)]
    connection: Connection,
    /// Print events as JSON lines instead of words.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let client = SignallingClient::new(args.connection.options()?)?;
    let mut chat = Chat {
        events: client.events(),
        client,
        channel: args.channel,
        json: args.json,
        roster: BTreeMap::new(),
        leaving: false,
    };
    let done = chat.run().await;
    chat.leaving = true;
    chat.client.close().await;
    chat.show_waiting()?;
    done.map(|()| ExitCode::SUCCESS)
}

struct Chat {
    client: SignallingClient,
    events: metered_realtime::signalling::Events,
    channel: String,
    json: bool,
    roster: BTreeMap<String, Option<Json>>,
    /// The connection is ended by us.
    leaving: bool,
}

impl Chat {
    async fn run(&mut self) -> Result<(), Failure> {
        let mut stop = std::pin::pin!(terminated());
        tokio::select! {
            entered = self.enter() => entered?,
            () = &mut stop => return Ok(()),
        }
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        loop {
            tokio::select! {
                biased;
                event = self.events.next() => match event {
                    Some(event) => if self.show(&event)? { return Ok(()) },
                    None => return Ok(()),
                },
                () = &mut stop => return Ok(()),
                line = lines.next_line() => match line {
                    // An answer may be long in coming; to leave must not wait for it.
                    Ok(Some(line)) => tokio::select! {
                        biased;
                        () = &mut stop => return Ok(()),
                        left = self.obey(line.trim()) => if left? { return Ok(()) },
                    },
                    _ => return Ok(()),
                },
            }
        }
    }

    async fn enter(&self) -> Result<(), Failure> {
        self.client.connect().await?;
        let options = SubscribeOptions { include_sender_metadata: true };
        self.client.subscribe_with(&self.channel, options).await?;
        Ok(())
    }

    fn show_waiting(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.events.try_next() {
            self.show(&event)?;
        }
        Ok(())
    }

    /// Does what was typed; answers whether that was to leave.
    async fn obey(&mut self, line: &str) -> Result<bool, Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let sent = match word {
            "" => return Ok(false),
            "/quit" => return Ok(true),
            "/who" => {
                self.who()?;
                return Ok(false);
            }
            "/reconnect" => {
                self.client.reconnect_now();
                return Ok(false);
            }
            "/msg" => match rest.trim().split_once(' ') {
                Some((peer, text)) => self.client.send(peer, &typed(text)).await,
                None => {
                    output::note(NOTE, "usage: /msg PEER TEXT")?;
                    return Ok(false);
                }
            },
            _ => self.client.publish(&self.channel, &typed(line)).await,
        };
        if let Err(error) = sent {
            // The chat goes on.
            let _code = output::fail(&error.into());
        }
        Ok(false)
    }

    fn who(&self) -> Result<(), Failure> {
        if self.json {
            let ids: Vec<_> = self.roster.keys().collect();
            return output::say_json(&json!({ "roster": ids }));
        }
        if self.roster.is_empty() {
            return output::say(format_args!("{DIM}nobody else is here{DIM:#}"));
        }
        for (id, metadata) in &self.roster {
            let metadata = metadata.as_ref().map(|m| printable(m.as_str())).unwrap_or_default();
            output::say(format_args!("  {BOLD}{}{BOLD:#} {DIM}{metadata}{DIM:#}", printable(id)))?;
        }
        Ok(())
    }

    /// Shows an event; answers whether it was the last.
    fn show(&mut self, event: &Event) -> Result<bool, Failure> {
        self.remember(event);
        let last = matches!(event, Event::Disconnected(lost) if !lost.will_reconnect);
        if self.json {
            let (kind, payload) = source_event(event);
            output::say_json(&json!({ "type": kind, "payload": payload }))?;
            return Ok(last);
        }
        match event {
            Event::Connected(connected) => {
                let again = if connected.is_reconnect { " again" } else { "" };
                let me = printable(&connected.peer_id);
                output::say(format_args!("{GOOD}connected{again}{GOOD:#} as {BOLD}{me}{BOLD:#}"))?;
            }
            // Meant, and no failure.
            Event::Disconnected(_) if self.leaving => {}
            Event::Disconnected(lost) => {
                let diagnosis = lost.error.diagnosis();
                let next = if lost.will_reconnect { "trying again" } else { "not trying again" };
                output::say(format_args!("{BAD}disconnected{BAD:#} ({}): {next}", lost.error))?;
                output::say(format_args!("{DIM}  {}{DIM:#}", diagnosis.cause))?;
                if !lost.will_reconnect {
                    output::say(format_args!("{DIM}  Fix: {}{DIM:#}", diagnosis.fix))?;
                }
            }
            Event::Message(message) => {
                let (from, text) = (printable(&message.from), words(&message.data));
                output::say(format_args!("{BOLD}{from}{BOLD:#}: {text}"))?;
            }
            Event::Direct(direct) => {
                let (from, text) = (printable(&direct.from), words(&direct.data));
                output::say(format_args!("{BOLD}{from}{BOLD:#} {NOTE}to you{NOTE:#}: {text}"))?;
            }
            Event::Presence { presence, snapshot } if presence.channel == self.channel => {
                let names = |peers: &[PresencePeer]| {
                    let ids: Vec<_> = peers.iter().map(|p| printable(&p.peer_id)).collect();
                    ids.join(", ")
                };
                if *snapshot {
                    let here = match presence.joined.len() {
                        0 => "nobody else is here".to_owned(),
                        n => format!("{n} here: {}", names(&presence.joined)),
                    };
                    output::say(format_args!("{DIM}{here}{DIM:#}"))?;
                } else {
                    if !presence.joined.is_empty() {
                        output::say(format_args!(
                            "{DIM}{} joined{DIM:#}",
                            names(&presence.joined)
                        ))?;
                    }
                    if !presence.left.is_empty() {
                        output::say(format_args!("{DIM}{} left{DIM:#}", names(&presence.left)))?;
                    }
                }
            }
            Event::ServerError(error) => {
                let fix = metered_realtime::diagnosis::of_server_error(error.code.as_str());
                output::say(format_args!("{BAD}the server says {}{BAD:#}: {fix}", error.code))?;
            }
            Event::GoingAway { retry_after_ms } => {
                output::say(format_args!(
                    "{NOTE}the server restarts; back in {retry_after_ms} ms{NOTE:#}"
                ))?;
            }
            Event::TokenProviderError { consecutive_failures, error } => {
                output::say(format_args!(
                    "{BAD}no token, {consecutive_failures} times{BAD:#}: {error}"
                ))?;
            }
            Event::ResubscribeFailed { channel, error } => {
                let channel = printable(channel);
                output::say(format_args!(
                    "{BAD}{channel} could not be joined again{BAD:#}: {error}"
                ))?;
            }
            Event::Lagged { missed } => {
                output::say(format_args!("{NOTE}{missed} events were missed{NOTE:#}"))?;
            }
            _ => {}
        }
        Ok(last)
    }

    fn remember(&mut self, event: &Event) {
        if let Event::Presence { presence, snapshot } = event
            && presence.channel == self.channel
        {
            if *snapshot {
                self.roster.clear();
            }
            for peer in &presence.joined {
                self.roster.insert(peer.peer_id.clone(), peer.metadata.clone());
            }
            for peer in &presence.left {
                self.roster.remove(&peer.peer_id);
            }
        }
    }
}

/// JSON as JSON, anything else as a string.
fn typed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()))
}

/// A string as it is, other JSON as JSON.
fn words(data: &Json) -> String {
    match data.to::<String>() {
        Ok(text) => printable(&text),
        Err(_) => printable(data.as_str()),
    }
}
