//! The table of routes: method, path, the right it asks for, and what answers it. What is not here is not reachable.

use axum::http::Method;
use leveret_core::admin::{PermissionView, TopicPermissionView};
use serde_json::Value;

use crate::auth::Access;
use crate::error::ApiError;
use crate::request::{Request, is_percent_encoded, percent_decode};
use crate::{
    binding, bindings, channels, connections, consumers, control, definitions, exchanges, features, health,
    leveret, messages, nodes, object_limits, overview, parameters, permissions, policies, queues,
    topic_permissions, users, vhosts,
};

/// What a handler answers.
pub(crate) enum Answer {
    /// 200 with this body.
    Ok(Value),
    /// 200 with this body, to be kept under this name.
    Download(Value, String),
    /// 503 with this body: a health check that failed.
    Unavailable(Value),
    /// 201.
    Created,
    /// 201, and where to find it from the path that was asked.
    CreatedAt(String),
    /// 204.
    Done,
}

impl Answer {
    /// What PUT answers.
    pub(crate) fn put(is_new: bool) -> Self {
        if is_new { Self::Created } else { Self::Done }
    }
}

/// A handler: synchronous, since the broker's side is.
pub(crate) type Handler = fn(&Request<'_>) -> Result<Answer, ApiError>;

/// The methods that routes are made of. HEAD is GET without the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// How a body may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// With any content type, read as JSON.
    Any,
    /// As `application/json`.
    JsonOnly,
    /// As `application/json`, left to the handler to read.
    RawJson,
}

/// One line of the table.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    /// Parts after `/api/`; a part in braces is variable.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) form: Form,
    pub(crate) handler: Handler,
}

const fn get(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Get, path, access, form: Form::Any, handler }
}

const fn post(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Post, path, access, form: Form::Any, handler }
}

const fn put(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Put, path, access, form: Form::Any, handler }
}

const fn delete(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Delete, path, access, form: Form::Any, handler }
}

/// A route whose body may come as `application/json` only.
const fn json_only(route: Route) -> Route {
    Route { form: Form::JsonOnly, ..route }
}

/// A route whose handler reads its JSON itself.
const fn raw_json(route: Route) -> Route {
    Route { form: Form::RawJson, ..route }
}

/// Every route there is. A path without variable parts stands before one that would take it. Where a right in a
/// virtual host is asked, the user's own permissions are asked too for what is changed: the broker does that.
#[rustfmt::skip]
pub(crate) const ROUTES: &[Route] = &[
    get("overview", Access::Management, overview::show),
    get("cluster-name", Access::Management, overview::cluster_name),
    get("extensions", Access::Management, features::extensions),
    get("feature-flags", Access::Management, features::flags),
    get("deprecated-features", Access::Management, features::deprecated),
    get("deprecated-features/used", Access::Management, features::deprecated_in_use),
    get("auth", Access::Public, users::auth),
    get("auth/hash_password/{password}", Access::Administrator, users::hash_password),
    get("version", Access::Public, overview::version),
    get("whoami", Access::Management, users::whoami),
    post("rebalance/queues", Access::Administrator, nodes::rebalance),
    get("nodes", Access::Monitoring, nodes::list_all),
    get("nodes/{node}", Access::Monitoring, nodes::show),
    get("nodes/{node}/memory", Access::Monitoring, nodes::memory),
    get("nodes/{node}/memory/relative", Access::Monitoring, nodes::memory),

    get("all-configuration", Access::Administrator, definitions::show),
    raw_json(post("all-configuration", Access::Administrator, definitions::load)),
    get("definitions", Access::Administrator, definitions::show),
    raw_json(post("definitions", Access::Administrator, definitions::load)),
    get("definitions/{vhost}", Access::Administrator, definitions::show_vhost),
    raw_json(post("definitions/{vhost}", Access::Administrator, definitions::load_vhost)),

    get("parameters", Access::Policymaker, parameters::list_all),
    get("parameters/{component}", Access::Policymaker, parameters::list_component),
    get("global-parameters", Access::Policymaker, parameters::list_global),
    get("global-parameters/{name}", Access::Policymaker, parameters::show_global),
    get("policies", Access::Management, policies::list_all),
    get("policies/{vhost}", Access::Vhost, policies::list_vhost),
    get("policies/{vhost}/{policy}", Access::Vhost, policies::show),

    get("vhosts", Access::Management, vhosts::list_all),
    get("vhosts/{vhost}", Access::Administrator, vhosts::show),
    put("vhosts/{vhost}", Access::Administrator, vhosts::put),
    delete("vhosts/{vhost}", Access::Administrator, vhosts::delete),
    post("vhosts/{vhost}/start/{node}", Access::Administrator, vhosts::start),
    get("vhosts/{vhost}/permissions", Access::Administrator, permissions::of_vhost::<PermissionView>),
    get("vhosts/{vhost}/topic-permissions", Access::Administrator, permissions::of_vhost::<TopicPermissionView>),
    get("vhosts/{vhost}/connections", Access::Vhost, connections::list_vhost),
    get("vhosts/{vhost}/channels", Access::Vhost, channels::list_vhost),

    get("users", Access::Administrator, users::list_all),
    get("users/without-permissions", Access::Administrator, users::without_permissions),
    post("users/bulk-delete", Access::Administrator, users::bulk_delete),
    get("users/{user}", Access::Administrator, users::show),
    put("users/{user}", Access::Administrator, users::put),
    delete("users/{user}", Access::Administrator, users::delete),
    get("users/{user}/permissions", Access::Administrator, permissions::of_user::<PermissionView>),
    get("users/{user}/topic-permissions", Access::Administrator, permissions::of_user::<TopicPermissionView>),

    get("permissions", Access::Administrator, permissions::list_all::<PermissionView>),
    get("permissions/{vhost}/{user}", Access::Administrator, permissions::show),
    put("permissions/{vhost}/{user}", Access::Administrator, permissions::put),
    delete("permissions/{vhost}/{user}", Access::Administrator, permissions::delete),
    get("topic-permissions", Access::Administrator, permissions::list_all::<TopicPermissionView>),
    get("topic-permissions/{vhost}/{user}", Access::Administrator, topic_permissions::show),
    put("topic-permissions/{vhost}/{user}", Access::Administrator, topic_permissions::put),
    delete("topic-permissions/{vhost}/{user}", Access::Administrator, topic_permissions::delete),
    delete("topic-permissions/{vhost}/{user}/{exchange}", Access::Administrator, topic_permissions::delete),

    get("vhost-limits", Access::Management, object_limits::all_of_vhosts),
    get("vhost-limits/{vhost}", Access::VhostOrMonitoring, object_limits::of_vhost),
    json_only(put("vhost-limits/{vhost}/{limit}", Access::Administrator, object_limits::put_of_vhost)),
    delete("vhost-limits/{vhost}/{limit}", Access::Administrator, object_limits::delete_of_vhost),
    get("user-limits", Access::Management, object_limits::all_of_users),
    get("user-limits/{user}", Access::Management, object_limits::of_user),
    json_only(put("user-limits/{user}/{limit}", Access::Administrator, object_limits::put_of_user)),
    delete("user-limits/{user}/{limit}", Access::Administrator, object_limits::delete_of_user),

    get("connections", Access::Management, connections::list_all),
    get("connections/username/{user}", Access::Management, connections::list_user),
    delete("connections/username/{user}", Access::Management, connections::close_user),
    get("connections/{name}", Access::Management, connections::show),
    delete("connections/{name}", Access::Management, connections::close),
    get("connections/{name}/channels", Access::Management, channels::list_connection),
    get("channels", Access::Management, channels::list_all),
    get("channels/{name}", Access::Management, channels::show),
    get("consumers", Access::Management, consumers::list_all),
    get("consumers/{vhost}", Access::Management, consumers::list_vhost),

    get("exchanges", Access::Management, exchanges::list_all),
    get("exchanges/{vhost}", Access::Vhost, exchanges::list_vhost),
    get("exchanges/{vhost}/{exchange}", Access::Vhost, exchanges::show),
    put("exchanges/{vhost}/{exchange}", Access::Vhost, exchanges::put),
    delete("exchanges/{vhost}/{exchange}", Access::Vhost, exchanges::delete),
    post("exchanges/{vhost}/{exchange}/publish", Access::Vhost, messages::publish),
    get("exchanges/{vhost}/{exchange}/bindings/source", Access::Vhost, bindings::from_exchange),
    get("exchanges/{vhost}/{exchange}/bindings/destination", Access::Vhost, bindings::to_exchange),

    get("queues", Access::Management, queues::list_all),
    get("queues/detailed", Access::Management, queues::list_detailed),
    get("queues/{vhost}", Access::Vhost, queues::list_vhost),
    get("queues/{vhost}/{queue}", Access::Vhost, queues::show),
    put("queues/{vhost}/{queue}", Access::Vhost, queues::put),
    delete("queues/{vhost}/{queue}", Access::Vhost, queues::delete),
    delete("queues/{vhost}/{queue}/contents", Access::Vhost, queues::purge),
    post("queues/{vhost}/{queue}/get", Access::Vhost, messages::get),
    post("queues/{vhost}/{queue}/actions", Access::Administrator, queues::actions),
    get("queues/{vhost}/{queue}/bindings", Access::Vhost, bindings::to_queue),

    get("bindings", Access::Management, bindings::list_all),
    get("bindings/{vhost}", Access::Vhost, bindings::list_vhost),
    get("bindings/{vhost}/e/{source}/q/{queue}", Access::Vhost, binding::list_to_queue),
    post("bindings/{vhost}/e/{source}/q/{queue}", Access::Vhost, binding::bind_queue),
    get("bindings/{vhost}/e/{source}/q/{queue}/{key}", Access::Vhost, binding::show_to_queue),
    delete("bindings/{vhost}/e/{source}/q/{queue}/{key}", Access::Vhost, binding::unbind_queue),
    get("bindings/{vhost}/e/{source}/e/{exchange}", Access::Vhost, binding::list_to_exchange),
    post("bindings/{vhost}/e/{source}/e/{exchange}", Access::Vhost, binding::bind_exchange),
    get("bindings/{vhost}/e/{source}/e/{exchange}/{key}", Access::Vhost, binding::show_to_exchange),
    delete("bindings/{vhost}/e/{source}/e/{exchange}/{key}", Access::Vhost, binding::unbind_exchange),

    get("aliveness-test/{vhost}", Access::Vhost, health::aliveness),
    get("healthchecks/node", Access::Management, health::node),
    get("healthchecks/node/{node}", Access::Management, health::node),
    get("health/checks/alarms", Access::Management, health::alarms),
    get("health/checks/local-alarms", Access::Management, health::local_alarms),
    get("health/checks/certificate-expiration/{within}/{unit}", Access::Management, health::certificate_expiration),
    get("health/checks/port-listener/{port}", Access::Management, health::port_listener),
    get("health/checks/protocol-listener/{protocol}", Access::Management, health::protocol_listener),
    get("health/checks/virtual-hosts", Access::Management, health::virtual_hosts),
    get("health/checks/node-is-quorum-critical", Access::Management, health::quorum_critical),

    get("leveret/node", Access::Management, control::node),
    get("leveret/ping", Access::Management, leveret::ping),
    get("leveret/status", Access::Monitoring, leveret::status),
    // PUT, not POST: a page in a browser that remembers the login cannot send it without being allowed to first.
    put("leveret/stop", Access::Administrator, leveret::stop),
    put("leveret/vm_memory_high_watermark", Access::Administrator, leveret::set_memory_watermark),
    put("leveret/disk_free_limit", Access::Administrator, leveret::set_disk_free_limit),
    get("leveret/environment", Access::Administrator, control::environment),
    put("leveret/users/{user}", Access::Administrator, control::add_user),
    put("leveret/users/{user}/password", Access::Administrator, control::set_password),
    put("leveret/users/{user}/tags", Access::Administrator, control::set_tags),
    put("leveret/vhosts/{vhost}", Access::Administrator, control::put_vhost),
    put("leveret/permissions/{vhost}/{user}", Access::Administrator, control::set_permissions),
    put("leveret/topic-permissions/{vhost}/{user}", Access::Administrator, control::set_topic_permissions),
    put("leveret/vhost-limits/{vhost}", Access::Administrator, object_limits::replace_of_vhost),
    put("leveret/user-limits/{user}", Access::Administrator, object_limits::merge_of_user),
    put("leveret/authenticate", Access::Administrator, control::authenticate),
    put("leveret/connections/close", Access::Administrator, control::close_connections),
    get("leveret/queues/{vhost}/{queue}/peek", Access::Vhost, control::peek),
];

/// What a path leads to.
pub(crate) enum Found {
    /// This route, with its variable parts decoded.
    Route(&'static Route, Vec<String>),
    /// The path exists, but not with this method; these are the methods it has.
    OtherMethods(String),
    /// Nothing.
    Nothing,
    /// A `%` that stands for nothing.
    Unreadable,
}

/// Looks a path up. It is split before its parts are decoded, so that a slash may stand in a name as `%2F`; a
/// slash at the end changes nothing.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    if !is_percent_encoded(path) {
        return Found::Unreadable;
    }
    let Some(rest) = path.strip_prefix("/api/") else {
        return Found::Nothing;
    };
    let parts: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').collect();
    let verb = match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::POST => Some(Verb::Post),
        Method::PUT => Some(Verb::Put),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    };
    let mut path: Option<&str> = None;
    let mut seen = Vec::new();
    for route in ROUTES {
        // The first path that fits is the one meant; its lines stand together.
        if path.is_some_and(|path| path != route.path) {
            continue;
        }
        let Some(variables) = variables(route.path, &parts) else {
            continue;
        };
        if Some(route.verb) == verb {
            return Found::Route(route, variables);
        }
        path = Some(route.path);
        seen.push(route.verb);
    }
    if seen.is_empty() { Found::Nothing } else { Found::OtherMethods(methods(&seen)) }
}

fn methods(verbs: &[Verb]) -> String {
    let mut names = Vec::new();
    for (verb, name) in
        [(Verb::Get, "HEAD, GET"), (Verb::Post, "POST"), (Verb::Put, "PUT"), (Verb::Delete, "DELETE")]
    {
        if verbs.contains(&verb) {
            names.push(name);
        }
    }
    names.push("OPTIONS");
    names.join(", ")
}

fn variables(pattern: &str, parts: &[&str]) -> Option<Vec<String>> {
    let mut wanted = pattern.split('/');
    let mut variables = Vec::new();
    for part in parts {
        let pattern = wanted.next()?;
        if pattern.starts_with('{') {
            variables.push(percent_decode(part, false));
        } else if pattern != *part {
            return None;
        }
    }
    if wanted.next().is_some() { None } else { Some(variables) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> String {
        match find(method, path) {
            Found::Route(route, variables) => format!("{}{variables:?}", route.path),
            Found::OtherMethods(methods) => methods,
            Found::Nothing => "-".to_owned(),
            Found::Unreadable => "%".to_owned(),
        }
    }

    #[test]
    fn paths_are_split_before_they_are_decoded() {
        let cases = [
            ("/api/queues", "queues[]"),
            ("/api/queues/", "queues[]"),
            ("/api/queues/%2F", r#"queues/{vhost}["/"]"#),
            ("/api/queues/%2f/", r#"queues/{vhost}["/"]"#),
            ("/api/queues/%2F/a%2Fb", r#"queues/{vhost}/{queue}["/", "a/b"]"#),
            ("/api/queues/a+b/c", r#"queues/{vhost}/{queue}["a+b", "c"]"#),
            ("/api/queues/%2F/a/b", "-"),
            ("/api/connections/a%20-%3E%20b", r#"connections/{name}["a -> b"]"#),
            ("/api/queues/detailed", "queues/detailed[]"),
            ("/api/users/without-permissions", "users/without-permissions[]"),
            ("/api/bindings/v/e//q/q", r#"bindings/{vhost}/e/{source}/q/{queue}["v", "", "q"]"#),
            (
                "/api/bindings/v/e/x/q/q/a%252Fb~c",
                r#"bindings/{vhost}/e/{source}/q/{queue}/{key}["v", "x", "q", "a%2Fb~c"]"#,
            ),
            ("/api/queues/%zz", "%"),
            ("/api/queues/%2", "%"),
            ("/api", "-"),
            ("/api/", "-"),
            ("/", "-"),
            ("/api/nope", "-"),
            ("/api/queues//", r#"queues/{vhost}[""]"#),
        ];
        for (path, expected) in cases {
            assert_eq!(found(&Method::GET, path), expected, "{path}");
        }
    }

    #[test]
    fn methods() {
        let cases = [
            (Method::HEAD, "/api/queues", "queues[]"),
            (Method::PUT, "/api/queues", "HEAD, GET, OPTIONS"),
            (Method::POST, "/api/connections/x", "HEAD, GET, DELETE, OPTIONS"),
            (Method::OPTIONS, "/api/queues/v/q", "HEAD, GET, PUT, DELETE, OPTIONS"),
            (Method::GET, "/api/queues/v/q/get", "POST, OPTIONS"),
            (Method::PUT, "/api/bindings/v/e/x/q/q", "HEAD, GET, POST, OPTIONS"),
            (Method::PUT, "/api/queues/detailed", "HEAD, GET, OPTIONS"),
            (Method::GET, "/api/leveret/stop", "PUT, OPTIONS"),
            (Method::GET, "/api/queues/v/q/contents", "DELETE, OPTIONS"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(found(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn the_lines_of_a_path_stand_together() {
        let mut seen: Vec<&str> = Vec::new();
        for route in ROUTES {
            assert!(seen.last() == Some(&route.path) || !seen.contains(&route.path), "{}", route.path);
            seen.push(route.path);
        }
    }

    #[test]
    fn a_right_in_a_vhost_is_asked_only_where_the_path_begins_with_one() {
        for route in ROUTES {
            if matches!(route.access, Access::Vhost | Access::VhostOrMonitoring) {
                let first = route.path.split('/').find(|part| part.starts_with('{'));
                assert_eq!(first, Some("{vhost}"), "{}", route.path);
            }
        }
    }
}
