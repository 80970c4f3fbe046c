//! The bytes of definitions. Kinds and version are written once here and never change their meaning.
//!
//! Key: a kind octet, then the names, each with its length in two octets before it. A binding's arguments stand in
//! its value; its key ends with their SHA-256, so that a key stays under 1,200 octets.
//! Value: the version octet, then all fields of the definition in order: numbers big-endian, texts and tables with
//! a four-octet length before them, booleans as bits of one octet.

use sha2::{Digest, Sha256};

use super::{
    BindingDefinition, BindingTarget, Definition, DefinitionKey, ExchangeDefinition, ExchangeType,
    QueueDefinition, VhostDefinition,
};
use crate::access::{Limit, PasswordHash, Permission, TopicPermission, User, UserLimits, VhostLimits};
use crate::arguments::Arguments;
use crate::ids::QueueId;
use crate::names::{ExchangeName, QueueName};
use crate::parameters::{GlobalParameter, Parameter, ParameterValue, Policy};

const VERSION: u8 = 1;

const VHOST: u8 = 1;
const USER: u8 = 2;
const PERMISSION: u8 = 3;
const EXCHANGE: u8 = 4;
const QUEUE: u8 = 5;
const BINDING: u8 = 6;
const TOPIC_PERMISSION: u8 = 7;
const VHOST_LIMITS: u8 = 8;
const USER_LIMITS: u8 = 9;
const PARAMETER: u8 = 10;
const GLOBAL_PARAMETER: u8 = 11;
const POLICY: u8 = 12;

/// Bytes that are no definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("definition {key}: {what}")]
pub struct DefinitionError {
    /// The key, printable.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

pub(super) fn encode_key(key: &DefinitionKey) -> Vec<u8> {
    let mut out = Vec::new();
    match key {
        DefinitionKey::Vhost(name) => key_of(&mut out, VHOST, &[name.as_bytes()]),
        DefinitionKey::User(name) => key_of(&mut out, USER, &[name.as_bytes()]),
        DefinitionKey::Permission(vhost, user) => {
            key_of(&mut out, PERMISSION, &[vhost.as_bytes(), user.as_bytes()]);
        }
        DefinitionKey::Exchange(vhost, name) => {
            key_of(&mut out, EXCHANGE, &[vhost.as_bytes(), name.as_bytes()])
        }
        DefinitionKey::Queue(vhost, name) => key_of(&mut out, QUEUE, &[vhost.as_bytes(), name.as_bytes()]),
        DefinitionKey::Binding(binding) => {
            let (kind, target) = target_parts(&binding.target);
            let names = [binding.vhost.as_bytes(), binding.source.as_bytes(), &[kind], target, &binding.key];
            key_of(&mut out, BINDING, &names);
            out.extend_from_slice(&Sha256::digest(binding.arguments.as_bytes()));
        }
        DefinitionKey::TopicPermission(vhost, user, exchange) => {
            let names = [vhost.as_bytes(), user.as_bytes(), exchange.as_bytes()];
            key_of(&mut out, TOPIC_PERMISSION, &names);
        }
        DefinitionKey::VhostLimits(vhost) => key_of(&mut out, VHOST_LIMITS, &[vhost.as_bytes()]),
        DefinitionKey::UserLimits(user) => key_of(&mut out, USER_LIMITS, &[user.as_bytes()]),
        DefinitionKey::Parameter(vhost, component, name) => {
            let names = [vhost.as_bytes(), component.as_bytes(), name.as_bytes()];
            key_of(&mut out, PARAMETER, &names);
        }
        DefinitionKey::GlobalParameter(name) => key_of(&mut out, GLOBAL_PARAMETER, &[name.as_bytes()]),
        DefinitionKey::Policy(vhost, name) => key_of(&mut out, POLICY, &[vhost.as_bytes(), name.as_bytes()]),
    }
    out
}

fn key_of(out: &mut Vec<u8>, kind: u8, names: &[&[u8]]) {
    out.push(kind);
    for name in names {
        // Names are short strings: at most 255 octets on the wire, and HTTP's are held to the same.
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(name);
    }
}

fn target_parts(target: &BindingTarget) -> (u8, &[u8]) {
    match target {
        BindingTarget::Queue(name) => (0, name.as_bytes()),
        BindingTarget::Exchange(name) => (1, name.as_bytes()),
    }
}

pub(super) fn encode_value(definition: &Definition) -> Vec<u8> {
    let mut out = vec![VERSION];
    match definition {
        Definition::Vhost(vhost) => {
            words(&mut out, &[&vhost.name, &vhost.description]);
            texts(&mut out, &vhost.tags);
            text(&mut out, vhost.default_queue_type.as_bytes());
        }
        Definition::User(user) => {
            text(&mut out, user.name.as_bytes());
            let (algorithm, bytes) = user.password.parts();
            out.push(algorithm);
            text(&mut out, bytes);
            texts(&mut out, &user.tags);
        }
        Definition::Permission(permission) => {
            let Permission { vhost, user, configure, write, read } = permission;
            words(&mut out, &[vhost, user, configure, write, read]);
        }
        Definition::Exchange(exchange) => {
            words(&mut out, &[&exchange.vhost, &exchange.name, exchange.exchange_type.as_str()]);
            out.push(flags(&[exchange.durable, exchange.auto_delete, exchange.internal]));
            text(&mut out, exchange.arguments.as_bytes());
        }
        Definition::Queue(queue) => {
            words(&mut out, &[&queue.vhost, &queue.name]);
            out.extend_from_slice(&queue.id.0.to_be_bytes());
            out.push(flags(&[queue.durable, queue.auto_delete]));
            text(&mut out, queue.arguments.as_bytes());
        }
        Definition::Binding(binding) => {
            let (kind, target) = target_parts(&binding.target);
            words(&mut out, &[&binding.vhost, &binding.source]);
            out.push(kind);
            text(&mut out, target);
            text(&mut out, &binding.key);
            text(&mut out, binding.arguments.as_bytes());
        }
        Definition::TopicPermission(permission) => {
            let TopicPermission { vhost, user, exchange, write, read } = permission;
            words(&mut out, &[vhost, user, exchange, write, read]);
        }
        Definition::VhostLimits(limits) => {
            limit_pair(&mut out, &limits.vhost, [limits.max_connections, limits.max_queues]);
        }
        Definition::UserLimits(limits) => {
            limit_pair(&mut out, &limits.user, [limits.max_connections, limits.max_channels]);
        }
        Definition::Parameter(parameter) => {
            text(&mut out, parameter.vhost.as_bytes());
            text(&mut out, parameter.component.as_bytes());
            text(&mut out, parameter.name.as_bytes());
            text(&mut out, parameter.value.content().as_bytes());
        }
        Definition::GlobalParameter(parameter) => {
            text(&mut out, parameter.name.as_bytes());
            text(&mut out, parameter.value.content().as_bytes());
        }
        Definition::Policy(policy) => {
            text(&mut out, policy.vhost.as_bytes());
            text(&mut out, policy.name.as_bytes());
            text(&mut out, policy.pattern.as_bytes());
            text(&mut out, policy.apply_to.as_bytes());
            text(&mut out, policy.definition.as_bytes());
            out.extend_from_slice(&policy.priority.to_be_bytes());
        }
    }
    out
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn words(out: &mut Vec<u8>, all: &[&str]) {
    for one in all {
        text(out, one.as_bytes());
    }
}

fn texts(out: &mut Vec<u8>, all: &[String]) {
    out.extend_from_slice(&u32::try_from(all.len()).unwrap_or(u32::MAX).to_be_bytes());
    for one in all {
        text(out, one.as_bytes());
    }
}

/// Whose they are, which of the two are set, then both.
fn limit_pair(out: &mut Vec<u8>, of: &str, limits: [Option<Limit>; 2]) {
    text(out, of.as_bytes());
    out.push(flags(&limits.map(|limit| limit.is_some())));
    for limit in limits {
        out.extend_from_slice(&limit.map_or(0, |Limit(value)| value).to_be_bytes());
    }
}

fn flags(all: &[bool]) -> u8 {
    all.iter().rev().fold(0, |octet, flag| octet << 1 | u8::from(*flag))
}

pub(super) fn decode(key: &[u8], value: &[u8]) -> Result<Definition, DefinitionError> {
    let mut reader = Reader { rest: value };
    let definition = read(key, &mut reader).and_then(|definition| {
        if !reader.rest.is_empty() {
            return Err(format!("{} bytes too many", reader.rest.len()));
        }
        if encode_key(&definition.key()) != key {
            return Err("its value belongs to another key".to_owned());
        }
        Ok(definition)
    });
    definition.map_err(|what| DefinitionError { key: key.escape_ascii().to_string(), what })
}

fn read(key: &[u8], reader: &mut Reader<'_>) -> Result<Definition, String> {
    let version = reader.octet()?;
    if version != VERSION {
        return Err(format!("version {version} is unknown, this broker writes {VERSION}"));
    }
    Ok(match key.first() {
        Some(&VHOST) => Definition::Vhost(VhostDefinition {
            name: reader.string()?.into(),
            description: reader.string()?,
            tags: reader.strings()?,
            default_queue_type: reader.string()?,
        }),
        Some(&USER) => Definition::User(User {
            name: reader.string()?.into(),
            password: reader.password()?,
            tags: reader.strings()?,
        }),
        Some(&PERMISSION) => Definition::Permission(Permission {
            vhost: reader.string()?.into(),
            user: reader.string()?.into(),
            configure: reader.string()?,
            write: reader.string()?,
            read: reader.string()?,
        }),
        Some(&EXCHANGE) => reader.exchange()?,
        Some(&QUEUE) => reader.queue()?,
        Some(&BINDING) => reader.binding()?,
        Some(&TOPIC_PERMISSION) => Definition::TopicPermission(TopicPermission {
            vhost: reader.string()?.into(),
            user: reader.string()?.into(),
            exchange: reader.string()?.into(),
            write: reader.string()?,
            read: reader.string()?,
        }),
        Some(&VHOST_LIMITS) => {
            let vhost = reader.string()?.into();
            let [max_connections, max_queues] = reader.limit_pair()?;
            Definition::VhostLimits(VhostLimits { vhost, max_connections, max_queues })
        }
        Some(&USER_LIMITS) => {
            let user = reader.string()?.into();
            let [max_connections, max_channels] = reader.limit_pair()?;
            Definition::UserLimits(UserLimits { user, max_connections, max_channels })
        }
        Some(&PARAMETER) => Definition::Parameter(Parameter {
            vhost: reader.string()?.into(),
            component: reader.string()?,
            name: reader.string()?,
            value: ParameterValue::from_content(reader.arguments()?),
        }),
        Some(&GLOBAL_PARAMETER) => Definition::GlobalParameter(GlobalParameter {
            name: reader.string()?,
            value: ParameterValue::from_content(reader.arguments()?),
        }),
        Some(&POLICY) => Definition::Policy(Policy {
            vhost: reader.string()?.into(),
            name: reader.string()?,
            pattern: reader.string()?,
            apply_to: reader.string()?,
            definition: reader.arguments()?,
            priority: i64::from_be_bytes(reader.array()?),
        }),
        Some(kind) => return Err(format!("kind {kind} is unknown")),
        None => return Err("the key is empty".to_owned()),
    })
}

/// Takes values off the front; every error is a text.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("its value is cut short")?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("its value is cut short")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn octet(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[octet]| octet)
    }

    fn length(&mut self) -> Result<usize, String> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|error| error.to_string())
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.length()?;
        self.take(length)
    }

    fn string(&mut self) -> Result<String, String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|error| error.to_string())
    }

    fn strings(&mut self) -> Result<Vec<String>, String> {
        let count = self.length()?;
        (0..count).map(|_| self.string()).collect()
    }

    fn arguments(&mut self) -> Result<Arguments, String> {
        Arguments::from_content(self.bytes()?).map_err(|error| error.to_string())
    }

    fn flags<const N: usize>(&mut self) -> Result<[bool; N], String> {
        let octet = self.octet()?;
        if usize::try_from(u8::BITS - octet.leading_zeros()).is_ok_and(|bits| bits > N) {
            return Err(format!("flags {octet:#010b} are unknown"));
        }
        Ok(std::array::from_fn(|place| octet >> place & 1 == 1))
    }

    fn limit_pair(&mut self) -> Result<[Option<Limit>; 2], String> {
        let is_set: [bool; 2] = self.flags()?;
        let values = [i64::from_be_bytes(self.array()?), i64::from_be_bytes(self.array()?)];
        let limit = |place: usize| match (is_set.get(place), values.get(place)) {
            (Some(true), Some(value)) => Some(Limit(*value)),
            _ => None,
        };
        Ok([limit(0), limit(1)])
    }

    fn password(&mut self) -> Result<PasswordHash, String> {
        let algorithm = self.octet()?;
        PasswordHash::from_parts(algorithm, self.bytes()?)
            .ok_or_else(|| format!("its password hash of kind {algorithm} is malformed"))
    }

    fn exchange(&mut self) -> Result<Definition, String> {
        let vhost = self.string()?.into();
        let name = self.string()?.into();
        let exchange_type = self.string()?;
        let exchange_type: ExchangeType =
            exchange_type.parse().map_err(|_| format!("exchange type '{exchange_type}' is unknown"))?;
        let [durable, auto_delete, internal] = self.flags()?;
        let arguments = self.arguments()?;
        Ok(Definition::Exchange(ExchangeDefinition {
            vhost,
            name,
            exchange_type,
            durable,
            auto_delete,
            internal,
            arguments,
        }))
    }

    fn queue(&mut self) -> Result<Definition, String> {
        let vhost = self.string()?.into();
        let name = self.string()?.into();
        let id = QueueId(u64::from_be_bytes(self.array()?));
        let [durable, auto_delete] = self.flags()?;
        let arguments = self.arguments()?;
        Ok(Definition::Queue(QueueDefinition { vhost, name, id, durable, auto_delete, arguments }))
    }

    fn binding(&mut self) -> Result<Definition, String> {
        let vhost = self.string()?.into();
        let source = self.string()?.into();
        let kind = self.octet()?;
        let target = self.string()?;
        let target = match kind {
            0 => BindingTarget::Queue(QueueName::from(target)),
            1 => BindingTarget::Exchange(ExchangeName::from(target)),
            _ => return Err(format!("destination kind {kind} is unknown")),
        };
        let key = self.bytes()?.into();
        let arguments = self.arguments()?;
        Ok(Definition::Binding(BindingDefinition { vhost, source, target, key, arguments }))
    }
}
