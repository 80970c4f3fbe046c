//! What a request's body says: keys that must be there, and values in the forms that older tools send too.

use leveret_core::admin::Arguments;
use serde_json::{Map, Value, json};

use crate::definitions::values::{Null, table};
use crate::error::ApiError;

/// Reads what came. An empty body, `null` and `undefined` count as `{}`, as in RabbitMQ.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() || bytes == b"null" || bytes == b"undefined" {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(bytes) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(Value::String(_)) => Err(ApiError::bad_request(
            "invalid payload: the request body JSON-decoded to a string. Is the input doubly-JSON-encoded?",
        )),
        _ => Err(ApiError::bad_request("not_json")),
    }
}

/// The values of keys that must all be there; the refusal names every one that is not.
pub(crate) fn required<'b, const N: usize>(
    body: &'b Value,
    keys: [&str; N],
) -> Result<[&'b Value; N], ApiError> {
    let missing: Vec<String> = keys
        .iter()
        .filter(|key| body.get(**key).is_none())
        .map(|key| format!("{{key_missing,{key}}}"))
        .collect();
    if !missing.is_empty() {
        return Err(ApiError::bad_request(format!("[{}]", missing.join(","))));
    }
    Ok(keys.map(|key| &body[key]))
}

/// A text.
pub(crate) fn text<'b>(key: &str, value: &'b Value) -> Result<&'b str, ApiError> {
    value.as_str().ok_or_else(|| ApiError::bad_request(json!(["not_string", key])))
}

/// Yes or no: `true`, and `"true"` as older tools write it. Not there is no.
pub(crate) fn boolean(body: &Value, key: &str) -> Result<bool, ApiError> {
    match body.get(key) {
        None | Some(Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(other) => Err(ApiError::bad_request(json!(["not_boolean", other]))),
    }
}

/// A whole number, or its digits as text.
pub(crate) fn integer(value: &Value) -> Result<i64, ApiError> {
    let number = value.as_i64().or_else(|| value.as_str().and_then(|digits| digits.parse().ok()));
    number.ok_or_else(|| ApiError::bad_request(json!(["not_integer", value])))
}

/// Tags: a list, or names between commas.
pub(crate) fn tags(value: &Value) -> Result<Vec<String>, ApiError> {
    let bad = || ApiError::bad_request(json!(["not_tags", value]));
    match value {
        Value::String(text) => {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            Ok(names.map(str::to_owned).collect())
        }
        Value::Array(names) => {
            names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(bad)).collect()
        }
        _ => Err(bad()),
    }
}

/// `arguments`: an object. An empty list is an empty object too, as tools in other languages write it.
pub(crate) fn arguments(body: &Value) -> Result<Arguments, ApiError> {
    table_of(body.get("arguments"), "arguments")
}

/// A table under a key; nothing is an empty one.
pub(crate) fn table_of(value: Option<&Value>, key: &str) -> Result<Arguments, ApiError> {
    if !matches!(value, None | Some(Value::Object(_) | Value::Array(_))) {
        return Err(ApiError::bad_request(json!(["not_table", key])));
    }
    table(value, Null::Refused).map_err(ApiError::bad_request)
}

#[cfg(test)]
mod tests {
    use leveret_core::admin::Argument;

    use super::*;

    fn reason<T>(result: Result<T, ApiError>) -> Value {
        result.err().and_then(|error| error.body()).map_or(Value::Null, |body| body["reason"].clone())
    }

    #[test]
    fn bodies() {
        for empty in ["", "null", "undefined", "{}"] {
            assert_eq!(parse(empty.as_bytes()), Ok(json!({})), "{empty}");
        }
        for bad in ["[]", "5", "{", "{} {}"] {
            assert_eq!(reason(parse(bad.as_bytes())), json!("not_json"), "{bad}");
        }
        assert!(reason(parse(b"\"{}\"")).as_str().unwrap().contains("doubly-JSON-encoded"));
    }

    #[test]
    fn every_missing_key_is_named() {
        let body = json!({"write": "b"});
        let missing = reason(required(&body, ["configure", "write", "read"]));
        assert_eq!(missing, json!("[{key_missing,configure},{key_missing,read}]"));
        assert_eq!(required(&body, ["write"]), Ok([&json!("b")]));
    }

    #[test]
    fn values_as_older_tools_write_them() {
        let body = json!({"a": true, "b": "true", "c": "false", "d": "maybe", "e": 5});
        assert_eq!(boolean(&body, "a"), Ok(true));
        assert_eq!(boolean(&body, "b"), Ok(true));
        assert_eq!(boolean(&body, "c"), Ok(false));
        assert_eq!(boolean(&body, "z"), Ok(false));
        assert_eq!(reason(boolean(&body, "d")), json!(["not_boolean", "maybe"]));
        assert_eq!(reason(boolean(&body, "e")), json!(["not_boolean", 5]));
        assert_eq!(integer(&json!(5)), Ok(5));
        assert_eq!(integer(&json!("-5")), Ok(-5));
        assert_eq!(reason(integer(&json!("x"))), json!(["not_integer", "x"]));
        assert_eq!(tags(&json!("a, b,")), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(tags(&json!(["a", "b c"])), Ok(vec!["a".to_owned(), "b c".to_owned()]));
        assert!(tags(&json!(5)).is_err());
    }

    #[test]
    fn arguments_get_the_types_of_rabbitmq() {
        let body = json!({"arguments": {"a": 1.5, "b": [1, "x"], "c": {"d": true}}});
        let expected = vec![
            ("a".to_owned(), Argument::Double(1.5)),
            ("b".to_owned(), Argument::Array(vec![Argument::Long(1), Argument::LongStr(b"x".to_vec())])),
            ("c".to_owned(), Argument::Table(vec![("d".to_owned(), Argument::Bool(true))])),
        ];
        assert_eq!(arguments(&body), Ok(expected));
        assert_eq!(arguments(&json!({"arguments": []})), Ok(vec![]));
        assert_eq!(reason(arguments(&json!({"arguments": {"e": null}}))), json!("null_not_allowed"));
        assert!(arguments(&json!({"arguments": 5})).is_err());
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(arguments(&json!({"arguments": {"a": deep}})).is_err());
    }
}
