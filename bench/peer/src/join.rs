//! Joins the rooms that standard input names, one after the other.
//!
//! `wait ROOM` answers `ready` once joined; `join ROOM` answers with the milliseconds from `join` to an open
//! channel to whoever is there already; after either, `leave` answers `gone`.

use std::time::Instant;

use metered_realtime::peer::{DataChannelOptions, MeteredPeer};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::Outcome;
use crate::room::{opened, other, peer};

async fn meet(us: &MeteredPeer, room: &str) -> Outcome<f64> {
    let mut events = us.events();
    let began = Instant::now();
    us.join(room).await?;
    let remote = other(&mut events).await?;
    let channel = remote.open_data_channel("bench", DataChannelOptions::default()).await?;
    opened(&mut channel.events()).await?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

pub(crate) async fn join(url: &str) -> Outcome<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut us = peer(url)?;
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("wait", room) => {
                us.join(room).await?;
                println!("ready");
            }
            ("join", room) => println!("{}", meet(&us, room).await?),
            ("leave", _) => {
                us.close().await;
                us = peer(url)?;
                println!("gone");
            }
            _ => return Err(format!("what is {line:?}?").into()),
        }
    }
    us.close().await;
    Ok(())
}
