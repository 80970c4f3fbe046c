//! Arguments tables as JSON: RabbitMQ's plain objects, and a form that keeps the AMQP types for the command line.

use leveret_core::admin::Argument;
use serde_json::{Map, Number, Value, json};

use crate::limits::ARGUMENT_DEPTH;

/// How arguments are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentStyle {
    /// `{"x-max-length": 10}`, as RabbitMQ's API.
    Plain,
    /// `[["x-max-length", "long", 10]]`, as rabbitmqctl's JSON: asked for by `arguments=typed`.
    Typed,
}

/// A table.
pub(crate) fn arguments_json(table: &[(String, Argument)], style: ArgumentStyle) -> Value {
    table_json(table, style, 0)
}

fn table_json(table: &[(String, Argument)], style: ArgumentStyle, depth: usize) -> Value {
    match style {
        ArgumentStyle::Plain => Value::Object(
            table.iter().map(|(key, value)| (key.clone(), value_json(value, style, depth))).collect(),
        ),
        ArgumentStyle::Typed => table
            .iter()
            .map(|(key, value)| json!([key, type_name(value), value_json(value, style, depth)]))
            .collect::<Vec<_>>()
            .into(),
    }
}

/// One value; tables and arrays nest from `depth` on.
pub(crate) fn value_json(value: &Argument, style: ArgumentStyle, depth: usize) -> Value {
    match value {
        Argument::Void => "undefined".into(),
        Argument::Bool(value) => (*value).into(),
        Argument::Byte(value) => (*value).into(),
        Argument::UnsignedByte(value) => (*value).into(),
        Argument::Short(value) => (*value).into(),
        Argument::UnsignedShort(value) => (*value).into(),
        Argument::SignedInt(value) => (*value).into(),
        Argument::UnsignedInt(value) => (*value).into(),
        Argument::Long(value) => (*value).into(),
        Argument::Timestamp(value) => (*value).into(),
        Argument::Float(value) => float_json(f64::from(*value)),
        Argument::Double(value) => float_json(*value),
        Argument::Decimal(digits, unscaled) => {
            float_json(f64::from(*unscaled) / 10f64.powi(i32::from(*digits)))
        }
        Argument::LongStr(bytes) | Argument::Binary(bytes) => String::from_utf8_lossy(bytes).into(),
        Argument::Array(_) | Argument::Table(_) if depth >= ARGUMENT_DEPTH => Value::Null,
        Argument::Array(values) => values
            .iter()
            .map(|value| match style {
                ArgumentStyle::Plain => value_json(value, style, depth + 1),
                ArgumentStyle::Typed => {
                    json!([type_name(value), value_json(value, style, depth + 1)])
                }
            })
            .collect::<Vec<_>>()
            .into(),
        Argument::Table(table) => table_json(table, style, depth + 1),
    }
}

/// JSON has no infinities.
fn float_json(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// The names that RabbitMQ gives the types (`rabbit_binary_parser`).
fn type_name(value: &Argument) -> &'static str {
    match value {
        Argument::Void => "void",
        Argument::Bool(_) => "bool",
        Argument::Byte(_) => "byte",
        Argument::UnsignedByte(_) => "unsignedbyte",
        Argument::Short(_) => "short",
        Argument::UnsignedShort(_) => "unsignedshort",
        Argument::SignedInt(_) => "signedint",
        Argument::UnsignedInt(_) => "unsignedint",
        Argument::Long(_) => "long",
        Argument::Float(_) => "float",
        Argument::Double(_) => "double",
        Argument::Decimal(..) => "decimal",
        Argument::LongStr(_) => "longstr",
        Argument::Binary(_) => "binary",
        Argument::Timestamp(_) => "timestamp",
        Argument::Array(_) => "array",
        Argument::Table(_) => "table",
    }
}

/// Builds an object and leaves out what is not known.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// Adds a field.
    pub(crate) fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Adds the fields of another object, in place of its own.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Adds a field if its value is known.
    pub(crate) fn known(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(key, value),
            None => self,
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_shown_as_rabbitmq_shows_it() {
        let cases = [
            (Argument::Void, "void", json!("undefined")),
            (Argument::Bool(true), "bool", json!(true)),
            (Argument::Byte(-1), "byte", json!(-1)),
            (Argument::UnsignedByte(255), "unsignedbyte", json!(255)),
            (Argument::Short(-2), "short", json!(-2)),
            (Argument::UnsignedShort(2), "unsignedshort", json!(2)),
            (Argument::SignedInt(5), "signedint", json!(5)),
            (Argument::UnsignedInt(6), "unsignedint", json!(6)),
            (Argument::Long(i64::MAX), "long", json!(i64::MAX)),
            (Argument::Float(1.5), "float", json!(1.5)),
            (Argument::Double(2.5), "double", json!(2.5)),
            (Argument::Decimal(2, 275), "decimal", json!(2.75)),
            (Argument::LongStr(b"two".to_vec()), "longstr", json!("two")),
            (Argument::Binary(b"b".to_vec()), "binary", json!("b")),
            (Argument::Timestamp(u64::MAX), "timestamp", json!(u64::MAX)),
        ];
        for (argument, name, shown) in cases {
            let table = vec![("k".to_owned(), argument)];
            assert_eq!(arguments_json(&table, ArgumentStyle::Plain), json!({"k": shown}));
            assert_eq!(arguments_json(&table, ArgumentStyle::Typed), json!([["k", name, shown]]));
        }
    }

    #[test]
    fn tables_and_arrays_nest() {
        let inner = Argument::Table(vec![("k".to_owned(), Argument::Bool(true))]);
        let table = vec![("l".to_owned(), Argument::Array(vec![Argument::SignedInt(1), inner]))];
        assert_eq!(arguments_json(&table, ArgumentStyle::Plain), json!({"l": [1, {"k": true}]}));
        assert_eq!(
            arguments_json(&table, ArgumentStyle::Typed),
            json!([["l", "array", [["signedint", 1], ["table", [["k", "bool", true]]]]]])
        );
    }

    #[test]
    fn a_table_that_nests_without_end_is_cut() {
        let mut value = Argument::Void;
        for _ in 0..5_000 {
            value = Argument::Array(vec![value]);
        }
        let shown = arguments_json(&[("k".to_owned(), value)], ArgumentStyle::Plain).to_string();
        assert_eq!(shown.matches('[').count(), ARGUMENT_DEPTH);
    }
}
