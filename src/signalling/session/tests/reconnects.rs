use super::*;

fn dials(sim: &mut Sim) -> Vec<u64> {
    sim.only("dial").into_iter().map(|(at, _)| at).collect()
}

/// The moments of the next dials when each attempt fails with `code` at once.
fn dials_when_closed_with(sim: &mut Sim, code: u16, count: usize) -> Vec<u64> {
    let mut at = Vec::new();
    sim.socket_closed(code);
    while at.len() < count {
        sim.advance_to_next();
        at.extend(dials(sim));
        sim.socket_closed(code);
    }
    at
}

#[test]
fn a_drop_is_announced_and_mended_after_half_a_second() {
    let mut sim = Sim::connected();
    sim.socket_closed(1006);
    assert_eq!(sim.take(), lines(&[(0, "lost 1006 again"), (0, "state reconnecting")]));
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    assert_eq!(
        sim.take(),
        lines(&[(500, "dial"), (500, "state connected"), (500, "connected again")])
    );
}

#[test]
fn waits_double_to_thirty_seconds() {
    let mut sim = Sim::connected();
    let at = dials_when_closed_with(&mut sim, 1006, 9);
    let waits: Vec<_> =
        std::iter::once(at[0]).chain(at.windows(2).map(|pair| pair[1] - pair[0])).collect();
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
}

#[test]
fn chance_moves_a_wait_by_a_fifth() {
    for (chance, expected) in [(0.0, 400), (1.0, 600)] {
        let mut sim = Sim::with_chance(config(CredentialKind::Key), chance);
        sim.handle(Input::Connect);
        sim.dialled();
        sim.welcome();
        sim.take();
        assert_eq!(dials_when_closed_with(&mut sim, 1006, 1), [expected]);
    }
}

#[test]
fn over_the_connection_limit_waits_thirty_seconds_or_more() {
    for (chance, expected) in [(0.0, 30_000), (1.0, 36_000)] {
        let mut sim = Sim::with_chance(config(CredentialKind::Key), chance);
        sim.handle(Input::Connect);
        sim.dialled();
        sim.welcome();
        sim.take();
        assert_eq!(dials_when_closed_with(&mut sim, 4010, 1), [expected]);
    }
}

#[test]
fn going_away_is_waited_for_and_no_longer_than_five_minutes() {
    for (asked, chance, expected) in
        [(7_000, 0.0, 7_000), (7_000, 1.0, 8_400), (1, 0.0, 500), (86_400_000, 1.0, 300_000)]
    {
        let mut sim = Sim::with_chance(config(CredentialKind::Key), chance);
        sim.handle(Input::Connect);
        sim.dialled();
        sim.welcome();
        sim.take();
        sim.server(&ServerFrame::GoingAway { retry_after_ms: asked });
        assert_eq!(dials_when_closed_with(&mut sim, 1001, 1), [expected]);
    }
}

#[test]
fn too_many_connects_wait_for_retry_after_or_ten_seconds() {
    for (retry_after, expected) in [(None, 10_500), (Some(ms(42_000)), 42_500)] {
        let mut sim = Sim::connected();
        sim.session.chance = Box::new(|| 0.0);
        sim.socket_closed(1006);
        sim.advance(ms(500));
        sim.now = ms(500);
        dials(&mut sim);
        sim.http(429, retry_after);
        sim.advance_to_next();
        // The first dial was due at 400 ms (chance 0), the clock stood at 500 when it was refused.
        assert_eq!(dials(&mut sim), [expected]);
    }
}

#[test]
fn refusals_that_nothing_mends_end_it() {
    for code in [4001, 4003, 4012, 4020, 4002] {
        let mut sim = Sim::connected();
        sim.socket_closed(code);
        assert_eq!(
            sim.take(),
            vec![(0, format!("lost {code} final")), (0, "state closed".into()),]
        );
        assert_eq!(sim.session.next_deadline(), None);
    }
}

#[test]
fn a_fixed_credential_that_http_refuses_ends_it() {
    for status in [401, 403] {
        let mut sim = Sim::connected();
        sim.socket_closed(1006);
        sim.advance(ms(500));
        sim.http(status, None);
        assert_eq!(sim.only("lost"), lines(&[(0, "1006 again"), (500, "1006 final")]));
        assert!(sim.session.is_over());
    }
}

#[test]
fn a_fresh_token_gets_a_second_chance_after_http_401_and_no_third() {
    let mut sim = Sim::connected_with(config(CredentialKind::Provider));
    sim.socket_closed(1006);
    sim.advance(ms(500));
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    sim.http(401, None);
    sim.advance(ms(1_000));
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    sim.http(401, None);
    assert_eq!(
        sim.only("lost"),
        lines(&[(0, "1006 again"), (500, "1006 again"), (1_500, "1006 final")])
    );
}

#[test]
fn an_expired_token_is_retried_while_the_provider_has_a_new_one() {
    let mut sim = Sim::connected_with(config(CredentialKind::Provider));
    sim.socket_closed(4002);
    for _ in 0..20 {
        sim.advance_to_next();
        sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
        sim.handle(Input::Opened { attempt: sim.session.attempt });
        sim.socket_closed(4002);
    }
    assert_eq!(sim.session.state(), State::Reconnecting);
    sim.take();
    sim.advance_to_next();
    let now = u64::try_from(sim.now.as_millis()).unwrap();
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: false });
    assert_eq!(
        sim.take(),
        lines(&[(now, "fetch"), (now, "lost 4002 final"), (now, "state closed")])
    );
}

#[test]
fn the_app_hears_of_the_providers_third_failure_and_every_later_one() {
    let mut sim = Sim::connected_with(config(CredentialKind::Provider));
    sim.socket_closed(1006);
    for _ in 0..5 {
        sim.advance_to_next();
        sim.token(sim.ticket(), TokenOutcome::Failed(provider_failure()));
    }
    let told: Vec<_> = sim.only("token error").into_iter().map(|(_, n)| n).collect();
    assert_eq!(told, ["3", "4", "5"]);
    assert_eq!(sim.session.state(), State::Reconnecting);
}

#[test]
fn when_attempts_run_out_a_final_event_says_so() {
    let mut options = config(CredentialKind::Key);
    options.reconnect =
        Some(ReconnectOptions { max_attempts: Some(2), ..ReconnectOptions::default() });
    let mut sim = Sim::connected_with(options);
    sim.socket_closed(1006);
    sim.advance(ms(500));
    sim.socket_closed(1006);
    sim.advance(ms(1_000));
    sim.socket_closed(1006);
    assert_eq!(
        sim.only("lost"),
        lines(&[(0, "1006 again"), (500, "1006 again"), (1_500, "1006 final")])
    );
    assert!(sim.session.is_over());
}

#[test]
fn a_provider_that_never_recovers_ends_with_a_final_event_too() {
    let mut options = config(CredentialKind::Provider);
    options.reconnect =
        Some(ReconnectOptions { max_attempts: Some(1), ..ReconnectOptions::default() });
    let mut sim = Sim::connected_with(options);
    sim.socket_closed(1006);
    sim.advance(ms(500));
    sim.token(sim.ticket(), TokenOutcome::Failed(provider_failure()));
    assert_eq!(sim.only("lost"), lines(&[(0, "1006 again"), (500, "1006 final")]));
}

#[test]
fn without_reconnect_the_first_drop_is_the_last() {
    let mut options = config(CredentialKind::Key);
    options.reconnect = None;
    let mut sim = Sim::connected_with(options);
    sim.socket_closed(1006);
    assert_eq!(sim.only("lost"), lines(&[(0, "1006 final")]));
}

#[test]
fn a_hint_ends_a_wait_unless_the_server_asked_for_it() {
    for (code, input, expected) in [
        (1006, Input::NetworkChanged, vec![100]),
        (1006, Input::EnteredForeground, vec![100]),
        (1006, Input::ReconnectNow, vec![100]),
        (4010, Input::NetworkChanged, vec![]),
        (4010, Input::ReconnectNow, vec![100]),
    ] {
        let mut sim = Sim::connected();
        sim.socket_closed(code);
        sim.advance(ms(100));
        let name = format!("{code} {input:?}");
        sim.handle(input);
        assert_eq!(dials(&mut sim), expected, "{name}");
    }
}

#[test]
fn subscriptions_are_replayed_in_order_after_the_connected_event() {
    let mut sim = Sim::connected();
    for channel in ["b", "a", "gone"] {
        sim.subscribe(channel);
    }
    sim.unsubscribe("gone");
    sim.socket_closed(1006);
    sim.take();
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    assert_eq!(
        sim.take(),
        lines(&[
            (500, "dial"),
            (500, "state connected"),
            (500, "connected again"),
            (500, "write subscribe b"),
            (500, "write subscribe a"),
        ])
    );
}

#[test]
fn auto_resubscribe_can_be_off() {
    let mut options = config(CredentialKind::Key);
    options.auto_resubscribe = false;
    let mut sim = Sim::connected_with(options);
    sim.subscribe("a");
    sim.socket_closed(1006);
    sim.take();
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    assert_eq!(sim.only("write"), []);
}

#[test]
fn a_refused_replay_is_tried_three_more_times_two_seconds_apart_and_then_told() {
    let mut sim = Sim::connected();
    let id = sim.subscribe("a");
    sim.ack(id);
    sim.socket_closed(1006);
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    for n in 0..4_u64 {
        let replay = (1 << 63) | n;
        sim.text(&format!(r#"{{"type":"error","code":"backend_error","requestId":"{replay}"}}"#));
        sim.advance(ms(2_000));
    }
    let log = sim.take();
    let replays: Vec<_> =
        log.iter().filter(|(_, l)| l == "write subscribe a").map(|(at, _)| *at).collect();
    assert_eq!(replays, [0, 500, 2_500, 4_500, 6_500]);
    assert_eq!(log.last().unwrap(), &(6_500, "resubscribe failed a backend_error".to_owned()));
}

#[test]
fn what_was_unsubscribed_while_its_replay_waited_is_not_revived() {
    let mut sim = Sim::connected();
    let id = sim.subscribe("a");
    sim.ack(id);
    sim.socket_closed(1006);
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    sim.text(&format!(r#"{{"type":"error","code":"x","requestId":"{}"}}"#, 1_u64 << 63));
    sim.unsubscribe("a");
    sim.take();
    sim.advance(ms(10_000));
    assert_eq!(sim.take(), []);
}
