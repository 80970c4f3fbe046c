//! Random lives of a queue: contents and consumers, driven as the engine drives them, against a plain list.
//!
//! `PROPTEST_CASES=100000` makes it the long programme; a fault of every kind is planted to prove that it is found.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::super::planted::{Plant, plant};
use super::super::{Activity, ConsumerKey};
use super::cell::Cell;
use super::list::List;
use crate::arguments::{Overflow, QueueSettings, QueueType};

/// What happens to a queue.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Publish(Vec<Publish>),
    Advance(u8),
    Consume { priority: i32, exclusive: bool, no_ack: bool, credit: u8 },
    Cancel(Index),
    Get { no_ack: bool },
    Ack(Index),
    Reject(Index),
    Requeue(Index),
    PutBack,
    Purge,
    Limit { max_length: Option<u8>, max_length_bytes: Option<u8>, delivery_limit: Option<i8> },
    Restart,
}

/// A message that is published.
#[derive(Clone, Debug)]
pub(super) struct Publish {
    pub(super) priority: u8,
    pub(super) expiration: Option<u8>,
    pub(super) persistent: bool,
    /// Bytes behind the eight of its number.
    pub(super) extra: u8,
}

/// One of several, whatever their number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index(prop::sample::Index);

impl Index {
    pub(super) fn pick<T: Copy>(self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.0.index(from.len())])
    }
}

/// Why a message is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Rejected,
    Expired,
    MaxLen,
    DeliveryLimit,
}

/// What others see of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Delivered to a consumer, or to a basic.get.
    Given { seq: u64, to: Option<u64>, redelivered: bool, returns: u32 },
    /// To be dead-lettered.
    Dead { seq: u64, reason: Reason, returns: u32 },
    /// The publisher gets a nack.
    Refused,
    /// basic.consume gets 403.
    InExclusiveUse,
    /// The log hears that a message left.
    Settled(u64),
    /// The log hears how often a message came back.
    Counted(u64, u32),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let index = || any::<prop::sample::Index>().prop_map(Index);
    let publish = (0..12_u8, prop::option::weighted(0.3, 0..30_u8), any::<bool>(), 0..20_u8).prop_map(
        |(priority, expiration, persistent, extra)| Publish { priority, expiration, persistent, extra },
    );
    let consume = (-1..3, prop::bool::weighted(0.1), prop::bool::weighted(0.2), 0..4_u8).prop_map(
        |(priority, exclusive, no_ack, credit)| Operation::Consume { priority, exclusive, no_ack, credit },
    );
    let limit = (prop::option::of(0..6_u8), prop::option::of(0..100_u8), prop::option::of(-1..3_i8));
    let operation = prop_oneof![
        10 => prop::collection::vec(publish, 1..4).prop_map(Operation::Publish),
        4 => (0..20_u8).prop_map(Operation::Advance),
        2 => consume,
        1 => index().prop_map(Operation::Cancel),
        4 => any::<bool>().prop_map(|no_ack| Operation::Get { no_ack }),
        3 => index().prop_map(Operation::Ack),
        3 => index().prop_map(Operation::Reject),
        5 => index().prop_map(Operation::Requeue),
        1 => Just(Operation::PutBack),
        1 => Just(Operation::Purge),
        1 => limit.prop_map(|(max_length, max_length_bytes, delivery_limit)| {
            Operation::Limit { max_length, max_length_bytes, delivery_limit }
        }),
        1 => Just(Operation::Restart),
    ];
    prop::collection::vec(operation, 0..80)
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let overflow = prop_oneof![
        Just(None),
        Just(Some(Overflow::DropHead)),
        Just(Some(Overflow::RejectPublish)),
        Just(Some(Overflow::RejectPublishDlx)),
    ];
    let limits = (prop::option::weighted(0.3, 0..12_u64), prop::option::weighted(0.2, 0..200_u64), overflow);
    let priority = prop::option::weighted(0.5, prop_oneof![4 => 0..12_u8, 1 => Just(255)]);
    let ttl = prop::option::weighted(0.3, 0..40_u64);
    let delivery_limit = prop::option::weighted(0.7, -1..4_i64);
    (any::<bool>(), ttl, limits, priority, any::<bool>(), delivery_limit).prop_map(
        |(
            quorum,
            message_ttl_ms,
            (max_length, max_length_bytes, overflow),
            max_priority,
            single,
            delivery_limit,
        )| {
            QueueSettings {
                queue_type: if quorum { QueueType::Quorum } else { QueueType::Classic },
                message_ttl_ms,
                max_length,
                max_length_bytes,
                overflow,
                max_priority: max_priority.filter(|_| !quorum),
                single_active_consumer: single,
                delivery_limit: delivery_limit.filter(|_| quorum),
                ..QueueSettings::default()
            }
        },
    )
}

fn agree(settings: &QueueSettings, seed: u64, operations: &[Operation]) -> Result<(), TestCaseError> {
    let mut cell = Cell::new(settings.clone(), seed);
    let mut list = List::new(settings.clone());
    for (at, operation) in operations.iter().enumerate() {
        cell.apply(operation);
        list.apply(operation);
        prop_assert_eq!(
            std::mem::take(&mut cell.events),
            std::mem::take(&mut list.events),
            "events of {} {:?}",
            at,
            operation
        );
        prop_assert_eq!(&cell.corrupt, &Vec::<u64>::new(), "bytes after {} {:?}", at, operation);
        cell.fill();
        compare(&cell, &list)
            .map_err(|error| TestCaseError::fail(format!("after {at} {operation:?}: {error}")))?;
    }
    Ok(())
}

fn compare(cell: &Cell, list: &List) -> Result<(), TestCaseError> {
    let totals = cell.contents.totals();
    prop_assert_eq!(
        (totals.ready, totals.unacked, totals.ready_bytes, totals.unacked_bytes),
        list.totals(),
        "totals"
    );
    prop_assert_eq!(cell.contents.next_deadline_ms(), list.next_deadline(), "next deadline");
    prop_assert_eq!(cell.contents.is_timed(), list.is_timed(), "is timed");
    prop_assert_eq!(cell.delivered(), list.delivered(), "delivered");
    let keys: Vec<u64> = cell.consumers.iter().map(|(key, _)| key.0).collect();
    prop_assert_eq!(&keys, &list.consumer_keys(), "consumers");
    let is_active = |key: &u64| cell.consumers.activity(ConsumerKey(*key)) == Activity::SingleActive;
    prop_assert_eq!(keys.iter().copied().find(is_active), list.single_active(), "active");
    Ok(())
}

proptest! {
    #[test]
    fn a_queue_behaves_as_a_plain_list(settings in settings(), seed in any::<u64>(), operations in operations()) {
        agree(&settings, seed, &operations)?;
    }
}

/// Looks for a divergence in some thousand lives, always the same ones.
fn is_found() -> bool {
    let config = Config { cases: 5_000, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(&(settings(), any::<u64>(), operations()), |(settings, seed, operations)| {
        agree(&settings, seed, &operations)
    });
    matches!(result, Err(TestError::Fail(..)))
}

#[test]
fn planted_faults_are_found() {
    for fault in [
        Plant::LateExpiry,
        Plant::WithdrawnLosesBytes,
        Plant::RequeueLosesPriority,
        Plant::LastComesNext,
        Plant::LeavesUnexposed,
        Plant::LateComesFirst,
        Plant::LoadUndoesPurge,
    ] {
        plant(Some(fault));
        let found = is_found();
        plant(None);
        assert!(found, "{fault:?} was not found");
    }
    assert!(!is_found(), "nothing is planted");
}
