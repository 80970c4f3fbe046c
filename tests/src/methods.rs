//! Payloads of every method that a client may send, and of content headers.
//!
//! Bits go in as one octet made of the constants of each module, in the order of the specification's arguments.

use crate::wire::{Reader, Table, Writer};

/// Class 10.
pub mod connection {
    use super::{Table, Writer};

    /// `connection.start-ok`.
    #[must_use]
    pub fn start_ok(properties: &Table, mechanism: &str, response: &[u8]) -> Vec<u8> {
        Writer::method(10, 11).table(properties).short(mechanism).long(response).short("en_US").done()
    }

    /// `connection.secure-ok`.
    #[must_use]
    pub fn secure_ok(response: &[u8]) -> Vec<u8> {
        Writer::method(10, 21).long(response).done()
    }

    /// `connection.tune-ok`; heartbeat in seconds.
    #[must_use]
    pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> Vec<u8> {
        Writer::method(10, 31).u16(channel_max).u32(frame_max).u16(heartbeat).done()
    }

    /// `connection.open`.
    #[must_use]
    pub fn open(vhost: &str) -> Vec<u8> {
        Writer::method(10, 40).short(vhost).short("").u8(0).done()
    }

    /// `connection.close`, reply code 200.
    #[must_use]
    pub fn close() -> Vec<u8> {
        Writer::method(10, 50).u16(200).short("bye").u16(0).u16(0).done()
    }

    /// `connection.close-ok`.
    #[must_use]
    pub fn close_ok() -> Vec<u8> {
        Writer::method(10, 51).done()
    }

    /// `connection.update-secret`.
    #[must_use]
    pub fn update_secret(secret: &str, reason: &str) -> Vec<u8> {
        Writer::method(10, 70).long(secret).short(reason).done()
    }
}

/// Class 20.
pub mod channel {
    use super::Writer;

    /// `channel.open`.
    #[must_use]
    pub fn open() -> Vec<u8> {
        Writer::method(20, 10).short("").done()
    }

    /// `channel.flow`.
    #[must_use]
    pub fn flow(active: bool) -> Vec<u8> {
        Writer::method(20, 20).u8(u8::from(active)).done()
    }

    /// `channel.flow-ok`.
    #[must_use]
    pub fn flow_ok(active: bool) -> Vec<u8> {
        Writer::method(20, 21).u8(u8::from(active)).done()
    }

    /// `channel.close`, reply code 200.
    #[must_use]
    pub fn close() -> Vec<u8> {
        Writer::method(20, 40).u16(200).short("bye").u16(0).u16(0).done()
    }

    /// `channel.close-ok`.
    #[must_use]
    pub fn close_ok() -> Vec<u8> {
        Writer::method(20, 41).done()
    }
}

/// Class 30, of AMQP 0-8; RabbitMQ still answers it.
pub mod access {
    use super::Writer;

    /// `access.request`. Always answered with ticket 1, so the tests use it to learn that all before it was handled.
    #[must_use]
    pub fn request() -> Vec<u8> {
        Writer::method(30, 10).short("/data").u8(0b1_1110).done()
    }
}

/// Class 40.
pub mod exchange {
    use super::{Table, Writer};

    /// Only look whether it is there.
    pub const PASSIVE: u8 = 1;
    /// Survives a restart.
    pub const DURABLE: u8 = 2;
    /// Goes away with its last binding.
    pub const AUTO_DELETE: u8 = 4;
    /// Not for clients to publish to.
    pub const INTERNAL: u8 = 8;
    /// No answer wanted (declare).
    pub const NOWAIT: u8 = 16;

    /// `exchange.declare`.
    #[must_use]
    pub fn declare(exchange: &str, kind: &str, flags: u8, arguments: &Table) -> Vec<u8> {
        Writer::method(40, 10).u16(0).short(exchange).short(kind).u8(flags).table(arguments).done()
    }

    /// `exchange.delete`; flags: 1 if-unused, 2 nowait.
    #[must_use]
    pub fn delete(exchange: &str, flags: u8) -> Vec<u8> {
        Writer::method(40, 20).u16(0).short(exchange).u8(flags).done()
    }

    fn binding(method: u16, destination: &str, source: &str, key: &str, arguments: &Table) -> Vec<u8> {
        Writer::method(40, method)
            .u16(0)
            .short(destination)
            .short(source)
            .short(key)
            .u8(0)
            .table(arguments)
            .done()
    }

    /// `exchange.bind`.
    #[must_use]
    pub fn bind(destination: &str, source: &str, key: &str, arguments: &Table) -> Vec<u8> {
        binding(30, destination, source, key, arguments)
    }

    /// `exchange.unbind`.
    #[must_use]
    pub fn unbind(destination: &str, source: &str, key: &str, arguments: &Table) -> Vec<u8> {
        binding(40, destination, source, key, arguments)
    }
}

/// Class 50.
pub mod queue {
    use super::{Table, Writer};

    /// Only look whether it is there.
    pub const PASSIVE: u8 = 1;
    /// Survives a restart.
    pub const DURABLE: u8 = 2;
    /// For this connection only.
    pub const EXCLUSIVE: u8 = 4;
    /// Goes away with its last consumer.
    pub const AUTO_DELETE: u8 = 8;
    /// No answer wanted (declare).
    pub const NOWAIT: u8 = 16;
    /// Delete only without consumers.
    pub const IF_UNUSED: u8 = 1;
    /// Delete only without messages.
    pub const IF_EMPTY: u8 = 2;

    /// `queue.declare`.
    #[must_use]
    pub fn declare(queue: &str, flags: u8, arguments: &Table) -> Vec<u8> {
        Writer::method(50, 10).u16(0).short(queue).u8(flags).table(arguments).done()
    }

    /// `queue.bind`.
    #[must_use]
    pub fn bind(queue: &str, exchange: &str, key: &str, arguments: &Table) -> Vec<u8> {
        Writer::method(50, 20).u16(0).short(queue).short(exchange).short(key).u8(0).table(arguments).done()
    }

    /// `queue.purge`.
    #[must_use]
    pub fn purge(queue: &str) -> Vec<u8> {
        Writer::method(50, 30).u16(0).short(queue).u8(0).done()
    }

    /// `queue.delete`.
    #[must_use]
    pub fn delete(queue: &str, flags: u8) -> Vec<u8> {
        Writer::method(50, 40).u16(0).short(queue).u8(flags).done()
    }

    /// `queue.unbind`.
    #[must_use]
    pub fn unbind(queue: &str, exchange: &str, key: &str, arguments: &Table) -> Vec<u8> {
        Writer::method(50, 50).u16(0).short(queue).short(exchange).short(key).table(arguments).done()
    }
}

/// Class 60.
pub mod basic {
    use super::{Table, Writer};

    /// Do not send my own messages to me.
    pub const NO_LOCAL: u8 = 1;
    /// Acked by being sent (consume).
    pub const NO_ACK: u8 = 2;
    /// The queue's only consumer.
    pub const EXCLUSIVE: u8 = 4;
    /// No answer wanted (consume).
    pub const NOWAIT: u8 = 8;
    /// Return what reaches no queue (publish).
    pub const MANDATORY: u8 = 1;
    /// Return what no consumer can take at once (publish).
    pub const IMMEDIATE: u8 = 2;

    /// `basic.qos`.
    #[must_use]
    pub fn qos(size: u32, count: u16, global: bool) -> Vec<u8> {
        Writer::method(60, 10).u32(size).u16(count).u8(u8::from(global)).done()
    }

    /// `basic.consume`.
    #[must_use]
    pub fn consume(queue: &str, tag: &str, flags: u8, arguments: &Table) -> Vec<u8> {
        Writer::method(60, 20).u16(0).short(queue).short(tag).u8(flags).table(arguments).done()
    }

    /// `basic.cancel`.
    #[must_use]
    pub fn cancel(tag: &str, nowait: bool) -> Vec<u8> {
        Writer::method(60, 30).short(tag).u8(u8::from(nowait)).done()
    }

    /// `basic.cancel-ok`, which a client owes to a server's cancel.
    #[must_use]
    pub fn cancel_ok(tag: &str) -> Vec<u8> {
        Writer::method(60, 31).short(tag).done()
    }

    /// `basic.publish`.
    #[must_use]
    pub fn publish(exchange: &str, key: &str, flags: u8) -> Vec<u8> {
        Writer::method(60, 40).u16(0).short(exchange).short(key).u8(flags).done()
    }

    /// `basic.get`.
    #[must_use]
    pub fn get(queue: &str, no_ack: bool) -> Vec<u8> {
        Writer::method(60, 70).u16(0).short(queue).u8(u8::from(no_ack)).done()
    }

    /// `basic.ack`.
    #[must_use]
    pub fn ack(tag: u64, multiple: bool) -> Vec<u8> {
        Writer::method(60, 80).u64(tag).u8(u8::from(multiple)).done()
    }

    /// `basic.reject`.
    #[must_use]
    pub fn reject(tag: u64, requeue: bool) -> Vec<u8> {
        Writer::method(60, 90).u64(tag).u8(u8::from(requeue)).done()
    }

    /// `basic.recover-async`.
    #[must_use]
    pub fn recover_async(requeue: bool) -> Vec<u8> {
        Writer::method(60, 100).u8(u8::from(requeue)).done()
    }

    /// `basic.recover`.
    #[must_use]
    pub fn recover(requeue: bool) -> Vec<u8> {
        Writer::method(60, 110).u8(u8::from(requeue)).done()
    }

    /// `basic.nack`.
    #[must_use]
    pub fn nack(tag: u64, multiple: bool, requeue: bool) -> Vec<u8> {
        let bits = u8::from(multiple) | u8::from(requeue) << 1;
        Writer::method(60, 120).u64(tag).u8(bits).done()
    }
}

/// Class 85.
pub mod confirm {
    use super::Writer;

    /// `confirm.select`.
    #[must_use]
    pub fn select() -> Vec<u8> {
        Writer::method(85, 10).u8(0).done()
    }
}

/// Class 90.
pub mod tx {
    use super::Writer;

    /// `tx.select`.
    #[must_use]
    pub fn select() -> Vec<u8> {
        Writer::method(90, 10).done()
    }

    /// `tx.commit`.
    #[must_use]
    pub fn commit() -> Vec<u8> {
        Writer::method(90, 20).done()
    }

    /// `tx.rollback`.
    #[must_use]
    pub fn rollback() -> Vec<u8> {
        Writer::method(90, 30).done()
    }
}

/// The properties that tests set; everything else stays absent.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    /// Application headers.
    pub headers: Option<Table>,
    /// 2 is persistent.
    pub delivery_mode: Option<u8>,
    /// Priority octet.
    pub priority: Option<u8>,
    /// Where an answer goes.
    pub reply_to: Option<String>,
    /// Milliseconds as text.
    pub expiration: Option<String>,
    /// The application's id.
    pub message_id: Option<String>,
    /// Must be the login name.
    pub user_id: Option<String>,
}

impl Properties {
    /// Only `delivery-mode` 2.
    #[must_use]
    pub fn persistent() -> Self {
        Self { delivery_mode: Some(2), ..Self::default() }
    }

    /// Property flags and property list as they stand in a content header.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut flags = 0_u16;
        let mut list = Writer::default();
        if let Some(headers) = &self.headers {
            flags |= 1 << 13;
            list = list.table(headers);
        }
        if let Some(mode) = self.delivery_mode {
            flags |= 1 << 12;
            list = list.u8(mode);
        }
        if let Some(priority) = self.priority {
            flags |= 1 << 11;
            list = list.u8(priority);
        }
        for (place, text) in
            [(9, &self.reply_to), (8, &self.expiration), (7, &self.message_id), (4, &self.user_id)]
        {
            if let Some(text) = text {
                flags |= 1 << place;
                list = list.short(text);
            }
        }
        Writer::default().u16(flags).raw(&list.done()).done()
    }
}

/// Reads the message-id out of property flags and list; `None` without one.
#[must_use]
pub fn message_id(properties: &[u8]) -> Option<String> {
    let mut reader = Reader::new(properties);
    let flags = reader.u16()?;
    for place in (8..16).rev().filter(|place| flags & 1 << place != 0) {
        match place {
            13 => drop(reader.long()?),
            12 | 11 => drop(reader.u8()?),
            _ => drop(reader.short()?),
        }
    }
    if flags & 1 << 7 == 0 { None } else { reader.short() }
}

/// Payload of a content header frame of class `basic`.
#[must_use]
pub fn content_header(body_len: u64, properties: &Properties) -> Vec<u8> {
    Writer::default().u16(60).u16(0).u64(body_len).raw(&properties.bytes()).done()
}
