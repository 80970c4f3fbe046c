//! A publishing connection: one thread writes, one reads confirms and whatever else the broker says.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::{Method, decode_method};

use super::batch::Batch;
use super::confirms::Confirms;
use super::gate::Gate;
use super::{PATIENCE, Plan, Shared};
use crate::client::{Client, Reader, close_frame, closed, is_close_ok};
use crate::error::PerfError;

/// Starts the two threads of a producer.
pub(crate) fn start(client: Client, plan: &Plan, queue: &str, shared: &Arc<Shared>) -> [JoinHandle<()>; 2] {
    let own_confirms = Arc::new(Gate::default());
    let batch = Batch::new(queue, plan.size, plan.persistent, client.frame_max, plan.batch_messages());
    let Client { mut reader, mut writer, frame_max, .. } = client;
    let window = plan.confirms;
    let reading = {
        let (shared, own) = (Arc::clone(shared), Arc::clone(&own_confirms));
        std::thread::spawn(move || {
            let result = read_confirms(&mut reader, frame_max, &own, &shared);
            shared.note("producer", result);
            own.wake_all();
        })
    };
    let shared = Arc::clone(shared);
    let writing = std::thread::spawn(move || {
        let result = publish(&mut writer, &batch, window, &own_confirms, &shared)
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
    own_confirms: &Gate,
    shared: &Shared,
) -> Result<(), PerfError> {
    let mut sent = 0;
    while shared.publishing() {
        // Taken in turn, so that several producers share the room that consumers make.
        let reserved = shared.reserved.fetch_add(batch.messages(), Ordering::SeqCst) + batch.messages();
        if let Some(ahead) = shared.ahead {
            let target = reserved.saturating_sub(ahead);
            shared.await_gate(&shared.consumed, target, "consumers")?;
        }
        if let Some(window) = window {
            let target = (sent + batch.messages()).saturating_sub(window);
            shared.await_gate(own_confirms, target, "confirms")?;
        }
        writer.write_all(batch.bytes())?;
        sent += batch.messages();
        shared.published.advance(batch.messages());
    }
    if window.is_some() {
        shared.await_gate(own_confirms, sent, "the last confirms")?;
    }
    Ok(())
}

fn read_confirms(reader: &mut Reader, frame_max: u32, own: &Gate, shared: &Shared) -> Result<(), PerfError> {
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
            own.advance(newly);
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
