use super::*;

fn pings(sim: &mut Sim) -> Vec<u64> {
    sim.only("write ping").into_iter().map(|(at, _)| at).collect()
}

#[test]
fn an_idle_connection_is_pinged_every_twenty_seconds_and_left_after_sixty() {
    let mut sim = Sim::connected();
    sim.advance(ms(59_999));
    assert_eq!(pings(&mut sim), [20_000, 40_000]);
    sim.advance(ms(1));
    assert_eq!(
        sim.take(),
        lines(&[
            (60_000, "drop 4000 inactivity timeout"),
            (60_000, "lost 4000 again"),
            (60_000, "state reconnecting"),
        ]),
        "at once, without waiting for a polite close"
    );
}

#[test]
fn every_frame_of_the_server_feeds_the_watchdog() {
    let mut sim = Sim::connected();
    for _ in 0..10 {
        sim.advance(ms(19_000));
        sim.text(r#"{"type":"pong"}"#);
    }
    assert!(pings(&mut sim).is_empty());
    assert_eq!(sim.session.state(), State::Connected);
}

#[test]
fn a_short_limit_still_pings_no_more_than_once_a_second() {
    let mut options = config(CredentialKind::Key);
    options.inactivity_timeout = Some(ms(2_400));
    let mut sim = Sim::connected_with(options);
    sim.advance(ms(2_399));
    assert_eq!(pings(&mut sim), [1_000, 2_000]);
}

#[test]
fn without_a_limit_there_is_neither_ping_nor_watchdog() {
    let mut options = config(CredentialKind::Key);
    options.inactivity_timeout = None;
    let mut sim = Sim::connected_with(options);
    assert_eq!(sim.session.next_deadline(), None);
    sim.advance(Duration::from_secs(86_400));
    assert_eq!(sim.take(), []);
}

#[test]
fn a_probe_that_is_answered_changes_nothing() {
    for input in [
        Input::NetworkChanged,
        Input::EnteredForeground,
        Input::EnteredBackground,
        Input::ReconnectNow,
    ] {
        let mut sim = Sim::connected();
        sim.handle(input);
        assert_eq!(pings(&mut sim), [0]);
        sim.advance(ms(1_999));
        sim.text(r#"{"type":"pong"}"#);
        sim.advance(ms(10_000));
        assert_eq!(sim.take(), []);
    }
}

#[test]
fn a_probe_without_an_answer_leads_to_a_new_socket_at_once() {
    let mut sim = Sim::connected();
    sim.advance(ms(5_000));
    sim.handle(Input::NetworkChanged);
    sim.take();
    sim.advance(ms(2_000));
    assert_eq!(
        sim.take(),
        lines(&[
            (7_000, "drop 4000 no answer to a probe"),
            (7_000, "lost 4000 again"),
            (7_000, "state reconnecting"),
            (7_000, "dial"),
        ])
    );
}

#[test]
fn a_second_hint_does_not_prolong_a_probe() {
    let mut sim = Sim::connected();
    sim.handle(Input::NetworkChanged);
    sim.advance(ms(1_500));
    sim.handle(Input::NetworkChanged);
    sim.advance(ms(500));
    assert_eq!(sim.only("drop"), lines(&[(2_000, "4000 no answer to a probe")]));
}

#[test]
fn a_process_that_was_frozen_asks_before_it_leaves() {
    let mut sim = Sim::connected();
    sim.freeze(Duration::from_secs(600));
    assert_eq!(sim.only("write"), lines(&[(600_000, "ping")]));
    sim.text(r#"{"type":"pong"}"#);
    sim.advance(ms(10_000));
    assert_eq!(sim.session.state(), State::Connected);

    sim.freeze(Duration::from_secs(600));
    sim.take();
    sim.advance(ms(2_000));
    assert_eq!(sim.only("drop").len(), 1);
}

#[test]
fn a_socket_that_takes_no_data_is_left_after_fifteen_seconds() {
    let mut sim = Sim::connected();
    sim.flushing = false;
    sim.advance(ms(1_000));
    sim.publish();
    sim.take();
    // The server goes on talking: only the write side is dead.
    for _ in 0..15 {
        sim.advance(ms(1_000));
        sim.text(r#"{"type":"pong"}"#);
    }
    assert_eq!(
        sim.take(),
        lines(&[
            (16_000, "drop 4000 the socket takes no more data"),
            (16_000, "done 1 disconnected"),
            (16_000, "lost 4000 again"),
            (16_000, "state reconnecting"),
        ])
    );
}

#[test]
fn an_unanswered_request_makes_a_silent_connection_suspect() {
    let mut sim = Sim::connected();
    sim.publish();
    sim.take();
    sim.advance(ms(16_999));
    assert_eq!(sim.take(), lines(&[(15_000, "done 1 ack_timeout")]));
    sim.advance(ms(1));
    assert_eq!(sim.only("drop"), lines(&[(17_000, "4000 no answer to a probe")]));
}

#[test]
fn frames_of_no_sense_are_counted_and_harm_nobody() {
    let mut sim = Sim::connected();
    for text in ["", "[]", r#"{"type":"welcome","peerId":"x"}"#, r#"{"type":"ack"}"#] {
        sim.text(text);
    }
    sim.text(r#"{"type":"brand_new"}"#);
    sim.text(r#"{"type":"ack","requestId":"77"}"#);
    sim.text(r#"{"type":"presence","channel":"c","joined":[7]}"#);
    sim.text(r#"{"type":"error","code":"unknown_type"}"#);
    let attempt = sim.session.attempt;
    sim.handle(Input::Binary { attempt });
    assert_eq!(
        sim.session.counters(),
        Counters {
            malformed_frames: 4,
            dropped_entries: 3,
            unknown_frames: 1,
            binary_frames: 1,
            late_answers: 1,
            stale_frames: 0,
        }
    );
    assert_eq!(sim.take(), lines(&[(0, "presence 0")]));
}

#[test]
fn a_frame_beyond_a_mebibyte_costs_the_connection() {
    let mut sim = Sim::connected();
    let attempt = sim.session.attempt;
    sim.handle(Input::TooBig { attempt });
    assert_eq!(sim.only("lost"), lines(&[(0, "1009 again")]));
}
