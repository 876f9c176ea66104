//! `metered send` and `metered receive` through the local server: whole files, interruptions, bad peers.
#![cfg(unix)] // Ctrl-C is sent with kill
#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "support/files.rs"]
mod files;

use std::time::Duration;

use files::*;
use metered_dev_server::Target;
use metered_realtime::peer::RemoteEvent;
use serde_json::{Value, json};

#[test]
fn files_of_every_size_arrive_whole() {
    let world = World::new();
    for size in [0, 1, 5 * MIB] {
        let content = content(size, 7);
        let file = world.file(&format!("f{size}.bin"), &content);
        let mut receiver = world.receive(&[]);
        let mut sender = world.send(&file, &[]);
        let received = receiver.until("received");
        assert_eq!(received["size"], size);
        let sent = sender.until("sent");
        assert_eq!(sent["sha256"], received["sha256"]);
        assert_eq!(sender.end(), (Some(0), String::new()));
        assert_eq!(receiver.end(), (Some(0), String::new()));
        assert!(size == 0 || receiver.saw("progress") && sender.saw("progress"));
        assert_eq!(world.received(&format!("f{size}.bin")), content);
    }
    assert_eq!(world.names(), ["f0.bin", "f1.bin", "f5242880.bin"]);
}

#[test]
fn a_sender_waits_for_its_receiver_and_a_name_that_is_taken_stays() {
    let world = World::new();
    let file = world.file("a.txt", b"new");
    std::fs::write(world.inbox().join("a.txt"), b"old").unwrap();
    let mut sender = world.send(&file, &[]);
    sender.until("offering");
    let mut receiver = world.receive(&[]);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.txt"), b"old");
    assert_eq!(world.received("a (2).txt"), b"new");
    let mut receiver = world.receive(&["--overwrite"]);
    let mut sender = world.send(&file, &[]);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.txt"), b"new");
    assert_eq!(world.names().len(), 2);
}

#[test]
fn a_killed_receiver_goes_on_where_it_was() {
    let world = World::new();
    let content = content(5 * MIB, 1);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive(&[]);
    let mut sender = world.send(&file, &["--limit-rate", "2M"]);
    receiver.until_bytes(MIB as u64);
    receiver.kill();
    sender.until("interrupted");
    let mut receiver = world.receive(&[]);
    let offset = receiver.until("started")["offset"].as_u64().unwrap();
    assert!(offset >= MIB as u64, "{offset}");
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), content);
    assert_eq!(world.names(), ["a.bin"]);
}

#[test]
fn a_killed_sender_goes_on_where_it_was_unless_the_file_is_another() {
    let world = World::new();
    let content = content(5 * MIB, 2);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive(&[]);
    let mut sender = world.send(&file, &["--limit-rate", "2M"]);
    receiver.until_bytes(MIB as u64);
    sender.kill();
    receiver.until("interrupted");
    let mut sender = world.send(&file, &["--limit-rate", "2M"]);
    let offset = receiver.until("started")["offset"].as_u64().unwrap();
    assert!(offset >= MIB as u64, "{offset}");
    receiver.until_bytes(offset + MIB as u64);
    sender.kill();
    receiver.until("interrupted");
    let mut changed = content;
    changed[0] ^= 1;
    let file = world.file("a.bin", &changed);
    let mut sender = world.send(&file, &[]);
    assert_eq!(receiver.until("started")["offset"], 0);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), changed);
}

#[test]
fn a_part_that_was_damaged_is_not_built_upon() {
    let world = World::new();
    let content = content(5 * MIB, 3);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive(&[]);
    let mut sender = world.send(&file, &["--limit-rate", "2M"]);
    receiver.until_bytes(MIB as u64);
    receiver.kill();
    let part = world.inbox().join(&world.names()[0]);
    let mut damaged = std::fs::read(&part).unwrap();
    damaged[1_000] ^= 1;
    std::fs::write(&part, damaged).unwrap();
    let mut receiver = world.receive(&[]);
    assert_eq!(receiver.until("started")["offset"], 0);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), content);
}

#[test]
fn a_lost_connection_to_the_service_does_not_lose_the_file() {
    let world = World::new();
    let content = content(5 * MIB, 4);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive(&[]);
    let mut sender = world.send(&file, &["--limit-rate", "2M"]);
    receiver.until_bytes(MIB as u64);
    // With a key both come back under other names, so to each other they are new peers.
    assert_eq!(world.server.drop_connections(Target::all()), 2);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), content);
    let offsets = receiver.all("started").map(|line| line["offset"].as_u64().unwrap());
    assert!(offsets.skip(1).all(|offset| offset >= MIB as u64));
}

#[test]
fn with_tokens_a_lost_connection_to_the_service_does_not_even_interrupt() {
    let world = World::new();
    let content = content(5 * MIB, 5);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive_as("bob", &[]);
    let mut sender = world.send_as("alice", &file, &["--limit-rate", "2M", "--to", "bob"]);
    receiver.until_bytes(MIB as u64);
    assert_eq!(world.server.drop_connections(Target::all()), 2);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), content);
    assert!(!sender.saw("interrupted") && !receiver.saw("interrupted"));
}

#[test]
fn a_file_that_changes_under_the_sender_is_an_error_and_leaves_nothing() {
    let world = World::new();
    let file = world.file("a.bin", &content(2 * MIB, 6));
    let mut receiver = world.receive(&["--keep"]);
    let mut sender = world.send(&file, &["--limit-rate", "1M"]);
    receiver.until_bytes(100_000);
    let changed = content(2 * MIB, 60);
    std::fs::write(&file, changed).unwrap();
    let (code, said) = sender.end();
    assert_eq!(code, Some(1));
    assert_explained(&said, "file_changed");
    assert_eq!(receiver.until("failed")["code"], "sender_gave_up");
    receiver.interrupt();
    assert_eq!(receiver.end().0, Some(130));
    assert!(world.names().is_empty(), "{:?}", world.names());
}

#[test]
fn a_wrong_hash_is_an_error_and_leaves_nothing() {
    let world = World::new();
    let mut receiver = world.receive(&[]);
    let stranger = Stranger::offering(&world, &offer("a.txt", 5, &"0".repeat(64)));
    let accepted = stranger.text();
    assert_eq!((&accepted["type"], &accepted["offset"]), (&json!("accept"), &json!(0)));
    stranger.say(r#"{"type":"start","offset":0}"#);
    stranger.bytes(b"hello");
    stranger.say(r#"{"type":"end"}"#);
    assert_eq!(stranger.text(), json!({ "type": "failed", "code": "hash_mismatch" }));
    let (code, said) = receiver.end();
    assert_eq!(code, Some(1));
    assert_explained(&said, "hash_mismatch");
    assert!(world.names().is_empty(), "{:?}", world.names());
}

#[test]
fn a_hostile_name_stays_in_the_folder_and_moves_no_cursor() {
    let world = World::new();
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let mut receiver = world.receive(&[]);
    let stranger = Stranger::offering(&world, &offer("../../\u{1b}[2J.ssh/../a\nb", 5, hash));
    stranger.text();
    stranger.say(r#"{"type":"start","offset":0}"#);
    stranger.bytes(b"hello");
    stranger.say(r#"{"type":"end"}"#);
    assert_eq!(stranger.text(), json!({ "type": "done" }));
    stranger.say(r#"{"type":"confirmed"}"#);
    assert_eq!(receiver.end(), (Some(0), String::new()));
    assert_eq!(world.names(), ["a_b"]);
    assert_eq!(world.received("a_b"), b"hello");
}

#[test]
fn a_sender_that_did_not_hear_of_the_end_is_told_again() {
    let world = World::new();
    let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let mut receiver = world.receive(&[]);
    let stranger = Stranger::offering(&world, &offer("a", 5, hash));
    stranger.text();
    stranger.say(r#"{"type":"start","offset":0}"#);
    stranger.bytes(b"hello");
    stranger.say(r#"{"type":"end"}"#);
    assert_eq!(stranger.text(), json!({ "type": "done" }));
    drop(stranger);
    receiver.until("received");
    let stranger = Stranger::offering(&world, &offer("a", 5, hash));
    assert_eq!(stranger.text(), json!({ "type": "done" }));
    stranger.say(r#"{"type":"confirmed"}"#);
    assert_eq!(receiver.end(), (Some(0), String::new()));
    assert_eq!(world.names(), ["a"]);
}

#[test]
fn malformed_peers_are_let_go_and_the_next_is_served() {
    let world = World::new();
    let mut receiver = world.receive(&["--max-size", "1M"]);
    let hash = "0".repeat(64);
    for first in [
        "no json".to_owned(),
        r#"{"type":"start","offset":0}"#.to_owned(),
        offer("a", 1, "zz"),
        format!(r#"{{"type":"offer","name":"{}"}}"#, "x".repeat(60_000)),
    ] {
        let stranger = Stranger::offering(&world, &first);
        stranger.closed();
        assert_eq!(receiver.until("failed")["code"], "protocol_violation");
    }
    let stranger = Stranger::offering(&world, &offer("a", MIB + 1, &hash));
    assert_eq!(stranger.text(), json!({ "type": "refuse", "code": "too_large" }));
    for after in [r#"{"type":"start","offset":9}"#, r#"{"type":"done"}"#] {
        let stranger = Stranger::offering(&world, &offer("a", 10, &hash));
        assert_eq!(stranger.text()["type"], "accept");
        stranger.say(after);
        assert_eq!(stranger.text()["code"], "protocol_violation");
    }
    let stranger = Stranger::offering(&world, &offer("a", 10, &hash));
    stranger.text();
    stranger.say(r#"{"type":"start","offset":0}"#);
    stranger.bytes(&[0; 11]);
    assert_eq!(stranger.text()["code"], "protocol_violation", "more than was offered");
    let file = world.file("good.txt", b"good");
    let mut sender = world.send(&file, &[]);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.names(), ["good.txt"]);
}

#[test]
fn a_receiver_that_lies_is_an_error() {
    let world = World::new();
    let file = world.file("a.txt", b"hello");
    let answers = |answers: &'static [&'static str]| {
        let stranger = Stranger::answering(&world, answers);
        let mut sender = world.send(&file, &[]);
        let ended = sender.end();
        drop(stranger);
        ended
    };
    let (code, said) = answers(&["nonsense"]);
    assert_eq!(code, Some(1));
    assert_explained(&said, "protocol_violation");
    let (code, said) = answers(&[r#"{"type":"done"}"#]);
    assert_eq!(code, Some(1), "nothing was sent yet");
    assert_explained(&said, "protocol_violation");
    let (code, said) = answers(&[r#"{"type":"refuse","code":"\u001b[2J"}"#]);
    assert_eq!(code, Some(1));
    assert_explained(&said, "refused");
    assert!(!said.contains('\u{1b}'));
    // More than there is: it is not believed, and the file is sent from its beginning.
    const ACCEPT: &str = concat!(
        r#"{"type":"accept","offset":99999999999,"sha256":""#,
        "0000000000000000000000000000000000000000000000000000000000000000\"}"
    );
    const FAILED: &str = r#"{"type":"failed","code":"unwritable"}"#;
    let (code, said) = answers(&[ACCEPT, FAILED]);
    assert_eq!(code, Some(1));
    assert_explained(&said, "receiver_failed");
}

#[test]
fn several_senders_and_receivers_share_a_room() {
    let world = World::new();
    let bystander = Stranger::silent(&world);
    let contents: Vec<_> = (0..3).map(|n| content(MIB + n, n as u8)).collect();
    let mut receivers: Vec<_> = (0..3).map(|_| world.receive(&[])).collect();
    let mut senders: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| world.send(&world.file(&format!("s{n}"), content), &[]))
        .collect();
    for process in senders.iter_mut().chain(&mut receivers) {
        assert_eq!(process.end(), (Some(0), String::new()));
    }
    for (n, content) in contents.iter().enumerate() {
        assert_eq!(world.received(&format!("s{n}")), *content);
    }
    assert_eq!(world.names().len(), 3);
    drop(bystander);
}

#[test]
fn the_receiver_that_was_named_gets_the_file_and_one_that_keeps_takes_more() {
    let world = World::new();
    let mut wrong = world.receive_as("wrong", &[]);
    wrong.until("waiting");
    let mut right = world.receive_as("right", &["--keep"]);
    right.until("waiting");
    for n in 0..3_u8 {
        let file = world.file(&format!("n{n}"), &[n]);
        let mut sender = world.send(&file, &["--to", "right"]);
        assert_eq!(sender.end().0, Some(0));
        assert_eq!(right.until("received")["size"], 1);
    }
    for process in [&mut wrong, &mut right] {
        process.interrupt();
        assert_eq!(process.end().0, Some(130));
    }
    assert!(!wrong.saw("started"));
    assert_eq!(world.names(), ["n0", "n1", "n2"]);
    let lonely = world.file("x", b"x");
    let (code, said) = world.send(&lonely, &["--timeout", "1"]).end();
    assert_eq!(code, Some(1));
    assert_explained(&said, "timed_out");
}

#[test]
fn a_stopped_sender_ends_cleanly_and_the_part_is_kept() {
    let world = World::new();
    let content = content(2 * MIB, 9);
    let file = world.file("a.bin", &content);
    let mut receiver = world.receive(&[]);
    let mut sender = world.send(&file, &["--limit-rate", "1M"]);
    receiver.until_bytes(200_000);
    sender.interrupt();
    assert_eq!(sender.end().0, Some(130));
    receiver.until("interrupted");
    let mut sender = world.send(&file, &[]);
    assert!(receiver.until("started")["offset"].as_u64().unwrap() >= 200_000);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    assert_eq!(world.received("a.bin"), content);
}

#[test]
fn people_see_lines_where_there_is_no_terminal_and_bad_arguments_are_explained() {
    let world = World::new();
    let file = world.file("a.txt", &content(MIB, 8));
    let mut receiver = world.start(&["receive", world.inbox().to_str().unwrap()], None);
    let mut sender = world.start(&["send", file.to_str().unwrap()], None);
    assert_eq!((sender.end().0, receiver.end().0), (Some(0), Some(0)));
    let said = sender.lines();
    assert!(said.contains("100 %: 1.00 MiB of 1.00 MiB") && said.contains("verified"), "{said}");
    assert!(!said.contains('\u{1b}'));
    for (args, code) in [
        (&["send", "/no/such/file"][..], "unreadable_file"),
        (&["send", "/"], "not_a_file"),
        (&["receive", "/no/such/folder"], "no_folder"),
    ] {
        let (status, said) = world.start(args, None).end();
        assert_eq!(status, Some(1));
        assert_explained(&said, code);
    }
}

/// An offer in the protocol's words.
fn offer(name: &str, size: usize, hash: &str) -> String {
    let offer = json!({
        "type": "offer", "transfer": "t1", "name": name, "size": size, "sha256": hash,
    });
    offer.to_string()
}

fn assert_explained(said: &str, code: &str) {
    for word in [&format!("[{code}]"), "cause:", "fix:"] {
        assert!(said.contains(word), "{said}");
    }
}

/// Waiting for a process is bounded by this.
const LIMIT: Duration = Duration::from_secs(60);

fn is(line: &Value, kind: &str) -> bool {
    line["type"] == kind
}

fn channel_of(event: RemoteEvent) -> Option<metered_realtime::peer::DataChannel> {
    match event {
        RemoteEvent::DataChannel(channel) => Some(channel),
        _ => None,
    }
}
