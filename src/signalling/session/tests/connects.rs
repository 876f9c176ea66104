use super::*;

#[test]
fn a_key_connects_without_a_token() {
    let mut sim = Sim::new(config(CredentialKind::Key));
    sim.handle(Input::Connect);
    sim.dialled();
    sim.welcome();
    assert_eq!(
        sim.take(),
        lines(&[
            (0, "state connecting"),
            (0, "dial"),
            (0, "state connected"),
            (0, "connected"),
            (0, "connect ok"),
        ])
    );
}

#[test]
fn a_first_attempt_that_fails_is_reported_and_not_repeated() {
    let mut sim = Sim::new(config(CredentialKind::Key));
    sim.handle(Input::Connect);
    sim.take();
    sim.socket_closed(4001);
    assert_eq!(
        sim.take(),
        lines(&[(0, "lost 4001 final"), (0, "state closed"), (0, "connect invalid_token")])
    );
    assert!(sim.session.is_over());
    assert_eq!(sim.session.next_deadline(), None);
}

#[test]
fn ten_seconds_from_dial_to_welcome_and_no_more() {
    let mut sim = Sim::new(config(CredentialKind::Key));
    sim.now = ms(500);
    sim.handle(Input::Connect);
    sim.take();
    sim.advance(ms(4_000));
    sim.dialled();
    sim.advance(ms(5_999));
    assert_eq!(sim.take(), []);
    sim.advance(ms(1));
    assert_eq!(
        sim.take(),
        lines(&[
            (10_500, "drop 4000 welcome timeout"),
            (10_500, "lost 4000 final"),
            (10_500, "state closed"),
            (10_500, "connect welcome_timeout"),
        ])
    );
}

#[test]
fn a_provider_that_hangs_is_given_up_at_its_limit() {
    let mut sim = Sim::new(config(CredentialKind::Provider));
    sim.handle(Input::Connect);
    sim.advance(ms(9_999));
    assert_eq!(sim.take(), lines(&[(0, "state connecting"), (0, "fetch")]));
    sim.advance(ms(1));
    assert_eq!(
        sim.take(),
        lines(&[
            (10_000, "cancel fetch"),
            (10_000, "lost 1006 final"),
            (10_000, "state closed"),
            (10_000, "connect token_provider_timeout"),
        ])
    );
}

#[test]
fn a_token_that_cannot_work_is_never_dialled_with() {
    let mut sim = Sim::new(config(CredentialKind::FixedToken));
    sim.handle(Input::Connect);
    let ticket = sim.ticket();
    sim.token(ticket, TokenOutcome::Unfit { fresh: true, error: unfit() });
    assert_eq!(sim.only("dial"), []);
    assert!(sim.session.is_over());
}

#[test]
fn connect_twice_is_refused_and_the_first_goes_on() {
    let mut sim = Sim::new(config(CredentialKind::Key));
    sim.handle(Input::Connect);
    sim.take();
    sim.handle(Input::Connect);
    assert_eq!(sim.take(), lines(&[(0, "connect invalid_state")]));
    sim.dialled();
    sim.welcome();
    assert_eq!(sim.only("connect "), lines(&[(0, "ok")]));
}

#[test]
fn a_changed_network_restarts_the_first_dial_without_failing_connect() {
    let mut sim = Sim::new(config(CredentialKind::Key));
    sim.handle(Input::Connect);
    sim.take();
    let stale = sim.session.attempt;
    sim.handle(Input::NetworkChanged);
    assert_eq!(sim.take(), lines(&[(0, "drop 1000 network changed"), (0, "dial")]));
    sim.handle(Input::SocketClosed { attempt: stale, code: CloseCode(1006), reason: "".into() });
    sim.dialled();
    sim.welcome();
    assert_eq!(sim.only("connect "), lines(&[(0, "ok")]));
}

#[test]
fn close_waits_a_second_for_the_servers_answer() {
    let mut sim = Sim::connected();
    let id = sim.publish();
    sim.take();
    sim.handle(Input::Close { code: CloseCode(1000), reason: "bye".into() });
    assert_eq!(sim.take(), lines(&[(0, "close 1000"), (0, "state closed")]));
    sim.ack(id);
    assert_eq!(sim.take(), lines(&[(0, "done 1 ok")]), "an answer on the way still counts");
    sim.advance(ms(1_000));
    assert_eq!(
        sim.take(),
        lines(&[(1_000, "drop 1000 closed"), (1_000, "lost 1000 final"), (1_000, "closed")])
    );
    assert!(sim.session.is_over());
}

#[test]
fn close_in_any_state_ends_the_session() {
    for stage in 0..5 {
        let mut sim = Sim::new(config(CredentialKind::Provider));
        if stage > 0 {
            sim.handle(Input::Connect);
        }
        if stage > 1 {
            sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
        }
        if stage > 2 {
            sim.dialled();
        }
        if stage > 3 {
            sim.welcome();
            sim.socket_closed(1006);
        }
        sim.handle(Input::Close { code: CloseCode(1000), reason: String::new() });
        sim.advance(ms(1_000));
        assert!(sim.session.is_over(), "stage {stage}");
        assert_eq!(sim.only("closed").len(), 1, "stage {stage}");
        assert_eq!(sim.session.next_deadline(), None);
    }
}

#[test]
fn a_closed_session_can_connect_again_as_if_new() {
    let mut sim = Sim::connected();
    sim.subscribe("a");
    sim.handle(Input::Close { code: CloseCode(1000), reason: String::new() });
    sim.socket_closed(1000);
    sim.take();
    sim.handle(Input::Connect);
    sim.dialled();
    sim.welcome();
    assert_eq!(
        sim.take(),
        lines(&[
            (0, "state connecting"),
            (0, "dial"),
            (0, "state connected"),
            (0, "connected"),
            (0, "connect ok"),
        ]),
        "nothing is replayed"
    );
}
