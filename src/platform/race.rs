//! Happy Eyeballs (RFC 8305): IPv6 and IPv4 raced, the first connection wins.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

/// Head start of each address over the next (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses that are tried at most.
const MAX_ADDRESSES: usize = 16;

/// The order to try addresses in: families by turns, the family of the first address first (the system
/// sorted them by RFC 6724), order within a family kept (RFC 8305 section 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut ours, mut others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    ours.reverse();
    others.reverse();
    let mut order = Vec::new();
    while order.len() < MAX_ADDRESSES && !(ours.is_empty() && others.is_empty()) {
        order.extend(ours.pop());
        order.extend(others.pop());
    }
    order.truncate(MAX_ADDRESSES);
    order
}

/// Connects to the first address that answers. A failure lets the next address start at once.
pub(crate) async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Vec<(SocketAddr, io::Error)>>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = interleave(addresses).into_iter();
    let mut failures = Vec::new();
    let mut running = FuturesUnordered::new();
    let start = |address| {
        let attempt = connect(address);
        async move { (address, attempt.await) }
    };
    loop {
        if running.is_empty() {
            match waiting.next() {
                Some(address) => running.push(start(address)),
                None => return Err(failures),
            }
        }
        let may_start = waiting.len() > 0;
        tokio::select! {
            Some((address, result)) = running.next() => match result {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    failures.push((address, error));
                    running.extend(waiting.next().map(&start));
                }
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if may_start => {
                running.extend(waiting.next().map(&start));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tokio::time::Instant;

    fn v4(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 443))
    }

    fn v6(n: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 443))
    }

    /// Races with an outcome per address, and tells when each attempt began.
    async fn starts(
        addresses: Vec<SocketAddr>,
        outcome: impl Fn(SocketAddr) -> (u64, bool),
    ) -> (Vec<(u64, SocketAddr)>, Option<SocketAddr>, u64) {
        let began = Instant::now();
        let ms = || u64::try_from(began.elapsed().as_millis()).unwrap();
        let log = Mutex::new(Vec::new());
        let won = race(addresses, |address| {
            log.lock().unwrap().push((ms(), address));
            let (after, well) = outcome(address);
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                well.then_some(address).ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
            }
        })
        .await
        .ok();
        let end = ms();
        (log.into_inner().unwrap(), won, end)
    }

    #[test]
    fn families_take_turns() {
        let order = interleave(vec![v6(1), v6(2), v4(1), v4(2), v6(3)]);
        assert_eq!(order, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(interleave(vec![v4(1), v6(1)]), [v4(1), v6(1)]);
        assert!(interleave(vec![]).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_costs_a_quarter_of_a_second() {
        let (log, won, end) =
            starts(vec![v6(1), v4(1)], |a| if a == v4(1) { (30, true) } else { (9_999, true) })
                .await;
        assert_eq!(log, [(0, v6(1)), (250, v4(1))]);
        assert_eq!((won, end), (Some(v4(1)), 280));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_starts_the_next_at_once() {
        let (log, won, end) = starts(vec![v6(1), v4(1), v6(2)], |a| (10, a == v6(2))).await;
        assert_eq!(log, [(0, v6(1)), (10, v4(1)), (20, v6(2))]);
        assert_eq!((won, end), (Some(v6(2)), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_can_still_win() {
        let (_, won, end) =
            starts(vec![v6(1), v4(1)], |a| if a == v6(1) { (300, true) } else { (500, true) })
                .await;
        assert_eq!((won, end), (Some(v6(1)), 300));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_kept() {
        let failures = race(vec![v6(1), v4(1)], |_| async {
            Err::<(), _>(io::ErrorKind::HostUnreachable.into())
        })
        .await
        .unwrap_err();
        assert_eq!(failures.len(), 2);
        assert!(race(vec![], |_| async { Ok(()) }).await.unwrap_err().is_empty());
    }
}
