//! The contents of a queue against a plain list.

use proptest::prelude::*;

use super::super::*;
use crate::ids::QueueSeq;
use crate::message::{Body, Message};

fn message(body: &[u8]) -> Message<'_> {
    Message { exchange: b"", routing_key: b"q", properties: &[0, 0], body: Body::Small(body) }
}

fn body_of(contents: &Contents, entry: &Entry) -> u64 {
    let Body::Small(body) = contents.message(entry).body else { panic!("small") };
    u64::from_be_bytes(body.try_into().unwrap())
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Take { ack: bool },
    Settle(prop::sample::Index),
    Requeue(prop::sample::Index),
    PutBack,
    Purge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => Just(Step::Publish),
        5 => any::<bool>().prop_map(|ack| Step::Take { ack }),
        3 => any::<prop::sample::Index>().prop_map(Step::Settle),
        2 => any::<prop::sample::Index>().prop_map(Step::Requeue),
        1 => Just(Step::PutBack),
        1 => Just(Step::Purge),
    ];
    prop::collection::vec(step, 0..400)
}

/// The same queue as a sorted list of (number, redelivered).
#[derive(Default)]
struct Model {
    next: u64,
    ready: Vec<(u64, bool)>,
    unacked: Vec<(u64, bool)>,
}

proptest! {
    #[test]
    fn contents_behave_as_a_sorted_list(steps in steps()) {
        let mut contents = Contents::default();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Publish => {
                    let seq = contents.enqueue(&message(&model.next.to_be_bytes()), Keep { logged: true, ..Keep::default() });
                    prop_assert_eq!(seq, QueueSeq(model.next));
                    model.ready.push((model.next, false));
                    model.next += 1;
                }
                Step::Take { ack } => {
                    let entry = contents.take();
                    prop_assert_eq!(entry.as_ref().map(|e| (e.seq().0, e.is_redelivered())), model.ready.first().copied());
                    let Some(entry) = entry else { continue };
                    prop_assert_eq!(body_of(&contents, &entry), entry.seq().0);
                    let taken = model.ready.remove(0);
                    if ack {
                        contents.discard(&entry);
                    } else {
                        contents.hold(entry);
                        model.unacked.push(taken);
                    }
                }
                Step::PutBack => {
                    if let Some(entry) = contents.take() {
                        contents.put_back(entry);
                    }
                }
                Step::Settle(index) if !model.unacked.is_empty() => {
                    let (seq, _) = model.unacked.remove(index.index(model.unacked.len()));
                    prop_assert!(contents.settle(QueueSeq(seq)));
                    prop_assert!(!contents.settle(QueueSeq(seq)));
                }
                Step::Requeue(index) if !model.unacked.is_empty() => {
                    let (seq, _) = model.unacked.remove(index.index(model.unacked.len()));
                    prop_assert!(matches!(contents.requeue(QueueSeq(seq)), Requeued::Back(None)));
                    model.ready.push((seq, true));
                    model.ready.sort_unstable();
                }
                Step::Purge => {
                    let mut logged = SeqRanges::default();
                    let count = contents.purge(&[], &mut logged);
                    prop_assert_eq!(count, model.ready.len() as u64);
                    let told: u64 = logged.as_slice().iter().map(|(a, b)| b - a + 1).sum();
                    prop_assert_eq!(told, count);
                    model.ready.clear();
                }
                Step::Settle(_) | Step::Requeue(_) => {}
            }
            let totals = contents.totals();
            prop_assert_eq!(totals.ready, model.ready.len() as u64);
            prop_assert_eq!(totals.unacked, model.unacked.len() as u64);
            prop_assert_eq!(totals.ready_bytes, 8 * model.ready.len() as u64);
        }
    }
}

#[test]
fn one_held_message_does_not_pin_the_numbers_of_millions() {
    let mut contents = Contents::default();
    for i in 0..100_000u64 {
        contents.enqueue(&message(&i.to_be_bytes()), Keep::default());
        let entry = contents.take().unwrap();
        let seq = entry.seq();
        contents.hold(entry);
        if seq.0 > 0 {
            assert!(!contents.settle(seq), "never logged");
        }
    }
    assert_eq!(contents.totals().unacked, 1);
}
