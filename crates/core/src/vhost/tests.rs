//! The topology's answers, text for text as RabbitMQ 4.0.5 gave them to the same calls.

#![allow(unused_must_use, reason = "`World` has kept the effects")]

use leveret_protocol::amqp::{AMQPValue, FieldTable, short_string};
use leveret_routing::{Publication, Routes};

use super::*;
use crate::access::{Access, Permission, ResourceKind};
use crate::arguments::Arguments;
use crate::definition::{BindingDefinition, BindingTarget, restore};
use crate::error::Scope;

const HERE: ConnectionId = ConnectionId(1);
const ELSEWHERE: ConnectionId = ConnectionId(2);
const LOCKED: &str = "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'tqe' in vhost '/'. It \
    could be originally declared on another connection or the exclusive property value does not match that of the \
    original declaration.";

/// What a client would be told.
fn answer<T>(result: Result<T, BrokerError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let soft = matches!(error.code, 403..=406);
            assert_eq!(error.scope, if soft { Scope::Channel } else { Scope::Connection });
            error.to_string()
        }
    }
}

fn arguments(fields: &[(&str, AMQPValue)]) -> Arguments {
    let mut table = FieldTable::default();
    for (name, value) in fields {
        table.insert(short_string(name), value.clone());
    }
    Arguments::from_amqp(&table).expect("within bounds")
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn exchange<'a>(name: &'a str, exchange_type: &'a str) -> ExchangeDeclaration<'a> {
    ExchangeDeclaration {
        name,
        exchange_type,
        durable: false,
        auto_delete: false,
        internal: false,
        arguments: Arguments::default(),
    }
}

fn queue(name: &str) -> QueueDeclaration<'_> {
    QueueDeclaration {
        name,
        server_named: false,
        durable: false,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::default(),
    }
}

fn to_queue(source: &str, queue: &str, key: &str) -> BindingDefinition {
    BindingDefinition {
        vhost: "/".into(),
        source: source.into(),
        target: BindingTarget::Queue(queue.into()),
        key: key.as_bytes().into(),
        arguments: Arguments::default(),
    }
}

fn to_exchange(source: &str, destination: &str, key: &str) -> BindingDefinition {
    BindingDefinition { target: BindingTarget::Exchange(destination.into()), ..to_queue(source, "", key) }
}

/// A vhost that numbers its queues, used from connection 1 by a user who may do everything.
struct World {
    vhost: Vhost,
    last_id: u64,
    /// What storage would hold.
    stored: BTreeMap<DefinitionKey, Definition>,
}

impl World {
    fn new() -> Self {
        let definition = VhostDefinition::new("/".into());
        let vhost = Vhost::new(definition.clone());
        let definition = Definition::Vhost(definition);
        Self { vhost, last_id: 0, stored: BTreeMap::from([(definition.key(), definition)]) }
    }

    fn keep(&mut self, effects: Effects) -> Effects {
        for change in &effects.changes {
            match change {
                Change::Put(definition) => drop(self.stored.insert(definition.key(), definition.clone())),
                Change::Delete(key) => {
                    assert!(self.stored.remove(key).is_some(), "{key:?} was never stored");
                }
            }
        }
        effects
    }

    fn exchange(&mut self, declaration: ExchangeDeclaration<'_>) -> Result<Effects, BrokerError> {
        let effects = self.vhost.declare_exchange(&Caller::trusted(HERE), &declaration)?;
        Ok(self.keep(effects))
    }

    fn queue(&mut self, declaration: QueueDeclaration<'_>) -> Result<DeclaredQueue, BrokerError> {
        self.queue_from(HERE, declaration)
    }

    fn queue_from(
        &mut self,
        connection: ConnectionId,
        declaration: QueueDeclaration<'_>,
    ) -> Result<DeclaredQueue, BrokerError> {
        self.last_id += 1;
        let id = QueueId(self.last_id);
        let declared = self.vhost.declare_queue(&Caller::trusted(connection), &declaration, id)?;
        assert_eq!(declared.created, declared.id == id);
        self.keep(declared.effects.clone());
        Ok(declared)
    }

    fn bind(&mut self, binding: &BindingDefinition) -> Result<Effects, BrokerError> {
        let effects = self.vhost.bind(&Caller::trusted(HERE), binding)?;
        Ok(self.keep(effects))
    }

    fn unbind(&mut self, binding: &BindingDefinition) -> Result<Effects, BrokerError> {
        let effects = self.vhost.unbind(&Caller::trusted(HERE), binding)?;
        Ok(self.keep(effects))
    }

    fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Result<Effects, BrokerError> {
        let effects = self.vhost.delete_exchange(&Caller::trusted(HERE), name, if_unused)?;
        Ok(self.keep(effects))
    }

    fn remove_queue(&mut self, name: &str) -> Effects {
        let id = self.vhost.queue(name).expect("it exists").definition.id;
        let effects = self.vhost.remove_queue(id);
        self.keep(effects)
    }

    fn routed(&self, exchange: &str, key: &str) -> Vec<&str> {
        let exchange = self.vhost.exchange_to_publish(exchange.as_bytes()).expect("it exists");
        let mut routes = Routes::new();
        self.vhost.route(exchange, &Publication::new(key.as_bytes()), &mut routes);
        let mut names: Vec<&str> = routes
            .queues()
            .iter()
            .map(|key| self.vhost.queue_by_id((*key).into()).expect("it exists").definition.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }
}

#[test]
fn exchange_declare_answers() {
    let mut world = World::new();
    let with = |name, fields: &[(&str, AMQPValue)]| ExchangeDeclaration {
        arguments: arguments(fields),
        ..exchange(name, "direct")
    };
    let ae = "alternate-exchange";
    for (declaration, expected) in [
        (exchange("x1", "bogus"), "406 PRECONDITION_FAILED - unknown exchange type 'bogus'"),
        (exchange("x1", ""), "406 PRECONDITION_FAILED - invalid exchange type ''"),
        (exchange("", "bogus"), "406 PRECONDITION_FAILED - unknown exchange type 'bogus'"),
        (exchange("", "direct"), "403 ACCESS_REFUSED - operation not permitted on the default exchange"),
        (
            exchange("amq.foo", "direct"),
            "403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
        ),
        (
            exchange("amq.", "direct"),
            "403 ACCESS_REFUSED - exchange name 'amq.' contains reserved prefix 'amq.*'",
        ),
        (exchange("amq.foo", "bogus"), "406 PRECONDITION_FAILED - unknown exchange type 'bogus'"),
        (ExchangeDeclaration { durable: true, ..exchange("amq.direct", "direct") }, "ok"),
        (
            ExchangeDeclaration { durable: true, ..exchange("amq.direct", "topic") },
            "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'amq.direct' in vhost '/': received \
             'topic' but current is 'direct'",
        ),
        (
            exchange("amq.direct", "direct"),
            "406 PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'amq.direct' in vhost '/': received \
             'false' but current is 'true'",
        ),
        (
            with("amq.new", &[(ae, AMQPValue::LongInt(5))]),
            "403 ACCESS_REFUSED - exchange name 'amq.new' contains reserved prefix 'amq.*'",
        ),
        (exchange("tx", "direct"), "ok"),
        (exchange("tx", "direct"), "ok"),
        (
            exchange("tx", "fanout"),
            "406 PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'tx' in vhost '/': received 'fanout' but \
             current is 'direct'",
        ),
        (
            ExchangeDeclaration {
                durable: true,
                auto_delete: true,
                internal: true,
                ..exchange("tx", "direct")
            },
            "406 PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'tx' in vhost '/': received 'true' but \
             current is 'false'",
        ),
        (
            ExchangeDeclaration { auto_delete: true, internal: true, ..exchange("tx", "direct") },
            "406 PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'tx' in vhost '/': received 'true' \
             but current is 'false'",
        ),
        (
            ExchangeDeclaration { internal: true, ..exchange("tx", "direct") },
            "406 PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'tx' in vhost '/': received 'true' \
             but current is 'false'",
        ),
        (
            with("tx", &[(ae, text("foo"))]),
            "406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'tx' in vhost '/': received \
             the value 'foo' of type 'longstr' but current is none",
        ),
        (with("tx", &[("foo", text("foo"))]), "ok"),
        (with("txae", &[(ae, text("foo"))]), "ok"),
        (with("txae", &[(ae, text("foo"))]), "ok"),
        (
            with("txae", &[(ae, text("bar"))]),
            "406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'txae' in vhost '/': \
             received 'bar' but current is 'foo'",
        ),
        (
            with("txae", &[]),
            "406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'txae' in vhost '/': \
             received none but current is the value 'foo' of type 'longstr'",
        ),
        (
            with("txae", &[(ae, AMQPValue::LongInt(5))]),
            "406 PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'txae' in vhost '/': \
             received '5' but current is 'foo'",
        ),
        (
            with("txae2", &[(ae, AMQPValue::LongInt(5))]),
            "406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'txae2' in \
             vhost '/'",
        ),
        (with("txae3", &[(ae, text(""))]), "ok"),
    ] {
        let call = format!("{declaration:?}");
        assert_eq!(answer(world.exchange(declaration)), expected, "{call}");
    }
    for (name, expected) in [
        ("", "403 ACCESS_REFUSED - operation not permitted on the default exchange"),
        ("nope", "404 NOT_FOUND - no exchange 'nope' in vhost '/'"),
        ("amq.rabbitmq.trace", "ok"),
        ("tx", "ok"),
    ] {
        assert_eq!(answer(world.vhost.declare_exchange_passively(name)), expected, "{name}");
    }
}

#[test]
fn exchange_delete_answers() {
    let mut world = World::new();
    for name in ["du", "du2"] {
        world.exchange(exchange(name, "direct")).expect("new");
    }
    world.bind(&to_exchange("du", "du2", "k")).expect("both exist");
    let system =
        |name| format!("403 ACCESS_REFUSED - deletion of system exchange '{name}' in vhost '/' not allowed");
    for (name, if_unused, expected) in [
        ("nope", false, "ok".to_owned()),
        ("nope", true, "ok".to_owned()),
        ("", false, "403 ACCESS_REFUSED - operation not permitted on the default exchange".to_owned()),
        ("amq.direct", true, system("amq.direct")),
        ("amq.nope", false, system("amq.nope")),
        ("amq.rabbitmq.trace", false, system("amq.rabbitmq.trace")),
        ("du", true, "406 PRECONDITION_FAILED - exchange 'du' in vhost '/' in use".to_owned()),
        ("du2", true, "ok".to_owned()),
        ("du", true, "ok".to_owned()),
    ] {
        assert_eq!(answer(world.delete_exchange(name, if_unused)), expected, "{name} {if_unused}");
    }
    assert!(world.vhost.exchange("du").is_none() && world.vhost.exchange("du2").is_none());
}

#[test]
fn bind_and_unbind_answers() {
    let mut world = World::new();
    world.exchange(exchange("tx", "direct")).expect("new");
    world.queue(queue("tq")).expect("new");
    let default = "403 ACCESS_REFUSED - operation not permitted on the default exchange";
    let headers = |source, queue, value| BindingDefinition {
        arguments: arguments(&[("x-match", value)]),
        ..to_queue(source, queue, "k")
    };
    let bad_value = "406 PRECONDITION_FAILED - Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, \
         or any-with-x";
    for (binding, bound, unbound) in [
        (to_queue("tx", "tq", "k"), "ok", "ok"),
        (to_queue("tx", "nope", "k"), "404 NOT_FOUND - no queue 'nope' in vhost '/'", "ok"),
        (to_queue("nope", "tq", "k"), "404 NOT_FOUND - no exchange 'nope' in vhost '/'", "ok"),
        (to_queue("nope2", "nope", "k"), "404 NOT_FOUND - no exchange 'nope2' in vhost '/'", "ok"),
        (to_queue("", "tq", "k"), default, default),
        (to_queue("", "nope", "k"), default, default),
        (to_exchange("amq.direct", "tx", "k"), "ok", "ok"),
        (to_exchange("tx", "tx", "k"), "ok", "ok"),
        (to_exchange("amq.direct", "nope", "k"), "404 NOT_FOUND - no exchange 'nope' in vhost '/'", "ok"),
        (to_exchange("nope", "tx", "k"), "404 NOT_FOUND - no exchange 'nope' in vhost '/'", "ok"),
        (to_exchange("nope2", "nope", "k"), "404 NOT_FOUND - no exchange 'nope2' in vhost '/'", "ok"),
        (to_exchange("amq.direct", "", "k"), default, default),
        (to_exchange("", "amq.direct", "k"), default, default),
        (headers("amq.headers", "tq", text("foo")), bad_value, "ok"),
        (headers("amq.headers", "nope", text("foo")), "404 NOT_FOUND - no queue 'nope' in vhost '/'", "ok"),
        (
            headers("amq.match", "tq", AMQPValue::LongInt(5)),
            "406 PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr",
            "ok",
        ),
        (headers("tx", "tq", text("foo")), "ok", "ok"),
    ] {
        assert_eq!(answer(world.bind(&binding)), bound, "bind {binding:?}");
        assert_eq!(answer(world.bind(&binding)), bound, "bind again {binding:?}");
        assert_eq!(answer(world.unbind(&binding)), unbound, "unbind {binding:?}");
        assert_eq!(answer(world.unbind(&binding)), unbound, "unbind again {binding:?}");
    }
    assert_eq!(world.vhost.bindings(), []);
}

#[test]
fn queue_declare_answers() {
    let mut world = World::new();
    let not_equal = |arg: &str, received: &str, current: &str| {
        format!(
            "406 PRECONDITION_FAILED - inequivalent arg '{arg}' for queue 'tq1' in vhost '/': received {received} but \
             current is {current}"
        )
    };
    let locked = LOCKED.replace("tqe", "tq1");
    let with =
        |fields: &[(&str, AMQPValue)]| QueueDeclaration { arguments: arguments(fields), ..queue("tq1") };
    let reserved = "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'".to_owned();
    let five = || AMQPValue::LongInt(5);
    for (declaration, expected) in [
        (queue("amq.foo"), reserved.clone()),
        (
            QueueDeclaration { arguments: arguments(&[("x-queue-type", text("foo"))]), ..queue("amq.foo") },
            reserved,
        ),
        (queue("tq1"), "ok".to_owned()),
        (queue("tq1"), "ok".to_owned()),
        (QueueDeclaration { durable: true, ..queue("tq1") }, not_equal("durable", "'true'", "'false'")),
        (QueueDeclaration { exclusive: true, ..queue("tq1") }, locked.clone()),
        (QueueDeclaration { auto_delete: true, durable: true, exclusive: true, ..queue("tq1") }, locked),
        (
            QueueDeclaration { auto_delete: true, ..queue("tq1") },
            not_equal("auto_delete", "'true'", "'false'"),
        ),
        (
            QueueDeclaration { auto_delete: true, durable: true, ..queue("tq1") },
            not_equal("durable", "'true'", "'false'"),
        ),
        (
            with(&[("x-message-ttl", five())]),
            not_equal("x-message-ttl", "the value '5' of type 'signedint'", "none"),
        ),
        (with(&[("x-foo", five())]), "ok".to_owned()),
        (with(&[("x-queue-type", text("classic"))]), "ok".to_owned()),
        (with(&[("x-queue-type", text("quorum"))]), not_equal("x-queue-type", "'quorum'", "'classic'")),
        (with(&[("x-queue-type", text("foo"))]), not_equal("x-queue-type", "'foo'", "'classic'")),
    ] {
        let call = format!("{declaration:?}");
        assert_eq!(answer(world.queue(declaration)), expected, "{call}");
    }
    let named =
        QueueDeclaration { server_named: true, exclusive: true, ..queue("amq.gen-5fQ0XHvv6dKqW2LFqXPAcQ") };
    assert_eq!(answer(world.queue(named)), "ok", "the broker may give what a client may not take");
    for (name, expected) in [
        ("nope", "404 NOT_FOUND - no queue 'nope' in vhost '/'"),
        ("", "404 NOT_FOUND - no queue '' in vhost '/'"),
        ("amq.foo", "404 NOT_FOUND - no queue 'amq.foo' in vhost '/'"),
        ("tq1", "ok"),
    ] {
        assert_eq!(answer(world.vhost.declare_queue_passively(HERE, name)), expected, "{name}");
    }
}

#[test]
fn an_exclusive_queue_is_its_connections_alone() {
    let mut world = World::new();
    let exclusive = QueueDeclaration { exclusive: true, ..queue("tqe") };
    assert_eq!(answer(world.queue(QueueDeclaration { durable: true, ..exclusive.clone() })), "ok");
    assert!(!world.vhost.queue("tqe").expect("declared").definition.durable, "exclusive implies not durable");
    assert_eq!(answer(world.queue(exclusive.clone())), "ok");
    assert_eq!(answer(world.queue(QueueDeclaration { durable: true, ..queue("tqe") })), LOCKED);
    assert_eq!(answer(world.queue_from(ELSEWHERE, exclusive.clone())), LOCKED);
    assert_eq!(answer(world.queue_from(ELSEWHERE, queue("tqe"))), LOCKED);
    assert_eq!(answer(world.bind(&to_queue("amq.direct", "tqe", "k"))), "ok");

    let other = Caller::trusted(ELSEWHERE);
    let vhost = &mut world.vhost;
    assert_eq!(answer(vhost.declare_queue_passively(ELSEWHERE, "tqe")), LOCKED);
    assert_eq!(answer(vhost.read_queue(&other, "tqe")), LOCKED);
    assert_eq!(answer(vhost.queue_to_delete(&other, "tqe", true, false)), LOCKED);
    assert_eq!(answer(vhost.bind(&other, &to_queue("amq.direct", "tqe", "k"))), LOCKED);
    assert_eq!(answer(vhost.unbind(&other, &to_queue("amq.direct", "tqe", "k"))), LOCKED);
    assert_eq!(
        answer(vhost.unbind(&other, &to_queue("amq.direct", "tqe", "z"))),
        "ok",
        "there is no such binding"
    );
    let invalid = BindingDefinition {
        arguments: arguments(&[("x-match", text("foo"))]),
        ..to_queue("amq.headers", "tqe", "")
    };
    assert!(answer(vhost.bind(&other, &invalid)).starts_with("406 "), "arguments are looked at first");

    assert_eq!(vhost.owned_queues(ELSEWHERE), []);
    let owned = vhost.owned_queues(HERE);
    assert_eq!(owned.len(), 1);
    for id in owned {
        assert_eq!(vhost.remove_queue(id).removed_queues, [id]);
    }
    assert_eq!(vhost.owned_queues(HERE), []);
}

#[test]
fn queue_delete_answers() {
    let mut world = World::new();
    let quorum = QueueDeclaration {
        durable: true,
        arguments: arguments(&[("x-queue-type", text("quorum"))]),
        ..queue("qq")
    };
    world.queue(quorum).expect("new");
    world.queue(queue("dq")).expect("new");
    let here = Caller::trusted(HERE);
    let refused = |flag: &str| {
        format!(
            "540 NOT_IMPLEMENTED - cannot delete queue 'qq' in vhost '/'. queue.delete operations with {flag} flag \
             set are not supported by quorum queues"
        )
    };
    for (name, if_unused, if_empty, expected) in [
        ("nope", true, true, "ok".to_owned()),
        ("qq", true, false, refused("if-unused")),
        ("qq", false, true, refused("if-empty")),
        ("qq", true, true, refused("if-unused")),
        ("qq", false, false, "ok".to_owned()),
        ("dq", true, true, "ok".to_owned()),
    ] {
        assert_eq!(answer(world.vhost.queue_to_delete(&here, name, if_unused, if_empty)), expected, "{name}");
    }
    assert_eq!(world.vhost.queue_to_delete(&here, "nope", true, true), Ok(None));
    let (not_empty, in_use) = (
        "406 PRECONDITION_FAILED - queue 'dq' in vhost '/' not empty",
        "406 PRECONDITION_FAILED - queue 'dq' in vhost '/' in use",
    );
    for (empty, unused, expected) in [
        ((true, 1), (true, 1), not_empty),
        ((true, 1), (false, 1), not_empty),
        ((true, 0), (true, 1), in_use),
        ((false, 1), (true, 1), in_use),
        ((false, 1), (false, 1), "ok"),
        ((true, 0), (true, 0), "ok"),
    ] {
        assert_eq!(
            answer(world.vhost.check_deletable("dq", empty, unused)),
            expected,
            "{empty:?} {unused:?}"
        );
    }
}

#[test]
fn publish_answers_and_routes() {
    let mut world = World::new();
    world.exchange(ExchangeDeclaration { internal: true, ..exchange("tint", "direct") }).expect("new");
    world.exchange(exchange("t", "topic")).expect("new");
    for name in ["q1", "q2"] {
        world.queue(queue(name)).expect("new");
    }
    world.bind(&to_exchange("amq.direct", "tint", "k")).expect("valid");
    world.bind(&to_queue("tint", "q1", "k")).expect("valid");
    world.bind(&to_queue("t", "q2", "a.#")).expect("valid");
    for (name, expected) in [
        ("nope", "404 NOT_FOUND - no exchange 'nope' in vhost '/'"),
        ("tint", "403 ACCESS_REFUSED - cannot publish to internal exchange 'tint' in vhost '/'"),
        ("amq.direct", "ok"),
        ("", "ok"),
    ] {
        assert_eq!(answer(world.vhost.exchange_to_publish(name.as_bytes())), expected, "{name}");
    }
    assert_eq!(world.routed("amq.direct", "k"), ["q1"]);
    assert_eq!(world.routed("t", "a.b"), ["q2"]);
    assert_eq!(world.routed("", "q2"), ["q2"]);
    assert_eq!(world.routed("", "q3"), [] as [&str; 0]);

    let default = world.vhost.default_exchange();
    let keys: [&[u8]; 3] = [b"q1", b"q2", b"\xff"];
    let message = Publication { extra_keys: &keys, ..Publication::new(b"q1") };
    let mut routes = Routes::new();
    world.vhost.route(default, &message, &mut routes);
    assert_eq!(routes.queues().len(), 2, "each queue once, names that are no text are nobody's");
    assert!(world.vhost.is_current(routes.passed()));
    world.queue(queue("q3")).expect("new");
    assert!(!world.vhost.is_current(routes.passed()), "a new queue may be where the message belongs");
}

#[test]
fn auto_delete_exchanges_go_with_their_last_binding() {
    let auto = |name| ExchangeDeclaration { auto_delete: true, ..exchange(name, "direct") };
    let gone = |world: &mut World, effects: Effects, expected: &[&str]| {
        let names: Vec<&str> = effects.removed_exchanges.iter().map(ExchangeName::as_str).collect();
        assert_eq!(names, expected);
        assert!(expected.iter().all(|name| world.vhost.exchange(name).is_none()));
    };
    let mut world = World::new();
    world.queue(queue("tq")).expect("new");
    world.exchange(exchange("plain", "direct")).expect("new");

    world.exchange(auto("ad")).expect("new");
    let effects =
        world.bind(&to_queue("ad", "tq", "k")).and_then(|_| world.unbind(&to_queue("ad", "tq", "k")));
    gone(&mut world, effects.expect("bound"), &["ad"]);

    world.exchange(auto("ad")).expect("new");
    world.bind(&to_exchange("amq.direct", "ad", "k")).expect("valid");
    let effects = world.unbind(&to_exchange("amq.direct", "ad", "k")).expect("bound");
    gone(&mut world, effects, &[]);

    world.exchange(auto("ad2")).expect("new");
    world.bind(&to_exchange("ad", "ad2", "k")).expect("valid");
    world.bind(&to_queue("ad2", "tq", "k")).expect("valid");
    let effects = world.unbind(&to_queue("ad2", "tq", "k")).expect("bound");
    gone(&mut world, effects, &["ad2", "ad"]);

    world.exchange(auto("ad")).expect("new");
    world.bind(&to_exchange("ad", "plain", "k")).expect("valid");
    let effects = world.delete_exchange("plain", false).expect("exists");
    gone(&mut world, effects, &["plain", "ad"]);

    world.exchange(auto("ad")).expect("new");
    for key in ["k", "l"] {
        world.bind(&to_queue("ad", "tq", key)).expect("valid");
    }
    let effects = world.remove_queue("tq");
    gone(&mut world, effects, &["ad"]);
}

/// Asks as RabbitMQ does: each answer is what it gave to a user who may configure `^cok`, write `^wok`, read `^rok`.
#[test]
fn permissions_are_asked_in_rabbitmqs_order() {
    let mut access = Access::new([]);
    let bob = Permission {
        vhost: "/".into(),
        user: "bob".into(),
        configure: "^cok".to_owned(),
        write: "^wok".to_owned(),
        read: "^rok".to_owned(),
    };
    access.put_permission(bob).expect("valid patterns");
    let permit = |operation, resource: Resource<'_>| access.check("bob", "/", resource, operation);
    let bob = Caller { connection: HERE, permit: &permit, permit_topic: &|_, _, _| Ok(()) };
    let mut world = World::new();
    for name in ["rok", "wok", "cok", "other"] {
        world.queue(queue(name)).expect("new");
    }
    for name in ["wokx", "rokx", "cokx", "otherx"] {
        world.exchange(exchange(name, "direct")).expect("new");
    }
    let vhost = &mut world.vhost;
    let refused = |operation: &str, what: &str| {
        format!("403 ACCESS_REFUSED - {operation} access to {what} in vhost '/' refused for user 'bob'")
    };
    let default = "403 ACCESS_REFUSED - operation not permitted on the default exchange";

    let type_foo = arguments(&[("x-queue-type", text("foo"))]);
    let dlx = |name| arguments(&[("x-dead-letter-exchange", text(name))]);
    for (declaration, expected) in [
        (queue("zz"), refused("configure", "queue 'zz'")),
        (
            queue("amq.zz"),
            "403 ACCESS_REFUSED - queue name 'amq.zz' contains reserved prefix 'amq.*'".to_owned(),
        ),
        (QueueDeclaration { arguments: type_foo, ..queue("zz") }, refused("configure", "queue 'zz'")),
        (QueueDeclaration { durable: true, ..queue("other") }, refused("configure", "queue 'other'")),
        (QueueDeclaration { arguments: dlx("wokd"), ..queue("cokd") }, refused("read", "queue 'cokd'")),
        (QueueDeclaration { arguments: dlx("otherd"), ..queue("cokd") }, refused("read", "queue 'cokd'")),
        (
            QueueDeclaration { server_named: true, ..queue("amq.gen-a") },
            refused("configure", "queue 'amq.gen-a'"),
        ),
    ] {
        let call = format!("{declaration:?}");
        assert_eq!(answer(vhost.declare_queue(&bob, &declaration, QueueId(99))), expected, "{call}");
    }
    for (declaration, expected) in [
        (exchange("zz", "direct"), refused("configure", "exchange 'zz'")),
        (exchange("zz", "bogus"), "406 PRECONDITION_FAILED - unknown exchange type 'bogus'".to_owned()),
        (exchange("amq.zz", "direct"), refused("configure", "exchange 'amq.zz'")),
        (exchange("", "direct"), default.to_owned()),
        (
            ExchangeDeclaration {
                arguments: arguments(&[("alternate-exchange", text("wokae"))]),
                ..exchange("cokae", "direct")
            },
            refused("read", "exchange 'cokae'"),
        ),
    ] {
        let call = format!("{declaration:?}");
        assert_eq!(answer(vhost.declare_exchange(&bob, &declaration)), expected, "{call}");
    }
    for (name, expected) in [
        ("zz", refused("configure", "exchange 'zz'")),
        (
            "amq.direct",
            "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"
                .to_owned(),
        ),
        ("", default.to_owned()),
    ] {
        assert_eq!(answer(vhost.delete_exchange(&bob, name, false)), expected, "{name}");
    }
    for (binding, expected) in [
        (to_queue("rokx", "other", "k"), refused("write", "queue 'other'")),
        (to_queue("wokx", "wok", "k"), refused("read", "exchange 'wokx'")),
        (to_queue("rokx", "zz", "k"), refused("write", "queue 'zz'")),
        (to_queue("rokx", "wokzz", "k"), "404 NOT_FOUND - no queue 'wokzz' in vhost '/'".to_owned()),
        (to_queue("", "wok", "k"), default.to_owned()),
        (to_queue("", "other", "k"), refused("write", "queue 'other'")),
        (to_exchange("rokx", "otherx", "k"), refused("write", "exchange 'otherx'")),
        (to_exchange("otherx", "wokx", "k"), refused("read", "exchange 'otherx'")),
        (to_exchange("otherx", "", "k"), refused("write", "exchange 'amq.default'")),
        (to_exchange("", "otherx", "k"), refused("write", "exchange 'otherx'")),
    ] {
        assert_eq!(answer(vhost.bind(&bob, &binding)), expected, "{binding:?}");
    }
    assert_eq!(answer(vhost.unbind(&bob, &to_queue("rokx", "zz", "k"))), refused("write", "queue 'zz'"));
    for name in ["zz", "other"] {
        let what = format!("queue '{name}'");
        assert_eq!(answer(vhost.queue_to_delete(&bob, name, false, false)), refused("configure", &what));
        assert_eq!(answer(vhost.read_queue(&bob, name)), refused("read", &what));
    }
    for (name, expected) in [("", "amq.default"), ("otherx", "otherx"), ("zz", "zz")] {
        let resource = Resource { kind: ResourceKind::Exchange, name };
        let expected = refused("write", &format!("exchange '{expected}'"));
        assert_eq!(answer(access.check_write("bob", "/", resource)), expected);
    }
}

#[test]
fn only_durable_things_are_stored_and_a_restart_brings_them_back() {
    let mut world = World::new();
    let durable = |name| ExchangeDeclaration { durable: true, ..exchange(name, "direct") };
    let spare = ExchangeDeclaration {
        arguments: arguments(&[("alternate-exchange", text("d2"))]),
        internal: true,
        ..durable("d1")
    };
    world.exchange(spare).expect("new");
    world.exchange(ExchangeDeclaration { auto_delete: true, ..durable("d2") }).expect("new");
    world.exchange(exchange("t1", "fanout")).expect("new");
    for (name, durable) in [("dq", true), ("dq2", true), ("tq", false)] {
        let arguments = arguments(&[("x-mine", AMQPValue::ShortInt(7))]);
        world.queue(QueueDeclaration { durable, arguments, ..queue(name) }).expect("new");
    }
    for binding in [
        to_queue("d1", "dq", "k"),
        to_queue("d2", "dq2", "k"),
        to_queue("d1", "tq", "k"),
        to_queue("t1", "dq", "k"),
        to_queue("amq.topic", "dq", "a.#"),
        to_exchange("d1", "d2", "k"),
        to_exchange("t1", "d2", "k"),
    ] {
        world.bind(&binding).expect("valid");
    }
    assert_eq!(world.stored.len(), 1 + 2 + 2 + 4, "the vhost, exchanges, queues, bindings");

    let stored: BTreeSet<_> = world.stored.keys().cloned().collect();
    let listed: BTreeSet<_> = world.vhost.definitions().iter().map(Definition::key).collect();
    assert_eq!(listed, stored, "what is listed is what was stored, change by change");
    let removal = world.vhost.remove();
    assert_eq!(removal.changes.len(), stored.len());
    assert!(
        removal.changes.iter().all(|change| matches!(change, Change::Delete(key) if stored.contains(key)))
    );
    assert_eq!(removal.removed_queues.len(), 3, "those that are not durable too");

    // Any order will do.
    let mut definitions: Vec<Definition> = world.stored.values().cloned().collect();
    definitions.reverse();
    let restored = restore(Access::default(), &definitions);
    assert_eq!(restored.problems, [] as [String; 0]);
    let after = &restored.vhosts[&VhostName::from("/")];
    let kept: Vec<_> =
        world.vhost.exchanges().filter(|x| x.definition.durable).map(|x| &x.definition).collect();
    assert_eq!(after.exchanges().map(|x| &x.definition).collect::<Vec<_>>(), kept);
    let kept: Vec<_> = world.vhost.queues().filter(|q| q.definition.durable).collect();
    assert_eq!(after.queues().collect::<Vec<_>>(), kept);
    let bindings = [
        to_queue("amq.topic", "dq", "a.#"),
        to_queue("d1", "dq", "k"),
        to_exchange("d1", "d2", "k"),
        to_queue("d2", "dq2", "k"),
    ];
    assert_eq!(after.bindings(), bindings);
    assert_eq!(after.bindings_from("d1"), bindings[1..3]);
    assert_eq!(after.bindings_to(&BindingTarget::Queue("dq".into())), bindings[..2]);

    // What goes takes its stored bindings along; `keep` fails on a deletion of what was not stored.
    let effects = world.remove_queue("dq2");
    assert_eq!(effects.removed_exchanges, ["d2".into()]);
    assert_eq!(world.stored.len(), 1 + 1 + 1 + 2, "dq2 and d2 are gone with three bindings");
    world.delete_exchange("d1", false).expect("exists");
    world.remove_queue("dq");
    world.remove_queue("tq");
    world.delete_exchange("t1", false).expect("exists");
    assert_eq!(world.stored.len(), 1, "only the vhost is left");
}

#[test]
fn what_cannot_be_restored_is_named_and_left_out() {
    let world = World::new();
    let mut definitions: Vec<Definition> = world.stored.values().cloned().collect();
    definitions.push(Definition::Binding(to_queue("amq.direct", "gone", "k")));
    definitions.push(Definition::Binding(BindingDefinition {
        vhost: "other".into(),
        ..to_queue("amq.direct", "gone", "k")
    }));
    let restored = restore(Access::default(), &definitions);
    assert_eq!(restored.problems.len(), 2);
    assert!(restored.problems[0].contains("no queue 'gone' in vhost '/'"), "{:?}", restored.problems);
    assert!(restored.problems[1].contains("no vhost 'other'"), "{:?}", restored.problems);
}

#[test]
fn names_lose_their_line_breaks() {
    assert_eq!(strip_line_breaks("t\r\nx\n"), "tx");
    assert_eq!(strip_line_breaks("t x"), "t x");
}
