//! What changes of users, virtual hosts and permissions promise, on a log that syncs when the test says so.

#![allow(clippy::unwrap_used, reason = "helpers of tests report by panicking")]

mod harness;

use harness::World;
use leveret_core::access::{Limit, Permission, TopicPermission, UserLimits, VhostLimits};
use leveret_engine::broker::{AccessError, Actor, Expect, NO_CONNECTION, NewPassword};
use leveret_engine::{Log, Registry, SharedRw};
use leveret_protocol::amqp::{FieldTable, exchange, queue};

fn permission(user: &str, vhost: &str, pattern: &str) -> Permission {
    Permission {
        vhost: vhost.into(),
        user: user.into(),
        configure: pattern.into(),
        write: pattern.into(),
        read: pattern.into(),
    }
}

/// User, vhost, permission, topic permission, limits.
fn set_up(world: &World) {
    let broker = &world.broker;
    let hash = broker.hash_password(b"pw");
    broker.put_user("bob", NewPassword::Hash(hash), Some(&["monitoring".into()]), Expect::New).unwrap();
    broker.put_vhost("v", |vhost| vhost.description = "mine".into()).unwrap();
    broker.put_permission(permission("bob", "v", "^b")).unwrap();
    let topic = TopicPermission {
        vhost: "v".into(),
        user: "bob".into(),
        exchange: "amq.topic".into(),
        write: "^w".into(),
        read: "^r".into(),
    };
    broker.put_topic_permission(topic).unwrap();
    let (max_connections, max_queues) = (Some(Limit(7)), Some(Limit(-1)));
    broker.set_vhost_limits(VhostLimits { vhost: "v".into(), max_connections, max_queues }).unwrap();
    broker.set_user_limits(UserLimits { user: "bob".into(), max_connections, max_channels: None }).unwrap();
}

/// Everything there is of it, in words.
fn seen(world: &World) -> Vec<String> {
    let broker = &world.broker;
    let mut seen = broker.access.read(|access| {
        let users = access.users().map(|user| format!("{} {:?}", user.name, user.tags));
        let logs_in = access.authenticate("bob", b"pw", true).is_ok();
        users
            .chain(access.permissions().map(|p| format!("{} in {}: {} {}", p.user, p.vhost, p.write, p.read)))
            .chain(
                access
                    .topic_permissions()
                    .map(|p| format!("{} at {}: {} {}", p.user, p.exchange, p.write, p.read)),
            )
            .chain(access.all_user_limits().map(|limits| format!("{limits:?}")))
            .chain([format!("bob logs in: {logs_in}")])
            .collect::<Vec<_>>()
    });
    let mut vhosts = broker.vhosts.values();
    vhosts.sort_by(|a, b| a.name.cmp(&b.name));
    for vhost in vhosts {
        seen.push(vhost.topology.read(|topology| {
            let (definition, limits) = (topology.definition(), topology.limits());
            format!("{} {:?} {limits:?}", definition.name, definition.description)
        }));
    }
    seen
}

#[test]
fn what_was_synced_is_there_after_a_crash_and_what_was_not_is_not() {
    let world = World::new();
    let before = seen(&world);
    set_up(&world);
    let after = seen(&world);
    assert_ne!(before, after);

    // Each call gives a position that the log has not reached: nobody is answered yet.
    let (_, position) = world.broker.put_permission(permission("bob", "v", "^c")).unwrap();
    assert!(world.broker.log.synced() < position);
    let world = world.crash();
    assert_eq!(seen(&world), before, "nothing of it was synced");

    set_up(&world);
    world.sync();
    let world = world.crash();
    assert_eq!(seen(&world), after);

    world.broker.delete_user("bob").unwrap();
    world.broker.delete_vhost("v").unwrap();
    world.sync();
    let world = world.crash();
    assert_eq!(seen(&world), before, "with all that belonged to them");
}

#[test]
fn a_deleted_vhost_leaves_nothing_to_the_next_of_its_name() {
    let world = World::new();
    let broker = &world.broker;
    broker.put_vhost("v", |_| {}).unwrap();
    broker.put_permission(permission("guest", "v", ".*")).unwrap();
    let mut client = world.client_in("v");
    client.open(1);
    client.declare(1, "q", true);
    client.method(1, exchange_declare("x"));
    client.method(1, bind("q", "x"));
    client.publish(1, "", "q", b"kept?");
    world.sync();
    assert_eq!(
        client.frames(),
        ["1 channel.open-ok", "1 queue.declare-ok", "1 exchange.declare-ok", "1 50.21"]
    );
    let old = broker.vhosts.find("v").unwrap();

    broker.delete_vhost("v").unwrap();
    // A connection that has not noticed changes nothing any more.
    let stale = Actor { user: None, connection: NO_CONNECTION, vhost: old };
    let declare = queue::Declare {
        queue: "late".into(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        nowait: false,
        arguments: FieldTable::default(),
    };
    assert_eq!(
        broker.declare_queue(&stale, &declare).unwrap_err().to_string(),
        "530 NOT_ALLOWED - vhost v not found"
    );
    assert_eq!(client.frames(), ["0 connection.close 320"]);
    drop(client);

    broker.put_vhost("v", |_| {}).unwrap();
    let empty = |world: &World| {
        let vhost = world.broker.vhosts.find("v").unwrap();
        let of_topology = vhost.topology.read(|topology| {
            let exchanges = topology.exchanges().filter(|x| !x.definition.name.starts_with("amq.")).count();
            (topology.queues().len(), exchanges, topology.bindings().len())
        });
        assert_eq!(of_topology, (0, 1, 0), "only the default exchange");
        let permissions = world.broker.access.read(|a| a.permissions().filter(|p| &*p.vhost == "v").count());
        assert_eq!((vhost.queues().len(), permissions), (0, 0));
    };
    empty(&world);
    world.sync();
    let world = world.crash();
    empty(&world);

    // A queue of the old name and place begins empty too, in the next life as well.
    world.broker.put_permission(permission("guest", "v", ".*")).unwrap();
    let mut client = world.client_in("v");
    client.open(1);
    client.declare(1, "q", true);
    world.sync();
    assert_eq!(client.frames(), ["1 channel.open-ok", "1 queue.declare-ok"]);
    drop(client);
    let counts = |world: &World| {
        let queue = world.broker.vhosts.find("v").unwrap().queue(&"q".into()).expect("the new queue");
        queue.with(|cell| cell.totals()).ready
    };
    assert_eq!(counts(&world), 0);
    assert_eq!(counts(&world.crash()), 0);
}

#[test]
fn a_remembered_route_does_not_outlive_its_permission() {
    let world = World::new();
    let mut client = world.client();
    client.open(1);
    client.declare(1, "q", false);
    client.publish(1, "", "q", b"first");
    client.publish(1, "", "q", b"second");
    assert_eq!(world.counts("q"), Some((2, 0)));
    world.broker.put_permission(permission("guest", "/", "^q$")).unwrap();
    client.frames();
    client.publish(1, "", "q", b"third");
    assert_eq!(client.frames(), ["1 channel.close 403"]);
    assert_eq!(world.counts("q"), Some((2, 0)));
}

#[test]
fn what_is_not_there_is_told() {
    let world = World::new();
    let broker = &world.broker;
    let keep = || NewPassword::Keep;
    let existing = broker.put_user("nobody", keep(), None, Expect::Existing);
    assert_eq!(existing.unwrap_err(), AccessError::NoSuchUser("nobody".into()));
    assert_eq!(broker.put_user("guest", keep(), None, Expect::New).unwrap_err(), AccessError::AlreadyExists);
    let long = "x".repeat(256);
    assert_eq!(broker.put_user(&long, keep(), None, Expect::Any).unwrap_err(), AccessError::NameTooLong);
    assert_eq!(broker.put_vhost(&long, |_| {}).unwrap_err(), AccessError::NameTooLong);
    let no_user = || AccessError::NoSuchUser("nobody".into());
    let no_vhost = || AccessError::NoSuchVhost("nowhere".into());
    assert_eq!(broker.put_permission(permission("nobody", "/", "")).unwrap_err(), no_user());
    assert_eq!(broker.put_permission(permission("guest", "nowhere", "")).unwrap_err(), no_vhost());
    assert!(matches!(broker.put_permission(permission("guest", "/", "(")), Err(AccessError::Pattern(_))));
    assert_eq!(broker.delete_permission("nobody", "/").unwrap_err(), no_user());
    assert_eq!(broker.delete_user("nobody").unwrap_err(), no_user());
    assert_eq!(broker.delete_vhost("nowhere").unwrap_err(), no_vhost());
    assert!(broker.delete_permission("guest", "/").unwrap().0);
    assert!(!broker.delete_permission("guest", "/").unwrap().0);
}

#[test]
fn nobody_comes_back_after_everybody_was_deleted() {
    let world = World::new();
    world.broker.delete_user("guest").unwrap();
    world.broker.delete_vhost("/").unwrap();
    world.sync();
    let world = world.crash();
    assert!(!world.first_start, "guest and its known password would be there again");
    assert_eq!(seen(&world), ["bob logs in: false"]);
}

fn exchange_declare(name: &str) -> exchange::AMQPMethod {
    exchange::AMQPMethod::Declare(exchange::Declare {
        exchange: name.into(),
        kind: "fanout".into(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        nowait: false,
        arguments: FieldTable::default(),
    })
}

fn bind(queue: &str, exchange: &str) -> queue::AMQPMethod {
    queue::AMQPMethod::Bind(queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: "".into(),
        nowait: false,
        arguments: FieldTable::default(),
    })
}
