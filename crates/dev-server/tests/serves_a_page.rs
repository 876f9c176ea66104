//! The page at `/`, with the SDK that the user installed and nothing else of the disk.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use metered_dev_server::{Config, DevServer};
use serde_json::json;
use support::http;

#[tokio::test]
async fn the_sdk_is_found_where_npm_puts_it_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { sdk: Some(folder.path().to_owned()), ..Config::default() };
    let server = DevServer::builder().config(config).start().await.unwrap();
    let get = async |path: &str| http(&server, "GET", path, None, "").await;
    let (status, page) = get("/").await;
    assert!(status == 200 && page.as_str().unwrap().contains("npm install @metered-ca/realtime"));
    assert_eq!(get("/page.json").await.1, json!({ "sdk": false, "apiKey": "pk_live_dev" }));
    assert_eq!(get("/sdk.mjs").await.1["error"], "no_sdk");
    let dist = folder.path().join("node_modules/@metered-ca/realtime/dist");
    std::fs::create_dir_all(&dist).unwrap();
    std::fs::write(dist.join("index.mjs"), "export {}").unwrap();
    assert_eq!(get("/page.json").await.1["sdk"], true);
    assert_eq!(get("/sdk.mjs").await, (200, "export {}".into()));
    for path in ["/page.css", "/page.mjs", "/source.mjs", "/tile.mjs"] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
    for path in ["/index.mjs", "/node_modules/@metered-ca/realtime/dist/index.mjs", "/../page.rs"] {
        assert_eq!(get(path).await.0, 404, "{path}");
    }
    assert_eq!(http(&server, "POST", "/", None, "").await.0, 405);
    server.shutdown().await;
}
