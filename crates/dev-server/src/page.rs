//! The page at `/`: a room in a browser, with the official JavaScript SDK.
//!
//! The SDK is the user's own, from npm; it is looked for whenever it is asked for, so that an install needs no
//! restart. Nothing else of the disk is served.

use std::path::{Path, PathBuf};

use hyper::Method;
use hyper::header::HeaderValue;
use serde_json::json;

use crate::config::Config;
use crate::http::{Answer, plain, refuse};

/// What a browser may load for the page: nothing from elsewhere.
const POLICY: &str = "default-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; media-src 'self' blob:; frame-ancestors 'none'";
/// The SDK, below the folder of an install, of its packages, of the package, or of its build.
const PLACES: [&str; 4] = [
    "node_modules/@metered-ca/realtime/dist/index.mjs",
    "@metered-ca/realtime/dist/index.mjs",
    "dist/index.mjs",
    "index.mjs",
];
/// The SDK is a tenth of it.
const MAX_SDK_BYTES: u64 = 4 * 1024 * 1024;

/// Answers what belongs to the page; `None` if this does not.
pub(crate) async fn serve(config: &Config, method: &Method, path: &str) -> Option<Answer> {
    let (kind, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/index.html").to_owned()),
        "/page.css" => ("text/css", include_str!("../page/page.css").to_owned()),
        "/page.mjs" => ("text/javascript", include_str!("../page/page.mjs").to_owned()),
        "/source.mjs" => ("text/javascript", include_str!("../page/source.mjs").to_owned()),
        "/tile.mjs" => ("text/javascript", include_str!("../page/tile.mjs").to_owned()),
        "/page.json" => ("application/json", settings(config).await),
        "/sdk.mjs" => match sdk(config).await {
            Some(text) => ("text/javascript", text),
            None => {
                let fix = "the JavaScript SDK is not installed here: npm install @metered-ca/realtime, or metered serve --sdk DIR";
                return Some(refuse(404, "no_sdk", fix));
            }
        },
        _ => return None,
    };
    if method != Method::GET && method != Method::HEAD {
        return Some(refuse(405, "method_not_allowed", "this is a page: GET it"));
    }
    let mut answer = plain(200, body);
    for (name, value) in [
        ("content-type", kind),
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(answer)
}

async fn settings(config: &Config) -> String {
    let key = config.keys.first().map(|key| key.id.as_str());
    json!({ "sdk": find(config).await.is_some(), "apiKey": key }).to_string()
}

/// Where the SDK is.
async fn find(config: &Config) -> Option<PathBuf> {
    let folder = config.sdk.as_deref().unwrap_or(Path::new("."));
    // Without --sdk only an install counts: a folder's own index.mjs is something else.
    let places = if config.sdk.is_some() { &PLACES[..] } else { &PLACES[..1] };
    for place in places {
        let path = folder.join(place);
        let found = tokio::fs::metadata(&path).await;
        if found.is_ok_and(|found| found.is_file() && found.len() <= MAX_SDK_BYTES) {
            return Some(path);
        }
    }
    None
}

async fn sdk(config: &Config) -> Option<String> {
    let path = find(config).await?;
    tokio::fs::read_to_string(&path)
        .await
        .inspect_err(
            |error| tracing::warn!(%error, path = %path.display(), "the SDK cannot be read"),
        )
        .ok()
}
