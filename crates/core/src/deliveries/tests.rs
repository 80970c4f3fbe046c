//! Tags, settlement and credit as tables.

use super::*;

fn settle(d: &mut Deliveries<char>, tag: u64, multiple: bool) -> Result<Vec<(u64, u64, u64)>, UnknownTag> {
    let mut out = Vec::new();
    d.settle(DeliveryTag(tag), multiple, &mut out)?;
    d.forget_finished(&out);
    Ok(out.iter().map(|s| (s.origin.0, s.first.0, s.last.0)).collect())
}

fn unparked(d: &mut Deliveries<char>) -> Vec<(char, u64)> {
    let mut out = Vec::new();
    d.take_unparked(&mut out);
    out.into_iter().map(|(q, k)| (q, k.0)).collect()
}

#[test]
fn tags_count_from_one_and_settle_singly_or_up_to() {
    let mut d = Deliveries::default();
    let a = d.add_consumer('a', ConsumerKey(1), "a".into(), false, 0);
    for seq in 10..20 {
        assert_eq!(d.deliver(a, QueueSeq(seq), false).0, seq - 9);
    }
    assert_eq!(settle(&mut d, 3, false), Ok(vec![(0, 12, 12)]));
    assert_eq!(settle(&mut d, 3, false), Err(UnknownTag(DeliveryTag(3))));
    assert_eq!(settle(&mut d, 3, true), Err(UnknownTag(DeliveryTag(3))));
    assert_eq!(settle(&mut d, 5, true), Ok(vec![(0, 10, 11), (0, 13, 14)]));
    assert_eq!(settle(&mut d, 11, true), Err(UnknownTag(DeliveryTag(11))));
    assert_eq!(settle(&mut d, 0, false), Err(UnknownTag(DeliveryTag(0))));
    assert_eq!(settle(&mut d, 0, true), Ok(vec![(0, 15, 19)]));
    assert_eq!(settle(&mut d, 0, true), Ok(vec![]), "nothing outstanding: tag 0 is fine");
    assert_eq!(d.deliver(a, QueueSeq(20), false).0, 11);
}

#[test]
fn a_consumer_without_credit_is_parked_and_comes_back_by_an_ack() {
    let mut d = Deliveries::default();
    let a = d.add_consumer('a', ConsumerKey(1), "a".into(), false, 2);
    let b = d.add_consumer('b', ConsumerKey(2), "b".into(), true, 2);
    assert_eq!(d.credit(a), Credit::Ready(2));
    d.deliver(a, QueueSeq(1), false);
    d.deliver(a, QueueSeq(2), false);
    assert_eq!(d.credit(a), Credit::Parked);
    assert_eq!(d.credit(b), Credit::Ready(u32::MAX), "no-ack needs no credit");
    assert_eq!(unparked(&mut d), []);
    settle(&mut d, 1, false).unwrap();
    assert_eq!(unparked(&mut d), [('a', 1)]);
    assert_eq!(unparked(&mut d), []);
    assert_eq!(d.credit(a), Credit::Ready(1));
}

#[test]
fn a_channel_wide_limit_counts_all_its_consumers() {
    let mut d = Deliveries::default();
    d.set_channel_prefetch(3);
    let a = d.add_consumer('a', ConsumerKey(1), "a".into(), false, 2);
    let b = d.add_consumer('b', ConsumerKey(2), "b".into(), false, 0);
    d.deliver(a, QueueSeq(1), false);
    d.deliver(a, QueueSeq(2), false);
    assert_eq!(d.credit(b), Credit::Ready(1));
    d.deliver(b, QueueSeq(1), false);
    assert_eq!(d.credit(b), Credit::Parked);
    assert_eq!(d.credit(a), Credit::Parked);
    settle(&mut d, 3, false).unwrap();
    assert_eq!(unparked(&mut d), [('b', 2)], "a has its own limit");
    settle(&mut d, 0, true).unwrap();
    assert_eq!(unparked(&mut d), [('a', 1)]);
}

#[test]
fn a_cancelled_consumers_messages_stay_until_settled() {
    let mut d = Deliveries::default();
    let a = d.add_consumer('a', ConsumerKey(1), "a".into(), false, 0);
    d.deliver(a, QueueSeq(1), false);
    d.cancel(a);
    assert_eq!(d.credit(a), Credit::Gone);
    assert_eq!(d.queue(a), Some(&'a'));
    assert_eq!(settle(&mut d, 1, false), Ok(vec![(0, 1, 1)]));
    assert_eq!(d.queue(a), None);
}

#[test]
fn gets_of_one_queue_share_an_origin_until_they_are_settled() {
    let mut d = Deliveries::default();
    let origin = d.get_origin(&'q');
    d.deliver(origin, QueueSeq(1), false);
    assert_eq!(d.get_origin(&'q'), origin);
    assert_ne!(d.get_origin(&'r'), origin);
    settle(&mut d, 0, true).unwrap();
    assert_ne!(d.get_origin(&'q'), origin);
}

#[test]
fn closing_returns_everything() {
    let mut d = Deliveries::default();
    let a = d.add_consumer('a', ConsumerKey(1), "a".into(), false, 1);
    let g = d.get_origin(&'g');
    d.deliver(a, QueueSeq(5), false);
    d.deliver(g, QueueSeq(7), false);
    assert_eq!(d.credit(a), Credit::Parked);
    let mut out = Vec::new();
    assert_eq!(d.close(&mut out), [('a', ConsumerKey(1))]);
    assert_eq!(out.len(), 2);
    assert_eq!(d.queue(out[0].origin), Some(&'a'));
    assert_eq!(unparked(&mut d), []);
}
