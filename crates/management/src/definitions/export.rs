//! From the broker to a definitions file.

use std::collections::{BTreeMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::{
    Admin, Argument, BindingView, DestinationKind, ExchangeView, ParameterView, PolicyView, QueueView,
    UserView, VhostLimitValues, VhostView,
};
use serde_json::{Map, Value, json};

use super::values;
use crate::arguments::{ArgumentStyle, arguments_json};
use crate::permissions::Granted;

/// Everything, or what is in one virtual host; `None` if there is no such virtual host. Exclusive queues and the
/// predeclared exchanges are left out.
#[must_use]
pub fn export(admin: &dyn Admin, vhost: Option<&str>) -> Option<Value> {
    match vhost {
        None => Some(cluster(admin)),
        Some(name) => {
            let vhost = admin.vhosts().into_iter().find(|vhost| vhost.name == name)?;
            Some(single(admin, &vhost))
        }
    }
}

fn cluster(admin: &dyn Admin) -> Value {
    let node = admin.node_status();
    let mut document = about(&node.product_name, &node.product_version);
    let global = admin.global_parameters();
    let set_name = global.iter().find_map(|parameter| match &parameter.value {
        Argument::LongStr(name) if parameter.name == "cluster_name" => Some(String::from_utf8_lossy(name)),
        _ => None,
    });
    let name = set_name.map_or(node.cluster_name, |name| name.into_owned());
    let limits: BTreeMap<_, _> = admin.user_limits().into_iter().collect();
    let user = |user: &UserView| {
        let limits = limits.get(&user.name).copied().unwrap_or_default();
        json!({
            "name": user.name,
            "password_hash": STANDARD.encode(&user.password_hash),
            "hashing_algorithm": user.hashing_algorithm,
            "tags": user.tags,
            "limits": set([("max-connections", limits.max_connections), ("max-channels", limits.max_channels)]),
        })
    };
    let kept = global.iter().map(|global| json!({"name": global.name, "value": values::json(&global.value)}));
    document.insert("rabbitmq_definition_format".to_owned(), "cluster".into());
    document.insert("explanation".to_owned(), format!("Definitions of cluster '{name}'").into());
    document.insert("original_cluster_name".to_owned(), name.into());
    document.insert(
        "users".to_owned(),
        sorted(admin.users(), |user| user.name.clone()).iter().map(user).collect(),
    );
    let vhosts = sorted(admin.vhosts(), |vhost| vhost.name.clone());
    document.insert("vhosts".to_owned(), vhosts.iter().map(described).collect());
    document.insert("permissions".to_owned(), admin.permissions().iter().map(Granted::json).collect());
    document.insert(
        "topic_permissions".to_owned(),
        admin.topic_permissions().iter().map(Granted::json).collect(),
    );
    document.insert("global_parameters".to_owned(), kept.collect());
    contents(admin, None, &mut document);
    Value::Object(document)
}

fn single(admin: &dyn Admin, vhost: &VhostView) -> Value {
    let node = admin.node_status();
    let mut document = about(&node.product_name, &node.product_version);
    let limits = admin.vhost_limits().into_iter().find(|(name, _)| *name == vhost.name);
    let limits = limits.map(|(_, limits)| limits).unwrap_or_default();
    let explanation = format!("Definitions of virtual host '{}'", vhost.name);
    document.insert("rabbitmq_definition_format".to_owned(), "single_virtual_host".into());
    document.insert("explanation".to_owned(), explanation.into());
    document.insert("original_vhost_name".to_owned(), vhost.name.as_str().into());
    document.insert("limits".to_owned(), vhost_limits(limits));
    if let Value::Object(described) = described(vhost) {
        let kept = ["metadata", "description", "default_queue_type"];
        document.extend(described.into_iter().filter(|(key, _)| kept.contains(&key.as_str())));
    }
    contents(admin, Some(&vhost.name), &mut document);
    Value::Object(document)
}

fn about(product: &str, version: &str) -> Map<String, Value> {
    let fields = [
        ("rabbit_version", version),
        ("rabbitmq_version", version),
        ("product_name", product),
        ("product_version", version),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn described(vhost: &VhostView) -> Value {
    json!({
        "name": vhost.name,
        "description": vhost.description,
        "tags": vhost.tags,
        "default_queue_type": vhost.default_queue_type,
        "metadata": {
            "description": vhost.description,
            "tags": vhost.tags,
            "default_queue_type": vhost.default_queue_type,
        },
    })
}

/// What is in one virtual host, or in all; in one, items do not name it.
fn contents(admin: &dyn Admin, vhost: Option<&str>, document: &mut Map<String, Value>) {
    let place = |of: &str, mut item: Value| {
        if let (None, Value::Object(fields)) = (vhost, &mut item) {
            fields.insert("vhost".to_owned(), of.into());
        }
        item
    };
    let is_here = |of: &str| vhost.is_none_or(|vhost| vhost == of);
    let queues = sorted(admin.queues(vhost), |queue| (queue.vhost.clone(), queue.name.clone()));
    // Only their connection can make them again.
    let queues: Vec<_> = queues.into_iter().filter(|queue| queue.owner.is_none()).collect();
    let names: HashSet<(&str, &str)> =
        queues.iter().map(|queue| (queue.vhost.as_str(), queue.name.as_str())).collect();
    let exchanges =
        sorted(admin.exchanges(vhost), |exchange| (exchange.vhost.clone(), exchange.name.clone()));
    let exchanges = exchanges.iter().filter(|it| !it.name.is_empty() && !it.name.starts_with("amq."));
    let bindings = sorted(admin.bindings(vhost), |it| {
        (it.vhost.clone(), it.source.clone(), it.destination.clone(), it.routing_key.clone())
    });
    let bindings = bindings.iter().filter(|it| {
        it.destination_kind == DestinationKind::Exchange || names.contains(&(&*it.vhost, &*it.destination))
    });
    let limits = admin.vhost_limits().into_iter().filter(|(of, _)| is_here(of));
    let mut parameters: Vec<Value> = limits
        .map(|(of, limits)| {
            let value = vhost_limits(limits);
            place(&of, json!({"component": "vhost-limits", "name": "limits", "value": value}))
        })
        .collect();
    let kept = admin.parameters().into_iter().filter(|parameter| is_here(&parameter.vhost));
    parameters.extend(kept.map(|parameter| place(&parameter.vhost, parameter_json(&parameter))));
    let policies = admin.policies().into_iter().filter(|policy| is_here(&policy.vhost));
    document.insert("parameters".to_owned(), parameters.into());
    let policies = policies.map(|policy| place(&policy.vhost, policy_json(&policy)));
    document.insert("policies".to_owned(), policies.collect());
    document.insert("queues".to_owned(), queues.iter().map(|it| place(&it.vhost, queue_json(it))).collect());
    document
        .insert("exchanges".to_owned(), exchanges.map(|it| place(&it.vhost, exchange_json(it))).collect());
    document.insert("bindings".to_owned(), bindings.map(|it| place(&it.vhost, binding_json(it))).collect());
}

fn sorted<T, K: Ord>(mut items: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    items.sort_by_cached_key(key);
    items
}

fn vhost_limits(limits: VhostLimitValues) -> Value {
    set([("max-connections", limits.max_connections), ("max-queues", limits.max_queues)])
}

/// The limits that are set.
fn set<const N: usize>(limits: [(&str, Option<i64>); N]) -> Value {
    let set = limits.into_iter().filter_map(|(key, limit)| Some((key.to_owned(), limit?.into())));
    Value::Object(set.collect())
}

fn parameter_json(parameter: &ParameterView) -> Value {
    let value = values::json(&parameter.value);
    json!({"component": parameter.component, "name": parameter.name, "value": value})
}

fn policy_json(policy: &PolicyView) -> Value {
    json!({
        "name": policy.name,
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "definition": values::object(&policy.definition),
        "priority": policy.priority,
    })
}

fn queue_json(queue: &QueueView) -> Value {
    json!({
        "name": queue.name,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": arguments_json(&queue.arguments, ArgumentStyle::Plain),
    })
}

fn exchange_json(exchange: &ExchangeView) -> Value {
    json!({
        "name": exchange.name,
        "type": exchange.exchange_type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": arguments_json(&exchange.arguments, ArgumentStyle::Plain),
    })
}

fn binding_json(binding: &BindingView) -> Value {
    json!({
        "source": binding.source,
        "destination": binding.destination,
        "destination_type": match binding.destination_kind {
            DestinationKind::Exchange => "exchange",
            DestinationKind::Queue => "queue",
        },
        "routing_key": binding.routing_key,
        "arguments": arguments_json(&binding.arguments, ArgumentStyle::Plain),
    })
}
