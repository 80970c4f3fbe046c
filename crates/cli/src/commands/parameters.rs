//! Runtime parameters and policies: what is kept.

use serde_json::Value;

use super::access::expect_vhost;
use super::{BASE, Call, Command, items, text};
use crate::error::Failure;
use crate::output::{Outcome, Row, Rows};
use crate::term::Kind;

const POLICY: &[&str] = &["vhost", "name", "pattern", "apply-to", "definition", "priority"];

/// The component under which operator policies are kept.
const OPERATOR_POLICY: &str = "operator_policy";

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "list_policies",
        usage: "[--vhost <vhost>] [--no-table-headers]",
        help: "Lists all policies in a virtual host. They are kept, and have no effect yet",
        is_list: true,
        banner: |call| vec![format!("Listing policies for vhost \"{}\" ...", call.options.vhost)],
        run: |call| Ok(rows(POLICY, &of_vhost(call, "/api/policies")?)),
        ..BASE
    },
    Command {
        name: "list_operator_policies",
        usage: "[--vhost <vhost>] [--no-table-headers]",
        help: "Lists operator policy overrides for a virtual host. They are kept, and have no effect yet",
        is_list: true,
        banner: |call| {
            vec![format!("Listing operator policy overrides for vhost \"{}\" ...", call.options.vhost)]
        },
        run: |call| {
            let mut parameters = of_vhost(call, "/api/parameters")?;
            parameters.retain(|parameter| text(parameter, "component") == OPERATOR_POLICY);
            Ok(rows(POLICY, &parameters.iter().map(as_policy).collect::<Vec<_>>()))
        },
        ..BASE
    },
    Command {
        name: "list_parameters",
        usage: "[--vhost <vhost>] [--no-table-headers]",
        help: "Lists runtime parameters for a virtual host",
        is_list: true,
        banner: |call| vec![format!("Listing runtime parameters for vhost \"{}\" ...", call.options.vhost)],
        run: |call| Ok(rows(&["component", "name", "value"], &of_vhost(call, "/api/parameters")?)),
        ..BASE
    },
    Command {
        name: "list_global_parameters",
        usage: "[--no-table-headers]",
        help: "Lists global runtime parameters",
        is_list: true,
        banner: |_| vec!["Listing global runtime parameters ...".to_owned()],
        run: |call| Ok(rows(&["name", "value"], items(&call.get("/api/global-parameters")?, ""))),
        ..BASE
    },
];

fn of_vhost(call: &Call<'_>, path: &str) -> Result<Vec<Value>, Failure> {
    expect_vhost(call)?;
    let mut all = items(&call.get(path)?, "").to_vec();
    all.retain(|item| text(item, "vhost") == call.options.vhost);
    Ok(all)
}

/// An operator policy as policies are shown.
fn as_policy(parameter: &Value) -> Value {
    let mut policy = parameter.get("value").cloned().unwrap_or_default();
    if let Some(fields) = policy.as_object_mut() {
        for key in ["vhost", "name"] {
            fields.insert(key.to_owned(), text(parameter, key).into());
        }
    }
    policy
}

/// Tables and lists are shown as JSON, whatever is asked for around them; so are a parameter's values.
fn rows(columns: &'static [&'static str], items: &[Value]) -> Outcome {
    let cell = |item: &Value, column: &str| match item.get(column) {
        Some(value) if column == "value" || value.is_object() || value.is_array() => value.to_string().into(),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    let row = |item: &Value| -> Row { columns.iter().map(|column| cell(item, column)).collect() };
    let rows: Vec<Row> = items.iter().map(row).collect();
    let columns = columns.iter().map(|column| (*column, Kind::Plain)).collect();
    Outcome::Rows(Rows { columns, rows: Box::new(rows.into_iter()), headed: true, at_once: true })
}
