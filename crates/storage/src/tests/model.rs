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
    Checkpoint,
    Tidy,
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
        2 => Just(Op::Checkpoint),
        2 => Just(Op::Tidy),
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
    /// How many numbers each queue gave; the first is 0.
    given: BTreeMap<u64, u64>,
    /// How often each of the three queues was deleted: what comes then has another id.
    deleted: BTreeMap<u64, u64>,
    revision: u64,
    bodies: u64,
}

impl Model {
    /// The id of a queue, which is never given twice.
    fn id(&self, queue: u64) -> u64 {
        queue + 3 * self.deleted.get(&queue).copied().unwrap_or(0)
    }

    fn next_seq(&mut self, queue: u64) -> u64 {
        let given = self.given.entry(queue).or_insert(0);
        *given += 1;
        *given - 1
    }

    fn body(&mut self, len: usize) -> Vec<u8> {
        self.bodies += 1;
        let mut body = self.bodies.to_le_bytes().repeat(len / 8 + 1);
        body.truncate(len);
        body
    }

    /// A range that ends `back` before the queue's last number, if it has one.
    fn range(&self, queue: u64, back: u64, width: u64) -> Option<(u64, u64)> {
        let last = self.given.get(&queue)?.saturating_sub(1 + back);
        Some((last.saturating_sub(width - 1), last))
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
                        order_key: order_key(queue, seq),
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
                let queue = self.id(queue);
                let (seq, body) = (self.next_seq(queue), self.body(len));
                let flags = if seen { MessageFlags::SEEN } else { MessageFlags::NONE };
                let segment = [bytes::Bytes::from(body.clone())];
                let payload = if len % 2 == 0 {
                    Payload { parts: &[&body], segments: &[], body_len: len as u32 }
                } else {
                    Payload { parts: &[], segments: &segment, body_len: len as u32 }
                };
                let position = gather.message(queue, seq, flags, order_key(queue, seq), 0, payload);
                self.done.push((position, Done::Message { queue, seq, body, seen }));
            }
            Op::FanOut { queues, len, step_between } => {
                let body = self.body(len);
                let (shared, _) = gather.body(Payload::parts(&[&body]).with_body(len as u32));
                for queue in (1..=3).filter(|queue| queues & (1 << (queue - 1)) != 0) {
                    if step_between {
                        run.log.step(&mut run.gather)?;
                        run.checkpoint()?;
                    }
                    let queue = self.id(queue);
                    let seq = self.next_seq(queue);
                    let position =
                        run.gather.entry(shared, queue, seq, MessageFlags::SEEN, order_key(queue, seq), 0);
                    self.done.push((position, Done::Message { queue, seq, body: body.clone(), seen: true }));
                }
                run.gather.end_body(shared);
            }
            Op::Settle { queue, back, width } => {
                let queue = self.id(queue);
                let Some((first, last)) = self.range(queue, back, width) else { return Ok(()) };
                let position = gather.settle(queue, &[(first, last)], SettleReason::Acknowledged);
                self.done.push((position, Done::Settle { queue, first, last }));
            }
            Op::Return { queue, back, count } => {
                let queue = self.id(queue);
                let Some((first, last)) = self.range(queue, back, 3) else { return Ok(()) };
                let position = gather.returned(queue, &[(first, last)], count);
                self.done.push((position, Done::Return { queue, first, last, count }));
            }
            Op::Expose { queue, back } => {
                let queue = self.id(queue);
                let Some((first, last)) = self.range(queue, back, 3) else { return Ok(()) };
                let position = gather.expose(queue, &[(first, last)]);
                self.done.push((position, Done::Expose { queue, first, last, withdrawn: false }));
            }
            Op::Unexpose { queue, back } => {
                let queue = self.id(queue);
                let Some((first, last)) = self.range(queue, back, 3) else { return Ok(()) };
                let position = gather.unexpose(queue, &[(first, last)]);
                self.done.push((position, Done::Expose { queue, first, last, withdrawn: true }));
            }
            Op::Delete { queue } => {
                let name = queue;
                let queue = self.id(name);
                *self.deleted.entry(name).or_insert(0) += 1;
                let position = gather.settle(queue, &[(0, u64::MAX)], SettleReason::QueueDeleted);
                self.done.push((position, Done::Delete { queue }));
            }
            Op::Define { key, value } => {
                self.revision += 1;
                let revision = self.revision;
                let change = (vec![key], value.map(|value| vec![value]));
                let position = gather.definition(revision, std::slice::from_ref(&change));
                run.changes.push((position, revision, change));
                self.done.push((position, Done::Define { revision, key, value }));
            }
            Op::Group { queue, commit } => self.group(gather, self.id(queue), commit),
            Op::Step => drop(run.log.step(&mut run.gather)?),
            Op::Tend => run.log.tend()?,
            Op::Idle => run.log.idle()?,
            Op::Checkpoint => drop(run.checkpoint()?),
            Op::Tidy => drop(run.store.tidy()?),
        }
        Ok(())
    }

    /// A message in and an older one out, at once, with a foreign record between.
    fn group(&mut self, gather: &mut Gather, queue: u64, commit: bool) {
        let old = self.given.get(&queue).map_or(0, |given| given - 1);
        let (seq, body) = (self.next_seq(queue), self.body(20));
        let group = gather.begin_group();
        let key = order_key(queue, seq);
        let parts: [&[u8]; 1] = [&body];
        let payload = Payload::parts(&parts).with_body(20);
        gather.within(group).message(queue, seq, MessageFlags::NONE, key, 0, payload);
        let third = self.id(3);
        let other = self.next_seq(third);
        let between =
            gather.message(third, other, MessageFlags::NONE, order_key(third, other), 0, Payload::default());
        let message = Done::Message { queue, seq, body, seen: false };
        let between = (between, Done::Message { queue: third, seq: other, body: Vec::new(), seen: false });
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

/// A plain queue, one with a single other order key, and one with several.
fn order_key(queue: u64, seq: u64) -> u64 {
    match queue % 3 {
        1 => 0,
        2 => 7,
        _ => seq % 3,
    }
}

/// The counts that recovery gives without reading a message are those of the messages.
fn assert_counts(queues: &BTreeMap<u64, RecoveredQueue>, found: &Collected) {
    for (id, queue) in queues {
        let mut lines: BTreeMap<u64, LineCount> = BTreeMap::new();
        for message in found.queues.get(id).into_iter().flatten() {
            let line = lines.entry(message.order_key).or_default();
            line.messages += 1;
            line.body_bytes += message.payload.len() as u64;
        }
        assert_eq!(queue.lines, lines.into_iter().collect::<Vec<_>>(), "queue {id}");
    }
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
        assert_counts(&run.recovered.queues, &run.collected);
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
    assert_counts(&found.1.queues, &found.0);
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
