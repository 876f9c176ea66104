//! One figure of our media, as one line of JSON: `bench-media FIGURE URL`.
//!
//! `js/wrtc.mjs` does the same for what libwebrtc can do without its codecs in the way; `run` alternates them.
//! `end`, `sender` and `member` are the processes that `cpu`, `memory` and `mesh` start.
#![allow(clippy::print_stdout)] // its output is its purpose

mod bare;
mod call;
mod child;
mod cpu;
mod encoder;
mod memory;
mod mesh;
mod picture;
mod sound;

use std::time::Duration;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A wait that takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| Err(format!("{what}: not within {PATIENCE:?}").into()))
}

/// In milliseconds.
pub(crate) fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or(f64::NAN)
}

async fn figure(arguments: &[&str]) -> Outcome<Option<serde_json::Value>> {
    Ok(Some(match arguments {
        ["cpu", url] => cpu::cpu(url, None).await?,
        ["cpu", url, only] => cpu::cpu(url, Some(only)).await?,
        ["picture", url] => picture::picture(url).await?,
        ["sound", url] => sound::sound(url).await?,
        ["memory", url] => memory::memory(url).await?,
        ["mesh", url] => mesh::mesh(url).await?,
        ["end", url, room, figure] => return cpu::end(url, room, figure).await.map(|()| None),
        ["sender", url, room] => return memory::sender(url, room).await.map(|()| None),
        ["member", url, room, members] => {
            return mesh::member(url, room, members.parse()?).await.map(|()| None);
        }
        _ => return Err("usage: bench-media cpu|picture|sound|memory|mesh URL".into()),
    }))
}

/// As the library for apps has them (`src/ffi/runtime.rs`); `TOKIO_WORKER_THREADS` says otherwise.
const THREADS: usize = 1;

fn main() -> Outcome<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        runtime.worker_threads(THREADS);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = runtime.enable_all().build()?.block_on(figure(&arguments))?;
    if let Some(line) = line {
        println!("{line}");
    }
    Ok(())
}
