//! Random lives of a log, with the power cut at random moments, recovery's own included, against a model.
//!
//! The model is the list of all operations with their positions. Recovery names the position where the log
//! ends; the state must be exactly that of the operations up to there, and it must not end before a
//! position that was reported durable.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
pub(super) enum Op {
    Publish { queue: u64, len: usize, seen: bool },
    FanOut { queues: u64, len: usize, step_between: bool },
    Settle { queue: u64, back: u64, width: u64 },
    Return { queue: u64, back: u64, count: u64 },
    Expose { queue: u64, back: u64 },
    Unexpose { queue: u64, back: u64 },
    Delete { queue: u64 },
    Define { key: u8, value: Option<u8> },
    Group { queue: u64, commit: bool },
    Step,
    Tend,
    Idle,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let queue = 1..4u64;
    let len = prop_oneof![8 => 0..200usize, 3 => 200..5000usize, 1 => 5000..90_000usize];
    prop_oneof![
        8 => (queue.clone(), len.clone(), any::<bool>()).prop_map(|(queue, len, seen)| Op::Publish { queue, len, seen }),
        2 => (1..8u64, len, any::<bool>())
            .prop_map(|(queues, len, step_between)| Op::FanOut { queues, len, step_between }),
        5 => (queue.clone(), 0..12u64, 1..6u64)
            .prop_map(|(queue, back, width)| Op::Settle { queue, back, width }),
        1 => (queue.clone(), 0..6u64, 1..5u64).prop_map(|(queue, back, count)| Op::Return { queue, back, count }),
        1 => (queue.clone(), 0..6u64).prop_map(|(queue, back)| Op::Expose { queue, back }),
        1 => (queue.clone(), 0..6u64).prop_map(|(queue, back)| Op::Unexpose { queue, back }),
        1 => queue.clone().prop_map(|queue| Op::Delete { queue }),
        2 => (0..6u8, any::<Option<u8>>()).prop_map(|(key, value)| Op::Define { key, value }),
        2 => (queue, any::<bool>()).prop_map(|(queue, commit)| Op::Group { queue, commit }),
        6 => Just(Op::Step),
        1 => Just(Op::Tend),
        1 => Just(Op::Idle),
    ]
}

#[derive(Debug, Clone)]
struct Session {
    ops: Vec<Op>,
    /// After how many changes of the disk the power goes, if it does before the operations end.
    power_off: Option<u64>,
    keeps: CrashKeeps,
    /// When the power goes during the recovery after it, too.
    recovery_power_off: Option<u64>,
}

fn session() -> impl Strategy<Value = Session> {
    let keeps = prop_oneof![
        1 => Just(CrashKeeps::Nothing),
        1 => Just(CrashKeeps::Everything),
        3 => any::<u64>().prop_map(CrashKeeps::Some),
    ];
    let ops = proptest::collection::vec(op(), 1..40);
    (ops, proptest::option::of(0..40u64), keeps, proptest::option::of(0..12u64)).prop_map(
        |(ops, power_off, keeps, recovery_power_off)| Session { ops, power_off, keeps, recovery_power_off },
    )
}

/// What an operation did to the log, at the position of its (last) record.
#[derive(Debug, Clone)]
enum Done {
    Message { queue: u64, seq: u64, body: Vec<u8>, seen: bool },
    Settle { queue: u64, first: u64, last: u64 },
    Return { queue: u64, first: u64, last: u64, count: u64 },
    Expose { queue: u64, first: u64, last: u64, withdrawn: bool },
    Delete { queue: u64 },
    Define { revision: u64, key: u8, value: Option<u8> },
}

#[derive(Debug, Default)]
pub(super) struct Model {
    done: Vec<(Position, Done)>,
    last_seq: BTreeMap<u64, u64>,
    revision: u64,
    bodies: u64,
}

impl Model {
    fn next_seq(&mut self, queue: u64) -> u64 {
        let seq = self.last_seq.entry(queue).or_insert(0);
        *seq += 1;
        *seq
    }

    fn body(&mut self, len: usize) -> Vec<u8> {
        self.bodies += 1;
        let mut body = self.bodies.to_le_bytes().repeat(len / 8 + 1);
        body.truncate(len);
        body
    }

    /// A range that ends `back` before the queue's last number.
    fn range(&self, queue: u64, back: u64, width: u64) -> (u64, u64) {
        let last = self.last_seq.get(&queue).copied().unwrap_or(0).saturating_sub(back);
        (last.saturating_sub(width - 1), last)
    }

    pub(super) fn forget_after(&mut self, end: Position) {
        self.done.retain(|(position, _)| *position <= end);
    }

    pub(super) fn state(&self) -> Collected {
        let mut state = Collected::default();
        for (position, done) in &self.done {
            match done.clone() {
                Done::Message { queue, seq, body, seen } => {
                    state.queues.entry(queue).or_default().push(RecoveredMessage {
                        queue,
                        seq,
                        flags: if seen { MessageFlags::SEEN } else { MessageFlags::NONE },
                        order_key: queue,
                        deadline_ms: 0,
                        delivery_count: 0,
                        payload: body.into(),
                    });
                }
                Done::Settle { queue, first, last } => {
                    let inside = |message: &RecoveredMessage| (first..=last).contains(&message.seq);
                    state.queues.entry(queue).or_default().retain(|message| !inside(message));
                }
                Done::Delete { queue } => {
                    state.queues.remove(&queue);
                }
                Done::Return { queue, first, last, count } => {
                    for message in state.queues.entry(queue).or_default() {
                        if (first..=last).contains(&message.seq) {
                            message.delivery_count = count;
                        }
                    }
                }
                Done::Expose { queue, first, last, withdrawn } => {
                    for message in state.queues.entry(queue).or_default() {
                        if (first..=last).contains(&message.seq) {
                            message.flags = if withdrawn { MessageFlags::NONE } else { MessageFlags::SEEN };
                        }
                    }
                }
                Done::Define { revision, key, value } => {
                    state.definitions.apply(
                        *position,
                        revision,
                        &[(vec![key], value.map(|value| vec![value]))],
                    );
                }
            }
        }
        state.queues.retain(|_, messages| !messages.is_empty());
        state
    }

    /// Every message ever published with its body, settled ones too.
    pub(super) fn ever(&self) -> BTreeMap<(u64, u64), Vec<u8>> {
        let published = self.done.iter().filter_map(|(_, done)| match done {
            Done::Message { queue, seq, body, .. } => Some(((*queue, *seq), body.clone())),
            _ => None,
        });
        published.collect()
    }

    /// Performs one operation. The error is the log's: the power is off.
    pub(super) fn perform(&mut self, run: &mut Running, op: &Op) -> Result<(), StorageError> {
        let gather = &mut run.gather;
        match *op {
            Op::Publish { queue, len, seen } => {
                let (seq, body) = (self.next_seq(queue), self.body(len));
                let flags = if seen { MessageFlags::SEEN } else { MessageFlags::NONE };
                let segment = [bytes::Bytes::from(body.clone())];
                let payload = if len % 2 == 0 {
                    Payload { parts: &[&body], segments: &[], ..Payload::default() }
                } else {
                    Payload { parts: &[], segments: &segment, ..Payload::default() }
                };
                let position = gather.message(queue, seq, flags, queue, 0, payload);
                self.done.push((position, Done::Message { queue, seq, body, seen }));
            }
            Op::FanOut { queues, len, step_between } => {
                let body = self.body(len);
                let (shared, _) = gather.body(Payload::parts(&[&body]));
                for queue in (1..=3).filter(|queue| queues & (1 << (queue - 1)) != 0) {
                    if step_between {
                        run.log.step(&mut run.gather)?;
                    }
                    let seq = self.next_seq(queue);
                    let position = run.gather.entry(shared, queue, seq, MessageFlags::SEEN, queue, 0);
                    self.done.push((position, Done::Message { queue, seq, body: body.clone(), seen: true }));
                }
            }
            Op::Settle { queue, back, width } => {
                let (first, last) = self.range(queue, back, width);
                let position = gather.settle(queue, &[(first, last)], SettleReason::Acknowledged);
                self.done.push((position, Done::Settle { queue, first, last }));
            }
            Op::Return { queue, back, count } => {
                let (first, last) = self.range(queue, back, 3);
                let position = gather.returned(queue, &[(first, last)], count);
                self.done.push((position, Done::Return { queue, first, last, count }));
            }
            Op::Expose { queue, back } => {
                let (first, last) = self.range(queue, back, 3);
                let position = gather.expose(queue, &[(first, last)]);
                self.done.push((position, Done::Expose { queue, first, last, withdrawn: false }));
            }
            Op::Unexpose { queue, back } => {
                let (first, last) = self.range(queue, back, 3);
                let position = gather.unexpose(queue, &[(first, last)]);
                self.done.push((position, Done::Expose { queue, first, last, withdrawn: true }));
            }
            Op::Delete { queue } => {
                let position = gather.settle(queue, &[(0, u64::MAX)], SettleReason::QueueDeleted);
                self.done.push((position, Done::Delete { queue }));
            }
            Op::Define { key, value } => {
                self.revision += 1;
                let revision = self.revision;
                let change = (vec![key], value.map(|value| vec![value]));
                let position = gather.definition(revision, &[change]);
                self.done.push((position, Done::Define { revision, key, value }));
            }
            Op::Group { queue, commit } => self.group(gather, queue, commit),
            Op::Step => drop(run.log.step(&mut run.gather)?),
            Op::Tend => run.log.tend()?,
            Op::Idle => run.log.idle()?,
        }
        Ok(())
    }

    /// A message in and an older one out, at once, with a foreign record between.
    fn group(&mut self, gather: &mut Gather, queue: u64, commit: bool) {
        let old = self.last_seq.get(&queue).copied().unwrap_or(0);
        let (seq, body) = (self.next_seq(queue), self.body(20));
        let group = gather.begin_group();
        gather.within(group).message(queue, seq, MessageFlags::NONE, queue, 0, Payload::parts(&[&body]));
        let other = self.next_seq(3);
        let between = gather.message(3, other, MessageFlags::NONE, 3, 0, Payload::default());
        let message = Done::Message { queue, seq, body, seen: false };
        let between = (between, Done::Message { queue: 3, seq: other, body: Vec::new(), seen: false });
        gather.within(group).settle(queue, &[(old, old)], SettleReason::Moved);
        if !commit {
            self.done.push(between);
            return;
        }
        let position = gather.commit_group(group);
        // In log order the group's message comes first, but it counts from the commit on.
        self.done.push((position, message));
        self.done.push(between);
        self.done.push((position, Done::Settle { queue, first: old, last: old }));
    }
}

/// Recovery gives messages in log order; for the model the order within a queue is by number.
pub(super) fn sorted(mut state: Collected) -> Collected {
    state.queues.values_mut().for_each(|messages| messages.sort_by_key(|message| message.seq));
    state
}

fn assert_same(found: &Collected, model: &Model) {
    let (found, expected) = (sorted(found.clone()), sorted(model.state()));
    assert!(found == expected, "found {}, expected {}", found.in_short(), expected.in_short());
}

fn live(sessions: &[Session]) {
    let mut disk = MemoryDisk::new(7);
    let mut model = Model::default();
    let mut durable = Position(0);
    for session in sessions {
        let mut run = start(&disk).expect("recovery after a crash");
        let end = run.recovered.next_position.0 - 1;
        assert!(end >= durable.0, "the log ends at {end}, but {durable:?} was reported durable");
        model.forget_after(Position(end));
        assert_same(&run.collected, &model);
        assert!(run.recovered.quarantined.is_empty());
        durable = Position(end);

        if let Some(after) = session.power_off {
            disk.power_off(after);
        }
        for op in &session.ops {
            if model.perform(&mut run, op).is_err() {
                break;
            }
        }
        durable = durable.max(run.log.synced());
        disk = disk.crash(session.keeps);
        if let Some(after) = session.recovery_power_off {
            disk.power_off(after);
            match start(&disk) {
                Ok(run) => drop(run),
                Err(StorageError::Io { .. }) => {}
                Err(error) => panic!("recovery, cut short: {error}"),
            }
            disk = disk.crash(session.keeps);
        }
    }
    let found = look(&disk).expect("the last recovery");
    model.forget_after(Position(found.1.next_position.0 - 1));
    assert_same(&found.0, &model);
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn every_crash_leaves_a_prefix_that_holds_all_that_was_durable(
        sessions in proptest::collection::vec(session(), 1..5)
    ) {
        live(&sessions);
    }
}
