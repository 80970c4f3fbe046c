//! The crash test's account book, kept outside the broker: what was published, confirmed and delivered, and every
//! promise that was broken on the way.
//!
//! It judges by four rules. A confirmed message reaches every queue it was routed to. A body comes back as it was
//! sent. First deliveries of one publisher's messages come in the order of publishing, for each queue that has a
//! single consumer, and for each consumer of the others. A message that was delivered before comes `redelivered`,
//! and one that was not comes so only after a crash (after a clean stop: only what was under way to a consumer).
//! What was settled and answered for stays settled, in the same life and over a clean stop; each publish is
//! confirmed once.

mod body;

use std::collections::BTreeMap;
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

pub use body::body;

/// How many violations are kept with their words.
const KEPT_VIOLATIONS: usize = 20;

/// A message's name: who published it, and as what number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The publisher.
    pub publisher: usize,
    /// Counts the publisher's messages.
    pub number: usize,
}

impl MessageId {
    /// As the message-id property carries it.
    #[must_use]
    pub fn to_text(self) -> String {
        format!("{}-{}", self.publisher, self.number)
    }

    /// Reads [`Self::to_text`] back.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (publisher, number) = text.split_once('-')?;
        Some(Self { publisher: publisher.parse().ok()?, number: number.parse().ok()? })
    }
}

/// One delivery as a consumer saw it.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    /// The message.
    pub id: MessageId,
    /// Where the consumer stands; one for each consumer of the ledger.
    pub consumer: usize,
    /// The flag on the delivery.
    pub redelivered: bool,
    /// Whether body and properties are those that were sent.
    pub intact: bool,
    /// The broker's life in which it came: [`Ledger::life`], read after the consumer had connected.
    pub life: u32,
}

/// How a life of the broker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGKILL, at any instruction.
    Killed,
    /// By itself, in order.
    Stopped,
}

/// What a whole run amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Messages handed to the broker.
    pub published: u64,
    /// Messages the broker confirmed.
    pub confirmed: u64,
    /// Deliveries, repeats included.
    pub deliveries: u64,
    /// Deliveries of a message that the queue had delivered before.
    pub repeats: u64,
    /// Confirmed messages that did not reach a queue they were routed to, counted for each queue.
    pub lost: u64,
    /// Deliveries whose content was not what was sent.
    pub altered: u64,
    /// First deliveries behind a later message of the same publisher.
    pub out_of_order: u64,
    /// Repeats without the flag, and flags on messages that this life of the broker first saw and first delivered.
    pub wrong_flags: u64,
    /// Messages that came again although they were settled: in the same life, or over a clean stop.
    pub returned: u64,
    /// Confirms of nothing that was waiting for one.
    pub wrong_confirms: u64,
    /// The first violations in words.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Self { lost, altered, out_of_order, wrong_flags, returned, wrong_confirms, .. } = self;
        lost + altered + out_of_order + wrong_flags + returned + wrong_confirms == 0
    }
}

/// The book. Every method may be called from any thread.
#[derive(Debug)]
pub struct Ledger {
    publishers: Vec<Mutex<Published>>,
    queues: Vec<Mutex<Delivered>>,
    consumers: Vec<Consumer>,
    /// Unacked messages that a consumer may have.
    prefetch: u64,
    life: AtomicU32,
    /// How each life before this one ended.
    ends: Mutex<Vec<End>>,
    confirmed: AtomicU64,
    broken: Mutex<Report>,
}

/// What one publisher did.
#[derive(Debug, Default)]
struct Published {
    /// The life in which each message was sent.
    lives: Vec<u32>,
    confirmed: Vec<bool>,
}

/// What one queue delivered.
#[derive(Debug)]
struct Delivered {
    /// For each publisher and number: how it last came.
    seen: Vec<Vec<Option<Seen>>>,
    /// For each publisher and number: the life in which its settlement was answered for, plus one; 0 before.
    settled: Vec<Vec<u32>>,
    /// Flagged first deliveries that only a clean stop before them explains, by their life.
    flagged: BTreeMap<u32, u64>,
    /// The same in the life in which they were sent: that life's end tells, when another consumer's share was given
    /// on. How many, and the first in words.
    given_on: BTreeMap<u32, (u64, String)>,
    deliveries: u64,
    repeats: u64,
}

/// A delivery that is in the book.
#[derive(Debug, Clone, Copy)]
struct Seen {
    life: u32,
    consumer: u16,
    redelivered: bool,
}

/// One place where deliveries are read.
#[derive(Debug)]
struct Consumer {
    queue: usize,
    /// The queue has no other consumer, so order holds over all its lives.
    alone: bool,
    /// For each publisher: the life and the highest number that came first here.
    highest: Mutex<Vec<Option<(u32, usize)>>>,
}

impl Ledger {
    /// A book for `publishers` publishers, `queues` queues and consumers at the places `consumers`: the queue that
    /// each reads, with at most `prefetch` messages unacked.
    #[must_use]
    pub fn new(publishers: usize, queues: usize, consumers: &[usize], prefetch: u16) -> Self {
        let delivered = || {
            Mutex::new(Delivered {
                seen: vec![Vec::new(); publishers],
                settled: vec![Vec::new(); publishers],
                flagged: BTreeMap::new(),
                given_on: BTreeMap::new(),
                deliveries: 0,
                repeats: 0,
            })
        };
        let consumer = |queue: &usize| Consumer {
            queue: *queue,
            alone: consumers.iter().filter(|other| *other == queue).count() == 1,
            highest: Mutex::new(vec![None; publishers]),
        };
        Self {
            publishers: (0..publishers).map(|_| Mutex::default()).collect(),
            queues: (0..queues).map(|_| delivered()).collect(),
            consumers: consumers.iter().map(consumer).collect(),
            prefetch: prefetch.into(),
            ends: Mutex::default(),
            life: AtomicU32::new(0),
            confirmed: AtomicU64::new(0),
            broken: Mutex::default(),
        }
    }

    /// The broker's present life. A publisher reads it before it connects, a consumer after it has connected: so a
    /// message and a delivery with equal lives were surely in the same one.
    pub fn life(&self) -> u32 {
        self.life.load(Ordering::SeqCst)
    }

    /// The broker is dead; what comes next is another life.
    pub fn next_life(&self, end: End) {
        lock(&self.ends).push(end);
        self.life.fetch_add(1, Ordering::SeqCst);
    }

    /// Messages confirmed so far.
    pub fn confirmed_count(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// Takes the number of the publisher's next message, which it is about to send in `life`.
    pub fn publish(&self, publisher: usize, life: u32) -> MessageId {
        let mut book = lock(&self.publishers[publisher]);
        book.lives.push(life);
        book.confirmed.push(false);
        MessageId { publisher, number: book.lives.len() - 1 }
    }

    /// The broker confirmed a message.
    pub fn confirm(&self, id: MessageId) {
        let mut book = lock(&self.publishers[id.publisher]);
        if !std::mem::replace(&mut book.confirmed[id.number], true) {
            self.confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A confirm came for nothing that waited for one.
    pub fn wrong_confirm(&self, what: &str) {
        self.broken(|report| &mut report.wrong_confirms, || what.to_owned());
    }

    /// The settlement of a message, seen in `life`, was processed: the broker answered what was asked after it.
    pub fn settled(&self, queue: usize, id: MessageId, life: u32) {
        let mut book = lock(&self.queues[queue]);
        *slot(&mut book.settled[id.publisher], id.number) = life + 1;
    }

    /// Something came that was never sent.
    pub fn altered(&self, what: &str) {
        self.broken(|report| &mut report.altered, || what.to_owned());
    }

    /// A delivery came.
    pub fn deliver(&self, delivery: Delivery) {
        let Delivery { id, consumer, .. } = delivery;
        let place = &self.consumers[consumer];
        let sent_in = {
            let book = lock(&self.publishers[id.publisher]);
            book.lives.get(id.number).copied()
        };
        let Some(sent_in) = sent_in else {
            return self.altered(&format!("{} was never sent", id.to_text()));
        };
        if !delivery.intact {
            self.altered(&format!("{} came altered", id.to_text()));
        }
        let (before, settled_in) = self.note(place.queue, &delivery);
        let first = before.is_none();
        self.check_flag(place, &delivery, before, sent_in);
        if first {
            self.check_order(place, &delivery);
        }
        if let Some(settled_in) = settled_in
            && self.ends_of(settled_in, delivery.life).first() != Some(&End::Killed)
        {
            let words = || format!("queue {}: {} was settled and came again", place.queue, id.to_text());
            self.broken(|report| &mut report.returned, words);
        }
    }

    /// Marks a message as seen; says how it last came, and in which life it had been settled.
    fn note(&self, queue: usize, delivery: &Delivery) -> (Option<Seen>, Option<u32>) {
        let Delivery { id, consumer, life, redelivered, .. } = *delivery;
        let mut book = lock(&self.queues[queue]);
        book.deliveries += 1;
        let consumer = u16::try_from(consumer).expect("few consumers");
        let now = Seen { life, consumer, redelivered };
        let before = slot(&mut book.seen[id.publisher], id.number).replace(now);
        book.repeats += u64::from(before.is_some());
        // It is there again, so what comes next is judged anew.
        let settled = std::mem::take(slot(&mut book.settled[id.publisher], id.number));
        (before, settled.checked_sub(1))
    }

    /// How each life from `first` to before `last` ended.
    fn ends_of(&self, first: u32, last: u32) -> Vec<End> {
        let ends = lock(&self.ends);
        ends.get(first as usize..last as usize).unwrap_or_default().to_vec()
    }

    fn check_flag(&self, place: &Consumer, delivery: &Delivery, before: Option<Seen>, sent_in: u32) {
        let (queue, text) = (place.queue, delivery.id.to_text());
        let wrong = |what: &str| {
            let words = || {
                format!("queue {queue}: {text} {what} (sent in life {sent_in}, came in {})", delivery.life)
            };
            self.broken(|report| &mut report.wrong_flags, words);
        };
        match before {
            // It went to this consumer first, who had it in the socket when the other one read what was given on.
            Some(before)
                if !delivery.redelivered
                    && before.redelivered
                    && before.life == delivery.life
                    && usize::from(before.consumer) != delivery.consumer =>
            {
                let words = || format!("queue {queue}: {text} was given on in life {}", delivery.life);
                let mut book = lock(&self.queues[queue]);
                book.given_on.entry(delivery.life).or_insert_with(|| (0, words()));
                return;
            }
            Some(Seen { life, consumer, .. }) if !delivery.redelivered => {
                let now = delivery.consumer;
                return wrong(&format!(
                    "came to consumer {now} without the flag, after {consumer} in life {life}"
                ));
            }
            None if delivery.redelivered => {}
            _ => return,
        }
        let ends = self.ends_of(sent_in, delivery.life);
        if ends.is_empty() && !place.alone {
            let mut book = lock(&self.queues[queue]);
            let words =
                || format!("queue {queue}: {text} came first, with the flag, in its first life {sent_in}");
            book.given_on.entry(sent_in).or_insert_with(|| (0, words())).0 += 1;
        } else if ends.is_empty() {
            wrong("came first, with the flag, no restart before");
        } else if !ends.contains(&End::Killed) {
            // It may have been under way to a consumer that the stop cut off, and no more than were allowed there.
            let mut book = lock(&self.queues[queue]);
            let count = book.flagged.entry(delivery.life).or_default();
            *count += 1;
            if *count > self.under_way(queue) * ends.len() as u64 {
                wrong("came first, with the flag, only a clean stop before");
            }
        }
    }

    /// How many messages of a queue may be on their way to consumers at one time.
    fn under_way(&self, queue: usize) -> u64 {
        self.prefetch * self.consumers.iter().filter(|consumer| consumer.queue == queue).count() as u64
    }

    /// A clean stop gives what one consumer was sent, and maybe did not read, to another whose turn to go comes later.
    fn judge_given_on(&self) {
        for (queue, book) in self.queues.iter().enumerate() {
            for (life, (count, words)) in std::mem::take(&mut lock(book).given_on) {
                let stopped = self.ends_of(life, life + 1).first() == Some(&End::Stopped);
                if !stopped || count > self.under_way(queue) {
                    self.broken(
                        |report| &mut report.wrong_flags,
                        || format!("{words}, and {} more", count - 1),
                    );
                }
            }
        }
    }

    fn check_order(&self, place: &Consumer, delivery: &Delivery) {
        // With another consumer beside this one, a message with the flag may have been on its way there before.
        if !place.alone && delivery.redelivered {
            return;
        }
        let MessageId { publisher, number } = delivery.id;
        let mut highest = lock(&place.highest);
        let before = highest[publisher].replace((delivery.life, number));
        let Some((life, before)) = before else { return };
        if before > number && (place.alone || life == delivery.life) {
            highest[publisher] = Some((delivery.life, before));
            let words = || format!("queue {}: {publisher}-{number} first came after {before}", place.queue);
            self.broken(|report| &mut report.out_of_order, words);
        }
    }

    fn broken(&self, count: impl Fn(&mut Report) -> &mut u64, words: impl Fn() -> String) {
        let mut report = lock(&self.broken);
        *count(&mut report) += 1;
        if report.violations.len() < KEPT_VIOLATIONS {
            report.violations.push(words());
        }
    }

    /// Confirmed messages that have not come, by the queues that `route` says each should reach.
    pub fn missing<'a>(&self, route: impl Fn(MessageId) -> &'a [usize]) -> Vec<(usize, MessageId)> {
        let mut missing = Vec::new();
        for (publisher, book) in self.publishers.iter().enumerate() {
            let book = lock(book);
            let confirmed = book.confirmed.iter().enumerate().filter(|(_, yes)| **yes);
            for (number, _) in confirmed {
                let id = MessageId { publisher, number };
                for queue in route(id) {
                    let delivered = lock(&self.queues[*queue]);
                    if delivered.seen[publisher].get(number).is_none_or(Option::is_none) {
                        missing.push((*queue, id));
                    }
                }
            }
        }
        missing
    }

    /// Closes the book after every queue was read to its end.
    pub fn report<'a>(&self, route: impl Fn(MessageId) -> &'a [usize]) -> Report {
        self.judge_given_on();
        let missing = self.missing(route);
        for (queue, id) in &missing {
            let words = || format!("queue {queue}: {} was confirmed and never came", id.to_text());
            self.broken(|report| &mut report.lost, words);
        }
        let mut report = lock(&self.broken).clone();
        for book in &self.publishers {
            report.published += lock(book).lives.len() as u64;
        }
        for book in &self.queues {
            let book = lock(book);
            report.deliveries += book.deliveries;
            report.repeats += book.repeats;
        }
        report.confirmed = self.confirmed_count();
        report
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} published, {} confirmed, {} deliveries, {} repeats; \
             {} lost, {} altered, {} out of order, {} wrong flags, {} returned, {} wrong confirms",
            self.published,
            self.confirmed,
            self.deliveries,
            self.repeats,
            self.lost,
            self.altered,
            self.out_of_order,
            self.wrong_flags,
            self.returned,
            self.wrong_confirms
        )?;
        self.violations.iter().try_for_each(|words| write!(f, "\n  {words}"))
    }
}

/// The place of `number`, made when it is not there yet.
fn slot<T: Clone + Default>(places: &mut Vec<T>, number: usize) -> &mut T {
    if places.len() <= number {
        places.resize(number + 1, T::default());
    }
    &mut places[number]
}

/// A thread that panicked while it held the book has already failed the test.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no other thread panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One publisher, queue 0 with a consumer alone, queue 1 with two.
    fn ledger(messages: usize) -> Ledger {
        let ledger = Ledger::new(1, 2, &[0, 1, 1], 1);
        for _ in 0..messages {
            let id = ledger.publish(0, 0);
            ledger.confirm(id);
        }
        ledger
    }

    fn come(ledger: &Ledger, consumer: usize, number: usize, redelivered: bool) {
        ledger.deliver(Delivery {
            id: MessageId { publisher: 0, number },
            consumer,
            redelivered,
            intact: true,
            life: ledger.life(),
        });
    }

    fn to_queue_0(_: MessageId) -> &'static [usize] {
        &[0]
    }

    fn to_queue_1(_: MessageId) -> &'static [usize] {
        &[1]
    }

    #[test]
    fn a_good_run_is_clean() {
        let ledger = ledger(3);
        come(&ledger, 0, 0, false);
        ledger.next_life(End::Killed);
        come(&ledger, 0, 0, true);
        come(&ledger, 0, 1, true);
        come(&ledger, 0, 2, false);
        let report = ledger.report(to_queue_0);
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.confirmed, report.deliveries, report.repeats), (3, 4, 1));
    }

    #[test]
    fn a_confirmed_message_that_never_came_is_lost() {
        let ledger = ledger(2);
        come(&ledger, 0, 0, false);
        assert_eq!(ledger.report(to_queue_0).lost, 1);
    }

    #[test]
    fn an_unconfirmed_message_may_vanish() {
        let ledger = ledger(0);
        ledger.publish(0, 0);
        assert!(ledger.report(to_queue_0).is_clean());
    }

    #[test]
    fn an_altered_or_invented_message_is_seen() {
        let ledger = ledger(1);
        ledger.deliver(Delivery {
            id: MessageId { publisher: 0, number: 0 },
            consumer: 0,
            redelivered: false,
            intact: false,
            life: 0,
        });
        come(&ledger, 0, 9, false);
        assert_eq!(ledger.report(to_queue_0).altered, 2);
    }

    #[test]
    fn order_is_held_over_a_crash_where_a_consumer_is_alone() {
        let ledger = ledger(3);
        come(&ledger, 0, 1, false);
        ledger.next_life(End::Killed);
        come(&ledger, 0, 0, true);
        assert_eq!(ledger.report(to_queue_0).out_of_order, 1);
    }

    #[test]
    fn consumers_that_share_a_queue_are_ordered_each_within_a_life() {
        let ledger = ledger(4);
        come(&ledger, 1, 1, false);
        come(&ledger, 2, 0, false);
        ledger.next_life(End::Killed);
        come(&ledger, 1, 3, false);
        come(&ledger, 1, 2, false);
        let report = ledger.report(to_queue_1);
        assert_eq!((report.out_of_order, report.lost), (1, 0));
    }

    #[test]
    fn a_repeat_without_the_flag_and_a_flag_without_a_crash_are_wrong() {
        let ledger = ledger(2);
        come(&ledger, 0, 0, false);
        come(&ledger, 0, 0, false);
        come(&ledger, 0, 1, true);
        assert_eq!(ledger.report(to_queue_0).wrong_flags, 2);
    }

    #[test]
    fn a_settled_message_may_come_again_after_a_kill_and_not_otherwise() {
        let ledger = ledger(1);
        let settle = || ledger.settled(0, MessageId { publisher: 0, number: 0 }, ledger.life());
        come(&ledger, 0, 0, false);
        settle();
        ledger.next_life(End::Killed);
        come(&ledger, 0, 0, true);
        assert_eq!(ledger.report(to_queue_0).returned, 0);
        settle();
        come(&ledger, 0, 0, true);
        assert_eq!(ledger.report(to_queue_0).returned, 1);
        settle();
        ledger.next_life(End::Stopped);
        come(&ledger, 0, 0, true);
        assert_eq!(ledger.report(to_queue_0).returned, 2);
    }

    #[test]
    fn a_clean_stop_explains_as_many_flags_as_were_under_way() {
        let ledger = ledger(2);
        ledger.next_life(End::Stopped);
        come(&ledger, 0, 0, true);
        assert_eq!(ledger.report(to_queue_0).wrong_flags, 0);
        come(&ledger, 0, 1, true);
        assert_eq!(ledger.report(to_queue_0).wrong_flags, 1);
    }

    #[test]
    fn a_share_that_is_given_on_needs_a_clean_stop() {
        for (end, wrong) in [(End::Stopped, 0), (End::Killed, 1)] {
            let ledger = ledger(1);
            come(&ledger, 1, 0, true);
            // The one who had it before reads it later.
            come(&ledger, 2, 0, false);
            ledger.next_life(end);
            assert_eq!(ledger.report(to_queue_1).wrong_flags, wrong, "{end:?}");
        }
    }

    #[test]
    fn a_confirm_of_nothing_is_wrong() {
        let ledger = ledger(0);
        ledger.wrong_confirm("tag 7");
        assert!(!ledger.report(to_queue_0).is_clean());
    }
}
