//! The methods of a channel, one by one. The hot ones took another way; see [`super::publish`] and [`super::acks`].

use leveret_core::BrokerError;
use leveret_core::channel::Qos;
use leveret_protocol::amqp::{AMQPClass, access, basic, channel, confirm, exchange, queue, short_string, tx};
use leveret_protocol::constants::{basic_method_id, class_id, reply_code};
use leveret_protocol::error::{DecodeErrorKind, frame_words};
use leveret_protocol::method::{Method, decode_method, qos_prefetch_size};
use leveret_protocol::{DecodeError, FrameKind};
use leveret_storage::Position;

use super::content::content_error;
use super::{Failure, Session, SessionChannel};
use crate::broker::Actor;
use crate::seams::Seams;

/// What bytes that cannot be read earn, in RabbitMQ's words; `input` is what the failed decoder was given.
pub(super) fn decode_failure(error: &DecodeError, input: &[u8]) -> Failure {
    let told = BrokerError::new(error.reply_code(), error.explanation(input));
    Failure::new(told, 0, error.reply_ids())
}

/// A content header or its properties that cannot be read.
pub(super) fn header_failure(error: &DecodeError, input: &[u8]) -> Failure {
    let mut failure = decode_failure(error, input);
    if !matches!(error.kind, DecodeErrorKind::UnknownFrame(_)) {
        (failure.class_id, failure.method_id) = PUBLISH_IDS;
    }
    failure
}

/// basic.publish, as a close names it when its content is at fault.
const PUBLISH_IDS: (u16, u16) = (class_id::BASIC, basic_method_id::PUBLISH);

impl<S: Seams> Session<S> {
    /// A method frame on a channel.
    pub(super) fn channel_method(&mut self, number: u16, payload: &[u8]) -> Result<(), Failure> {
        if !self.is_open() {
            return self.before_open(FrameKind::Method, payload);
        }
        let method = decode_method(payload).map_err(|error| decode_failure(&error, payload))?;
        let ids = method.ids();
        let fail = |error: BrokerError| Failure::new(error, number, ids);
        if let Method::Cold(AMQPClass::Channel(channel::AMQPMethod::Open(_))) = method {
            return self.open_channel(number).map_err(|error| match error.code {
                // RabbitMQ names no method where it refuses one more channel.
                reply_code::NOT_ALLOWED => Failure::new(error, number, (0, 0)),
                _ => fail(error),
            });
        }
        let Some(state) = self.channels.get_mut(&number) else {
            let error = BrokerError::new(reply_code::CHANNEL_ERROR, "expected 'channel.open'");
            return Err(fail(error));
        };
        if state.core.closing {
            self.method_while_closing(number, &method);
            return Ok(());
        }
        let publish = match &method {
            Method::Publish(publish) => Some(publish),
            _ => None,
        };
        state.content.method(publish).map_err(|error| {
            // RabbitMQ names the method whose content was due.
            Failure::new(content_error(error), number, PUBLISH_IDS)
        })?;
        match method {
            Method::Publish(publish) if publish.immediate => {
                Err(fail(BrokerError::not_implemented("immediate=true")))
            }
            Method::Publish(_) => Ok(()),
            Method::Ack(_) | Method::Nack(_) | Method::Reject(_) => self.single_ack(number, &method),
            Method::Deliver(_) | Method::GetOk(_) | Method::Return(_) => {
                let text = "expected content header for class 60, got non content header frame instead";
                Err(fail(BrokerError::new(reply_code::UNEXPECTED_FRAME, text)))
            }
            Method::Cold(AMQPClass::Tx(tx::AMQPMethod::Commit(_))) => self.tx_commit(number, ids),
            Method::Cold(method) => self.cold_method(number, method, payload).map_err(fail),
        }
    }

    /// A content frame's channel, if it is one that takes content now.
    pub(super) fn content_channel(
        &mut self,
        number: u16,
        kind: FrameKind,
        payload: &[u8],
    ) -> Result<Option<&mut SessionChannel<S>>, Failure> {
        if !self.is_open() {
            return self.before_open(kind, payload).map(|()| None);
        }
        match self.channels.get_mut(&number) {
            Some(state) if state.core.closing => Ok(None),
            Some(state) => Ok(Some(state)),
            None => {
                let text = "expected method frame, got non method frame instead";
                let error = BrokerError::new(reply_code::UNEXPECTED_FRAME, text);
                Err(Failure::new(error, number, (0, 0)))
            }
        }
    }

    /// A frame on a channel before connection.open-ok.
    fn before_open(&self, kind: FrameKind, payload: &[u8]) -> Result<(), Failure> {
        if self.connection.phase() == leveret_core::connection::Phase::Closing {
            return Ok(());
        }
        let text = frame_words(kind.octet(), payload);
        Err(Failure::new(BrokerError::new(reply_code::UNEXPECTED_FRAME, text), 0, (0, 0)))
    }

    /// Between our channel.close and its close-ok only the close counts.
    fn method_while_closing(&mut self, number: u16, method: &Method<'_>) {
        match method {
            Method::Cold(AMQPClass::Channel(channel::AMQPMethod::CloseOk(_))) => self.forget_channel(number),
            Method::Cold(AMQPClass::Channel(channel::AMQPMethod::Close(_))) => {
                let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                self.reply(number, AMQPClass::Channel(close_ok));
                if let Some(channel) = self.channels.get_mut(&number) {
                    channel.crossed = true;
                }
            }
            _ => {}
        }
    }

    /// Who asks, for the broker's checks.
    pub(super) fn actor(&self) -> Result<Actor<S>, BrokerError> {
        let user = self.user.clone().ok_or_else(|| BrokerError::internal("connection has no user"))?;
        Ok(Actor { user: Some(user), connection: self.id, vhost: self.vhost()? })
    }

    fn cold_method(&mut self, number: u16, method: AMQPClass, payload: &[u8]) -> Result<(), BrokerError> {
        match method {
            AMQPClass::Channel(method) => self.channel_class(number, method),
            AMQPClass::Exchange(method) => self.exchange_class(number, method),
            AMQPClass::Queue(method) => self.queue_class(number, method),
            AMQPClass::Basic(method) => {
                self.basic_class(number, method, payload)?;
                self.describe_channel(number);
                Ok(())
            }
            AMQPClass::Confirm(method) => {
                self.confirm_class(number, &method)?;
                self.describe_channel(number);
                Ok(())
            }
            AMQPClass::Tx(method) => {
                self.tx_class(number, &method)?;
                self.describe_channel(number);
                Ok(())
            }
            AMQPClass::Access(access::AMQPMethod::Request(_)) => {
                let ok = access::AMQPMethod::RequestOk(access::RequestOk {});
                self.reply(number, AMQPClass::Access(ok));
                Ok(())
            }
            AMQPClass::Access(_) | AMQPClass::Connection(_) => Err(unimplemented()),
        }
    }

    fn channel_class(&mut self, number: u16, method: channel::AMQPMethod) -> Result<(), BrokerError> {
        use channel::AMQPMethod as M;
        match method {
            M::Close(_) => {
                self.close_channel(number);
                Ok(())
            }
            M::Flow(flow) if flow.active => {
                self.reply(number, AMQPClass::Channel(M::FlowOk(channel::FlowOk { active: true })));
                Ok(())
            }
            M::Flow(_) => Err(BrokerError::not_implemented("active=false")),
            _ => Err(unimplemented()),
        }
    }

    fn exchange_class(&mut self, number: u16, method: exchange::AMQPMethod) -> Result<(), BrokerError> {
        use exchange::AMQPMethod as M;
        let actor = self.actor()?;
        let (position, nowait, ok) = match method {
            M::Declare(m) => {
                let position = self.broker.declare_exchange(&actor, &m)?;
                (position, m.nowait, M::DeclareOk(exchange::DeclareOk {}))
            }
            M::Delete(m) => {
                let position = self.broker.delete_exchange(&actor, &m)?;
                (position, m.nowait, M::DeleteOk(exchange::DeleteOk {}))
            }
            M::Bind(m) => {
                let position = self.broker.bind_exchange(&actor, &m)?;
                (position, m.nowait, M::BindOk(exchange::BindOk {}))
            }
            M::Unbind(m) => {
                let position = self.broker.unbind_exchange(&actor, &m)?;
                (position, m.nowait, M::UnbindOk(exchange::UnbindOk {}))
            }
            _ => return Err(unimplemented()),
        };
        if !nowait {
            self.reply_after(number, position, AMQPClass::Exchange(ok));
        }
        Ok(())
    }

    fn queue_class(&mut self, number: u16, method: queue::AMQPMethod) -> Result<(), BrokerError> {
        use queue::AMQPMethod as M;
        let actor = self.actor()?;
        let (position, nowait, ok) = match method {
            M::Declare(m) => self.queue_declare(&actor, number, &m)?,
            M::Bind(m) => {
                let (queue, key) = self.binding_names(number, m.queue.as_str(), m.routing_key.as_str())?;
                let position =
                    self.broker.bind_queue(&actor, &queue, m.exchange.as_str(), &key, &m.arguments)?;
                (position, m.nowait, M::BindOk(queue::BindOk {}))
            }
            M::Unbind(m) => {
                let (queue, key) = self.binding_names(number, m.queue.as_str(), m.routing_key.as_str())?;
                let position =
                    self.broker.unbind_queue(&actor, &queue, m.exchange.as_str(), &key, &m.arguments)?;
                (position, false, M::UnbindOk(queue::UnbindOk {}))
            }
            M::Purge(m) => {
                let name = self.queue_name(number, m.queue.as_str())?;
                let (position, count) = self.broker.purge_queue(&actor, &name)?;
                (position, m.nowait, M::PurgeOk(queue::PurgeOk { message_count: clip(count) }))
            }
            M::Delete(m) => {
                let name = self.queue_name(number, m.queue.as_str())?;
                let (position, count) = self.broker.delete_queue(&actor, &name, m.if_unused, m.if_empty)?;
                (position, m.nowait, M::DeleteOk(queue::DeleteOk { message_count: clip(count) }))
            }
            _ => return Err(unimplemented()),
        };
        if !nowait {
            self.reply_after(number, position, AMQPClass::Queue(ok));
        }
        Ok(())
    }

    fn queue_declare(
        &mut self,
        actor: &Actor<S>,
        number: u16,
        declare: &queue::Declare,
    ) -> Result<(Position, bool, queue::AMQPMethod), BrokerError> {
        let declared = self.broker.declare_queue(actor, declare)?;
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.core.declared(declared.name.clone());
        }
        let ok = queue::DeclareOk {
            queue: short_string(&declared.name),
            message_count: clip(declared.ready),
            consumer_count: clip(declared.consumers as u64),
        };
        Ok((declared.position, declare.nowait, queue::AMQPMethod::DeclareOk(ok)))
    }

    fn basic_class(
        &mut self,
        number: u16,
        method: basic::AMQPMethod,
        payload: &[u8],
    ) -> Result<(), BrokerError> {
        use basic::AMQPMethod as M;
        match method {
            M::Qos(m) => {
                let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
                let qos = channel.core.qos(qos_prefetch_size(payload), m.prefetch_count, m.global)?;
                // A limit for new consumers lifts the channel's (`rabbit_limiter:unlimit_prefetch`).
                self.set_channel_prefetch(number, if let Qos::Channel(limit) = qos { limit } else { 0 });
                self.reply(number, AMQPClass::Basic(M::QosOk(basic::QosOk {})));
                Ok(())
            }
            M::Consume(m) => self.consume(number, m),
            M::Cancel(m) => {
                self.cancel_consumer(number, m);
                Ok(())
            }
            M::Get(m) => self.get(number, &m),
            M::Recover(m) => {
                requeue_only(m.requeue)?;
                // Its answer comes before what it sends again: lapin forgets what it holds when it sees the answer.
                self.reply(number, AMQPClass::Basic(M::RecoverOk(basic::RecoverOk {})));
                self.requeue_unacked(number);
                Ok(())
            }
            M::RecoverAsync(m) => {
                requeue_only(m.requeue)?;
                self.requeue_unacked(number);
                Ok(())
            }
            _ => Err(unimplemented()),
        }
    }

    fn confirm_class(&mut self, number: u16, method: &confirm::AMQPMethod) -> Result<(), BrokerError> {
        let confirm::AMQPMethod::Select(select) = method else { return Err(unimplemented()) };
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        channel.core.confirm_select()?;
        if !select.nowait {
            let ok = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
            self.reply(number, AMQPClass::Confirm(ok));
        }
        Ok(())
    }

    fn tx_class(&mut self, number: u16, method: &tx::AMQPMethod) -> Result<(), BrokerError> {
        use tx::AMQPMethod as M;
        let Some(channel) = self.channels.get_mut(&number) else { return Ok(()) };
        let ok = match method {
            M::Select(_) => {
                channel.core.tx_select()?;
                M::SelectOk(tx::SelectOk {})
            }
            M::Rollback(_) => {
                channel.core.require_transaction()?;
                self.roll_back(number);
                M::RollbackOk(tx::RollbackOk {})
            }
            _ => return Err(unimplemented()),
        };
        self.reply(number, AMQPClass::Tx(ok));
        Ok(())
    }

    fn tx_commit(&mut self, number: u16, ids: (u16, u16)) -> Result<(), Failure> {
        let Some(channel) = self.channels.get(&number) else { return Ok(()) };
        channel.core.require_transaction().map_err(|error| Failure::new(error, number, ids))?;
        self.commit(number).map_err(|error| Failure::new(error, number, ids))
    }
}

/// A method that only the broker sends, or that RabbitMQ does not implement.
fn unimplemented() -> BrokerError {
    BrokerError::command_invalid("unimplemented method")
}

fn requeue_only(requeue: bool) -> Result<(), BrokerError> {
    if requeue { Ok(()) } else { Err(BrokerError::not_implemented("requeue=false")) }
}

/// Counts on the wire have 32 bits.
fn clip(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
