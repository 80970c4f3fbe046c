//! connection.blocked: publishers are not read while memory or disk runs short; consumers go on.

use leveret_protocol::amqp::{AMQPClass, connection, short_string};

use super::Session;
use crate::seams::Seams;

impl<S: Seams> Session<S> {
    /// After a publish: while an alarm is on, this connection is told and no longer read.
    pub(super) fn block_if_alarmed(&mut self) {
        if self.blocked {
            return;
        }
        let Some(reason) = self.broker.alarm_reason() else { return };
        self.blocked = true;
        self.entry.set_blocked(true);
        if self.connection.client().connection_blocked {
            let blocked = connection::Blocked { reason: short_string(reason) };
            self.send(0, AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)));
        }
    }

    /// After a wake: once no alarm is on, reading goes on.
    pub(super) fn unblock_if_cleared(&mut self) {
        if !self.blocked || self.broker.alarm_reason().is_some() {
            return;
        }
        self.blocked = false;
        self.entry.set_blocked(false);
        if self.connection.client().connection_blocked {
            let unblocked = connection::AMQPMethod::Unblocked(connection::Unblocked {});
            self.send(0, AMQPClass::Connection(unblocked));
        }
    }
}
