//! The steps of the demonstration.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use metered_dev_server::{DEV_API_KEY, DevServerHandle, Target, TokenClaims};
use metered_realtime::credential::TokenProviderError;
use metered_realtime::signalling::{ConnectError, Event, RequestError, SignallingOptions, State};
use metered_realtime::wire::ErrorCode;
use serde_json::json;

use super::watch::Watched;
use super::{Story, Told, within};
use crate::output::Failure;

/// What an error says of itself.
fn diagnosed(error: &ConnectError) -> String {
    let diagnosis = error.diagnosis();
    format!("{error} [{}]. {} Fix: {}", error.code(), diagnosis.cause, diagnosis.fix)
}

fn key(key: &str) -> Result<SignallingOptions, String> {
    SignallingOptions::with_api_key(key).map_err(|error| error.to_string())
}

fn token(token: &str) -> Result<SignallingOptions, String> {
    SignallingOptions::with_token(token).map_err(|error| error.to_string())
}

/// Tries to connect and expects a refusal with this code.
async fn refused(server: &DevServerHandle, options: SignallingOptions, code: &str) -> Told {
    let watched = Watched::new(server, "guest", options)?;
    match watched.client.connect().await {
        Ok(()) => {
            watched.client.close().await;
            Err("the connection was accepted".into())
        }
        Err(error) if error.code() == code => Ok(diagnosed(&error)),
        Err(error) => Err(format!("expected {code}, got {}", diagnosed(&error))),
    }
}

pub(super) async fn refusals(server: &DevServerHandle, story: &mut Story) -> Result<(), Failure> {
    story.chapter("Refusals have a name, a cause and a fix")?;
    let wrong_key = async { refused(server, key("pk_live_mistyped")?, "invalid_token").await };
    story.tell("a key that does not exist", within(wrong_key).await)?;

    let secret = match SignallingOptions::with_api_key("sk_secret_dev") {
        Err(error) => Ok(format!("{error}. {}", error.diagnosis())),
        Ok(_) => Err("a secret key was taken".to_owned()),
    };
    story.tell("a secret key in an app", secret)?;

    let connects =
        |server: &DevServerHandle| server.log().iter().filter(|e| e.event == "refused").count();
    let before = connects(server);
    let expired = async {
        let claims = TokenClaims { exp: Some(1_700_000_000.into()), ..TokenClaims::new("late") };
        let old = server.mint(&claims).map_err(|error| error.to_string())?;
        let told = refused(server, token(&old)?, "expired").await?;
        match connects(server) - before {
            0 => Ok(format!("{told} Nothing was sent.")),
            n => Err(format!("{n} connects reached the server")),
        }
    };
    story.tell("an expired token", within(expired).await)?;

    let portal = async {
        server.refuse_upgrades(1, 401, Some(json!({ "error": "origin_not_allowed" })), None);
        refused(server, key(DEV_API_KEY)?, "origin_not_allowed").await
    };
    story.tell("an HTTP 401 at the upgrade, read with its code", within(portal).await)
}

pub(super) async fn conversation(
    server: &DevServerHandle,
    story: &mut Story,
) -> Result<(), Failure> {
    story.chapter("Three clients, one channel")?;
    match within(meet(server)).await {
        Err(error) => story.tell("alice, bob and carol connect", Err(error)),
        Ok((alice, bob, carol, told)) => {
            story.tell("alice, bob and carol connect and see each other", Ok(told))?;
            let mut all = [alice, bob, carol];
            let talked = within(talk(&mut all)).await;
            story.tell("a message to all, and one to bob alone", talked)?;
            let dropped = within(drop_alice(server, &mut all)).await;
            story.tell("alice's connection is cut without a farewell", dropped)?;
            let silent = within(silence_bob(server, &mut all)).await;
            story.tell("bob's network changes and his socket is dead", silent)?;
            let away = within(going_away(server, &mut all)).await;
            story.tell("the server restarts", away)?;
            for watched in &all {
                watched.client.close().await;
            }
            Ok(())
        }
    }
}

async fn meet(server: &DevServerHandle) -> Result<(Watched, Watched, Watched, String), String> {
    let minted = |name| server.token(name).map_err(|error| error.to_string());
    let mut alice = Watched::new(server, "alice", token(&minted("alice")?)?)?;
    let bobs = minted("bob")?;
    let provider = move || {
        let token = bobs.clone();
        async move { Ok::<_, TokenProviderError>(token) }
    };
    let mut bob = Watched::new(server, "bob", SignallingOptions::with_token_provider(provider))?;
    let carol = Watched::new(server, "carol", key(DEV_API_KEY)?)?;
    for watched in [&alice, &bob, &carol] {
        watched.connect().await?;
        watched.subscribe("lobby").await?;
    }
    let carols_id = carol.client.connected().map(|c| c.peer_id.clone()).unwrap_or_default();
    let joined = |event: &Event, id: &str| match event {
        Event::Presence { presence, .. } => {
            presence.joined.iter().any(|peer| peer.peer_id == id).then_some(())
        }
        _ => None,
    };
    alice.until(|event| joined(event, "bob")).await?;
    alice.until(|event| joined(event, &carols_id)).await?;
    bob.until(|event| joined(event, "alice")).await?;
    let told = "Alice has a token, bob a provider of tokens, carol a key. Bob found alice in his snapshot; alice saw bob and carol come.";
    Ok((alice, bob, carol, told.to_owned()))
}

async fn talk([alice, bob, carol]: &mut [Watched; 3]) -> Told {
    let sent = Instant::now();
    alice.client.publish("lobby", "hello").await.map_err(|error| error.to_string())?;
    let from = bob.hears("hello").await?;
    carol.hears("hello").await?;
    let micros = sent.elapsed().as_micros();
    if from != "alice" {
        return Err(format!("the message came from {from}"));
    }
    carol.client.send("bob", "psst").await.map_err(|error| error.to_string())?;
    bob.hears("psst").await?;
    Ok(format!("Both have it, {micros} µs after the call, and the direct one came to bob."))
}

async fn drop_alice(server: &DevServerHandle, [alice, bob, _]: &mut [Watched; 3]) -> Told {
    let cut = Instant::now();
    server.drop_connections(Target::peer("alice"));
    let lost = alice
        .until(|event| match event {
            Event::Disconnected(lost) => Some(Arc::clone(lost)),
            _ => None,
        })
        .await?;
    if !lost.will_reconnect {
        return Err("alice does not try again".into());
    }
    let back = alice.until_state(State::Connected).await?;
    // The snapshot of the replayed subscription: alice is on the channel again.
    alice
        .until(|event| match event {
            Event::Presence { snapshot: true, .. } => Some(()),
            _ => None,
        })
        .await?;
    bob.client.publish("lobby", "are you there?").await.map_err(|error| error.to_string())?;
    alice.hears("are you there?").await?;
    let ms = back.duration_since(cut).as_millis();
    Ok(format!(
        "Close code {}. Back after {ms} ms (half a second, more or less a fifth by chance), subscription replayed, bob's next message arrived.",
        lost.code.get()
    ))
}

async fn silence_bob(server: &DevServerHandle, [alice, bob, _]: &mut [Watched; 3]) -> Told {
    server.mute(false, Target::peer("bob"));
    let changed = Instant::now();
    bob.client.network_changed();
    let back = bob.until_state(State::Connected).await?;
    bob.until(|event| match event {
        Event::Presence { snapshot: true, .. } => Some(()),
        _ => None,
    })
    .await?;
    alice.client.publish("lobby", "welcome back").await.map_err(|error| error.to_string())?;
    bob.hears("welcome back").await?;
    let ms = back.duration_since(changed).as_millis();
    Ok(format!(
        "The platform said network_changed; a probe went unanswered for 2 s, and a new connection stood {ms} ms after the change. Without the hint the watchdog would have taken 60 s."
    ))
}

async fn going_away(server: &DevServerHandle, [alice, bob, carol]: &mut [Watched; 3]) -> Told {
    let soon = Duration::from_millis(700);
    // Before anybody can have heard of it: the clients wait from then on.
    let announced = Instant::now();
    server.going_away(soon, Some(Duration::ZERO), Target::all());
    for watched in [&mut *alice, &mut *bob, &mut *carol] {
        watched.until_state(State::Reconnecting).await?;
        let back = watched.until_state(State::Connected).await?;
        if back.duration_since(announced) < soon {
            return Err(format!("{} came back before the server wanted it", watched.name));
        }
    }
    Ok("All three came back by themselves, and not before the 700 ms that the server asked for."
        .into())
}

pub(super) async fn tokens(server: &DevServerHandle, story: &mut Story) -> Result<(), Failure> {
    story.chapter("A token that ends")?;
    story.tell("a token of four seconds is renewed ahead of its end", within(renew(server)).await)
}

async fn renew(server: &DevServerHandle) -> Told {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let mut tokens = Vec::new();
    for extra in 0..8 {
        // Each differs, as from a backend that mints anew.
        let mut claims = TokenClaims::new("dora").lasting(Duration::from_secs(4));
        claims.metadata = Some(json!({ "n": extra }));
        tokens.push(server.mint(&claims).map_err(|error| error.to_string())?);
    }
    let provider = move || {
        let n = count.fetch_add(1, Ordering::Relaxed) as usize;
        let token = tokens.get(n).cloned();
        async move { token.ok_or_else(|| TokenProviderError::new("no more tokens")) }
    };
    let options = SignallingOptions::with_token_provider(provider);
    let mut dora = Watched::new(server, "dora", options)?;
    dora.connect().await?;
    let renewed = dora
        .until(|event| match event {
            Event::Disconnected(lost) => Some((lost.code.get(), lost.error.code().into_owned())),
            _ => None,
        })
        .await?;
    dora.until_state(State::Connected).await?;
    dora.client.close().await;
    match (renewed, asked.load(Ordering::Relaxed)) {
        ((1000, code), 2) if code == "renewal" => Ok(
            "At half of its life the provider was asked, and the client moved to the next token in order; the server never had to close with 4002.".into(),
        ),
        (other, asked) => Err(format!("{other:?} after {asked} calls of the provider")),
    }
}

pub(super) async fn limits(server: &DevServerHandle, story: &mut Story) -> Result<(), Failure> {
    story.chapter("Limits")?;
    let quota = within(quota(server)).await;
    server.quota_exhausted(false);
    story.tell("the plan's messages are used up", quota)?;
    story.tell("three hundred messages at once", within(burst(server)).await)?;
    story.tell("too many connects: HTTP 429", within(rate_limited(server)).await)
}

async fn pair(server: &DevServerHandle) -> Result<(Watched, Watched), String> {
    let minted = |name| server.token(name).map_err(|error| error.to_string());
    let one = Watched::new(server, "emil", token(&minted("emil")?)?)?;
    let two = Watched::new(server, "fay", token(&minted("fay")?)?)?;
    for watched in [&one, &two] {
        watched.connect().await?;
        watched.subscribe("busy").await?;
    }
    Ok((one, two))
}

async fn quota(server: &DevServerHandle) -> Told {
    let (mut emil, fay) = pair(server).await?;
    server.quota_exhausted(true);
    let refused = emil.client.publish("busy", "one too many").await;
    server.quota_exhausted(false);
    fay.client.publish("busy", "still here").await.map_err(|error| error.to_string())?;
    emil.hears("still here").await?;
    emil.client.close().await;
    fay.client.close().await;
    match refused {
        Err(error @ RequestError::Server { code: ErrorCode::OverMessageQuota, .. }) => {
            let diagnosis = error.diagnosis();
            Ok(format!(
                "{error}. {} Fix: {} The connection stayed and kept receiving.",
                diagnosis.cause, diagnosis.fix
            ))
        }
        other => Err(format!("{other:?}")),
    }
}

async fn burst(server: &DevServerHandle) -> Told {
    let (emil, mut fay) = pair(server).await?;
    let began = Instant::now();
    let mut sent = Vec::new();
    for n in 0..300_u32 {
        let client = emil.client.clone();
        sent.push(tokio::spawn(async move { client.publish("busy", &n).await }));
        // In this order: each call reaches the client before the next is made.
        tokio::task::yield_now().await;
    }
    let mut heard = 0_u32;
    while heard < 300 {
        let n = fay
            .until(|event| match event {
                Event::Message(message) => message.data.to::<u32>().ok(),
                _ => None,
            })
            .await?;
        let _number = n;
        heard += 1;
    }
    for task in sent {
        task.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let state = emil.client.state();
    emil.client.close().await;
    fay.client.close().await;
    if state != State::Connected {
        return Err(format!("emil is {state}"));
    }
    Ok(format!(
        "All 300 arrived in {seconds:.1} s, paced below the service's 100 a second; unpaced, the server would have closed the connection with 4011."
    ))
}

async fn rate_limited(server: &DevServerHandle) -> Told {
    let mut gil = Watched::new(server, "gil", key(DEV_API_KEY)?)?;
    gil.connect().await?;
    server.refuse_upgrades(1, 429, Some(json!({ "error": "rate_limited" })), Some(2));
    // Before the refusal: the client waits from then on, and its app hears of it a moment later.
    let dropped = Instant::now();
    server.drop_connections(Target::all());
    gil.until(|event| match event {
        Event::Disconnected(lost) if lost.error.http_status() == Some(429) => Some(()),
        _ => None,
    })
    .await?;
    let back = gil.until_state(State::Connected).await?;
    gil.client.close().await;
    let waited = back.duration_since(dropped);
    if waited < Duration::from_secs(2) {
        return Err(format!("came back after {} ms, and 2 s were asked for", waited.as_millis()));
    }
    Ok(format!(
        "The status was read, Retry-After of 2 s honoured: back {} ms after the connection was cut.",
        waited.as_millis()
    ))
}
