//! The steps of a dial, one after the other.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::{DialError, ProxyFailure};
use super::progress::{ConnectStep, DialProgress};
use super::stream::{Socket, Stream};
use super::target::Target;
use super::upgrade::upgrade;
use crate::platform::race::race;

/// Connects to a target; `query` carries the credential. Dropping the future leaves nothing behind.
pub(crate) async fn dial(
    target: &Target,
    query: &SecretString,
    progress: &DialProgress,
) -> Result<Socket, DialError> {
    let result = steps(target, query, progress).await;
    progress.end(result.is_ok());
    result
}

async fn steps(
    target: &Target,
    query: &SecretString,
    progress: &DialProgress,
) -> Result<Socket, DialError> {
    let stream = match &target.proxy {
        None => tcp(&target.host, target.port, progress).await?,
        Some(Err(_)) => return Err(DialError::Proxy(ProxyFailure::Url)),
        Some(Ok(proxy)) => {
            progress.note(|attempt| attempt.proxy = Some(proxy.authority()));
            let mut stream =
                tcp(&proxy.host, proxy.port, progress).await.map_err(DialError::of_proxy)?;
            progress.enter(ConnectStep::Proxy);
            if proxy.secure {
                let name = ServerName::try_from(proxy.host.clone())
                    .map_err(|_| DialError::Proxy(ProxyFailure::Url))?;
                stream = tls(stream, target, name).await?;
            }
            proxy.tunnel(stream, &target.host, target.port).await?
        }
    };
    let stream = match &target.server_name {
        Some(name) => {
            progress.enter(ConnectStep::Tls);
            tls(stream, target, name.clone()).await?
        }
        None => stream,
    };
    progress.enter(ConnectStep::Upgrading);
    upgrade(stream, target, query, progress).await
}

async fn tcp(host: &str, port: u16, progress: &DialProgress) -> Result<Stream, DialError> {
    progress.enter(ConnectStep::Resolving);
    let addresses: Vec<_> =
        tokio::net::lookup_host((host, port)).await.map_err(DialError::Dns)?.collect();
    if addresses.is_empty() {
        return Err(DialError::Dns(io::ErrorKind::NotFound.into()));
    }
    progress.note(|attempt| attempt.addresses.clone_from(&addresses));
    progress.enter(ConnectStep::Connecting);
    let stream = race(addresses, TcpStream::connect).await.map_err(DialError::Connect)?;
    // Gone already: the next step will say so.
    progress.note(|attempt| attempt.address = stream.peer_addr().ok());
    // Small frames must not wait for each other; without it everything still works, only later.
    drop(stream.set_nodelay(true));
    Ok(Stream::Tcp(stream))
}

async fn tls(
    stream: Stream,
    target: &Target,
    name: ServerName<'static>,
) -> Result<Stream, DialError> {
    let Some(config) = &target.tls else {
        // Cannot happen: the target has a configuration whenever a step of its way needs one.
        return Err(DialError::Tls(io::ErrorKind::Unsupported.into()));
    };
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector.connect(name, stream).await.map_err(DialError::Tls)?;
    Ok(Stream::Tls(Box::new(stream)))
}
