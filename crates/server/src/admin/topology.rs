//! Exchanges, queues, bindings and messages for management, with the rights of whoever asks.

use leveret_core::BrokerError;
use leveret_core::admin::{
    AckMode, Acting, AdminError, Arguments as Table, BindingSpec, DestinationKind, ExchangeSpec, GetExtent,
    MessageProperties, MessageView, NewMessage, PROPERTY_NAMES, PropertyValue, QueueSpec, TopologyAdmin,
};
use leveret_core::arguments::Arguments;
use leveret_core::names::QueueName;
use leveret_engine::SharedRw;
use leveret_engine::broker::{Actor, Copied, NO_CONNECTION, Publication};
use leveret_engine::cell::Outcome;
use leveret_engine::seams::Registry;
use leveret_protocol::amqp::{FieldTable, exchange, queue, short_string};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView};

use super::{BrokerAdmin, precondition};
use crate::seams::Shell;

/// AMQP's answer to a user, as management tells it.
fn refused(error: BrokerError) -> AdminError {
    AdminError::Refused(error)
}

/// A name as AMQP's methods carry it. RabbitMQ says this of queues' names and takes others, which no client can name.
fn name(what: &str, given: &str) -> Result<leveret_protocol::amqp::ShortString, AdminError> {
    let (short, length) = (short_string(given), given.len());
    if short.as_str().len() < length {
        let reason = format!("{what} should be less than 255 bytes, actually was {length}\n");
        return Err(AdminError::BadRequest(reason));
    }
    Ok(short)
}

fn table(given: &Table) -> Result<FieldTable, AdminError> {
    let arguments = Arguments::from_admin(given)
        .map_err(|error| refused(BrokerError::new(error.reply_code(), error.to_string())))?;
    Ok(arguments.to_amqp())
}

impl BrokerAdmin {
    /// Who asks, with the virtual host opened as a connection would.
    fn actor(&self, acting: Acting<'_>, vhost: &str) -> Result<Actor<Shell>, AdminError> {
        let found = self.broker.vhosts.find(vhost);
        let found = found.ok_or_else(|| AdminError::NoSuchVhost(vhost.to_owned()))?;
        let user = match acting {
            Acting::Owner => None,
            Acting::User(user) => {
                let may = self.broker.access.read(|access| access.check_vhost(user, vhost, true));
                may.map_err(refused)?;
                Some(user.into())
            }
        };
        Ok(Actor { user, connection: NO_CONNECTION, vhost: found })
    }

    fn existing_queue(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        name: &str,
    ) -> Result<(Actor<Shell>, QueueName), AdminError> {
        let actor = self.actor(acting, vhost)?;
        let name = QueueName::from(name);
        let exists = actor.vhost.topology.read(|topology| topology.queue(&name).is_some());
        if exists { Ok((actor, name)) } else { Err(AdminError::NotFound) }
    }
}

impl TopologyAdmin for BrokerAdmin {
    fn declare_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        spec: &ExchangeSpec,
    ) -> Result<bool, AdminError> {
        let actor = self.actor(acting, vhost)?;
        let method = exchange::Declare {
            exchange: name("exchange", &spec.name)?,
            kind: name("type", &spec.exchange_type)?,
            passive: false,
            durable: spec.durable,
            auto_delete: spec.auto_delete,
            internal: spec.internal,
            nowait: false,
            arguments: table(&spec.arguments)?,
        };
        let exists = actor.vhost.topology.read(|topology| topology.exchange(&spec.name).is_some());
        let position = self.broker.declare_exchange(&actor, &method).map_err(refused)?;
        self.wait_for(position)?;
        Ok(!exists)
    }

    fn delete_exchange(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        given: &str,
        if_unused: bool,
    ) -> Result<(), AdminError> {
        let actor = self.actor(acting, vhost)?;
        if !actor.vhost.topology.read(|topology| topology.exchange(given).is_some()) {
            return Err(AdminError::NotFound);
        }
        let method = exchange::Delete { exchange: name("exchange", given)?, if_unused, nowait: false };
        let position = self.broker.delete_exchange(&actor, &method).map_err(refused)?;
        self.wait_for(position)?;
        Ok(())
    }

    fn declare_queue(&self, acting: Acting<'_>, vhost: &str, spec: &QueueSpec) -> Result<bool, AdminError> {
        let actor = self.actor(acting, vhost)?;
        let method = queue::Declare {
            queue: name("queue", &spec.name)?,
            passive: false,
            durable: spec.durable,
            exclusive: false,
            auto_delete: spec.auto_delete,
            nowait: false,
            arguments: table(&spec.arguments)?,
        };
        let exists = actor.vhost.topology.read(|topology| topology.queue(&spec.name).is_some());
        let declared = self.broker.declare_queue(&actor, &method).map_err(refused)?;
        self.wait_for(declared.position)?;
        Ok(!exists)
    }

    fn delete_queue(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        name: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<u64, AdminError> {
        let (actor, name) = self.existing_queue(acting, vhost, name)?;
        let (position, ready) = if actor.user.is_some() {
            self.broker.delete_queue(&actor, &name, if_unused, if_empty).map_err(refused)?
        } else {
            let deleted = self.broker.force_delete_queue(&actor.vhost, &name, if_unused, if_empty);
            deleted.map_err(|error| precondition(&error))?.ok_or(AdminError::NotFound)?
        };
        self.wait_for(position)?;
        Ok(ready)
    }

    fn purge_queue(&self, acting: Acting<'_>, vhost: &str, name: &str) -> Result<u64, AdminError> {
        let (actor, name) = self.existing_queue(acting, vhost, name)?;
        let (position, count) = if actor.user.is_some() {
            self.broker.purge_queue(&actor, &name).map_err(refused)?
        } else {
            let queue = actor.vhost.queue(&name).ok_or(AdminError::NotFound)?;
            let (count, position) = self.broker.work(&queue, |cell, around| cell.purge(around));
            (position, count)
        };
        self.wait_for(position)?;
        Ok(count)
    }

    fn bind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError> {
        let actor = self.actor(acting, vhost)?;
        let arguments = table(&binding.arguments)?;
        let bound = match binding.destination_kind {
            DestinationKind::Queue => {
                let queue = binding.destination.as_str().into();
                let key = name("routing_key", &binding.routing_key)?;
                self.broker.bind_queue(&actor, &queue, &binding.source, key.as_str(), &arguments)
            }
            DestinationKind::Exchange => self.broker.bind_exchange(
                &actor,
                &exchange::Bind {
                    destination: name("destination", &binding.destination)?,
                    source: name("source", &binding.source)?,
                    routing_key: name("routing_key", &binding.routing_key)?,
                    nowait: false,
                    arguments,
                },
            ),
        };
        self.wait_for(bound.map_err(refused)?)?;
        Ok(())
    }

    fn unbind(&self, acting: Acting<'_>, vhost: &str, binding: &BindingSpec) -> Result<(), AdminError> {
        let actor = self.actor(acting, vhost)?;
        let arguments = table(&binding.arguments)?;
        let unbound = match binding.destination_kind {
            DestinationKind::Queue => {
                let queue = binding.destination.as_str().into();
                let key = name("routing_key", &binding.routing_key)?;
                self.broker.unbind_queue(&actor, &queue, &binding.source, key.as_str(), &arguments)
            }
            DestinationKind::Exchange => self.broker.unbind_exchange(
                &actor,
                &exchange::Unbind {
                    destination: name("destination", &binding.destination)?,
                    source: name("source", &binding.source)?,
                    routing_key: name("routing_key", &binding.routing_key)?,
                    nowait: false,
                    arguments,
                },
            ),
        };
        self.wait_for(unbound.map_err(refused)?)?;
        Ok(())
    }

    fn publish(&self, acting: Acting<'_>, vhost: &str, message: &NewMessage) -> Result<bool, AdminError> {
        let actor = self.actor(acting, vhost)?;
        // Both go on the wire later.
        name("exchange", &message.exchange)?;
        name("routing_key", &message.routing_key)?;
        let properties = raw_properties(&message.properties)?;
        let publication = Publication {
            exchange: &message.exchange,
            routing_key: &message.routing_key,
            properties: &properties,
            payload: &message.payload,
        };
        let (routed, position) = self.broker.publish(&actor, &publication).map_err(refused)?;
        self.wait_for(position)?;
        Ok(routed)
    }

    fn get_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        ack_mode: AckMode,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        let (actor, name) = self.existing_queue(acting, vhost, queue)?;
        let outcome = match ack_mode {
            AckMode::Requeue => Outcome::Requeued,
            AckMode::Ack => Outcome::Acked,
            AckMode::Reject => Outcome::Rejected,
        };
        let extent = (extent.count, extent.truncate);
        let (messages, position) =
            self.once_in_memory(|| self.broker.get_messages(&actor, &name, outcome, extent))?;
        self.wait_for(position)?;
        Ok(messages.into_iter().map(message_view).collect())
    }

    fn peek_messages(
        &self,
        acting: Acting<'_>,
        vhost: &str,
        queue: &str,
        extent: GetExtent,
    ) -> Result<Vec<MessageView>, AdminError> {
        let (actor, name) = self.existing_queue(acting, vhost, queue)?;
        let extent = (extent.count, extent.truncate);
        let shown = self.once_in_memory(|| self.broker.peek_messages(&actor, &name, extent))?;
        Ok(shown.into_iter().map(message_view).collect())
    }
}

/// The properties in the order of [`PROPERTY_NAMES`].
const PROPERTIES: [Property; PROPERTY_NAMES.len()] = [
    Property::ContentType,
    Property::ContentEncoding,
    Property::Headers,
    Property::DeliveryMode,
    Property::Priority,
    Property::CorrelationId,
    Property::ReplyTo,
    Property::Expiration,
    Property::MessageId,
    Property::Timestamp,
    Property::Kind,
    Property::UserId,
    Property::AppId,
];

fn raw_properties(given: &MessageProperties) -> Result<Vec<u8>, AdminError> {
    let mut builder = PropertiesBuilder::new();
    for (name, value) in given {
        let places = PROPERTY_NAMES.iter().zip(PROPERTIES);
        let Some((_, property)) = places.into_iter().find(|(known, _)| *known == name) else {
            return Err(AdminError::BadRequest(format!("unknown property {name}")));
        };
        match value {
            PropertyValue::Text(text) => builder.set_text(property, text),
            PropertyValue::Octet(octet) => builder.set_octet(property, *octet),
            PropertyValue::Timestamp(seconds) => builder.set_timestamp(*seconds),
            PropertyValue::Headers(headers) => {
                let headers = Arguments::from_admin(headers)
                    .map_err(|error| refused(BrokerError::new(error.reply_code(), error.to_string())))?;
                builder.set_headers(headers.as_bytes())
            }
        };
    }
    Ok(builder.to_vec())
}

fn message_view(message: Copied) -> MessageView {
    // They were checked when the message came in.
    let view = PropertyView::parse_kept(&message.properties).ok();
    let value = |name: &'static str, property: Property| {
        let view = view.as_ref()?;
        let value = match property {
            Property::Headers => {
                let headers = Arguments::from_content(view.headers()?).ok()?;
                PropertyValue::Headers(headers.to_admin())
            }
            Property::DeliveryMode => PropertyValue::Octet(view.delivery_mode()?),
            Property::Priority => PropertyValue::Octet(view.priority()?),
            Property::Timestamp => PropertyValue::Timestamp(view.timestamp()?),
            text => PropertyValue::Text(view.text(text)?.to_vec()),
        };
        Some((name, value))
    };
    let properties = PROPERTY_NAMES.into_iter().zip(PROPERTIES);
    MessageView {
        redelivered: message.redelivered,
        exchange: String::from_utf8_lossy(&message.exchange).into_owned(),
        routing_key: String::from_utf8_lossy(&message.routing_key).into_owned(),
        message_count: message.left,
        properties: properties.filter_map(|(name, property)| value(name, property)).collect(),
        payload_bytes: message.body_len,
        payload: message.payload,
    }
}
