//! HTTP CONNECT proxies: the tunnel, its password, its refusals.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod support;

use metered_realtime::signalling::ProxySetting;
use support::{Watched, by_key, server};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that wants this header, or none. Answers where it listens; ends with the test's runtime.
async fn proxy(wanted: Option<&'static str>, answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut head = Vec::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).await.unwrap_or(0) == 0 || line == "\r\n" {
                        break;
                    }
                    head.push(line.trim_end().to_owned());
                }
                let allowed = wanted.is_none_or(|wanted| head.iter().any(|line| line == wanted));
                let answer = match (answer, allowed) {
                    (Some(answer), _) => answer,
                    (None, false) => "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                    (None, true) => "HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n",
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains(" 200 ") {
                    let to = head[0].split(' ').nth(1).unwrap();
                    let mut server = TcpStream::connect(to).await.unwrap();
                    drop(copy_bidirectional(&mut stream, &mut server).await);
                }
            });
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_tunnel_carries_the_conversation() {
    let server = server().await;
    let mut options = by_key(&server);
    options.proxy = ProxySetting::url(format!("http://{}", proxy(None, None).await));
    let mut watched = Watched::connected(options).await;
    watched.client.subscribe("c").await.unwrap();
    assert!(watched.presence("c").await.2);
    watched.client.close().await;
    server.shutdown().await;
}

#[tokio::test]
async fn user_and_password_are_given() {
    let server = server().await;
    let address = proxy(Some("Proxy-Authorization: Basic dTpwQHc="), None).await;
    let mut options = by_key(&server);
    options.proxy = ProxySetting::url(format!("http://u:p%40w@{address}"));
    Watched::connected(options.clone()).await.client.close().await;
    options.proxy = ProxySetting::url(format!("http://{address}"));
    let error = Watched::new(options).client.connect().await.unwrap_err();
    assert_eq!(error.code(), "proxy_failed");
    assert!(error.to_string().contains("407"), "{error}");
    server.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_is_not_reached_is_named_in_the_servers_place() {
    let server = server().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    for (proxy, code) in [("nowhere.invalid", "dns_failed"), (&nobody, "connect_failed")] {
        let mut options = by_key(&server);
        options.proxy = ProxySetting::url(proxy);
        let error = Watched::new(options).client.connect().await.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains("the proxy"), "{error}");
        assert!(error.diagnosis().fix.contains("https_proxy"), "{:?}", error.diagnosis());
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_is_none_is_named() {
    let server = server().await;
    for answer in ["HTTP/1.1 403 Forbidden\r\n\r\n", "SSH-2.0-x\r\n\r\n"] {
        let mut options = by_key(&server);
        options.proxy = ProxySetting::url(proxy(None, Some(answer)).await);
        let error = Watched::new(options).client.connect().await.unwrap_err();
        assert_eq!(error.code(), "proxy_failed", "{answer}");
    }
    server.shutdown().await;
}
