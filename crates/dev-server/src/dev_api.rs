//! `/_dev/`: the faults and the log over HTTP, for this machine only.
//!
//! `POST /_dev/NAME` injects the fault of that name, its fields as a JSON object; `GET /_dev/state` tells who
//! is connected, `GET /_dev/log` what was seen, as JSON lines.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::Method;
use serde_json::{Map, Value, json};

use crate::faults::Fault;
use crate::http::{Answer, plain, refuse, reply};
use crate::state::State;

pub(crate) fn handle(state: &Arc<State>, method: &Method, name: &str, body: &[u8]) -> Answer {
    match (method, name) {
        (&Method::GET, "state") => reply(200, &describe(state)),
        (&Method::GET, "log") => {
            let lines: Vec<String> = state
                .log
                .entries()
                .iter()
                .filter_map(|entry| serde_json::to_string(entry).ok())
                .collect();
            plain(200, lines.join("\n"))
        }
        (&Method::POST, name) => inject(state, name, body),
        _ => refuse(404, "not_found", "there is no such endpoint"),
    }
}

fn inject(state: &Arc<State>, name: &str, body: &[u8]) -> Answer {
    let fields = match body.is_empty() {
        true => Ok(Map::new()),
        false => serde_json::from_slice::<Map<String, Value>>(body),
    };
    let fault = fields.and_then(|mut fields| {
        fields.insert("fault".to_owned(), Value::String(name.to_owned()));
        serde_json::from_value::<Fault>(Value::Object(fields))
    });
    match fault {
        Ok(fault) => reply(200, &json!({ "connections": state.inject(fault) })),
        Err(error) => refuse(400, "invalid_request", &error.to_string()),
    }
}

fn describe(state: &State) -> Value {
    let hub = state.hub();
    let mut connections: Vec<Value> = hub
        .members()
        .map(|(id, member)| {
            json!({ "connection": id, "peerId": member.peer_id, "channels": member.channels })
        })
        .collect();
    connections.sort_by_key(|entry| entry["connection"].as_u64());
    let count = |figure: &std::sync::atomic::AtomicU64| figure.load(Ordering::Relaxed);
    json!({
        "connections": connections,
        "connects": count(&state.usage.connects),
        "refused": count(&state.usage.refused),
        "messages": count(&state.usage.messages),
        "slowReaders": count(&state.usage.slow_readers),
    })
}
