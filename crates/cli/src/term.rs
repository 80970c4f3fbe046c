//! Values as rabbitmqctl shows them in tables: Erlang's way of writing lists and pairs.

use serde_json::Value;

/// A cell's kind: what the JSON value stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, numbers and switches as they are.
    Plain,
    /// An arguments table in its typed form: `[["k", "longstr", "v"]]` is `[{"k","v"}]`.
    Arguments,
    /// A list of names without quotes: `[a, b]`.
    Names,
    /// An IP address: in JSON the list of its numbers, as Erlang has it.
    Address,
    /// `AMQP 0-9-1`: a triple.
    Protocol,
}

/// A cell of a table.
pub(crate) fn table_cell(value: &Value, kind: Kind) -> String {
    match (kind, value) {
        (_, Value::Null) => String::new(),
        (Kind::Arguments, Value::Array(pairs)) => arguments(pairs),
        (Kind::Names, Value::Array(names)) => {
            let names: Vec<String> = names.iter().map(plain).collect();
            format!("[{}]", names.join(", "))
        }
        (Kind::Protocol, Value::String(text)) => match triple(text) {
            Some([a, b, c]) => format!("{{{a},{b},{c}}}"),
            None => text.clone(),
        },
        (_, value) => plain(value),
    }
}

/// The same value in JSON.
pub(crate) fn json_cell(value: &Value, kind: Kind) -> Value {
    match (kind, value) {
        (_, Value::Null) => "".into(),
        (Kind::Address, Value::String(text)) => match text.parse() {
            Ok(std::net::IpAddr::V4(address)) => address.octets().to_vec().into(),
            Ok(std::net::IpAddr::V6(address)) => address.segments().to_vec().into(),
            Err(_) => value.clone(),
        },
        (Kind::Protocol, Value::String(text)) => {
            triple(text).map_or_else(|| value.clone(), |t| t.to_vec().into())
        }
        _ => value.clone(),
    }
}

/// A cell of a table in boxes, where lists have no brackets and arguments and addresses stand as Erlang's own terms.
pub(crate) fn pretty_cell(value: &Value, kind: Kind) -> String {
    match (kind, value) {
        (Kind::Arguments, Value::Array(pairs)) => pairs.iter().map(typed_pair).collect(),
        (Kind::Names, Value::Array(names)) => names.iter().map(plain).collect(),
        (Kind::Address, Value::String(text)) => match text.parse() {
            Ok(std::net::IpAddr::V4(address)) => tuple(&address.octets().map(|part| part.to_string())),
            Ok(std::net::IpAddr::V6(address)) => tuple(&address.segments().map(|part| part.to_string())),
            Err(_) => text.clone(),
        },
        (_, value) => table_cell(value, kind),
    }
}

fn tuple(parts: &[String]) -> String {
    format!("{{{}}}", parts.join(","))
}

/// `["k", "longstr", "v"]` as `{<<"k">>,longstr,<<"v">>}`.
fn typed_pair(value: &Value) -> String {
    let part = |index| value.get(index).unwrap_or(&Value::Null);
    let name = part(1).as_str().unwrap_or_default();
    tuple(&[binary(part(0)), name.to_owned(), typed(name, part(2))])
}

fn typed(type_name: &str, value: &Value) -> String {
    match (type_name, value) {
        ("table", Value::Array(pairs)) => {
            format!("[{}]", pairs.iter().map(typed_pair).collect::<Vec<_>>().join(","))
        }
        ("array", Value::Array(values)) => {
            let item = |value: &Value| {
                let name = value.get(0).and_then(Value::as_str).unwrap_or_default();
                tuple(&[name.to_owned(), typed(name, value.get(1).unwrap_or(&Value::Null))])
            };
            format!("[{}]", values.iter().map(item).collect::<Vec<_>>().join(","))
        }
        ("void", _) => "undefined".to_owned(),
        (_, Value::String(_)) => binary(value),
        (_, value) => value.to_string(),
    }
}

/// Erlang shows a binary's bytes as characters of Latin-1, each.
fn binary(value: &Value) -> String {
    let shown = Value::from(plain(value)).to_string();
    let inner = shown.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
    let inner: String = inner.bytes().map(char::from).collect();
    format!("<<\"{inner}\">>")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn triple(protocol: &str) -> Option<[u64; 3]> {
    let mut numbers = protocol.strip_prefix("AMQP ")?.split('-').map(|number| number.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

fn arguments(pairs: &[Value]) -> String {
    let shown: Vec<String> = pairs.iter().map(pair).collect();
    format!("[{}]", shown.join(","))
}

/// `["k", "longstr", "v"]`
fn pair(value: &Value) -> String {
    let part = |index| value.get(index).unwrap_or(&Value::Null);
    let name = part(1).as_str().unwrap_or_default();
    format!("{{{},{}}}", part(0), argument(name, part(2)))
}

fn argument(type_name: &str, value: &Value) -> String {
    match (type_name, value) {
        ("void", _) => "undefined".to_owned(),
        ("table", Value::Array(pairs)) => arguments(pairs),
        ("array", Value::Array(values)) => {
            let shown: Vec<String> = values
                .iter()
                .map(|value| match (value.get(0), value.get(1)) {
                    (Some(Value::String(name)), Some(value)) => argument(name, value),
                    _ => value.to_string(),
                })
                .collect();
            format!("[{}]", shown.join(","))
        }
        (_, value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_are_rabbitmqctl_s() {
        let cases = [
            (json!("classic1"), Kind::Plain, "classic1", json!("classic1")),
            (json!(3), Kind::Plain, "3", json!(3)),
            (json!(true), Kind::Plain, "true", json!(true)),
            (json!(null), Kind::Plain, "", json!("")),
            (json!([]), Kind::Arguments, "[]", json!([])),
            (
                json!([["x-foo", "longstr", "bar"], ["x-max-length", "long", 10]]),
                Kind::Arguments,
                r#"[{"x-foo","bar"},{"x-max-length",10}]"#,
                json!([["x-foo", "longstr", "bar"], ["x-max-length", "long", 10]]),
            ),
            (
                json!([
                    ["l", "array", [["signedint", 1], ["longstr", "two"], ["array", [["signedint", 2]]]]],
                    ["t", "table", [["k", "bool", true]]],
                    ["v", "void", "undefined"]
                ]),
                Kind::Arguments,
                r#"[{"l",[1,"two",[2]]},{"t",[{"k",true}]},{"v",undefined}]"#,
                json!([
                    ["l", "array", [["signedint", 1], ["longstr", "two"], ["array", [["signedint", 2]]]]],
                    ["t", "table", [["k", "bool", true]]],
                    ["v", "void", "undefined"]
                ]),
            ),
            (
                json!(["monitoring", "policymaker"]),
                Kind::Names,
                "[monitoring, policymaker]",
                json!(["monitoring", "policymaker"]),
            ),
            (json!([]), Kind::Names, "[]", json!([])),
            (json!("127.0.0.1"), Kind::Address, "127.0.0.1", json!([127, 0, 0, 1])),
            (json!("::1"), Kind::Address, "::1", json!([0, 0, 0, 0, 0, 0, 0, 1])),
            (json!("AMQP 0-9-1"), Kind::Protocol, "{0,9,1}", json!([0, 9, 1])),
        ];
        for (value, kind, table, json) in cases {
            assert_eq!(table_cell(&value, kind), table);
            assert_eq!(json_cell(&value, kind), json);
        }
    }
}
