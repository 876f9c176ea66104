//! Every symptom has its cause, its fix and its code, and no report shows a credential.
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/doctor.rs"]
mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metered_dev_server::{Action, Config, KeyConfig, SecretConfig, TokenClaims};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use support::{Examination, Refusing, doctor, with_server};

const KEY: &str = "pk_live_d0ct0r5k3y";
/// What needs a welcome.
const AFTER_WELCOME: [&str; 7] =
    ["round-trip", "room", "publish", "send", "ice-servers", "relay", "peers"];

fn config() -> Config {
    let keys = vec![KeyConfig { id: KEY.into(), ..KeyConfig::default() }];
    Config { keys, ..Config::default() }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A token that ends in so many seconds by this machine's clock.
fn token(seconds: i64) -> TokenClaims {
    TokenClaims { exp: Some(json!(now() + seconds)), ..TokenClaims::new("alice") }
}

/// With a token, none of whose parts may be shown.
fn with_token(url: &str, token: &str, more: &[&str]) -> Examination {
    let args = [&["--url", url, "--token", token], more].concat();
    let secrets: Vec<&str> = token.split('.').filter(|part| !part.is_empty()).collect();
    doctor(&args, &secrets)
}

fn with_key(url: &str, more: &[&str]) -> Examination {
    doctor(&[&["--url", url, "--key", KEY], more].concat(), &[KEY])
}

#[test]
fn without_ice_servers_all_works_here_and_the_doctor_warns() {
    with_server(config(), |server| {
        let seen = with_key(&server.url(), &["--room", "lobby", "--stay", "0.5"]);
        assert_eq!(seen.exit_code, 0, "{}", seen.words);
        for id in [
            "credential",
            "options",
            "name",
            "reach",
            "upgrade",
            "welcome",
            "clock",
            "round-trip",
            "room",
            "publish",
            "send",
            "direct",
            "picture",
            "peers",
        ] {
            seen.is(id, "ok");
        }
        for id in ["proxy", "tls", "udp"] {
            assert_eq!(seen.is(id, "skipped")["because"], Value::Null);
        }
        seen.names(seen.is("ice-servers", "warning"), "no_ice_servers", "Enable TURN");
        seen.skips(&["relay"], "ice-servers");
        assert_eq!(seen.check("send")["data"]["echo"], true);
        assert_eq!(seen.check("picture")["data"]["by"], "direct");
        assert_eq!(seen.check("direct")["data"]["path"]["localType"], "host");
        assert!(seen.check("reach")["tookMs"].as_f64().is_some());
        let (url, room) = (&seen.report["url"], &seen.report["room"]);
        assert_eq!((url, room), (&json!(server.url()), &json!("lobby")));
        let counts = &seen.report["summary"];
        assert_eq!((&counts["warning"], &counts["failed"]), (&json!(1), &json!(0)));
    });
}

#[test]
fn a_key_that_the_service_does_not_know() {
    with_server(Config::default(), |server| {
        let seen = with_key(&server.url(), &[]);
        let check = seen.fails("welcome", "invalid_token", "copy it again from the dashboard");
        assert_eq!(check["data"]["closeCode"], 4001);
        seen.skips(&AFTER_WELCOME, "welcome");
        seen.is("direct", "ok");
        let begin = "Begin with welcome [invalid_token]";
        assert!(seen.words.contains(begin), "{}", seen.words);
    });
}

#[test]
fn a_token_that_has_ended_by_both_clocks() {
    with_server(config(), |server| {
        let token = server.mint(&token(-100)).unwrap();
        let seen = with_token(&server.url(), &token, &[]);
        seen.fails("credential", "expired", "Mint a new token");
        let check = seen.fails("welcome", "token_expired", "token provider");
        assert_eq!(check["data"]["closeCode"], 4002);
        seen.skips(&AFTER_WELCOME, "welcome");
    });
}

#[test]
fn a_clock_that_takes_a_good_token_for_an_old_one() {
    with_server(config(), |server| {
        server.clock_ahead(-7_200.0);
        let token = server.mint(&token(-3_600)).unwrap();
        let seen = with_token(&server.url(), &token, &[]);
        seen.fails("credential", "expired", "check the clocks");
        seen.is("welcome", "ok");
        let check = seen.fails("clock", "clock_off", "NTP");
        assert!(check["cause"].as_str().unwrap().contains("By the service's clock"), "{check}");
        let ahead = check["data"]["deviceAheadSeconds"].as_f64().unwrap();
        assert!((7_195.0..7_210.0).contains(&ahead), "{ahead}");
    });
}

#[test]
fn a_clock_that_takes_an_ended_token_for_a_good_one() {
    with_server(config(), |server| {
        let token = server.mint(&token(3_600)).unwrap();
        server.clock_ahead(7_200.0);
        let seen = with_token(&server.url(), &token, &[]);
        seen.is("credential", "ok");
        seen.fails("welcome", "token_expired", "clock right");
        let check = seen.fails("clock", "clock_off", "NTP");
        assert!(check["cause"].as_str().unwrap().contains("behind the service's"), "{check}");
    });
}

#[test]
fn a_clock_that_is_off_is_seen_without_a_welcome() {
    with_server(Config::default(), |server| {
        server.clock_ahead(-7_200.0);
        let seen = with_key(&server.url(), &[]);
        seen.skips(&["round-trip"], "welcome");
        let check = seen.fails("clock", "clock_off", "NTP");
        let ahead = check["data"]["deviceAheadSeconds"].as_f64().unwrap();
        assert!((7_195.0..7_210.0).contains(&ahead), "{ahead}");
    });
}

#[test]
fn a_clock_that_is_a_little_off_is_a_warning_and_far_off_a_failure() {
    with_server(config(), |server| {
        server.clock_ahead(30.0);
        let seen = with_key(&server.url(), &[]);
        assert_eq!(seen.exit_code, 0, "{}", seen.words);
        seen.names(seen.is("clock", "warning"), "clock_off", "NTP");
        server.clock_ahead(600.0);
        let check = with_key(&server.url(), &[]);
        let check = check.fails("clock", "clock_off", "NTP");
        assert!(check["detail"].as_str().unwrap().contains("behind"), "{check}");
    });
}

#[test]
fn a_token_that_cannot_work_is_not_sent() {
    with_server(config(), |server| {
        let url = server.url();
        let milliseconds =
            TokenClaims { exp: Some(json!(now() * 1_000 + 60_000)), ..TokenClaims::new("a") };
        let number = TokenClaims { sub: Some(json!(17)), ..TokenClaims::new("a") };
        for (claims, code, fix) in [
            (milliseconds, "exp_in_milliseconds", "Divide by 1000"),
            (number, "sub_not_string", "String(user.id)"),
        ] {
            let token = server.mint(&claims).unwrap();
            let seen = with_token(&url, &token, &[]);
            seen.fails("credential", code, fix);
            seen.skips(&["name", "reach", "upgrade", "welcome", "clock"], "credential");
            seen.skips(&AFTER_WELCOME, "credential");
        }
        assert_eq!(server.connections(), 0);
        let seen = with_token(&url, "cut.off", &[]);
        seen.fails("credential", "malformed", "exactly as the backend made it");
    });
}

#[test]
fn credentials_that_were_mixed_up_or_left_out() {
    let url = ["--url", "ws://127.0.0.1:1"];
    let token = TokenClaims::new("alice").mint("sk_id_x", "sk_secret_x").unwrap();
    for (args, secrets, code, fix) in [
        (vec!["--token", KEY], vec![KEY], "key_given_as_token", "--key"),
        (vec!["--key", &token], token.split('.').collect(), "token_given_as_key", "--token"),
        (
            vec!["--key", "sk_secret_h1dd3n"],
            vec!["sk_secret_h1dd3n"],
            "secret_key_in_client",
            "Revoke",
        ),
        (vec![], vec![], "no_credential", "--token-file"),
        (vec!["--token-command", "exit 7"], vec![], "token_provider_failed", "backend"),
        (vec!["--key", "two words"], vec!["two words"], "malformed_credential", "exactly"),
        (vec!["--key", "'pk_live_q'"], vec!["pk_live_q"], "quoted_credential", "Remove the quotes"),
    ] {
        let seen = doctor(&[&url[..], &args].concat(), &secrets);
        seen.fails("credential", code, fix);
        seen.skips(&["welcome"], "credential");
    }
}

#[test]
fn what_the_token_does_not_permit() {
    with_server(config(), |server| {
        let claims = TokenClaims {
            permissions: Some(vec!["subscribe".into(), "presence".into()]),
            channels: Some(vec!["rooms/*".into()]),
            ..token(600)
        };
        let token = server.mint(&claims).unwrap();
        let seen = with_token(&server.url(), &token, &["--room", "rooms/1", "--stay", "0.2"]);
        seen.is("room", "ok");
        seen.names(seen.is("publish", "warning"), "action_not_permitted", "action");
        seen.fails("send", "send_not_permitted", "Add \"send\"");
        let seen = with_token(&server.url(), &token, &["--room", "lobby", "--stay", "0.2"]);
        seen.fails("room", "channel_not_in_claim", "Add the channel");
        seen.skips(&["publish"], "room");
        let seen = with_token(&server.url(), &token, &[]);
        let detail = seen.is("room", "skipped")["detail"].as_str().unwrap();
        assert!(detail.contains("--room"), "{detail}");
    });
}

#[test]
fn what_the_key_does_not_permit() {
    let key = KeyConfig {
        id: KEY.into(),
        actions: vec![Action::Subscribe, Action::Publish, Action::Presence],
        channels: vec!["lobby".into()],
        ..KeyConfig::default()
    };
    let config =
        Config { keys: vec![key], secrets: vec![SecretConfig::default()], ..Config::default() };
    with_server(config, |server| {
        let seen = with_key(&server.url(), &["--room", "lobby", "--stay", "0.2"]);
        seen.fails("send", "action_not_permitted", "send");
        let seen = with_key(&server.url(), &["--room", "Lobby", "--stay", "0.2"]);
        seen.fails("room", "channel_not_authorized", "pattern");
    });
}

#[test]
fn a_port_where_nobody_listens() {
    let nobody = Refusing::new();
    let seen = with_key(&format!("ws://{}", nobody.address), &[]);
    seen.is("name", "ok");
    seen.fails("reach", "connect_failed", "host and port");
    seen.skips(&["upgrade", "welcome"], "reach");
    seen.skips(&AFTER_WELCOME, "welcome");
}

#[test]
fn a_name_that_does_not_exist() {
    let seen = with_key("wss://nowhere.invalid", &["--proxy", "none"]);
    seen.fails("name", "dns_failed", "online");
    seen.skips(&["reach", "tls", "upgrade", "welcome"], "name");
}

#[test]
fn a_url_that_cannot_be_one_and_what_it_hides() {
    for url in [
        "https://rms.metered.ca",
        "wss://rms.metered.ca/v1",
        "wss://me:h1dd3n@rms.metered.ca",
        "wss://rms.metered.ca?key=h1dd3n",
    ] {
        let args = ["--url", url, "--key", KEY];
        let seen = doctor(&args, &[KEY, "h1dd3n"]);
        seen.fails("options", "invalid_url", "without a path");
        seen.skips(&["welcome"], "options");
        assert_eq!(seen.report["url"], Value::Null);
    }
}

#[test]
fn a_server_that_answers_with_an_http_status() {
    with_server(config(), |server| {
        for (status, body, code, fix) in [
            (403, None, "http_refused", "dashboard"),
            (401, Some("origin_not_allowed"), "origin_not_allowed", "allowed origins"),
            (429, Some("rate_limited"), "rate_limited", "one client per app"),
            (500, None, "http_refused", "status page"),
        ] {
            // For the doctor with words and the one with JSON.
            server.refuse_upgrades(2, status, body.map(|code| json!({ "error": code })), Some(30));
            let seen = with_key(&server.url(), &[]);
            let check = seen.fails("upgrade", code, fix);
            assert_eq!(check["data"]["httpStatus"], status);
            assert_eq!(check["data"]["httpCode"], json!(body));
            seen.skips(&["welcome"], "upgrade");
        }
    });
}

#[test]
fn a_server_that_does_not_answer() {
    with_server(config(), |server| {
        server.ignore_connects(2);
        let seen = with_key(&server.url(), &["--timeout", "3"]);
        seen.fails("upgrade", "doctor_timeout", "--timeout");
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(file("root.pem"), root.self_signed(&root_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    std::fs::write(file("leaf.pem"), leaf.pem()).unwrap();
    std::fs::write(file("leaf.key"), key.serialize_pem()).unwrap();
    let (tls_cert, tls_key) = (Some(file("leaf.pem")), Some(file("leaf.key")));
    with_server(Config { tls_cert, tls_key, ..config() }, |server| {
        let seen = with_key(&server.url(), &["--proxy", "none"]);
        seen.fails("tls", "tls_untrusted", "extra roots");
        seen.skips(&["upgrade", "welcome"], "tls");
        let root = file("root.pem");
        let trusting = ["--proxy", "none", "--extra-root", root.to_str().unwrap()];
        with_key(&server.url(), &trusting).is("tls", "ok");
    });
}

/// A proxy that lets nobody through.
fn proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 1_024];
            // Who goes away in the middle does not take the proxy from the next.
            while !asked.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => asked.extend_from_slice(&buffer[..n]),
                }
            }
            let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            drop(stream.write_all(answer));
        }
    });
    format!("http://me:h1dd3n@{address}")
}

#[test]
fn a_proxy_that_lets_nobody_through() {
    let proxy = proxy();
    let args = ["--url", "wss://rms.example", "--key", KEY, "--proxy", &proxy];
    let seen = doctor(&args, &[KEY, "h1dd3n", "bWU6aDFkZDNu"]);
    let detail = seen.is("name", "ok")["detail"].as_str().unwrap();
    assert!(detail.contains("proxy"), "{detail}");
    seen.fails("proxy", "proxy_failed", "407");
    seen.skips(&["tls", "upgrade", "welcome"], "proxy");
}

#[test]
fn somebody_in_the_room_who_does_not_answer() {
    with_server(config(), |server| {
        server.ghost("lobby", "casper", Duration::from_secs(60));
        let seen = with_key(&server.url(), &["--room", "lobby", "--stay", "1"]);
        let casper = seen.all("peer").into_iter().find(|peer| peer["target"] == "casper").unwrap();
        assert_eq!(casper["status"], "failed");
        assert_eq!(casper["data"]["state"], "connecting");
        seen.names(casper, "peer_not_reached", "--stay");
    });
}

#[test]
fn a_service_that_answers_late_and_one_that_answers_no_more() {
    with_server(config(), |server| {
        server.delay_frames(Duration::from_millis(1_200));
        let seen = with_key(&server.url(), &[]);
        let check = seen.is("round-trip", "warning");
        seen.names(check, "slow_round_trip", "another network");
        assert!(check["data"]["roundTripsMs"][0].as_f64().unwrap() >= 1_200.0, "{check}");
        // Longer than a ping waits for its answer, and less than connecting has.
        server.delay_frames(Duration::from_millis(3_500));
        let seen = with_key(&server.url(), &[]);
        seen.is("welcome", "ok");
        seen.fails("round-trip", "no_answer", "status page");
    });
}
