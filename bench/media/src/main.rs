//! One figure of our media, as one line of JSON: `bench-media FIGURE URL`.
//!
//! `js/wrtc.mjs` does the same for what libwebrtc can do without its codecs in the way; `run` alternates them.
//! `sender` and `member` are the processes that `memory` and `mesh` start.
#![allow(clippy::print_stdout)] // its output is its purpose

mod bare;
mod call;
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
        ["sender", url, room] => return memory::sender(url, room).await.map(|()| None),
        ["member", url, room, members] => {
            return mesh::member(url, room, members.parse()?).await.map(|()| None);
        }
        _ => return Err("usage: bench-media cpu|picture|sound|memory|mesh URL".into()),
    }))
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Some(line) = figure(&arguments).await? {
        println!("{line}");
    }
    Ok(())
}
