//! Logins and permissions, text for text as RabbitMQ 4.0.5 answered.

use leveret_protocol::field_table::{FieldValue, TableWriter};

use super::sasl::{LoginError, Origin, SaslSettings};
use super::*;
use crate::error::Scope;

fn access() -> Access {
    let mut access = Access::new([UserName::from("guest")]);
    for definition in
        default_definitions(&"/".into(), &"guest".into(), PasswordHash::salted_sha256([1; 4], b"guest"))
    {
        access.restore(&definition).expect("valid patterns");
    }
    access.put_user(User {
        name: "bob".into(),
        password: PasswordHash::salted_sha256([2; 4], b"bob"),
        tags: vec!["monitoring".to_owned()],
    });
    access.put_user(User {
        name: "empty".into(),
        password: PasswordHash::salted_sha256([3; 4], b""),
        tags: vec![],
    });
    access.put_user(User { name: "none".into(), password: PasswordHash::None, tags: vec![] });
    access
}

fn amqplain(fields: &[(&str, FieldValue<'_>)]) -> Vec<u8> {
    let mut writer = TableWriter::new();
    for (name, value) in fields {
        writer.put(name.as_bytes(), value).expect("short");
    }
    writer.into_content()
}

#[test]
fn logins() {
    let access = access();
    let (sasl, here) = (SaslSettings::default(), Origin { is_loopback: true, tls: None });
    let (user, password) = (FieldValue::LongString(b"guest"), FieldValue::LongString(b"guest"));
    let both = amqplain(&[("PASSWORD", password), ("LOGIN", user)]);
    let bytes = amqplain(&[("LOGIN", FieldValue::Bytes(b"bob")), ("PASSWORD", FieldValue::Bytes(b"bob"))]);
    let wrong = amqplain(&[("LOGIN", user), ("PASSWORD", FieldValue::LongString(b"bad"))]);
    let only_login = amqplain(&[("LOGIN", user)]);
    let number = amqplain(&[("LOGIN", FieldValue::I32(1)), ("PASSWORD", password)]);
    for (mechanism, response, expected) in [
        ("PLAIN", b"\0guest\0guest".as_slice(), "guest"),
        ("PLAIN", b"\0bob\0bob", "bob"),
        ("AMQPLAIN", both.as_slice(), "guest"),
        ("AMQPLAIN", &bytes, "bob"),
        ("PLAIN", b"\0guest\0bad", "refused user 'guest' - invalid credentials"),
        ("PLAIN", b"\0nobody\0x", "refused user 'nobody' - invalid credentials"),
        ("PLAIN", b"\0nobody\0nobody", "refused user 'nobody' - invalid credentials"),
        ("PLAIN", b"\0none\0x", "refused user 'none' - invalid credentials"),
        ("PLAIN", b"\0\xff\0guest", "refused user '\u{fffd}' - invalid credentials"),
        (
            "PLAIN",
            b"\0empty\0",
            "refused user 'empty' attempted to log in with a blank password, which is prohibited by the internal \
             authN backend",
        ),
        ("AMQPLAIN", &wrong, "refused user 'guest' - invalid credentials"),
        ("PLAIN", b"guest\0guest\0guest", "502"),
        ("PLAIN", b"guest", "502"),
        ("PLAIN", b"", "502"),
        ("PLAIN", b"\0guest", "502"),
        ("PLAIN", b"\0guest\0guest\0x", "502"),
        ("AMQPLAIN", &only_login, "502"),
        ("AMQPLAIN", &number, "502"),
        ("AMQPLAIN", b"", "502"),
        ("AMQPLAIN", b"\xff\xff", "502"),
        ("plain", b"\0guest\0guest", "503"),
        ("", b"\0guest\0guest", "503"),
    ] {
        let got = match sasl.login(&access, mechanism, response, here) {
            Ok(user) => user.name.to_string(),
            Err(LoginError::Malformed(error)) => {
                assert_eq!(error.scope, Scope::Connection);
                error.code.to_string()
            }
            Err(LoginError::Refused { reply, reason }) => {
                assert_eq!(reply.scope, Scope::Connection);
                assert_eq!(
                    reply.to_string(),
                    format!(
                        "403 ACCESS_REFUSED - Login was refused using authentication mechanism {mechanism}. For \
                         details see the broker logfile."
                    )
                );
                reason.replace(&format!("{mechanism} login refused: "), "refused ")
            }
        };
        assert_eq!(got, expected, "{mechanism} {}", response.escape_ascii());
    }
}

#[test]
fn guest_comes_from_this_machine_only() {
    let access = access();
    let refused = access.authenticate("guest", b"guest", false).expect_err("from elsewhere");
    assert_eq!(refused, "user 'guest' can only connect via localhost");
    let refused = access.authenticate("guest", b"wrong", false).expect_err("from elsewhere");
    assert_eq!(refused, "user 'guest' - invalid credentials", "a wrong password learns nothing of the rule");
    assert!(access.authenticate("bob", b"bob", false).is_ok_and(|user| user.has_tag("monitoring")));
    assert!(access.authenticate("guest", b"guest", true).is_ok_and(|user| user.has_tag("administrator")));
}

#[test]
fn virtual_hosts_are_opened_by_those_who_have_a_permission_there() {
    let access = access();
    for (user, vhost, exists, expected) in [
        ("guest", "/", true, Ok(())),
        ("guest", "nope", false, Err("530 NOT_ALLOWED - vhost nope not found")),
        ("bob", "nope", false, Err("530 NOT_ALLOWED - vhost nope not found")),
        ("bob", "v2", true, Err("530 NOT_ALLOWED - access to vhost 'v2' refused for user 'bob'")),
        ("bob", "/", true, Err("530 NOT_ALLOWED - access to vhost '/' refused for user 'bob'")),
    ] {
        let got = access.check_vhost(user, vhost, exists).map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{user} {vhost}");
    }
}

#[test]
fn patterns_are_not_anchored_and_empty_ones_match_nothing() {
    let mut access = access();
    let permission = |configure: &str, write: &str, read: &str| Permission {
        vhost: "/".into(),
        user: "bob".into(),
        configure: configure.to_owned(),
        write: write.to_owned(),
        read: read.to_owned(),
    };
    access.put_permission(permission("", "ord", "^(orders|amq\\.default)$")).expect("valid patterns");
    for (operation, name, allowed) in [
        (Operation::Configure, "orders", false),
        (Operation::Configure, "", false),
        (Operation::Write, "my-orders", true),
        (Operation::Write, "bills", false),
        (Operation::Read, "orders", true),
        (Operation::Read, "orders2", false),
        (Operation::Read, "", true),
    ] {
        let got = access.check("bob", "/", Resource::exchange(name), operation);
        assert_eq!(got.is_ok(), allowed, "{operation:?} {name:?}");
    }
    assert!(
        access.check_read("bob", "/", Resource::queue("")).is_err(),
        "only the exchange has a second name"
    );
    assert!(access.check_read("bob", "v2", Resource::queue("orders")).is_err());
    assert!(access.check_read("nobody", "/", Resource::queue("orders")).is_err());

    let before = access.permission("bob", "/").cloned();
    for pattern in ["(", "(?=lookahead)", "a{1000}{1000}"] {
        let refused = access.put_permission(permission(".*", pattern, ".*")).expect_err("unusable");
        assert_eq!(refused.pattern, pattern);
        assert_eq!(access.permission("bob", "/").cloned(), before, "nothing is changed");
    }
}

#[test]
fn what_goes_takes_its_permissions_along() {
    let mut access = access();
    for vhost in ["/", "v2"] {
        let all = || ".*".to_owned();
        let (configure, write, read) = (all(), all(), all());
        access
            .put_permission(Permission { vhost: vhost.into(), user: "bob".into(), configure, write, read })
            .expect("valid patterns");
    }
    let key = |vhost: &str, user: &str| Change::Delete(DefinitionKey::Permission(vhost.into(), user.into()));
    assert_eq!(access.delete_vhost("v2"), [key("v2", "bob")]);
    assert_eq!(
        access.delete_user("bob"),
        [key("/", "bob"), Change::Delete(DefinitionKey::User("bob".into()))]
    );
    assert_eq!(access.delete_user("bob"), []);
    assert_eq!(access.delete_permission("guest", "/"), Some(key("/", "guest")));
    assert_eq!(access.delete_permission("guest", "/"), None);
    assert_eq!(access.permissions().count(), 0);
    assert_eq!(access.users().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["empty", "guest", "none"]);
}

#[test]
fn topic_permissions_limit_the_keys_of_one_exchange() {
    let mut access = access();
    let topic = |exchange: &str, write: &str, read: &str| TopicPermission {
        vhost: "v.1".into(),
        user: "bob".into(),
        exchange: exchange.into(),
        write: write.to_owned(),
        read: read.to_owned(),
    };
    access.put_topic_permission(topic("t", "^{username}\\.{vhost}\\.", "{client_id}")).expect("valid");
    access.put_topic_permission(topic("e", "", "^a")).expect("valid");
    for (exchange, operation, key, allowed) in [
        ("t", Operation::Write, "bob.v.1.k", true),
        ("t", Operation::Write, "bob.vx1.k", false),
        ("t", Operation::Write, "alice.v.1.k", false),
        ("t", Operation::Read, "a{client_id}b", true),
        ("t", Operation::Read, "a", false),
        ("e", Operation::Write, "", true),
        ("e", Operation::Write, "a", false),
        ("e", Operation::Read, "a.b", true),
        ("e", Operation::Read, "b", false),
        ("other", Operation::Write, "b", true),
    ] {
        let got = access.check_topic("bob", "v.1", exchange, key, operation);
        assert_eq!(got.is_ok(), allowed, "{exchange} {operation:?} {key:?}");
    }
    assert!(access.check_topic("guest", "v.1", "e", "b", Operation::Write).is_ok(), "another user");
    assert!(access.check_topic("bob", "/", "e", "b", Operation::Write).is_ok(), "another virtual host");
    let refused = access.check_topic("bob", "v.1", "e", "k", Operation::Write).expect_err("not allowed");
    assert_eq!(
        refused.to_string(),
        "403 ACCESS_REFUSED - write access to topic 'k' in exchange 'e' in vhost 'v.1' refused for user 'bob'"
    );
    assert_eq!(access.put_topic_permission(topic("t", "(", "")).expect_err("unusable").pattern, "(");
    assert_eq!(access.delete_topic_permissions("bob", "v.1", Some("t")).len(), 1);
    assert_eq!(access.delete_vhost("v.1").len(), 1, "the other one goes with its virtual host");
    assert_eq!(access.topic_permissions().count(), 0);
}

#[test]
fn a_negative_limit_is_none() {
    for (limit, count, reached) in
        [(-1, u64::MAX, false), (0, 0, true), (1, 0, false), (1, 1, true), (1, 2, true)]
    {
        assert_eq!(Limit(limit).is_reached(count), reached, "{limit} {count}");
    }
}
