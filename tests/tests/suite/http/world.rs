//! A broker with two virtual hosts and a user of every kind, asked every route by each of them.

use std::{collections::BTreeMap, net::SocketAddr};

use leveret_tests::{
    client::Client,
    http::{Http, Reply},
    login::{Login, plain},
    methods::{basic, queue},
    wait::{PATIENCE, until},
    wire::Table,
};
use serde_json::Value;

use super::routes::{PROBES, Probe};

/// Who asks: name, login.
const ACTORS: &[(&str, Option<&str>)] = &[
    ("no login", None),
    ("bad login", Some("guest:wrong")),
    ("no tag", Some("u-none:pw")),
    ("management", Some("u-management:pw")),
    ("policymaker", Some("u-policymaker:pw")),
    ("monitoring", Some("u-monitoring:pw")),
    ("administrator", Some("u-administrator:pw")),
    ("impersonator", Some("u-impersonator:pw")),
    // The tag management, and permissions that match nothing.
    ("management without rights", Some("u-powerless:pw")),
];

const ADMINISTRATOR: Option<&str> = Some("guest:guest");

/// What one route answered, and to whom.
pub(crate) type OfRoute = BTreeMap<String, Vec<String>>;

/// The same for every route.
pub(crate) type Answers = BTreeMap<String, OfRoute>;

pub(crate) struct World {
    http: Http,
    amqp: SocketAddr,
    node: String,
    /// A connection of u-management in `own` and one of guest in `other`, by virtual host.
    connections: BTreeMap<&'static str, (String, Client)>,
}

impl World {
    /// Prepares the broker: users, virtual hosts, permissions.
    pub(crate) fn new(amqp: SocketAddr, http: SocketAddr) -> Self {
        let mut world =
            Self { http: Http::new(http), amqp, node: String::new(), connections: BTreeMap::new() };
        let overview = world.call(ADMINISTRATOR, "GET", "overview", "").json();
        world.node = overview["node"].as_str().expect("a node's name").to_owned();
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        for vhost in ["own", "other"] {
            world.must("DELETE", &format!("vhosts/{vhost}"), "");
            world.must("PUT", &format!("vhosts/{vhost}"), "{}");
            world.must("PUT", &format!("permissions/{vhost}/guest"), all);
            world.must("PUT", &format!("queues/{vhost}/held"), r#"{"durable":true}"#);
        }
        let tags =
            ["", "management", "policymaker", "monitoring", "administrator", "impersonator", "management"];
        let names =
            ["none", "management", "policymaker", "monitoring", "administrator", "impersonator", "powerless"];
        for (name, tag) in names.iter().zip(tags) {
            world.must("DELETE", &format!("users/u-{name}"), "");
            world.must("PUT", &format!("users/u-{name}"), &format!(r#"{{"password":"pw","tags":"{tag}"}}"#));
            let powerless = r#"{"configure":"^$","write":"^$","read":"^$"}"#;
            let rights = if *name == "powerless" { powerless } else { all };
            world.must("PUT", &format!("permissions/own/u-{name}"), rights);
        }
        world
    }

    /// Asks every route, by everyone, for both virtual hosts.
    pub(crate) fn ask_all(&mut self) -> Answers {
        let mut answers = Answers::new();
        for probe in PROBES {
            let name = format!("{} {} {}", probe.method, probe.path, probe.body);
            let mut of_probe = OfRoute::new();
            for vhost in ["own", "other"] {
                let in_vhost = probe.path.contains("{v}") || probe.path.contains("{c");
                if vhost == "other" && !in_vhost {
                    continue;
                }
                let mut changed = true;
                for (actor, login) in ACTORS {
                    if changed {
                        self.prepare(probe, vhost);
                    }
                    let answer = self.ask(probe, vhost, *login);
                    // What was refused and what only reads leaves things as they are.
                    changed = probe.method != "GET" && answer.starts_with('2');
                    let who = if in_vhost { format!("{actor}, {vhost}") } else { (*actor).to_owned() };
                    of_probe.entry(answer).or_default().push(who);
                }
            }
            of_probe.values_mut().for_each(|who| who.sort());
            assert!(answers.insert(name.trim().to_owned(), of_probe).is_none(), "{name} stands there twice");
        }
        answers
    }

    fn prepare(&mut self, probe: &Probe, vhost: &str) {
        for (method, path, body) in probe.before {
            self.must(method, &path.replace("{v}", vhost), body);
        }
    }

    fn ask(&mut self, probe: &Probe, vhost: &'static str, login: Option<&str>) -> String {
        let path = self.path(probe.path, vhost);
        let reply = self.call(login, probe.method, &path, probe.body);
        if probe.method == "DELETE" && probe.path.starts_with("connections/") && reply.status == 204 {
            self.forget(vhost);
        }
        describe(&reply, vhost, &self.node)
    }

    fn path(&mut self, template: &str, vhost: &'static str) -> String {
        self.connect("own");
        self.connect("other");
        let name = self.connections[vhost].0.clone();
        let quoted = name.replace(' ', "%20").replace('>', "%3E").replace(':', "%3A");
        template
            .replace("{v}", vhost)
            .replace("{node}", &self.node)
            .replace("{conn}", &quoted)
            .replace("{chan}", &format!("{quoted}%20(1)"))
    }

    /// Opens the connection of `vhost` if it is not open: with a channel, and a consumer on the queue `held`.
    fn connect(&mut self, vhost: &'static str) {
        if self.connections.contains_key(vhost) {
            return;
        }
        let response = if vhost == "own" { plain("u-management", "pw") } else { plain("guest", "guest") };
        let login = Login { response, vhost: vhost.to_owned(), ..Login::default() };
        let mut client = Client::login_with(self.amqp, &login).expect("a login");
        client.open_channel(1).expect("a channel");
        client.call(1, queue::declare("held", 2, &Table::default()), (50, 11)).expect("a queue");
        client.call(1, basic::consume("held", "tag", 0, &Table::default()), (60, 21)).expect("a consumer");
        let local = client.local_addr().expect("an address");
        let name = format!("{local} -> {}", self.amqp);
        self.connections.insert(vhost, (name.clone(), client));
        until("the connection, channel and consumer are listed", PATIENCE, || {
            let named = |list: Value, key: &str| {
                let items = list.as_array().cloned().unwrap_or_default();
                items.iter().any(|item| {
                    item.pointer(key).and_then(Value::as_str).is_some_and(|n| n.starts_with(&name))
                })
            };
            let channels = self.call(ADMINISTRATOR, "GET", "channels", "").json();
            let consumers = self.call(ADMINISTRATOR, "GET", "consumers", "").json();
            let connections = self.call(ADMINISTRATOR, "GET", "connections", "").json();
            (named(connections, "/name")
                && named(channels, "/name")
                && named(consumers, "/channel_details/connection_name"))
            .then_some(())
        });
    }

    /// The connection was closed by the broker: answers by closing the socket, and waits until it is not listed.
    fn forget(&mut self, vhost: &'static str) {
        let (name, client) = self.connections.remove(vhost).expect("a connection");
        drop(client);
        until("a connection is gone", PATIENCE, || {
            let listed = self.call(ADMINISTRATOR, "GET", "connections?columns=name", "").json();
            (!listed.to_string().contains(&format!("\"{name}\""))).then_some(())
        });
    }

    fn must(&mut self, method: &str, path: &str, body: &str) {
        let reply = self.call(ADMINISTRATOR, method, path, body);
        let fine = (200..300).contains(&reply.status) || (method == "DELETE" && reply.status == 404);
        assert!(fine, "{method} {path}: {} {}", reply.status, reply.text());
    }

    fn call(&mut self, login: Option<&str>, method: &str, path: &str, body: &str) -> Reply {
        let body = (!body.is_empty()).then_some(body);
        self.http.call(method, &format!("/api/{path}"), login, body)
    }
}

/// The answer in a line: status, a refusal's text, and of a list whose things it shows.
fn describe(reply: &Reply, vhost: &str, node: &str) -> String {
    let json = reply.json();
    let text = match &json {
        Value::Object(object) if object.contains_key("error") => {
            format!(" {}: {}", plain_text(&json["error"]), plain_text(&json["reason"]))
        }
        Value::Array(items) => format!(" {:?}", seen(items)),
        _ => String::new(),
    };
    format!("{}{text}", reply.status).replace(&format!("'{vhost}'"), "'{v}'").replace(node, "{node}")
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Which of the two virtual hosts, and of the users, the items of a list are about.
fn seen(items: &[Value]) -> Vec<String> {
    let keys = ["/vhost", "/queue/vhost", "/name", "/user"];
    let values = items.iter().flat_map(|item| keys.iter().filter_map(|key| item.pointer(key)?.as_str()));
    let known = values.filter(|value| ["own", "other"].contains(value) || value.starts_with("u-"));
    let mut known: Vec<String> = known.map(str::to_owned).collect();
    known.sort();
    known.dedup();
    known
}
