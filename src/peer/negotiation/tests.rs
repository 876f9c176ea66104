use super::meeting::{ANNOUNCED_OFFER_WAIT, FIRST_OFFER_WAIT, YIELD_WAIT};
use super::model::{World, run};
use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_happens_both_end_connected(script in proptest::collection::vec(any::<u8>(), 0..200)) {
        run(&script);
    }
}

#[test]
fn every_order_of_the_first_steps_connects() {
    // All scripts of six steps among work, delivery, a wish for data and gathered candidates, on both sides.
    const STEPS: [u8; 8] = [0, 1, 8, 9, 14, 15, 16, 17];
    for script in 0..STEPS.len().pow(6) {
        let mut rest = script;
        let mut steps = [0; 6];
        for step in &mut steps {
            *step = STEPS[rest % STEPS.len()];
            rest /= STEPS.len();
        }
        run(&steps);
    }
}

#[test]
fn a_pair_without_glare_needs_two_signals_and_with_it_three() {
    let mut world = World::new();
    world.end();
    assert_eq!(world.signals(), 2);
    let mut world = World::new();
    world.both_want_data();
    world.end();
    assert!(world.signals() <= 3, "{}", world.signals());
}

pub(super) fn offer(key: &str, fragment: &str) -> Signal {
    let sdp = format!("a=fingerprint:{key}\nm=application 9 x\na=ice-ufrag:{fragment}\na=mid:0\n");
    Signal::Description(SessionDescription { kind: DescriptionKind::Offer, sdp })
}

pub(super) fn answer(key: &str, fragment: &str) -> Signal {
    let Signal::Description(offer) = offer(key, fragment) else { unreachable!() };
    Signal::Description(SessionDescription { kind: DescriptionKind::Answer, ..offer })
}

pub(super) fn outputs(negotiation: &mut Negotiation) -> Vec<Output> {
    std::iter::from_fn(|| negotiation.poll_output()).collect()
}

pub(super) const NOW: Duration = Duration::ZERO;

/// A negotiation that has answered an offer with the key `k` and fragment `f`.
pub(super) fn answered(polite: bool) -> Negotiation {
    let mut negotiation = Negotiation::new(polite);
    negotiation.signal(NOW, offer("k", "f"));
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.gathering_complete(NOW);
    let sdp = "m=application 9 x\na=mid:7\na=ice-ufrag:ours\n".to_owned();
    let answer = SessionDescription { kind: DescriptionKind::Answer, sdp };
    negotiation.done(NOW, Ok(Reply::Description(answer)));
    outputs(&mut negotiation);
    negotiation
}

#[test]
fn a_new_key_means_a_new_connection_that_answers() {
    let mut negotiation = answered(false);
    negotiation.signal(NOW, offer("other", "x"));
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
    negotiation.rebuilt(NOW);
    let first = outputs(&mut negotiation).remove(0);
    assert!(matches!(first, Output::Do(Op::ApplyRemote(_))));
}

#[test]
fn an_offer_whose_m_lines_do_not_follow_on_is_of_a_new_connection_with_the_same_key() {
    let offers = |lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("m={line} x\n")).collect();
        let sdp = format!("a=fingerprint:k\n{lines}a=ice-ufrag:g\n");
        Signal::Description(SessionDescription { kind: DescriptionKind::Offer, sdp })
    };
    for (lines, follows) in [
        (&["application 9"][..], true),
        (&["application 9", "video 9"], true),
        (&["application 0", "video 9"], true),
        (&["video 9", "application 9"], false),
        (&["video 0", "application 9"], false),
    ] {
        let mut negotiation = answered(false);
        negotiation.signal(NOW, offers(lines));
        let first = outputs(&mut negotiation).remove(0);
        let applied = matches!(first, Output::Do(Op::ApplyRemote(_)));
        assert!(
            applied == follows && applied != (first == Output::Rebuild(Identity::New)),
            "{first:?}"
        );
        negotiation.rebuilt(NOW);
        let then = outputs(&mut negotiation);
        assert_eq!(matches!(&then[..], [Output::Do(Op::ApplyRemote(_))]), !follows, "{then:?}");
    }
    // What was refused may be taken for something else.
    let mut negotiation = answered(false);
    for lines in [["application 9", "video 0"], ["application 9", "audio 9"]] {
        negotiation.signal(NOW, offers(&lines));
        assert!(matches!(outputs(&mut negotiation)[..], [Output::Do(Op::ApplyRemote(_))]));
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.gathering_complete(NOW);
        let answer = SessionDescription { kind: DescriptionKind::Answer, sdp: String::new() };
        negotiation.done(NOW, Ok(Reply::Description(answer)));
        outputs(&mut negotiation);
    }
    negotiation.signal(NOW, offers(&["application 9"]));
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)], "there are fewer");
}

#[test]
fn a_late_candidate_leaves_with_all_its_fields() {
    let mut negotiation = answered(true);
    let candidate = "candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned();
    negotiation.local_candidate(NOW, IceCandidate { candidate, ..Default::default() });
    let sent = outputs(&mut negotiation).remove(0);
    let Output::Send(Signal::Candidate(Some(candidate))) = sent else { panic!("{sent:?}") };
    assert_eq!(candidate.sdp_mid.as_deref(), Some("7"));
    assert_eq!(candidate.sdp_m_line_index, Some(0));
    assert_eq!(candidate.username_fragment.as_deref(), Some("ours"));
}

#[test]
fn the_impolite_ignores_a_colliding_offer_and_its_candidates() {
    let mut negotiation = answered(false);
    negotiation.restart(NOW);
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.gathering_complete(NOW);
    let sdp = "m=application 9 x\na=mid:0\na=ice-ufrag:mine\n".to_owned();
    let ours = SessionDescription { kind: DescriptionKind::Offer, sdp };
    negotiation.done(NOW, Ok(Reply::Description(ours)));
    outputs(&mut negotiation);
    negotiation.signal(NOW, offer("k", "collides"));
    let candidate = "candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned();
    negotiation
        .signal(NOW, Signal::Candidate(Some(IceCandidate { candidate, ..Default::default() })));
    assert_eq!(outputs(&mut negotiation), []);
    assert_eq!(negotiation.dropped().ignored_offers, 1);
    assert_eq!(negotiation.dropped().candidates, 1);
}

/// The first offer of a side that has just met the remote is made, and all its candidates are there.
fn met(polite: bool) -> Negotiation {
    let mut negotiation = Negotiation::new(polite);
    negotiation.met(NOW);
    negotiation.data_wanted(NOW);
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.gathering_complete(NOW);
    negotiation
}

#[test]
fn the_impolite_waits_a_moment_before_its_first_offer_and_takes_what_comes() {
    let make = Output::Do(Op::Offer { ice_restart: false });
    let mut negotiation = met(false);
    assert_eq!(outputs(&mut negotiation), std::slice::from_ref(&make));
    assert_eq!(negotiation.next_deadline(), Some(FIRST_OFFER_WAIT));
    negotiation.signal(NOW, offer("k", "theirs"));
    assert_eq!(outputs(&mut negotiation), [Output::Do(Op::RollBack)]);
    negotiation.done(NOW, Ok(Reply::Nothing));
    let first = outputs(&mut negotiation).remove(0);
    assert!(matches!(first, Output::Do(Op::ApplyRemote(_))));

    let mut negotiation = met(false);
    outputs(&mut negotiation);
    negotiation.timeout(FIRST_OFFER_WAIT);
    assert_eq!(outputs(&mut negotiation), [Output::Do(Op::LocalDescription)], "none came");

    // The polite one is the one that takes its offer back.
    assert_eq!(outputs(&mut met(true)), [make, Output::Do(Op::LocalDescription)]);
}

#[test]
fn what_the_remote_lets_us_know_ends_the_wait_or_makes_it_longer() {
    let now = Duration::from_millis(30);
    let mut negotiation = met(false);
    outputs(&mut negotiation);
    negotiation.announced(now, true);
    assert_eq!(negotiation.next_deadline(), Some(ANNOUNCED_OFFER_WAIT));
    negotiation.announced(now, false);
    assert_eq!(outputs(&mut negotiation), [Output::Do(Op::LocalDescription)]);

    let mut late = met(false);
    outputs(&mut late);
    late.timeout(FIRST_OFFER_WAIT);
    outputs(&mut late);
    let ours = SessionDescription { kind: DescriptionKind::Offer, sdp: String::new() };
    late.done(FIRST_OFFER_WAIT, Ok(Reply::Description(ours)));
    late.announced(FIRST_OFFER_WAIT, true);
    assert_eq!(late.next_deadline(), Some(FIRST_OFFER_WAIT + ANSWER_WAIT), "it is under way");
}

#[test]
fn the_polite_lets_the_remote_know_once_that_it_has_nothing_to_offer() {
    let mut negotiation = Negotiation::new(true);
    negotiation.met(NOW);
    assert_eq!(negotiation.next_deadline(), Some(YIELD_WAIT));
    negotiation.timeout(YIELD_WAIT);
    assert_eq!(outputs(&mut negotiation), [Output::NothingToOffer]);
    assert_eq!(negotiation.next_deadline(), None);

    // The impolite has nobody to let offer first, and who offers or is offered something need not say so.
    let mut impolite = Negotiation::new(false);
    impolite.met(NOW);
    impolite.timeout(YIELD_WAIT);
    assert_eq!(outputs(&mut impolite), []);
    for mut busy in [met(true), answered(true)] {
        outputs(&mut busy);
        busy.timeout(YIELD_WAIT);
        assert!(!outputs(&mut busy).contains(&Output::NothingToOffer));
    }
}

#[test]
fn the_impolite_takes_an_offer_when_its_own_was_lost() {
    let mut negotiation = answered(false);
    negotiation.restart(NOW);
    offered(&mut negotiation);
    negotiation.signal(NOW + COLLISION_LIMIT - Duration::from_millis(1), offer("k", "early"));
    assert_eq!(outputs(&mut negotiation), []);
    negotiation.signal(NOW + COLLISION_LIMIT, offer("k", "late"));
    assert_eq!(outputs(&mut negotiation), [Output::Do(Op::RollBack)]);
    negotiation.done(NOW + COLLISION_LIMIT, Ok(Reply::Nothing));
    let first = outputs(&mut negotiation).remove(0);
    assert!(matches!(first, Output::Do(Op::ApplyRemote(_))));
}

#[test]
fn an_offer_that_nobody_answers_is_told_once() {
    let mut negotiation = Negotiation::new(true);
    negotiation.data_wanted(NOW);
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.gathering_complete(NOW);
    let ours = SessionDescription { kind: DescriptionKind::Offer, sdp: String::new() };
    negotiation.done(NOW, Ok(Reply::Description(ours)));
    outputs(&mut negotiation);
    assert_eq!(negotiation.next_deadline(), Some(ANSWER_WAIT));
    negotiation.timeout(ANSWER_WAIT);
    negotiation.timeout(ANSWER_WAIT * 2);
    assert_eq!(outputs(&mut negotiation), [Output::NoAnswer]);
}

/// Makes an offer and sends it.
pub(super) fn offered(negotiation: &mut Negotiation) {
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.gathering_complete(NOW);
    let sdp = "m=application 9 x\na=mid:0\na=ice-ufrag:mine\n".to_owned();
    let ours = SessionDescription { kind: DescriptionKind::Offer, sdp };
    negotiation.done(NOW, Ok(Reply::Description(ours)));
    outputs(negotiation);
}

#[test]
fn a_remote_that_answers_restarts_with_a_new_key_is_offered_a_new_connection_soon() {
    let mut negotiation = answered(true);
    negotiation.restart(NOW);
    offered(&mut negotiation);
    negotiation.signal(NOW, answer("other", "x"));
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
    negotiation.data_wanted(NOW);
    negotiation.rebuilt(NOW);
    offered(&mut negotiation);
    assert_eq!(negotiation.next_deadline(), Some(REBUILT_ANSWER_WAIT));
    negotiation.signal(NOW, answer("other", "x"));
    negotiation.done(NOW, Ok(Reply::Nothing));
    outputs(&mut negotiation);
    // Once may be a new start of its app; twice is its way.
    negotiation.restart(NOW);
    offered(&mut negotiation);
    negotiation.signal(NOW, answer("third", "y"));
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
    negotiation.rebuilt(NOW);
    negotiation.signal(NOW, offer("third", "z"));
    negotiation.done(NOW, Ok(Reply::Nothing));
    outputs(&mut negotiation);
    negotiation.restart(NOW);
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
}

#[test]
fn whoever_was_told_of_our_certificate_meets_it_again_until_it_was_used() {
    // Nobody was heard of yet, and the first offer may have arrived: its answer may be what was lost.
    let mut negotiation = Negotiation::new(true);
    negotiation.data_wanted(NOW);
    offered(&mut negotiation);
    negotiation.restart(NOW);
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::Same)]);
    negotiation.data_wanted(NOW);
    negotiation.rebuilt(NOW);
    offered(&mut negotiation);
    negotiation.replace_connection(NOW);
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::Same)]);
    // A remote that began anew answers the restart of what was. Firefox holds to the certificate in it; others shall
    // not take what follows for more of that restart.
    let firefox = "v=0\no=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0\n";
    for (origin, identity) in [(firefox, Identity::Same), ("v=0\no=- 1 0", Identity::New)] {
        let mut negotiation = answered(true);
        negotiation.restart(NOW);
        offered(&mut negotiation);
        let Signal::Description(description) = offer("other", "x") else { panic!() };
        let sdp = origin.to_owned() + &description.sdp;
        let answer = SessionDescription { kind: DescriptionKind::Answer, sdp };
        negotiation.signal(NOW, Signal::Description(answer));
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(identity)]);
        negotiation.data_wanted(NOW);
        negotiation.rebuilt(NOW);
        offered(&mut negotiation);
        negotiation.restart(NOW);
        assert_eq!(outputs(&mut negotiation), [Output::Rebuild(identity)]);
    }
    // Agreed on: whoever goes on with the old connection shall see that this is another.
    let mut negotiation = answered(true);
    negotiation.replace_connection(NOW);
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
    // A pause before it changes nothing of that.
    let mut negotiation = Negotiation::new(true);
    for _ in 0..4 {
        negotiation.replace_connection(NOW);
        negotiation.rebuilt(NOW);
    }
    negotiation.timeout(Duration::from_secs(1));
    let all = outputs(&mut negotiation);
    assert!(all.iter().all(|output| *output == Output::Rebuild(Identity::Same)), "{all:?}");
    assert_eq!(all.len(), 4);
}

#[test]
fn an_offer_of_nothing_is_answered_with_nothing_and_ours_follows() {
    let mut negotiation = answered(true);
    let nothing = SessionDescription { kind: DescriptionKind::Offer, sdp: "v=0\n".into() };
    negotiation.signal(NOW, Signal::Description(nothing));
    assert_eq!(outputs(&mut negotiation), [Output::Rebuild(Identity::New)]);
    negotiation.data_wanted(NOW);
    negotiation.rebuilt(NOW);
    let all = outputs(&mut negotiation);
    let [Output::Send(Signal::Description(answer)), Output::Do(Op::Offer { .. })] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(answer.kind, DescriptionKind::Answer);
    assert_eq!(SdpFacts::read(&answer.sdp).unwrap().lines, []);
}

#[test]
fn a_flood_of_empty_offers_is_not_answered_for_ever() {
    let mut negotiation = Negotiation::new(true);
    for _ in 0..1_000 {
        let nothing = SessionDescription { kind: DescriptionKind::Offer, sdp: "v=0\n".into() };
        negotiation.signal(NOW, Signal::Description(nothing));
    }
    assert_eq!(outputs(&mut negotiation).len(), MAX_EMPTY_OFFERS as usize);
    assert_eq!(negotiation.dropped().ignored_offers, u64::from(1_000 - MAX_EMPTY_OFFERS));
}

#[test]
fn an_offer_that_a_new_connection_refuses_costs_it() {
    let mut negotiation = Negotiation::new(true);
    negotiation.signal(NOW, offer("k", "f"));
    outputs(&mut negotiation);
    negotiation.done(NOW, Err(Failure::internal("refused")));
    let all = outputs(&mut negotiation);
    assert!(matches!(&all[..], [Output::Failed(_), Output::Rebuild(Identity::New)]), "{all:?}");
}

#[test]
fn what_the_fuzzer_found_connects() {
    run(include_bytes!("../../../fuzz/seeds/negotiation/cooling"));
    run(include_bytes!("../../../fuzz/seeds/negotiation/trickle"));
}

#[test]
fn an_offer_that_the_engine_refuses_leaves_no_half_of_it_behind() {
    let mut negotiation = Negotiation::new(true);
    negotiation.signal(NOW, offer("k", "f"));
    outputs(&mut negotiation);
    negotiation.done(NOW, Err(Failure::internal("refused")));
    let told = outputs(&mut negotiation);
    assert!(matches!(told[..], [Output::Failed(_), Output::Rebuild(Identity::New)]), "{told:?}");
    negotiation.rebuilt(NOW);
    negotiation.signal(NOW, offer("k", "g"));
    let next = outputs(&mut negotiation);
    assert!(matches!(next[..], [Output::Do(Op::ApplyRemote(_))]), "{next:?}");
}

#[test]
fn what_was_dropped_stays_counted_on_the_next_connection() {
    let mut negotiation = answered(true);
    let candidate = "candidate:1 1 udp 1 hidden.local 9 typ host".to_owned();
    negotiation
        .signal(NOW, Signal::Candidate(Some(IceCandidate { candidate, ..Default::default() })));
    negotiation.replace_connection(NOW);
    negotiation.rebuilt(NOW);
    assert_eq!(negotiation.dropped().candidates, 1);
}

#[test]
fn a_flood_of_signals_is_bounded() {
    let mut negotiation = Negotiation::new(true);
    for n in 0..10_000 {
        negotiation.signal(NOW, offer("k", &n.to_string()));
    }
    assert!(negotiation.dropped().overflow > 9_000);
}

#[test]
fn signals_that_wait_are_bounded_by_their_bytes_and_a_bomb_is_none() {
    let large = |bytes| {
        let sdp = format!("m=application 9 x\n{}", "a".repeat(bytes - 18));
        Signal::Description(SessionDescription { kind: DescriptionKind::Offer, sdp })
    };
    let mut negotiation = Negotiation::new(true);
    negotiation.signal(NOW, large(sdp::MAX_SDP_BYTES + 1));
    let [Output::Failed(failure)] = &outputs(&mut negotiation)[..] else { panic!("not refused") };
    assert_eq!(failure.code, "remote_description_too_large");
    for _ in 0..100 {
        negotiation.signal(NOW, large(sdp::MAX_SDP_BYTES));
    }
    // One is at the engine, four wait.
    assert_eq!(negotiation.dropped().overflow, 1 + 95);
}

#[test]
fn a_remote_that_begins_anew_again_and_again_is_slowed_down() {
    let mut negotiation = answered(true);
    let (mut now, mut rebuilds) = (NOW, 0);
    for n in 0..1_000 {
        negotiation.signal(now, offer(&format!("key {n}"), "f"));
        while let Some(output) = negotiation.poll_output() {
            match output {
                Output::Rebuild(_) => {
                    rebuilds += 1;
                    negotiation.rebuilt(now);
                }
                Output::Do(Op::LocalDescription) => {
                    let sdp = "m=application 9 x\na=mid:0\na=ice-ufrag:ours\n".to_owned();
                    let answer = SessionDescription { kind: DescriptionKind::Answer, sdp };
                    negotiation.done(now, Ok(Reply::Description(answer)));
                }
                Output::Do(_) => negotiation.done(now, Ok(Reply::Nothing)),
                _ => {}
            }
            negotiation.gathering_complete(now);
        }
        now += Duration::from_millis(10);
        negotiation.timeout(now);
    }
    assert!((4..=8).contains(&rebuilds), "{rebuilds} in ten seconds");
    assert!(negotiation.next_deadline().is_some());
}

/// Takes an offer with this fragment; a restart is wanted while the answer gathers. What follows the answer.
fn restart_while_an_answer_gathers(fragment: &str) -> Vec<Output> {
    let mut negotiation = answered(false);
    negotiation.signal(NOW, offer("k", fragment));
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.done(NOW, Ok(Reply::Nothing));
    negotiation.restart(NOW);
    negotiation.gathering_complete(NOW);
    outputs(&mut negotiation);
    let sdp = "m=application 9 x\na=mid:7\na=ice-ufrag:ours\n".to_owned();
    let answer = SessionDescription { kind: DescriptionKind::Answer, sdp };
    negotiation.done(NOW, Ok(Reply::Description(answer)));
    outputs(&mut negotiation)
}

const RESTART: Output = Output::Do(Op::Offer { ice_restart: true });

#[test]
fn a_restart_that_is_wanted_while_an_answer_gathers_follows_it_unless_the_remotes_was_one() {
    assert!(restart_while_an_answer_gathers("f").contains(&RESTART), "it only renegotiated");
    assert!(!restart_while_an_answer_gathers("g").contains(&RESTART), "it restarted both");
}

#[test]
fn a_restart_that_is_wanted_while_an_answer_is_applied_follows_it_unless_that_was_of_one() {
    for (fragment, follows) in [("f", true), ("g", false)] {
        let mut negotiation = answered(false);
        negotiation.tracks_changed(NOW);
        negotiation.done(NOW, Ok(Reply::Nothing));
        negotiation.gathering_complete(NOW);
        let sdp = "m=application 9 x\na=mid:0\na=ice-ufrag:ours\n".to_owned();
        let ours = SessionDescription { kind: DescriptionKind::Offer, sdp };
        negotiation.done(NOW, Ok(Reply::Description(ours)));
        negotiation.signal(NOW, answer("k", fragment));
        negotiation.restart(NOW);
        outputs(&mut negotiation);
        negotiation.done(NOW, Ok(Reply::Nothing));
        let then = outputs(&mut negotiation);
        assert_eq!(then.contains(&RESTART), follows, "{then:?}");
    }
}

#[test]
fn a_restart_that_gave_way_to_the_remotes_offer_follows_it_unless_that_was_one() {
    for (fragment, follows) in [("f", true), ("g", false)] {
        let mut negotiation = answered(true);
        negotiation.restart(NOW);
        offered(&mut negotiation);
        negotiation.signal(NOW, offer("k", fragment));
        // Ours is taken back, theirs applied and answered.
        for _ in 0..3 {
            negotiation.done(NOW, Ok(Reply::Nothing));
        }
        negotiation.gathering_complete(NOW);
        let sdp = "m=application 9 x\na=mid:0\na=ice-ufrag:ours\n".to_owned();
        let answer = SessionDescription { kind: DescriptionKind::Answer, sdp };
        outputs(&mut negotiation);
        negotiation.done(NOW, Ok(Reply::Description(answer)));
        let then = outputs(&mut negotiation);
        assert!(then.contains(&Output::Negotiated), "{then:?}");
        assert_eq!(then.contains(&RESTART), follows, "{then:?}");
    }
}

#[test]
fn a_restart_costs_no_first_offer_of_the_remote_that_is_being_taken() {
    let mut negotiation = Negotiation::new(false);
    negotiation.signal(NOW, offer("k", "f"));
    outputs(&mut negotiation);
    negotiation.restart(NOW);
    assert_eq!(outputs(&mut negotiation), []);
    negotiation.done(NOW, Ok(Reply::Nothing));
    assert_eq!(outputs(&mut negotiation), [Output::Do(Op::Answer)]);
}

#[test]
fn tracks_that_change_while_an_offer_is_under_way_are_offered_next() {
    let mut negotiation = answered(true);
    negotiation.tracks_changed(NOW);
    offered(&mut negotiation);
    negotiation.tracks_changed(NOW);
    negotiation.signal(NOW, answer("k", "f"));
    negotiation.done(NOW, Ok(Reply::Nothing));
    let all = outputs(&mut negotiation);
    assert!(all.contains(&Output::Do(Op::Offer { ice_restart: false })), "{all:?}");
    // What was taken back was not agreed on.
    let mut negotiation = answered(true);
    negotiation.tracks_changed(NOW);
    offered(&mut negotiation);
    negotiation.signal(NOW, offer("k", "g"));
    negotiation.done(NOW, Ok(Reply::Nothing));
    assert!(!negotiation.is_idle());
    assert!(negotiation.wants.tracks);
}
