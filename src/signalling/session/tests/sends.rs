use super::*;

fn publishes(sim: &mut Sim) -> Vec<u64> {
    sim.only("write publish").into_iter().map(|(at, _)| at).collect()
}

#[test]
fn a_request_is_answered_by_its_ack_or_its_error() {
    let mut sim = Sim::connected();
    let (a, b) = (sim.publish(), sim.publish());
    sim.take();
    sim.text(&format!(r#"{{"type":"error","code":"over_message_quota","requestId":"{b}"}}"#));
    sim.ack(a);
    sim.ack(a);
    assert_eq!(
        sim.take(),
        vec![(0, format!("done {b} over_message_quota")), (0, format!("done {a} ok"))]
    );
    assert_eq!(sim.session.counters().late_answers, 1);
}

#[test]
fn an_error_that_answers_nothing_is_an_event() {
    let mut sim = Sim::connected();
    sim.text(r#"{"type":"error","code":"action_not_permitted"}"#);
    sim.text(r#"{"type":"error","code":"unknown_type","requestId":"99"}"#);
    assert_eq!(sim.take(), lines(&[(0, "server-error"), (0, "server-error")]));
}

#[test]
fn fifteen_seconds_count_from_the_moment_the_socket_took_it() {
    let mut sim = Sim::connected();
    sim.flushing = false;
    sim.publish();
    sim.advance(ms(3_000));
    sim.flushing = true;
    sim.flush();
    sim.take();
    sim.advance(ms(14_999));
    assert_eq!(sim.take(), []);
    sim.advance(ms(1));
    assert_eq!(sim.take(), lines(&[(18_000, "done 1 ack_timeout")]));
}

#[test]
fn without_a_connection_nothing_is_sent_and_the_channel_not_tracked() {
    let mut sim = Sim::connected();
    sim.socket_closed(1006);
    sim.take();
    sim.publish();
    sim.subscribe("late");
    assert_eq!(sim.take(), lines(&[(0, "done 1 not_connected"), (0, "done 2 not_connected")]));
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    assert_eq!(sim.only("write"), []);
}

#[test]
fn a_drop_answers_what_was_under_way_and_keeps_the_subscription() {
    let mut sim = Sim::connected();
    sim.subscribe("a");
    sim.publish();
    sim.take();
    sim.socket_closed(1006);
    assert_eq!(
        sim.take(),
        lines(&[
            (0, "done 1 disconnected"),
            (0, "done 2 disconnected"),
            (0, "lost 1006 again"),
            (0, "state reconnecting"),
        ])
    );
    sim.advance(ms(500));
    sim.dialled();
    sim.welcome();
    assert_eq!(sim.only("write"), lines(&[(500, "subscribe a")]));
}

#[test]
fn a_burst_leaves_at_once_and_the_rest_at_the_rate_in_order() {
    let mut sim = Sim::connected();
    for _ in 0..155 {
        sim.publish();
    }
    sim.advance(ms(100));
    let at = publishes(&mut sim);
    assert_eq!(at.len(), 155);
    assert_eq!(at[149..], [0, 10, 20, 30, 40, 50]);
}

#[test]
fn pacing_can_be_off() {
    let mut options = config(CredentialKind::Key);
    options.pacing = None;
    let mut sim = Sim::connected_with(options);
    for _ in 0..2_000 {
        sim.publish();
    }
    assert_eq!(publishes(&mut sim).len(), 2_000);
}

#[test]
fn call_set_up_overtakes_the_apps_data() {
    let mut sim = Sim::connected();
    for _ in 0..152 {
        sim.publish();
    }
    let urgent = ClientFrame::Send { to: "p".into(), data: Json::null() };
    let id = sim.request(&urgent, SendPriority::Signalling);
    sim.take();
    sim.advance(ms(30));
    let sent: Vec<_> = sim.only("write").into_iter().map(|(_, line)| line).collect();
    assert_eq!(sent, [format!("send {id}"), "publish 151".into(), "publish 152".into()]);
}

#[test]
fn the_queue_is_bounded_and_says_so() {
    let mut sim = Sim::connected();
    for _ in 0..150 + 2_048 {
        sim.publish();
    }
    sim.take();
    assert_eq!(sim.session.waiting(), (0, 2_048));
    let id = sim.publish();
    sim.subscribe("a");
    assert_eq!(
        sim.take(),
        vec![
            (0, format!("done {id} pacing_overflow")),
            (0, format!("done {} pacing_overflow", id + 1)),
        ]
    );
    assert!(!sim.session.subscriptions.is_tracked("a"));
}

#[test]
fn requests_that_waited_for_their_turn_are_told_that_they_never_left() {
    let mut options = config(CredentialKind::Key);
    options.pacing = Some(PacingOptions { per_second: 1.0, burst: 1 });
    let mut sim = Sim::connected_with(options);
    sim.publish();
    sim.publish();
    sim.session.handle(
        sim.now,
        Input::SocketClosed {
            attempt: sim.session.attempt,
            code: CloseCode(1006),
            reason: String::new(),
        },
    );
    let mut sent = Vec::new();
    while let Some(output) = sim.session.poll_output() {
        if let Output::RequestDone {
            id,
            result: Err(RequestError::Disconnected { sent: left, .. }),
        } = output
        {
            sent.push((id, left));
        }
    }
    assert_eq!(sent, [(1, true), (2, false)]);
}

#[test]
fn a_socket_that_is_slow_holds_requests_back_in_their_lanes() {
    let mut options = config(CredentialKind::Key);
    options.pacing = None;
    let mut sim = Sim::connected_with(options);
    sim.flushing = false;
    for _ in 0..100 {
        sim.publish();
    }
    assert_eq!(publishes(&mut sim).len(), 64);
    assert_eq!(sim.session.waiting(), (0, 36));
    sim.flush();
    assert_eq!(publishes(&mut sim).len(), 36);
}

#[test]
fn the_whole_frame_counts_and_the_error_tells_the_datas_size() {
    let mut sim = Sim::connected();
    let data = Json::from_serialize(&"x".repeat(65_530)).unwrap();
    let frame = ClientFrame::Publish { channel: "c".into(), data };
    sim.request(&frame, SendPriority::App);
    assert_eq!(sim.take(), lines(&[(0, "done 1 oversized_payload")]));
}

#[test]
fn the_first_presence_is_the_snapshot_before_with_or_after_the_ack() {
    let mut sim = Sim::connected();
    sim.subscribe("a");
    sim.presence("a", &["p"]);
    sim.ack(1);
    sim.presence("a", &["q"]);
    assert_eq!(sim.only("presence"), lines(&[(0, "1 snapshot"), (0, "1")]));
    sim.subscribe("b");
    sim.ack(2);
    sim.presence("b", &[]);
    assert_eq!(sim.only("presence"), lines(&[(0, "0 snapshot")]));
}
