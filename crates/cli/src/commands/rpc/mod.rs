//! `metered rpc`: the SDK over JSON-RPC 2.0, one line of JSON per message.
//!
//! One task reads requests, runs them at once beside each other, and writes replies and events. Before a
//! reply it writes every event that is waiting, so that what a request caused precedes its reply.

mod error;
pub(crate) mod events;
mod input;
mod options;
mod peer_methods;
mod records;
mod session;
mod signalling_methods;
mod sources;
mod track_methods;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, Stdout};

use self::error::RpcError;
use self::input::{Input, Lines};
use self::session::{Reply, Session};
use self::sources::SourceEvent;
use crate::output::{Failure, unwritable};
use crate::terminated::terminated;

/// Runs the SDK over JSON-RPC 2.0: requests on standard input, replies and events on standard output, one
/// line of JSON each, logs on standard error.
///
///   {"jsonrpc":"2.0","id":1,"method":"signalling.create","params":{"url":"ws://127.0.0.1:8787","apiKey":"pk_live_dev"}}
///   {"jsonrpc":"2.0","id":2,"method":"signalling.connect"}
///   {"jsonrpc":"2.0","id":3,"method":"signalling.subscribe","params":{"channel":"lobby"}}
///   {"jsonrpc":"2.0","id":4,"method":"signalling.publish","params":{"channel":"lobby","data":"hello"}}
///
/// The end of input, SIGINT, SIGTERM or SIGHUP closes everything and ends with exit code 0. docs/rpc.md lists
/// all methods, events and errors.
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

/// After a signal the process ends by then, whatever happens.
const LAST_MOMENT: Duration = Duration::from_millis(1_900);

pub(crate) async fn run(_: Args) -> Result<ExitCode, Failure> {
    let server = Server {
        started: Instant::now(),
        out: tokio::io::stdout(),
        session: Session::default(),
        running: FuturesUnordered::new(),
    };
    server.run().await
}

struct Server {
    started: Instant,
    out: Stdout,
    session: Session,
    running: FuturesUnordered<Reply>,
}

impl Server {
    async fn run(mut self) -> Result<ExitCode, Failure> {
        // Everything is closed even if nobody takes what is told of it.
        let served = self.serve().await;
        let ended = self.end().await;
        served.and(ended)
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        let mut lines = Lines::start();
        let mut signal = std::pin::pin!(terminated());
        loop {
            tokio::select! {
                biased;
                event = self.session.next_event() => self.event(&event).await?,
                Some((id, result)) = self.running.next() => self.reply(&id, result).await?,
                () = &mut signal => return Ok(()),
                line = lines.next() => match line {
                    Input::Line(line) => self.request(&line).await?,
                    Input::TooLong => {
                        self.reply(&Value::Null, Err(RpcError::parse("the line is too long"))).await?;
                    }
                    Input::End => return Ok(()),
                },
            }
        }
    }

    async fn end(mut self) -> Result<ExitCode, Failure> {
        let ended = async {
            self.session.close().await;
            // Requests that were under way have their answer now.
            while let Some((id, result)) = self.running.next().await {
                self.reply(&id, result).await?;
            }
            self.waiting_events().await
        };
        match tokio::time::timeout(LAST_MOMENT, ended).await {
            Ok(Err(failure)) => Err(failure),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    async fn request(&mut self, line: &str) -> Result<(), Failure> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let parsed = match serde_json::from_str::<Value>(line) {
            Ok(value) => value,
            Err(error) => {
                return self.reply(&Value::Null, Err(RpcError::parse(&error.to_string()))).await;
            }
        };
        let id = parsed.get("id").cloned();
        let known_id = id.clone().filter(|id| id.is_string() || id.is_number());
        let method = parsed.get("method").and_then(Value::as_str).map(str::to_owned);
        let params = parsed.get("params").cloned().unwrap_or(json!({}));
        let sound = parsed.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
            && (id.is_none() || known_id.is_some())
            && params.is_object();
        let Some(method) = method.filter(|_| sound) else {
            let id = known_id.unwrap_or(Value::Null);
            return self.reply(&id, Err(RpcError::request())).await;
        };
        // A notification is done and not answered (JSON-RPC 2.0 section 4.1).
        let id = known_id.unwrap_or(Value::Null);
        let created = match method.as_str() {
            "signalling.create" => Some(self.session.create_client(params.clone()).await),
            "peer.create" => Some(self.session.create_peer(params.clone()).await),
            _ => None,
        };
        if let Some(result) = created {
            return self.reply(&id, result).await;
        }
        let reply = self.session.call(id, &method, &params);
        self.running.push(reply);
        Ok(())
    }

    async fn reply(&mut self, id: &Value, result: Result<Value, RpcError>) -> Result<(), Failure> {
        self.waiting_events().await?;
        let message = match result {
            Ok(_) if id.is_null() => return Ok(()),
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() }),
        };
        self.write(&message).await
    }

    async fn waiting_events(&mut self) -> Result<(), Failure> {
        while let Some(event) = self.session.waiting_event() {
            self.event(&event).await?;
        }
        Ok(())
    }

    async fn event(&mut self, event: &SourceEvent) -> Result<(), Failure> {
        let (source, kind, payload) = events::described(event);
        let t = (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let params = json!({ "source": source, "type": kind, "payload": payload, "t": t });
        self.write(&json!({ "jsonrpc": "2.0", "method": "event", "params": params })).await
    }

    async fn write(&mut self, message: &Value) -> Result<(), Failure> {
        let line = format!("{message}\n");
        self.out.write_all(line.as_bytes()).await.map_err(unwritable)?;
        self.out.flush().await.map_err(unwritable)
    }
}
