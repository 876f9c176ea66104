//! Random histories; see `session::model` for what must hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::super::model::{Op, World};
use super::*;

fn op() -> impl Strategy<Value = Op> {
    let code = prop_oneof![
        5 => Just(1006),
        1 => prop::sample::select(vec![1001, 1009, 4001, 4002, 4003, 4010, 4011, 4020]),
    ];
    prop_oneof![
        3 => Just(Op::Connect),
        1 => Just(Op::Close),
        6 => (1..40_u16).prop_map(Op::Publish),
        2 => Just(Op::Urgent),
        6 => (0..4_u8).prop_map(Op::Subscribe),
        4 => (0..4_u8).prop_map(Op::Unsubscribe),
        12 => Just(Op::Ack),
        2 => Just(Op::Refuse),
        1 => Just(Op::Lose),
        8 => Just(Op::Dialled),
        8 => prop::option::of(5..120_u16).prop_map(Op::Welcome),
        3 => code.prop_map(Op::SocketClosed),
        1 => prop::sample::select(vec![401_u16, 429, 503]).prop_map(Op::Http),
        6 => prop::bool::weighted(0.8).prop_map(|fresh| Op::Token { fresh }),
        1 => Just(Op::TokenFails),
        1 => Just(Op::Garbage),
        1 => (0..100_000_u32).prop_map(Op::GoingAway),
        1 => any::<bool>().prop_map(Op::Flushing),
        8 => (0..40_000_u32).prop_map(Op::Pass),
        1 => (0..900_000_u32).prop_map(Op::Freeze),
        2 => (0..4_u8).prop_map(Op::Hint),
    ]
}

/// Histories that end with a connection and subscriptions on it.
static REACHED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn random_histories_keep_every_promise_and_reach_what_they_test() {
    every_history_keeps_the_promises();
    let reached = REACHED.load(Ordering::Relaxed);
    assert!(reached > 40, "only {reached} histories ended with subscriptions");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    fn every_history_keeps_the_promises(
        provider in any::<bool>(),
        history in prop::collection::vec(op(), 1..160),
    ) {
        let kind = if provider { CredentialKind::Provider } else { CredentialKind::Key };
        let mut world = World::new(kind);
        // Most that can go wrong goes wrong on a connection.
        for op in [Op::Connect, Op::Token { fresh: true }, Op::Dialled, Op::Welcome(None)] {
            world.apply(&op);
        }
        for op in &history {
            world.apply(op);
        }
        let stood = world.finish();
        REACHED.fetch_add(usize::from(stood > 0), Ordering::Relaxed);
    }
}
