//! What a datagram takes that nothing of ours touches: between two tasks of this process, over loopback, while
//! something else is measured. What a busy machine adds to it, it adds to a picture as well.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::{Outcome, percentile};

const PAUSE: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Datagrams at the pace of pictures.
pub(crate) struct Bare {
    /// In milliseconds.
    times: Arc<Mutex<Vec<f64>>>,
    /// Ends with it.
    _tasks: JoinSet<Outcome<()>>,
}

impl Bare {
    pub(crate) async fn begin() -> Outcome<Self> {
        let (one, two) = (bound().await?, bound().await?);
        let to = two.local_addr()?;
        let (epoch, times) = (Instant::now(), Arc::<Mutex<Vec<f64>>>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clock = tokio::time::interval(PAUSE);
            loop {
                clock.tick().await;
                let now = u64::try_from(epoch.elapsed().as_nanos())?;
                one.send_to(&now.to_be_bytes(), to).await?;
            }
        });
        let taken = Arc::clone(&times);
        tasks.spawn(async move {
            let mut bytes = [0; 8];
            loop {
                two.recv_from(&mut bytes).await?;
                let took =
                    epoch.elapsed().saturating_sub(Duration::from_nanos(u64::from_be_bytes(bytes)));
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(took.as_secs_f64() * 1e3);
            }
        });
        Ok(Self { times, _tasks: tasks })
    }

    /// Half of them took no longer, and 95 of 100.
    pub(crate) fn percentiles(&self) -> (f64, f64) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        (percentile(&mut times, 50), percentile(&mut times, 95))
    }
}

async fn bound() -> Outcome<UdpSocket> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}
