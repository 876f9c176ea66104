//! A negotiation with a remote that says whatever it likes, and an engine that refuses what it is told to:
//! for the property tests and for the fuzzer.
//!
//! Whatever happens: the engine is never asked for what its state forbids, nothing that waits grows beyond its
//! bound, and a remote that does everything right afterwards is connected.
#![allow(clippy::unwrap_used)] // a check: it fails by panicking

use super::candidates::MAX_CANDIDATES;
use super::*;
use crate::wire::{Json, PeerPayload};

/// Steps of one script.
const MAX_STEPS: usize = 300;
const HONEST: &str = "sha-256 honest";

/// The signalling state of an engine.
#[derive(Debug, Default)]
struct Engine {
    offered: bool,
    was_offered: bool,
    remote: bool,
}

impl Engine {
    fn run(&mut self, op: &Op, refuses: bool) -> Result<Reply, Failure> {
        let stable = !self.offered && !self.was_offered;
        match op {
            Op::Offer { .. } => assert!(stable, "an offer while not stable"),
            Op::RollBack => assert!(self.offered, "nothing to roll back"),
            Op::Answer => assert!(self.was_offered, "nothing to answer"),
            Op::AddCandidate(_) => assert!(self.remote, "a candidate too early"),
            Op::LocalDescription => {}
            Op::ApplyRemote(description) => {
                assert!(SdpFacts::read(&description.sdp).is_some(), "a bomb");
                match description.kind {
                    DescriptionKind::Offer => assert!(stable, "an offer applied while not stable"),
                    DescriptionKind::Answer => assert!(self.offered, "an answer to nothing"),
                }
            }
        }
        if refuses {
            if let Op::ApplyRemote(description) = op {
                // The crate takes an offer's first half before it refuses the rest.
                self.was_offered |= description.kind == DescriptionKind::Offer;
            }
            return Err(Failure::internal("refused"));
        }
        match op {
            Op::Offer { .. } => self.offered = true,
            Op::RollBack => self.offered = false,
            Op::Answer => self.was_offered = false,
            Op::AddCandidate(_) => {}
            Op::ApplyRemote(description) => {
                self.remote = true;
                self.offered = false;
                self.was_offered = description.kind == DescriptionKind::Offer;
            }
            Op::LocalDescription => {
                let kind = match self.offered {
                    true => DescriptionKind::Offer,
                    false => DescriptionKind::Answer,
                };
                let sdp = "a=fingerprint:ours\nm=application 9 x\na=ice-ufrag:o\na=mid:0\n";
                let description = SessionDescription { kind, sdp: sdp.into() };
                return Ok(Reply::Description(description));
            }
        }
        Ok(Reply::Nothing)
    }
}

struct World {
    now: Duration,
    negotiation: Negotiation,
    engine: Engine,
    op: Option<Op>,
    rebuilding: bool,
    wants_data: bool,
    no_answer: bool,
    /// Descriptions that left.
    sent: Vec<DescriptionKind>,
}

impl World {
    fn new(polite: bool) -> Self {
        Self {
            now: Duration::ZERO,
            negotiation: Negotiation::new(polite),
            engine: Engine::default(),
            op: None,
            rebuilding: false,
            wants_data: false,
            no_answer: false,
            sent: Vec::new(),
        }
    }

    fn collect(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.negotiation.poll_output() {
            // Candidates of ours are as many as the script found.
            outputs += usize::from(!matches!(output, Output::Send(Signal::Candidate(_))));
            match output {
                Output::Do(op) => assert!(self.op.replace(op).is_none(), "two operations at once"),
                Output::Rebuild(_) => {
                    self.rebuilding = true;
                    self.op = None;
                }
                Output::Send(Signal::Description(description)) => self.sent.push(description.kind),
                Output::NoAnswer => self.no_answer = true,
                Output::Send(_)
                | Output::NothingToOffer
                | Output::Negotiated
                | Output::Failed(_)
                | Output::CandidateFailed(..) => {}
            }
        }
        assert!(outputs < MAX_WAITING_SIGNALS + MAX_STEPS, "{outputs} outputs of one step");
        let negotiation = &self.negotiation;
        let most = MAX_WAITING_SIGNALS + MAX_CANDIDATES + 1;
        assert!(negotiation.waiting.len() <= most, "{} wait", negotiation.waiting.len());
        let bytes: usize = negotiation.waiting.iter().map(Signal::size).sum();
        let early = negotiation.candidates.early_bytes();
        assert!(bytes + early < 2 * MAX_WAITING_BYTES, "{bytes} and {early} bytes wait");
    }

    fn signal(&mut self, signal: Signal) {
        self.negotiation.signal(self.now, signal);
        self.collect();
    }

    fn each(&mut self, action: impl FnOnce(&mut Negotiation, Duration)) {
        action(&mut self.negotiation, self.now);
        self.collect();
    }

    /// One operation of the engine, or the making of a new connection.
    fn work(&mut self, refuses: bool) -> bool {
        if std::mem::take(&mut self.rebuilding) {
            self.engine = Engine::default();
            if self.wants_data {
                self.each(Negotiation::data_wanted);
            }
            self.each(Negotiation::rebuilt);
        } else if let Some(op) = self.op.take() {
            let result = self.engine.run(&op, refuses);
            self.each(|negotiation, now| negotiation.done(now, result));
        } else {
            return false;
        }
        true
    }

    fn pass(&mut self) -> bool {
        let Some(deadline) = self.negotiation.next_deadline() else { return false };
        self.now = self.now.max(deadline);
        self.each(Negotiation::timeout);
        true
    }

    fn act(&mut self, byte: u8) {
        match byte % 9 {
            0 | 1 => drop(self.work(false)),
            2 => drop(self.work(true)),
            3 => self.each(Negotiation::gathering_complete),
            4 => drop(self.pass()),
            5 => {
                self.wants_data = true;
                self.each(Negotiation::data_wanted);
            }
            6 => self.each(Negotiation::restart),
            7 => self.each(|negotiation, now| {
                let candidate = format!("candidate:{now:?} 1 udp 1 127.0.0.1 9 typ host");
                negotiation.local_candidate(now, IceCandidate { candidate, ..Default::default() });
            }),
            _ => self.each(Negotiation::replace_connection),
        }
    }

    /// A line of the script: JSON as it comes from the service, a short form of it, or steps of our side.
    fn line(&mut self, line: &str) {
        let rest = line.get(1..).unwrap_or_default();
        let description =
            |kind| Signal::Description(SessionDescription { kind, sdp: rest.replace(';', "\n") });
        match line.as_bytes().first() {
            Some(b'{') => {
                let Ok(data) = Json::parse(line) else { return };
                match PeerPayload::decode(&data) {
                    PeerPayload::Description(description) => {
                        self.signal(Signal::Description(description));
                    }
                    PeerPayload::Candidate(candidate) => self.signal(Signal::Candidate(candidate)),
                    _ => {}
                }
            }
            Some(b'o') => self.signal(description(DescriptionKind::Offer)),
            Some(b'a') => self.signal(description(DescriptionKind::Answer)),
            Some(b'c') => {
                let (text, fragment) = rest.split_once('|').unwrap_or((rest, ""));
                let candidate = IceCandidate {
                    candidate: text.into(),
                    username_fragment: (!fragment.is_empty()).then(|| fragment.into()),
                    ..Default::default()
                };
                self.signal(Signal::Candidate(Some(candidate)));
            }
            _ => line.bytes().for_each(|byte| self.act(byte)),
        }
    }

    fn honest(generation: u32, kind: DescriptionKind) -> Signal {
        let sdp = format!(
            "a=fingerprint:{HONEST}\nm=application 9 x\na=ice-ufrag:honest{generation}\na=mid:0\n"
        );
        Signal::Description(SessionDescription { kind, sdp })
    }

    /// The remote does everything right from now on, and so does the engine.
    fn end(&mut self) {
        for generation in 0..12 {
            self.sent.clear();
            self.signal(Self::honest(generation, DescriptionKind::Offer));
            self.settle(generation);
            let known = self.negotiation.fingerprint.as_deref() == Some(HONEST);
            if known && self.negotiation.is_idle() {
                return;
            }
        }
        panic!("not connected: {:?}", self.negotiation);
    }

    fn settle(&mut self, generation: u32) {
        for _ in 0..10_000 {
            if self.work(false) {
                continue;
            }
            let sent = std::mem::take(&mut self.sent);
            if sent.contains(&DescriptionKind::Offer) {
                self.signal(Self::honest(generation, DescriptionKind::Answer));
            } else if std::mem::take(&mut self.no_answer) {
                self.each(Negotiation::restart);
            } else if !self.pass() {
                return;
            }
        }
        panic!("it does not come to rest: {:?}", self.negotiation);
    }
}

/// Runs the script that the bytes stand for: its first byte says who is polite, the rest are lines.
pub(crate) fn run(bytes: &[u8]) {
    let Some((polite, script)) = bytes.split_first() else { return };
    let mut world = World::new(polite & 1 == 1);
    for line in String::from_utf8_lossy(script).split('\n').take(MAX_STEPS) {
        world.line(line);
    }
    world.end();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const LINES: [&str; 16] = [
        "oa=fingerprint:k;m=application 9 x;a=ice-ufrag:f;a=mid:0",
        "oa=fingerprint:k;m=application 9 x;a=ice-ufrag:g;a=mid:0",
        "oa=fingerprint:other;m=application 0 x;a=ice-ufrag:f",
        "oa=ice-ufrag:f",
        "o",
        "aa=fingerprint:k;m=application 9 x;a=ice-ufrag:f;a=mid:0",
        "aa=fingerprint:other;a=ice-ufrag:g",
        "a",
        "ccandidate:1 1 udp 1 127.0.0.1 9 typ host",
        "ccandidate:1 1 udp 1 127.0.0.1 9 typ host|f",
        "ccandidate:1 1 udp 1 127.0.0.1 9 typ host|g",
        "c",
        r#"{"type":"rtc-ice","candidate":null}"#,
        r#"{"type":"rtc-description","description":{"type":"offer","sdp":"a=fingerprint:k"}}"#,
        "\0\0\u{3}\0\0",
        "\u{5}\0\u{4}\0",
    ];

    fn lines() -> impl Strategy<Value = Vec<String>> {
        let steps = proptest::collection::vec(0_u8..9, 1..6)
            .prop_map(|steps| steps.into_iter().map(char::from).collect::<String>());
        let said = (0..LINES.len()).prop_map(|n| LINES[n].to_owned());
        proptest::collection::vec(prop_oneof![2 => said, 1 => steps], 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn whatever_a_remote_says_an_honest_one_is_connected_after(
            polite in any::<bool>(),
            lines in lines(),
        ) {
            let mut script = vec![u8::from(polite)];
            script.extend_from_slice(lines.join("\n").as_bytes());
            super::run(&script);
        }
    }

    #[test]
    fn early_candidates_are_bounded_by_their_bytes() {
        let fragment = "f".repeat(60_000);
        let mut script = String::from("\u{1}");
        for _ in 0..250 {
            script += &format!("ccandidate:1 1 udp 1 127.0.0.1 9 typ host|{fragment}\n");
        }
        super::run(script.as_bytes());
    }
}
