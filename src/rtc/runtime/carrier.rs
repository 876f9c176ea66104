//! Datagrams to and from a TURN server on a stream (RFC 8656 sections 2.1 and 12.5): TCP, or TLS over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::reception::Inbound;
use super::servers::{Servers, Transport, UNREACHABLE};
use super::sockets::{Link, SocketBinder, examine, expect_answer};
use crate::platform::race::race;

/// For each of name, TCP and TLS.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// For the name if an address is known from before.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);
/// A stream that takes nothing for so long is dead; ICE has noticed by then.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const CHANNEL_DATA_HEADER: usize = 4;
const STUN_HEADER: usize = 20;
const READ_BUFFER: usize = 16 * 1024;

struct Failure {
    code: &'static str,
    reason: &'static str,
}

/// Carries datagrams until the socket is dropped or the stream breaks; tells why it broke.
pub(super) async fn run(
    servers: Arc<Servers>,
    link: Arc<Link>,
    mut outbound: mpsc::Receiver<Bytes>,
    inbound: Arc<Inbound>,
) {
    let connected = connect(&servers, &link).await;
    if connected.is_ok() {
        expect_answer(&servers, Arc::clone(&link));
    }
    let result = match connected {
        Ok(Stream::Plain(stream)) => carry(&servers, &link, stream, &mut outbound, &inbound).await,
        Ok(Stream::Tls(stream)) => carry(&servers, &link, *stream, &mut outbound, &inbound).await,
        Err(failure) => Err(failure),
    };
    let Err(failure) = result else { return };
    if link.lock().watch.broken() {
        servers.report(link.server.url(), failure.code, UNREACHABLE, failure.reason);
    }
    // The link keeps its dead end until the sockets are bound anew: the crate repeats a request many times,
    // and each would try the server again.
    outbound.close();
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn connect(servers: &Servers, link: &Link) -> Result<Stream, Failure> {
    let fail = |code, reason| Failure { code, reason };
    let name = &link.server.name;
    let patience = if name.addresses().is_empty() { STEP_TIMEOUT } else { REFRESH_TIMEOUT };
    // Too late, what is known from before must do.
    drop(timeout(patience, name.settled()).await);
    let mut addresses = name.addresses();
    if addresses.is_empty() {
        return Err(fail("ice_server_unresolved", "its name was not found"));
    }
    // A stream is not bound to the family of the socket that it serves, and begins with it.
    addresses.sort_by_key(|address| address.is_ipv4() != link.ipv4);
    let raced = race(addresses, |address| tcp(servers.network.binder.as_deref(), address));
    let stream = match timeout(STEP_TIMEOUT, raced).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(failures)) if failures.iter().all(|(_, error)| is_unbound(error)) => {
            return Err(fail("turn_unreachable", "its socket could not be bound to the network"));
        }
        Ok(Err(_)) => return Err(fail("turn_unreachable", "no TCP connection to it")),
        Err(_) => return Err(fail("turn_unreachable", "no TCP connection to it within 5 s")),
    };
    // Only later without it.
    drop(stream.set_nodelay(true));
    if link.server.transport == Transport::Tcp {
        return Ok(Stream::Plain(stream));
    }
    let config = match &servers.network.tls {
        Some(config) => Arc::clone(config),
        None => crate::platform::tls::client_config(&crate::platform::tls::TlsOptions::default())
            .map_err(|_| fail("turn_tls", "the platform's roots cannot be read"))?,
    };
    let name = ServerName::try_from(link.server.host.clone())
        .map_err(|_| fail("turn_tls", "its host is no name that a certificate can have"))?;
    match timeout(STEP_TIMEOUT, TlsConnector::from(config).connect(name, stream)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(_)) => {
            Err(fail("turn_tls", "the TLS handshake failed: is its certificate trusted?"))
        }
        Err(_) => Err(fail("turn_tls", "no TLS handshake within 5 s")),
    }
}

/// The socket was not bound to the network of the platform.
#[derive(Debug, thiserror::Error)]
#[error("the socket could not be bound to the network")]
struct Unbound;

fn is_unbound(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Unbound>())
}

async fn tcp(binder: Option<&dyn SocketBinder>, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(binder) = binder {
        binder.bind(&SockRef::from(&socket)).map_err(|_| io::Error::other(Unbound))?;
    }
    socket.connect(address).await
}

async fn carry(
    servers: &Servers,
    link: &Link,
    stream: impl AsyncRead + AsyncWrite,
    outbound: &mut mpsc::Receiver<Bytes>,
    inbound: &Inbound,
) -> Result<(), Failure> {
    let made_up = link.server.made_up(link.ipv4);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        let mut frames = BytesMut::new();
        while let Some(datagram) = outbound.recv().await {
            frame(&datagram, &mut frames);
            while let Ok(datagram) = outbound.try_recv() {
                frame(&datagram, &mut frames);
            }
            let written = timeout(WRITE_TIMEOUT, async {
                writer.write_all(&frames).await?;
                // TLS counts as written what it has encrypted, and keeps what the stream did not take.
                writer.flush().await
            });
            if !matches!(written.await, Ok(Ok(()))) {
                return Err(io::ErrorKind::BrokenPipe);
            }
            frames.clear();
        }
        // The socket is gone: nobody wants what would still come.
        Ok(())
    };
    let read = async {
        let mut bytes = BytesMut::with_capacity(READ_BUFFER);
        while !matches!(reader.read_buf(&mut bytes).await, Ok(0) | Err(_)) {
            while let Some(datagram) = next_frame(&mut bytes)? {
                examine(servers, link, &datagram);
                inbound.push(datagram, made_up);
            }
            bytes.reserve(READ_BUFFER);
        }
        Err::<(), _>(io::ErrorKind::UnexpectedEof)
    };
    let ended = tokio::select! { ended = write => ended, ended = read => ended };
    ended.map_err(|_| Failure { code: "turn_closed", reason: "it closed the stream" })
}

/// Appends a datagram, ChannelData padded to a multiple of four.
pub(super) fn frame(datagram: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(datagram);
    let padded = out.len() + datagram.len().next_multiple_of(4) - datagram.len();
    out.resize(padded, 0);
}

/// The next whole message of a stream; an error if it is neither STUN nor ChannelData.
pub(super) fn next_frame(bytes: &mut BytesMut) -> Result<Option<Bytes>, io::ErrorKind> {
    let Some(head) = bytes.get(..CHANNEL_DATA_HEADER) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let (length, padded) = match head[0] >> 6 {
        // RFC 8489 section 5: the length of a STUN message is a multiple of four.
        0 if length.is_multiple_of(4) => (STUN_HEADER + length, STUN_HEADER + length),
        1 => {
            let length = CHANNEL_DATA_HEADER + length;
            (length, length.next_multiple_of(4))
        }
        _ => return Err(io::ErrorKind::InvalidData),
    };
    if bytes.len() < padded {
        return Ok(None);
    }
    let datagram = bytes.split_to(length).freeze();
    bytes.advance(padded - length);
    Ok(Some(datagram))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio::io::DuplexStream;

    use super::super::{NameSource, NetworkContext};
    use super::*;
    use crate::wire::{IceServer, IceUrls};

    fn stun(body: &[u8]) -> Vec<u8> {
        let mut message = vec![0x01, 0x01];
        message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        message.extend_from_slice(&[0; 16]);
        message.extend_from_slice(body);
        message
    }

    #[test]
    fn messages_survive_a_stream_however_it_is_cut() {
        let channel_data = b"\x40\x01\x00\x05hello".to_vec();
        let messages = [stun(&[]), channel_data, stun(&[7; 8])];
        let mut stream = BytesMut::new();
        for message in &messages {
            frame(message, &mut stream);
        }
        assert_eq!(stream.len() % 4, 0);
        let (mut received, mut found) = (BytesMut::new(), Vec::new());
        for byte in stream {
            received.extend_from_slice(&[byte]);
            while let Some(message) = next_frame(&mut received).unwrap() {
                found.push(message.to_vec());
            }
        }
        assert_eq!(found, messages);
        assert!(received.is_empty());
    }

    #[test]
    fn a_stream_that_speaks_something_else_is_given_up() {
        let mut bytes = BytesMut::from(&b"\xffHTTP/1.1"[..]);
        assert_eq!(next_frame(&mut bytes), Err(io::ErrorKind::InvalidData));
        let mut bytes = BytesMut::from(&b"\x00\x03\x00\x03"[..]);
        assert_eq!(next_frame(&mut bytes), Err(io::ErrorKind::InvalidData), "no STUN length");
    }

    /// Both ends of TLS on a stream that takes few bytes at a time.
    async fn tls() -> (
        tokio_rustls::client::TlsStream<DuplexStream>,
        tokio_rustls::server::TlsStream<DuplexStream>,
    ) {
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let server = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = rustls::ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (near, far) = tokio::io::duplex(4_096);
        let name = ServerName::try_from("localhost").unwrap();
        let (client, server) = tokio::join!(
            TlsConnector::from(Arc::new(client)).connect(name, near),
            tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(far),
        );
        (client.unwrap(), server.unwrap())
    }

    fn link_to(url: &str, network: NetworkContext) -> (Servers, Link) {
        let servers = Servers::new(Arc::new(network), Box::new(|_| {}));
        servers.set(&[IceServer {
            urls: IceUrls::One(url.into()),
            username: Some("user".into()),
            credential: Some("password".into()),
        }]);
        let server = servers.behind(([240, 0, 0, 1], 0).into()).unwrap();
        (servers, Link::new(server, true))
    }

    #[tokio::test]
    async fn every_address_of_a_server_is_tried() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listens = listener.local_addr().unwrap();
        // Bound and not listening: refuses.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addresses = vec![silent.local_addr().unwrap(), listens];
        let names = NameSource::Given(Arc::new(move |_| addresses.clone()));
        let network = NetworkContext { names, ..NetworkContext::default() };
        let (servers, link) = link_to("turn:turn.example.org?transport=tcp", network);
        match connect(&servers, &link).await {
            Ok(Stream::Plain(stream)) => assert_eq!(stream.peer_addr().unwrap(), listens),
            Ok(Stream::Tls(_)) => panic!("plain was asked for"),
            Err(failure) => panic!("{}", failure.reason),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_burst_does_not_stay_in_tls() {
        const BURST: usize = 12;
        let (client, mut server) = tls().await;
        let (servers, link) = link_to("turns:127.0.0.1", NetworkContext::default());
        let (outbound, mut datagrams) = mpsc::channel(BURST);
        let carrying = tokio::spawn(async move {
            let inbound = Inbound::default();
            carry(&servers, &link, client, &mut datagrams, &inbound).await.is_ok()
        });
        let datagram = Bytes::from(stun(&[7; 1_000]));
        for _ in 0..BURST {
            outbound.try_send(datagram.clone()).unwrap();
        }
        let mut arrived = vec![0; BURST * datagram.len()];
        // Nothing follows that would push it out.
        let all = timeout(Duration::from_secs(5), server.read_exact(&mut arrived)).await;
        all.expect("all of it arrives").unwrap();
        assert_eq!(arrived, datagram.repeat(BURST));
        drop(outbound);
        assert!(carrying.await.unwrap());
    }
}
