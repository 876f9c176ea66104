use super::*;

fn with_life(life: f64) -> Sim {
    let mut sim = Sim::new(config(CredentialKind::Provider));
    sim.handle(Input::Connect);
    sim.dialled();
    sim.welcome_for(Some(life));
    sim.take();
    sim
}

/// Lets time pass on a connection whose server answers pings.
fn advance_alive(sim: &mut Sim, by: Duration) {
    let until = sim.now + by;
    while sim.now < until {
        sim.advance(ms(10_000).min(until - sim.now));
        sim.text(r#"{"type":"pong"}"#);
    }
}

#[test]
fn the_provider_is_asked_thirty_seconds_ahead_or_at_half_of_a_short_life() {
    for (life, asked_at) in [(3600.0, 3_570_000), (90.0, 60_000), (60.0, 30_000), (20.0, 10_000)] {
        let mut sim = with_life(life);
        advance_alive(&mut sim, ms(asked_at - 1));
        assert_eq!(sim.take(), [], "{life}");
        advance_alive(&mut sim, ms(1));
        assert_eq!(sim.take(), lines(&[(asked_at, "fetch")]), "{life}");
    }
}

#[test]
fn with_the_token_in_hand_the_connection_is_replaced_in_order_and_at_once() {
    let mut sim = with_life(60.0);
    sim.subscribe("a");
    sim.ack(1);
    advance_alive(&mut sim, ms(30_000));
    let waiting = sim.publish();
    sim.take();
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    let held = sim.publish();
    assert_eq!(sim.take(), [], "a request under way is waited for, and the next one is held");
    sim.ack(waiting);
    assert_eq!(
        sim.take(),
        vec![
            (30_000, format!("done {waiting} ok")),
            (30_000, "drop 1000 token renewal".into()),
            (30_000, "lost 1000 again".into()),
            (30_000, "state reconnecting".into()),
            (30_000, "dial".into()),
        ]
    );
    let meanwhile = sim.publish();
    sim.dialled();
    sim.welcome_for(Some(60.0));
    assert_eq!(
        sim.take(),
        vec![
            (30_000, "state connected".into()),
            (30_000, "connected again".into()),
            (30_000, "write subscribe a".into()),
            (30_000, format!("write publish {held}")),
            (30_000, format!("write publish {meanwhile}")),
        ]
    );
}

#[test]
fn requests_without_an_answer_hold_the_renewal_up_for_five_seconds_only() {
    let mut sim = with_life(60.0);
    advance_alive(&mut sim, ms(30_000));
    let id = sim.publish();
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    sim.take();
    sim.advance(ms(5_000));
    assert_eq!(sim.take()[1], (35_000, format!("done {id} disconnected")));
}

#[test]
fn a_final_refusal_is_final_even_with_the_next_token_in_hand() {
    let mut sim = with_life(60.0);
    advance_alive(&mut sim, ms(30_000));
    sim.publish();
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    sim.take();
    sim.socket_closed(4020);
    assert_eq!(sim.only("lost"), lines(&[(30_000, "4020 final")]));
    assert!(sim.session.is_over());
}

#[test]
fn a_provider_that_fails_or_repeats_itself_is_asked_again_until_the_end() {
    let mut sim = with_life(60.0);
    advance_alive(&mut sim, ms(30_000));
    for n in 0..5 {
        let outcome = if n % 2 == 0 {
            TokenOutcome::Failed(provider_failure())
        } else {
            TokenOutcome::Ready { fresh: false }
        };
        sim.token(sim.ticket(), outcome);
        advance_alive(&mut sim, ms(5_000));
    }
    let asked: Vec<_> = sim.only("fetch").into_iter().map(|(at, _)| at).collect();
    assert_eq!(asked, [30_000, 35_000, 40_000, 45_000, 50_000, 55_000]);
    assert_eq!(sim.session.state(), State::Connected);
}

#[test]
fn a_hanging_provider_is_given_up_and_asked_again() {
    let mut sim = with_life(120.0);
    advance_alive(&mut sim, ms(90_000));
    sim.take();
    advance_alive(&mut sim, ms(15_000));
    assert_eq!(sim.take(), lines(&[(100_000, "cancel fetch"), (105_000, "fetch")]));
}

#[test]
fn a_renewal_whose_dial_fails_answers_what_it_held_and_backs_off() {
    let mut sim = with_life(60.0);
    advance_alive(&mut sim, ms(30_000));
    sim.token(sim.ticket(), TokenOutcome::Ready { fresh: true });
    let held = sim.publish();
    sim.take();
    sim.http(503, None);
    assert_eq!(
        sim.take(),
        vec![(30_000, format!("done {held} disconnected")), (30_000, "lost 1006 again".into()),]
    );
    sim.advance(ms(500));
    assert_eq!(sim.take(), lines(&[(30_500, "fetch")]));
}

#[test]
fn keys_fixed_tokens_and_clients_that_never_reconnect_are_not_renewed() {
    let mut never = config(CredentialKind::Provider);
    never.reconnect = None;
    for options in [config(CredentialKind::Key), config(CredentialKind::FixedToken), never] {
        let mut sim = Sim::new(options);
        sim.handle(Input::Connect);
        sim.dialled();
        sim.welcome_for(Some(60.0));
        sim.take();
        advance_alive(&mut sim, ms(60_000));
        assert_eq!(sim.take(), []);
    }
}

#[test]
fn a_drop_while_the_provider_works_asks_it_anew() {
    let mut sim = with_life(60.0);
    advance_alive(&mut sim, ms(30_000));
    let stale = sim.ticket();
    sim.socket_closed(1006);
    sim.take();
    sim.token(stale, TokenOutcome::Ready { fresh: true });
    assert_eq!(sim.take(), []);
    sim.advance(ms(500));
    assert_eq!(sim.take(), lines(&[(30_500, "fetch")]));
}
