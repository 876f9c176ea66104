//! HTTP: the upgrade, and the way to the page, to REST and to the faults.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, DATE, HeaderMap, HeaderValue, ORIGIN, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use metered_realtime::wire::API_PATH;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::auth::{self, Identity, Rejection};
use crate::state::State;
use crate::{connection, dev_api, page, rest};

pub(crate) type Answer = Response<Full<Bytes>>;

/// Largest body under `/_dev/`.
const MAX_DEV_BODY: usize = 4 * 1024 * 1024;

/// The last second that an HTTP date can say: of the year 9999.
const LAST_HTTP_DATE: f64 = 253_402_300_799.0;

/// Answers a request, with the date by this server's clock, which a fault may have set.
pub(crate) async fn handle(
    state: Arc<State>,
    from: SocketAddr,
    request: Request<Incoming>,
) -> Answer {
    let mut answer = answer(Arc::clone(&state), from, request).await;
    if let Ok(date) = HeaderValue::from_str(&http_date(state.unix_now())) {
        answer.headers_mut().insert(DATE, date);
    }
    answer
}

/// Of seconds since 1970; the nearest that there is (RFC 9110 section 5.6.7).
fn http_date(seconds: f64) -> String {
    let seconds = Duration::from_secs(seconds.clamp(0.0, LAST_HTTP_DATE) as u64);
    httpdate::fmt_http_date(UNIX_EPOCH + seconds)
}

async fn answer(state: Arc<State>, from: SocketAddr, mut request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if path == API_PATH && request.method() == Method::GET {
        return upgrade(&state, from, &mut request);
    }
    if let Some(answer) = page::serve(&state.config, request.method(), &path).await {
        return answer;
    }
    let dev = path.strip_prefix("/_dev/").map(str::to_owned);
    if dev.is_some() && !from.ip().is_loopback() {
        return refuse(403, "forbidden", "/_dev/ answers this machine only");
    }
    let cap = match (&dev, state.config.limits.rest_body_size) {
        (Some(_), _) => MAX_DEV_BODY,
        (None, 0) => usize::MAX,
        (None, cap) => cap,
    };
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, cap).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refuse(413, "invalid_request", "the body is too large"),
    };
    match dev {
        Some(name) => dev_api::handle(&state, &parts.method, &name, &body),
        None => {
            let bearer = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
            rest::handle(&state, &parts.method, &path, bearer, &body)
        }
    }
}

fn upgrade(state: &Arc<State>, from: SocketAddr, request: &mut Request<Incoming>) -> Answer {
    let key = match request.headers().get("sec-websocket-key") {
        Some(key) if wants_websocket(request.headers()) => key.as_bytes().to_vec(),
        _ => return refuse(426, "upgrade_required", "this endpoint speaks WebSocket"),
    };
    let refused = |answer: Answer| {
        state.usage.refused.fetch_add(1, Ordering::Relaxed);
        state.log.add("refused", None, None, &answer.status().as_u16().to_string());
        answer
    };
    let fault = state.lasting().refusal();
    if let Some(refusal) = fault {
        let mut answer = plain(refusal.status, refusal.body);
        if let Some(seconds) = refusal.retry_after_seconds {
            answer.headers_mut().insert("retry-after", seconds.into());
        }
        return refused(answer);
    }
    if let Some(wait) = state.connects_too_often(from.ip()) {
        let mut answer = refuse(429, "rate_limited", "too many connects from this address");
        answer.headers_mut().insert("retry-after", (wait.as_secs() + 1).into());
        return refused(answer);
    }
    let identity = identify(state, request);
    let accepted = match identity {
        Ok(identity) => Ok(identity),
        Err(Rejection::Http { status, code, message }) => {
            return refused(refuse(status, code, message));
        }
        Err(Rejection::Close { code, reason }) => Err((code, reason)),
    };
    let upgrade = hyper::upgrade::on(request);
    let state = Arc::clone(state);
    let tasks = state.tasks.clone();
    tasks.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        match accepted {
            Ok(identity) => connection::serve(state, upgraded, identity).await,
            Err((code, reason)) => {
                state.log.add("refused", None, None, &code.get().to_string());
                connection::reject(&state, upgraded, code, reason).await;
            }
        }
    });
    let answer = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-accept", derive_accept_key(&key))
        .body(Full::default());
    answer.unwrap_or_default()
}

fn identify(state: &State, request: &Request<Incoming>) -> Result<Identity, Rejection> {
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let origin = request.headers().get(ORIGIN).and_then(|value| value.to_str().ok());
    auth::authenticate(&state.config, &query, origin, state.unix_now())
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

pub(crate) fn plain(status: u16, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}

pub(crate) fn reply(status: u16, body: &Value) -> Answer {
    let mut answer = plain(status, body.to_string());
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", json);
    answer
}

pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Answer {
    reply(status, &json!({ "error": code, "message": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_has_a_date() {
        assert_eq!(http_date(784_111_777.9), "Sun, 06 Nov 1994 08:49:37 GMT");
        for (seconds, year) in [
            (-1.0, " 1970 "),
            (f64::NAN, " 1970 "),
            (f64::NEG_INFINITY, " 1970 "),
            (f64::INFINITY, " 9999 "),
            (1e300, " 9999 "),
        ] {
            assert!(http_date(seconds).contains(year), "{seconds}");
        }
    }
}
