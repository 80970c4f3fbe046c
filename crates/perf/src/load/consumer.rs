//! A consuming connection: one thread that reads, checks, counts and acknowledges.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use leveret_protocol::encode::encode_ack;
use leveret_protocol::method::Ack;

use super::deliveries::Deliveries;
use super::{Plan, Shared};
use crate::client::{CHANNEL, Client};
use crate::error::PerfError;

/// How long a consumer hears nothing before it looks whether the run is over.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Starts the thread of a consumer; basic.consume was answered already.
pub(crate) fn start(mut client: Client, plan: &Plan, shared: &Arc<Shared>) -> JoinHandle<()> {
    let (size, ack_every) = (plan.size as u64, plan.ack);
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let result = consume(&mut client, size, ack_every, &shared).and_then(|()| {
            client.reader.set_timeout(Duration::from_secs(30))?;
            client.close()
        });
        shared.note("consumer", result);
    })
}

fn consume(client: &mut Client, size: u64, ack_every: Option<u64>, shared: &Shared) -> Result<(), PerfError> {
    let mut deliveries = Deliveries::new(size);
    let (mut counted, mut acked) = (0, 0);
    let mut acks = Vec::new();
    client.reader.set_timeout(LOOK_UP)?;
    loop {
        client.reader.frames(client.frame_max, |frame| deliveries.take(frame).map(|()| None::<()>))?;
        if let Some(every) = ack_every {
            while acked + every <= deliveries.complete() {
                acked += every;
                encode_ack(&mut acks, CHANNEL, &Ack { delivery_tag: acked, multiple: every > 1 });
            }
            client.writer.write_all(&acks)?;
            acks.clear();
        }
        let newly = deliveries.complete() - counted;
        if newly > 0 {
            counted += newly;
            shared.consumed.advance(newly);
        }
        match client.reader.fill() {
            Ok(()) => {}
            Err(PerfError::Socket(error)) if is_timeout(error.kind()) => {
                if shared.is_over() {
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Both are what a read timeout is called, by system.
fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
