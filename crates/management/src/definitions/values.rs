//! Values of JSON as the values of a field table, and names that fit into one.

use leveret_core::admin::{Argument, Arguments};
use serde_json::{Map, Value};

use crate::arguments::{ArgumentStyle, value_json};
use crate::limits::ARGUMENT_DEPTH;

/// The longest name in a field table, in bytes.
const NAME_BYTES: usize = 255;

/// What `null` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Null {
    /// Refused, as in the arguments of queues, exchanges and bindings.
    Refused,
    /// A value without a type, as in parameters.
    Void,
}

/// A table; nothing and an empty list are an empty one, as tools in other languages write it.
pub(crate) fn table(value: Option<&Value>, null: Null) -> Result<Arguments, String> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) if items.is_empty() => Ok(Vec::new()),
        Some(Value::Object(object)) => fields(object, null, 0),
        Some(_) => Err("arguments that are no object".to_owned()),
    }
}

/// The AMQP type that RabbitMQ gives a value of JSON.
pub(crate) fn argument(value: &Value, null: Null) -> Result<Argument, String> {
    nested(value, null, 0)
}

fn fields(object: &Map<String, Value>, null: Null, depth: usize) -> Result<Arguments, String> {
    let field = |(key, value): (&String, &Value)| {
        if key.len() > NAME_BYTES {
            return Err(format!("a name has at most {NAME_BYTES} bytes"));
        }
        Ok((key.clone(), nested(value, null, depth)?))
    };
    object.iter().map(field).collect()
}

fn nested(value: &Value, null: Null, depth: usize) -> Result<Argument, String> {
    if depth >= ARGUMENT_DEPTH {
        return Err(format!("a value that nests deeper than {ARGUMENT_DEPTH}"));
    }
    Ok(match value {
        Value::Null if null == Null::Refused => return Err("null_not_allowed".to_owned()),
        Value::Null => Argument::Void,
        Value::Bool(value) => Argument::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Argument::Long(whole),
            None => Argument::Double(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Argument::LongStr(text.clone().into_bytes()),
        Value::Array(items) => {
            let items: Result<_, _> = items.iter().map(|item| nested(item, null, depth + 1)).collect();
            Argument::Array(items?)
        }
        Value::Object(object) => Argument::Table(fields(object, null, depth + 1)?),
    })
}

/// A kept value as JSON again.
pub(crate) fn json(value: &Argument) -> Value {
    match value {
        Argument::Void => Value::Null,
        Argument::Array(items) => items.iter().map(json).collect(),
        Argument::Table(fields) => object(fields),
        other => value_json(other, ArgumentStyle::Plain, 0),
    }
}

/// A kept table as JSON again.
pub(crate) fn object(fields: &Arguments) -> Value {
    Value::Object(fields.iter().map(|(key, value)| (key.clone(), json(value))).collect())
}
