//! A definitions file, read in full before anything is done with it.

use serde_json::{Map, Value};

use super::items::{
    Binding, Exchange, Global, Item, Parameter, Permission, Policy, Queue, TopicPermission, User, Vhost,
};

/// A file that is not one of definitions: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not an object in JSON. RabbitMQ says no more than this.
    #[error("failed_to_parse_json")]
    NotJson {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// It is JSON, and not of definitions.
    #[error("{0}")]
    Shape(String),
}

/// All that a file says, by kind.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) users: Vec<User>,
    pub(super) vhosts: Vec<Vhost>,
    pub(super) permissions: Vec<Permission>,
    pub(super) topic_permissions: Vec<TopicPermission>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) global_parameters: Vec<Global>,
    pub(super) policies: Vec<Policy>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) queues: Vec<Queue>,
    pub(super) bindings: Vec<Binding>,
    /// Keys that nobody knows.
    pub(super) unknown: Vec<String>,
}

/// Keys that say where a file is from, and are not imported.
const ABOUT: [&str; 12] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_cluster_name",
    "original_vhost_name",
    "explanation",
    "metadata",
    "description",
    "limits",
    "default_queue_type",
];

impl Document {
    /// Reads a file. With a virtual host, everything is meant for it, and what is not in one is left out.
    pub(super) fn read(text: &[u8], vhost: Option<&str>) -> Result<Self, Malformed> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if text.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(text) {
            Ok(Value::Object(object)) => Self::parse(&object, vhost),
            Ok(_) => Err(Malformed::NotJson { reason: "an object is needed".to_owned() }),
            Err(error) => Err(Malformed::NotJson { reason: error.to_string() }),
        }
    }

    fn parse(object: &Map<String, Value>, vhost: Option<&str>) -> Result<Self, Malformed> {
        let mut document = Self {
            parameters: items(object, "parameters", vhost)?,
            policies: items(object, "policies", vhost)?,
            exchanges: items(object, "exchanges", vhost)?,
            queues: items(object, "queues", vhost)?,
            bindings: items(object, "bindings", vhost)?,
            ..Self::default()
        };
        if vhost.is_none() {
            document.users = items(object, "users", None)?;
            document.vhosts = items(object, "vhosts", None)?;
            document.permissions = items(object, "permissions", None)?;
            document.topic_permissions = items(object, "topic_permissions", None)?;
            document.global_parameters = items(object, "global_parameters", None)?;
        }
        let known = [
            "users",
            "vhosts",
            "permissions",
            "topic_permissions",
            "parameters",
            "global_parameters",
            "policies",
            "exchanges",
            "queues",
            "bindings",
        ];
        let unknown =
            object.keys().filter(|key| !known.contains(&key.as_str()) && !ABOUT.contains(&key.as_str()));
        document.unknown = unknown.cloned().collect();
        Ok(document)
    }
}

fn items<T: Item>(
    object: &Map<String, Value>,
    category: &str,
    vhost: Option<&str>,
) -> Result<Vec<T>, Malformed> {
    let list = match object.get(category) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Malformed::Shape(format!("{category}: a list of objects is needed"))),
    };
    let item = |(place, item): (usize, &Value)| {
        let item = item
            .as_object()
            .ok_or_else(|| Malformed::Shape(format!("{category}[{place}]: an object is needed")))?;
        T::read(&Fields { category, place, object: item, vhost })
    };
    list.iter().enumerate().map(item).collect()
}

/// One object of a list, and where it stands.
pub(super) struct Fields<'a> {
    category: &'a str,
    place: usize,
    object: &'a Map<String, Value>,
    vhost: Option<&'a str>,
}

impl Fields<'_> {
    /// The value of a key; `null` is none.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// A text that must be there.
    pub(super) fn text(&self, key: &str) -> Result<String, Malformed> {
        self.optional_text(key)?.ok_or_else(|| self.malformed(&format!("{key} is missing")))
    }

    /// A text that need not be there.
    pub(super) fn optional_text(&self, key: &str) -> Result<Option<String>, Malformed> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.malformed(&format!("{key} is no text"))),
        }
    }

    /// A switch that need not be there.
    pub(super) fn switch(&self, key: &str, missing: bool) -> Result<bool, Malformed> {
        match self.get(key) {
            None => Ok(missing),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.malformed(&format!("{key} is neither true nor false"))),
        }
    }

    /// A whole number that need not be there; old versions wrote some as text.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, Malformed> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
        number.map(Some).ok_or_else(|| self.malformed(&format!("{key} is no whole number")))
    }

    /// Tags: a list, or words between commas.
    pub(super) fn tags(&self, key: &str) -> Result<Option<Vec<String>>, Malformed> {
        let wrong = || self.malformed(&format!("{key} is neither a list of texts nor a text"));
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                Ok(Some(words.map(str::to_owned).collect()))
            }
            Some(Value::Array(words)) => {
                let words = words.iter().map(|word| word.as_str().map(str::to_owned).ok_or_else(wrong));
                words.collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// The virtual host: the one of the whole import, or the item's own.
    pub(super) fn vhost(&self) -> Result<String, Malformed> {
        self.vhost.map_or_else(|| self.text("vhost"), |vhost| Ok(vhost.to_owned()))
    }

    /// The value of a key, before `null` counts as none.
    pub(super) fn raw(&self, key: &str) -> Option<&Value> {
        self.object.get(key)
    }

    /// A complaint that says where: by the item's name if it has one.
    pub(super) fn malformed(&self, what: &str) -> Malformed {
        let Self { category, place, .. } = self;
        match self.object.get("name").and_then(Value::as_str) {
            Some(name) => Malformed::Shape(format!("{category}[{place}] '{name}': {what}")),
            None => Malformed::Shape(format!("{category}[{place}]: {what}")),
        }
    }
}
