//! wss with the platform's roots, extra roots and pins; every mistake has its own code.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metered_dev_server::{Config, DEV_API_KEY, DevServer, DevServerHandle};
use metered_realtime::signalling::SignallingOptions;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use support::Watched;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    Authority { pem: certificate.pem(), issuer: Issuer::new(params, key) }
}

/// A server with a certificate for these names; answers its pin too.
async fn server(
    authority: &Authority,
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> (DevServerHandle, String, tempfile::TempDir) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &authority.issuer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, private) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let config = Config { tls_cert: Some(cert), tls_key: Some(private), ..Config::default() };
    let server = DevServer::builder().config(config).start().await.unwrap();
    let pin = format!("sha256/{}", STANDARD.encode(Sha256::digest(key.subject_public_key_info())));
    (server, pin, folder)
}

fn options(server: &DevServerHandle, root: Option<&Authority>) -> SignallingOptions {
    let mut options = SignallingOptions::with_api_key(DEV_API_KEY).unwrap();
    options.url = format!("wss://localhost:{}", server.addr().port());
    options.tls.extra_roots_pem.extend(root.map(|root| root.pem.clone()));
    options
}

async fn refusal(options: SignallingOptions) -> String {
    let error = Watched::new(options).client.connect().await.unwrap_err();
    assert!(error.diagnosis().fix.len() > 20);
    error.code().into_owned()
}

#[tokio::test]
async fn an_extra_root_opens_the_way_and_nothing_else_does() {
    let (ours, other) = (authority(), authority());
    let (server, pin, _files) = server(&ours, &["localhost"], |_| {}).await;
    assert!(server.url().starts_with("wss://"));
    assert_eq!(refusal(options(&server, None)).await, "tls_untrusted");
    assert_eq!(refusal(options(&server, Some(&other))).await, "tls_untrusted");

    let watched = Watched::connected(options(&server, Some(&ours))).await;
    watched.client.publish("c", "over TLS").await.unwrap();
    watched.client.close().await;

    let mut pinned = options(&server, Some(&ours));
    pinned.tls.pins = vec![format!("sha256/{}", STANDARD.encode([7; 32]))];
    assert_eq!(refusal(pinned.clone()).await, "tls_pin_mismatch");
    pinned.tls.pins.push(pin);
    let watched = Watched::connected(pinned).await;
    watched.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn names_and_dates_are_checked() {
    let ours = authority();
    let (wrong_name, _, _files) = server(&ours, &["example.org"], |_| {}).await;
    assert_eq!(refusal(options(&wrong_name, Some(&ours))).await, "tls_wrong_name");
    let (old, _, _more) = server(&ours, &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    })
    .await;
    assert_eq!(refusal(options(&old, Some(&ours))).await, "tls_expired");
    let plain = DevServer::builder().start().await.unwrap();
    assert_eq!(refusal(options(&plain, Some(&ours))).await, "tls_failed");
    wrong_name.shutdown().await;
    old.shutdown().await;
    plain.shutdown().await;
}
