//! What one object of each list says.

use leveret_core::admin::{
    BindingSpec, DestinationKind, ExchangeSpec, GlobalParameterView, ParameterView, PasswordChange,
    PermissionView, PolicyView, QueueSpec, TopicPermissionView, UserLimitValues, VhostSettings,
};
use regex::Regex;
use serde_json::Value;

use super::document::{Fields, Malformed};
use super::values::{Null, argument, table};

/// One object of a list.
pub(super) trait Item: Sized {
    /// Reads it.
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed>;
}

/// A user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: PasswordChange,
    pub(super) tags: Vec<String>,
    pub(super) limits: UserLimitValues,
}

impl Item for User {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let name = fields.text("name")?;
        let hash = fields.optional_text("password_hash")?;
        let password = match (fields.optional_text("password")?, hash) {
            (_, Some(base64)) if !base64.is_empty() => {
                let algorithm = fields.optional_text("hashing_algorithm")?;
                PasswordChange::Hash { base64, algorithm }
            }
            (Some(password), None) => PasswordChange::Plain(password.into_bytes()),
            _ => PasswordChange::None,
        };
        let tags = fields.tags("tags")?.ok_or_else(|| Malformed::Shape("tags_not_present".to_owned()))?;
        let limit =
            |key: &str| fields.get("limits").and_then(|limits| limits.get(key)).and_then(Value::as_i64);
        let limits = UserLimitValues {
            max_connections: limit("max-connections"),
            max_channels: limit("max-channels"),
        };
        Ok(Self { name, password, tags, limits })
    }
}

/// A virtual host.
#[derive(Debug)]
pub(super) struct Vhost {
    pub(super) name: String,
    pub(super) settings: VhostSettings,
}

impl Item for Vhost {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        // The same things stand in `metadata`, where later versions put them first.
        let metadata = |key: &str| fields.get("metadata").and_then(|metadata| metadata.get(key));
        let word = |key: &str| metadata(key).and_then(Value::as_str).map(str::to_owned);
        let tags = metadata("tags")
            .and_then(Value::as_array)
            .map(|tags| tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect());
        let settings = VhostSettings {
            description: Some(
                fields.optional_text("description")?.or_else(|| word("description")).unwrap_or_default(),
            ),
            tags: Some(fields.tags("tags")?.or(tags).unwrap_or_default()),
            default_queue_type: fields
                .optional_text("default_queue_type")?
                .or_else(|| word("default_queue_type")),
        };
        Ok(Self { name: fields.text("name")?, settings })
    }
}

/// A permission.
#[derive(Debug)]
pub(super) struct Permission(pub(super) PermissionView);

impl Item for Permission {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self(PermissionView {
            vhost: fields.text("vhost")?,
            user: fields.text("user")?,
            configure: fields.text("configure")?,
            write: fields.text("write")?,
            read: fields.text("read")?,
        }))
    }
}

/// A topic permission.
#[derive(Debug)]
pub(super) struct TopicPermission(pub(super) TopicPermissionView);

impl Item for TopicPermission {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self(TopicPermissionView {
            vhost: fields.text("vhost")?,
            user: fields.text("user")?,
            exchange: fields.text("exchange")?,
            write: fields.text("write")?,
            read: fields.text("read")?,
        }))
    }
}

/// A runtime parameter.
#[derive(Debug)]
pub(super) struct Parameter(pub(super) ParameterView);

impl Item for Parameter {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let value = argument(fields.raw("value").unwrap_or(&Value::Null), Null::Void);
        Ok(Self(ParameterView {
            vhost: fields.vhost()?,
            component: fields.text("component")?,
            name: fields.text("name")?,
            value: value.map_err(|what| fields.malformed(&what))?,
        }))
    }
}

/// A global parameter.
#[derive(Debug)]
pub(super) struct Global(pub(super) GlobalParameterView);

impl Item for Global {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let value = argument(fields.raw("value").unwrap_or(&Value::Null), Null::Void);
        let value = value.map_err(|what| fields.malformed(&what))?;
        Ok(Self(GlobalParameterView { name: fields.text("name")?, value }))
    }
}

/// A policy.
#[derive(Debug)]
pub(super) struct Policy(pub(super) PolicyView);

/// What a policy may apply to.
const APPLY_TO: [&str; 6] = ["queues", "classic_queues", "quorum_queues", "streams", "exchanges", "all"];

impl Item for Policy {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let vhost = fields.vhost()?;
        let Some(name) = fields.optional_text("name")? else {
            return Err(Malformed::Shape(format!("\"policy in virtual host '{vhost}' has undefined name\"")));
        };
        // RabbitMQ's words, in the form of its terms.
        let invalid = |what: &str| {
            Malformed::Shape(format!("<<\"Validation failed\\n\\n{what}\\n ({vhost}/{name})\">>"))
        };
        let pattern = fields.optional_text("pattern")?;
        let pattern = pattern.ok_or_else(|| invalid("pattern should be a binary but was undefined"))?;
        if let Err(error) = Regex::new(&pattern) {
            let last = error.to_string().lines().last().unwrap_or_default().to_owned();
            return Err(invalid(&format!("pattern should be regular expression but is invalid: {last}")));
        }
        let definition = match fields.get("definition") {
            Some(definition @ Value::Object(_)) => table(Some(definition), Null::Void),
            other => {
                let shown = other.map_or_else(|| "undefined".to_owned(), Value::to_string);
                return Err(invalid(&format!(
                    "parse error while reading policy definition: {shown}. Validator: policy_validator."
                )));
            }
        };
        let apply_to = fields.optional_text("apply-to")?.unwrap_or_else(|| "all".to_owned());
        if !APPLY_TO.contains(&apply_to.as_str()) {
            return Err(invalid(&format!(
                "apply-to '{apply_to}' unrecognised; should be one of: 'queues', 'classic_queues',  \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            )));
        }
        let definition = definition.map_err(|what| fields.malformed(&what))?;
        let priority = fields.integer("priority")?.unwrap_or_default();
        Ok(Self(PolicyView { vhost, name, pattern, apply_to, definition, priority }))
    }
}

/// An exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) vhost: String,
    pub(super) spec: ExchangeSpec,
}

impl Item for Exchange {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let kind = fields.optional_text("type")?;
        let undefined =
            || Malformed::Shape("precondition_failed: invalid exchange type 'undefined'".to_owned());
        let spec = ExchangeSpec {
            name: fields.text("name")?,
            exchange_type: kind.ok_or_else(undefined)?,
            durable: fields.switch("durable", true)?,
            auto_delete: fields.switch("auto_delete", false)?,
            internal: fields.switch("internal", false)?,
            arguments: table(fields.raw("arguments"), Null::Refused).map_err(Malformed::Shape)?,
        };
        Ok(Self { vhost: fields.vhost()?, spec })
    }
}

/// A queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) vhost: String,
    pub(super) spec: QueueSpec,
}

impl Item for Queue {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let spec = QueueSpec {
            name: fields.text("name")?,
            durable: fields.switch("durable", true)?,
            auto_delete: fields.switch("auto_delete", false)?,
            arguments: table(fields.raw("arguments"), Null::Refused).map_err(Malformed::Shape)?,
        };
        Ok(Self { vhost: fields.vhost()?, spec })
    }
}

/// A binding.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) vhost: String,
    pub(super) spec: BindingSpec,
}

impl Item for Binding {
    fn read(fields: &Fields<'_>) -> Result<Self, Malformed> {
        let destination_kind = match fields.text("destination_type")?.as_str() {
            "queue" => DestinationKind::Queue,
            "exchange" => DestinationKind::Exchange,
            other => return Err(fields.malformed(&format!("destination_type '{other}' is unknown"))),
        };
        let spec = BindingSpec {
            source: fields.text("source")?,
            destination: fields.text("destination")?,
            destination_kind,
            routing_key: fields.text("routing_key")?,
            arguments: table(fields.raw("arguments"), Null::Refused).map_err(Malformed::Shape)?,
        };
        Ok(Self { vhost: fields.vhost()?, spec })
    }
}
