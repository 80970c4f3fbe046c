//! The table of routes: method, path, the right it asks for, and what answers it. What is not here is not reachable.

use axum::http::Method;
use serde_json::Value;

use crate::auth::Access;
use crate::error::ApiError;
use crate::request::{Request, percent_decode};
use crate::{
    bindings, channels, connections, consumers, definitions, exchanges, health, leveret, nodes, overview,
    queues, users, vhosts,
};

/// What a handler answers.
pub(crate) enum Answer {
    /// 200 with this body.
    Ok(Value),
    /// 503 with this body: a health check that failed.
    Unavailable(Value),
    /// 204.
    Done,
}

/// A handler: synchronous, since the broker's side is.
pub(crate) type Handler = fn(&Request<'_>) -> Result<Answer, ApiError>;

/// The methods that routes are made of. HEAD is GET without the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Delete,
}

/// One line of the table.
pub(crate) struct Route {
    pub(crate) verb: Verb,
    /// Parts after `/api/`; a part in braces is variable.
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) handler: Handler,
}

const fn get(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Get, path, access, handler }
}

const fn put(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Put, path, access, handler }
}

const fn delete(path: &'static str, access: Access, handler: Handler) -> Route {
    Route { verb: Verb::Delete, path, access, handler }
}

/// Every route there is.
pub(crate) const ROUTES: &[Route] = &[
    get("overview", Access::Management, overview::show),
    get("whoami", Access::Management, users::whoami),
    get("nodes", Access::Monitoring, nodes::list_all),
    get("nodes/{node}", Access::Monitoring, nodes::show),
    get("vhosts", Access::Management, vhosts::list_all),
    get("vhosts/{vhost}", Access::VhostAdministrator, vhosts::show),
    get("users", Access::Administrator, users::list_all),
    get("users/{user}", Access::Administrator, users::show),
    get("connections", Access::Management, connections::list_all),
    get("connections/{name}", Access::Management, connections::show),
    delete("connections/{name}", Access::Management, connections::close),
    get("channels", Access::Management, channels::list_all),
    get("consumers", Access::Management, consumers::list_all),
    get("consumers/{vhost}", Access::Vhost, consumers::list_vhost),
    get("exchanges", Access::Management, exchanges::list_all),
    get("exchanges/{vhost}", Access::Vhost, exchanges::list_vhost),
    get("queues", Access::Management, queues::list_all),
    get("queues/{vhost}", Access::Vhost, queues::list_vhost),
    get("queues/{vhost}/{queue}", Access::Vhost, queues::show),
    // RabbitMQ asks for the user's own permissions on the queue; until the broker can be asked with a user's rights
    // these two are for administrators.
    delete("queues/{vhost}/{queue}", Access::VhostAdministrator, queues::delete),
    delete("queues/{vhost}/{queue}/contents", Access::VhostAdministrator, queues::purge),
    get("bindings", Access::Management, bindings::list_all),
    get("bindings/{vhost}", Access::Vhost, bindings::list_vhost),
    get("definitions", Access::Administrator, definitions::show),
    get("definitions/{vhost}", Access::Administrator, definitions::show_vhost),
    get("health/checks/alarms", Access::Management, health::alarms),
    get("health/checks/local-alarms", Access::Management, health::local_alarms),
    get("leveret/ping", Access::Management, leveret::ping),
    get("leveret/status", Access::Monitoring, leveret::status),
    // PUT, not POST: a page in a browser that remembers the login cannot send it without being allowed to first.
    put("leveret/stop", Access::Administrator, leveret::stop),
    put("leveret/vm_memory_high_watermark", Access::Administrator, leveret::set_memory_watermark),
    put("leveret/disk_free_limit", Access::Administrator, leveret::set_disk_free_limit),
];

/// What a path leads to.
pub(crate) enum Found {
    /// This route, with its variable parts decoded.
    Route(&'static Route, Vec<String>),
    /// The path exists, but not with this method; these are the methods it has.
    OtherMethods(&'static str),
    /// Nothing.
    Nothing,
}

/// Looks a path up. It is split before its parts are decoded, so that a slash may stand in a name as `%2F`; a
/// slash at the end changes nothing.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let Some(rest) = path.strip_prefix("/api/") else {
        return Found::Nothing;
    };
    let parts: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').collect();
    let verb = match *method {
        Method::GET | Method::HEAD => Some(Verb::Get),
        Method::PUT => Some(Verb::Put),
        Method::DELETE => Some(Verb::Delete),
        _ => None,
    };
    let mut seen = Vec::new();
    for route in ROUTES {
        let Some(variables) = variables(route.path, &parts) else {
            continue;
        };
        if Some(route.verb) == verb {
            return Found::Route(route, variables);
        }
        seen.push(route.verb);
    }
    match (seen.contains(&Verb::Get), seen.contains(&Verb::Put), seen.contains(&Verb::Delete)) {
        (false, false, false) => Found::Nothing,
        (true, _, false) => Found::OtherMethods("HEAD, GET, OPTIONS"),
        (true, _, true) => Found::OtherMethods("HEAD, GET, DELETE, OPTIONS"),
        (false, true, _) => Found::OtherMethods("PUT, OPTIONS"),
        (false, false, true) => Found::OtherMethods("DELETE, OPTIONS"),
    }
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
            Found::OtherMethods(methods) => methods.to_owned(),
            Found::Nothing => "-".to_owned(),
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
            (Method::GET, "/api/leveret/stop", "PUT, OPTIONS"),
            (Method::GET, "/api/queues/v/q/contents", "DELETE, OPTIONS"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(found(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_right_in_a_vhost_is_asked_only_where_the_path_begins_with_one() {
        for route in ROUTES {
            if matches!(route.access, Access::Vhost | Access::VhostAdministrator) {
                let first = route.path.split('/').find(|part| part.starts_with('{'));
                assert_eq!(first, Some("{vhost}"), "{}", route.path);
            }
        }
    }
}
