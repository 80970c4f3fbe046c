//! A publishing connection: one thread writes, one reads confirms and whatever else the broker says.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::{Method, decode_method};

use super::batch::Batch;
use super::confirms::Confirms;
use super::gate::Gate;
use super::{PATIENCE, Plan, Shared};
use crate::client::{Client, Reader, close_frame, closed, is_close_ok};
use crate::error::PerfError;

/// The confirms of a producer.
#[derive(Default)]
struct Own {
    confirmed: Gate,
    /// Writes that are not confirmed as a whole: publishes until the end of each, how many they are, and when.
    written: Mutex<VecDeque<(u64, u64, Instant)>>,
}

impl Own {
    fn wrote(&self, until: u64, messages: u64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push_back((until, messages, Instant::now()));
    }

    /// Notes how long the writes took that are confirmed now.
    fn advance(&self, newly: u64, shared: &Shared) {
        self.confirmed.advance(newly);
        let confirmed = self.confirmed.count();
        let now = Instant::now();
        let mut latencies = shared.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((_, messages, at)) = written.pop_front_if(|(until, ..)| *until <= confirmed) {
            latencies.add(now.saturating_duration_since(at), messages);
        }
    }
}

/// Starts the two threads of a producer.
pub(crate) fn start(client: Client, plan: &Plan, queue: &str, shared: &Arc<Shared>) -> [JoinHandle<()>; 2] {
    let own = Arc::new(Own::default());
    let batch = Batch::new(queue, plan.size, plan.persistent, client.frame_max, plan.batch_messages());
    let Client { mut reader, mut writer, frame_max, .. } = client;
    let window = plan.confirms;
    let reading = {
        let (shared, own) = (Arc::clone(shared), Arc::clone(&own));
        std::thread::spawn(move || {
            let result = read_confirms(&mut reader, frame_max, &own, &shared);
            shared.note("producer", result);
            own.confirmed.wake_all();
        })
    };
    let shared = Arc::clone(shared);
    let writing = std::thread::spawn(move || {
        let result = publish(&mut writer, &batch, window, &own, &shared)
            .and_then(|()| Ok(writer.write_all(&close_frame()?)?));
        shared.note("producer", result);
        shared.ended.advance(1);
    });
    [writing, reading]
}

fn publish(
    writer: &mut impl Write,
    batch: &Batch,
    window: Option<u64>,
    own: &Own,
    shared: &Shared,
) -> Result<(), PerfError> {
    let mut sent = 0;
    while shared.publishing() {
        // Taken in turn, so that several producers share the room that consumers make.
        let reserved = shared.reserved.fetch_add(batch.messages(), Ordering::SeqCst) + batch.messages();
        if shared.most.is_some_and(|most| reserved - batch.messages() >= most) {
            break;
        }
        if let Some(ahead) = shared.ahead {
            let target = reserved.saturating_sub(ahead);
            shared.await_gate(&shared.consumed, target, "consumers")?;
        }
        if let Some(window) = window {
            let target = (sent + batch.messages()).saturating_sub(window);
            shared.await_gate(&own.confirmed, target, "confirms")?;
        }
        sent += batch.messages();
        if window.is_some() {
            own.wrote(sent, batch.messages());
        }
        writer.write_all(batch.bytes())?;
        shared.published.advance(batch.messages());
    }
    if window.is_some() {
        shared.await_gate(&own.confirmed, sent, "the last confirms")?;
    }
    Ok(())
}

fn read_confirms(reader: &mut Reader, frame_max: u32, own: &Own, shared: &Shared) -> Result<(), PerfError> {
    let mut confirms = Confirms::default();
    // The producer's patience ends a stalled run; this is only for a broker that never answers the close.
    reader.set_timeout(PATIENCE * 20)?;
    loop {
        reader.fill()?;
        let mut newly = 0;
        let end = reader.frames(frame_max, |frame| {
            newly += take(frame, &mut confirms)?;
            Ok(is_close_ok(frame).then_some(()))
        })?;
        if newly > 0 {
            own.advance(newly, shared);
            shared.confirmed.advance(newly);
        }
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Publishes that a frame newly confirms.
fn take(frame: &Frame<'_>, confirms: &mut Confirms) -> Result<u64, PerfError> {
    if frame.kind != FrameKind::Method {
        return Ok(0);
    }
    match decode_method(frame.payload)? {
        Method::Ack(ack) => Ok(confirms.ack(ack.delivery_tag, ack.multiple)),
        Method::Nack(nack) => {
            Err(PerfError::Unexpected(format!("basic.nack of publish {}", nack.delivery_tag)))
        }
        Method::Cold(method) => closed(&method).map_or(Ok(0), Err),
        _ => Ok(0),
    }
}
