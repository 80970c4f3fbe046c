//! Which arguments a queue takes, text for text as RabbitMQ 4.0.5 answered.

use leveret_protocol::amqp::{AMQPValue, FieldTable as AmqpTable, short_string};

use super::equivalence::check_queue_equivalence;
use super::settings::{NOT_CLASSIC, NOT_QUORUM};
use super::*;
use crate::ids::ConnectionId;

fn arguments(fields: &[(&str, AMQPValue)]) -> Arguments {
    let mut table = AmqpTable::default();
    for (name, value) in fields {
        table.insert(short_string(name), value.clone());
    }
    Arguments::from_amqp(&table).expect("within bounds")
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

const fn int(number: i32) -> AMQPValue {
    AMQPValue::LongInt(number)
}

const PROPERTIES: QueueProperties<'_> =
    QueueProperties { name: "q", vhost: "/", durable: true, exclusive_owner: None, auto_delete: false };

fn answer(fields: &[(&str, AMQPValue)]) -> String {
    answer_for(fields, &PROPERTIES)
}

fn answer_for(fields: &[(&str, AMQPValue)], properties: &QueueProperties<'_>) -> String {
    match QueueSettings::parse(&arguments(fields), properties) {
        Ok(settings) => settings.queue_type.as_str().to_owned(),
        Err(error) => error.to_string(),
    }
}

fn array() -> AMQPValue {
    AMQPValue::FieldArray(vec![text("a")].into())
}

/// `invalid arg 'key' for queue 'q' in vhost '/': why`.
fn invalid(key: &str, why: &str) -> String {
    format!("406 PRECONDITION_FAILED - invalid arg '{key}' for queue 'q' in vhost '/': {why}")
}

#[test]
fn queue_types() {
    for (value, expected) in [
        (text("classic"), "classic".to_owned()),
        (text("quorum"), "quorum".to_owned()),
        (text("stream"), "540 NOT_IMPLEMENTED - queues of type 'stream' are not supported yet".to_owned()),
        (text("foo"), invalid("x-queue-type", "\"unsupported queue type 'foo'\"")),
        (text("Quorum"), invalid("x-queue-type", "\"unsupported queue type 'Quorum'\"")),
        (text(""), invalid("x-queue-type", "\"unsupported queue type ''\"")),
        (int(5), invalid("x-queue-type", "{unacceptable_type,signedint}")),
        (AMQPValue::Void, invalid("x-queue-type", "{unacceptable_type,void}")),
    ] {
        assert_eq!(answer(&[("x-queue-type", value.clone())]), expected, "{value:?}");
    }
    assert_eq!(answer(&[]), "classic");
}

#[test]
fn quorum_queues_and_streams_are_durable_and_nobodys() {
    for (durable, exclusive, auto_delete, wrong) in [
        (false, false, false, "non-durable"),
        (false, true, false, "exclusive-owner"),
        (true, false, true, "auto-delete"),
        (false, true, true, "auto-delete"),
        (false, false, true, "auto-delete"),
    ] {
        let exclusive_owner = exclusive.then_some(ConnectionId(1));
        let properties = QueueProperties { durable, exclusive_owner, auto_delete, ..PROPERTIES };
        for queue_type in ["quorum", "stream"] {
            assert_eq!(
                answer_for(&[("x-queue-type", text(queue_type))], &properties),
                format!("406 PRECONDITION_FAILED - invalid property '{wrong}' for queue 'q' in vhost '/'")
            );
        }
        assert_eq!(answer_for(&[], &properties), "classic");
    }
}

#[test]
fn arguments_of_other_types_are_refused() {
    let cases =
        [("classic", "rabbit_classic_queue", NOT_CLASSIC), ("quorum", "rabbit_quorum_queue", NOT_QUORUM)];
    for (queue_type, module, keys) in cases {
        for key in keys {
            assert_eq!(
                answer(&[("x-queue-type", text(queue_type)), (*key, array())]),
                format!(
                    "406 PRECONDITION_FAILED - invalid arg '{key}' for queue 'q' in vhost '/' of queue type {module}"
                )
            );
        }
    }
}

#[test]
fn what_is_ignored_is_checked_all_the_same() {
    let refused = |key: &str, value: AMQPValue, why: &str| (key.to_owned(), value, Some(why.to_owned()));
    let taken = |key: &str, value: AMQPValue| (key.to_owned(), value, None);
    for (key, value, why) in [
        taken("x-queue-mode", text("lazy")),
        taken("x-queue-mode", text("default")),
        refused("x-queue-mode", text("foo"), "\"unsupported queue mode 'foo'\""),
        refused("x-queue-mode", int(5), "{unacceptable_type,signedint}"),
        refused("x-queue-mode", array(), "{unacceptable_type,array}"),
        refused("x-queue-mode", AMQPValue::LongLongInt(1 << 50), "{unacceptable_type,long}"),
        taken("x-queue-version", int(1)),
        taken("x-queue-version", AMQPValue::ShortShortInt(2)),
        refused("x-queue-version", int(3), "\"unsupported queue version '3'\""),
        refused("x-queue-version", int(0), "\"unsupported queue version '0'\""),
        refused("x-queue-version", int(-1), "{value_negative,-1}"),
        refused("x-queue-version", text("1"), "\"expected integer, got longstr\""),
        taken("x-queue-master-locator", int(5)),
        taken("x-queue-master-locator", text("anything")),
        taken("x-queue-leader-locator", text("client-local")),
        taken("x-queue-leader-locator", text("balanced")),
        taken("x-queue-leader-locator", text("random")),
        taken("x-queue-leader-locator", text("least-leaders")),
        refused("x-queue-leader-locator", text("foo"), "invalid_queue_locator_arg"),
        refused("x-queue-leader-locator", AMQPValue::Boolean(true), "{unacceptable_type,bool}"),
        taken("x-consumer-timeout", array()),
        taken("x-stream-filter-size-bytes", array()),
        taken("x-foo", text("bar")),
        taken("x-single-active-consumer", AMQPValue::Boolean(false)),
    ] {
        let expected = why.map_or("classic".to_owned(), |why| invalid(&key, &why));
        assert_eq!(answer(&[(&key, value.clone())]), expected, "{key} {value:?}");
    }
    for (value, expected) in [
        (int(5), "quorum".to_owned()),
        (AMQPValue::LongLongInt(1 << 50), "quorum".to_owned()),
        (int(0), invalid("x-quorum-initial-group-size", "{value_zero,0}")),
        (int(-1), invalid("x-quorum-initial-group-size", "{value_negative,-1}")),
        (text("foo"), invalid("x-quorum-initial-group-size", "\"expected integer, got longstr\"")),
    ] {
        let fields = [("x-queue-type", text("quorum")), ("x-quorum-initial-group-size", value)];
        assert_eq!(answer(&fields), expected, "{fields:?}");
    }
}

#[test]
fn values_are_checked_in_rabbitmqs_words() {
    let (classic, quorum) = (|| "classic".to_owned(), || "quorum".to_owned());
    let wrong_number = |key: &str| {
        [
            (int(-1), invalid(key, "{value_negative,-1}")),
            (text("foo"), invalid(key, "\"expected integer, got longstr\"")),
            (AMQPValue::Void, invalid(key, "\"expected integer, got void\"")),
            (AMQPValue::Boolean(true), invalid(key, "\"expected integer, got bool\"")),
            (array(), invalid(key, "\"expected integer, got array\"")),
        ]
    };
    let huge = || AMQPValue::LongLongInt(1 << 50);
    for key in ["x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-priority"] {
        for (value, expected) in wrong_number(key) {
            assert_eq!(answer(&[(key, value.clone())]), expected, "{key} {value:?}");
        }
        assert_eq!(answer(&[(key, int(5))]), classic());
    }
    for (key, value, expected) in [
        ("x-message-ttl", int(0), classic()),
        ("x-message-ttl", huge(), invalid("x-message-ttl", "{value_too_large,1125899906842624}")),
        ("x-expires", int(0), invalid("x-expires", "{value_zero,0}")),
        ("x-expires", huge(), invalid("x-expires", "{value_too_large,1125899906842624}")),
        ("x-max-length", huge(), classic()),
        ("x-max-priority", int(255), classic()),
        ("x-max-priority", int(256), invalid("x-max-priority", "{max_value_exceeded,256}")),
        ("x-max-priority", huge(), invalid("x-max-priority", "{max_value_exceeded,1125899906842624}")),
        ("x-overflow", text("drop-head"), classic()),
        ("x-overflow", text("foo"), invalid("x-overflow", "invalid_overflow")),
        ("x-overflow", AMQPValue::Void, invalid("x-overflow", "{unacceptable_type,void}")),
        ("x-dead-letter-exchange", text("foo"), classic()),
        (
            "x-dead-letter-exchange",
            int(5),
            "406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost \
             '/'"
                .to_owned(),
        ),
        (
            "x-dead-letter-exchange",
            AMQPValue::ByteArray(b"foo".as_slice().into()),
            "406 PRECONDITION_FAILED - invalid type 'binary' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'"
                .to_owned(),
        ),
        (
            "x-dead-letter-routing-key",
            text("foo"),
            invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"),
        ),
        (
            "x-dead-letter-routing-key",
            int(5),
            invalid("x-dead-letter-routing-key", "{unacceptable_type,signedint}"),
        ),
        ("x-single-active-consumer", AMQPValue::Boolean(true), classic()),
        ("x-single-active-consumer", int(5), invalid("x-single-active-consumer", "{unacceptable_type,signedint}")),
    ] {
        assert_eq!(answer(&[(key, value.clone())]), expected, "{key} {value:?}");
    }
    for (key, value, expected) in [
        ("x-delivery-limit", int(5), quorum()),
        ("x-dead-letter-strategy", text("at-least-once"), quorum()),
        ("x-dead-letter-strategy", text("foo"), invalid("x-dead-letter-strategy", "invalid_dlx_strategy")),
        (
            "x-dead-letter-strategy",
            int(5),
            invalid("x-dead-letter-strategy", "{unacceptable_type,signedint}"),
        ),
        ("x-max-in-memory-length", int(-1), invalid("x-max-in-memory-length", "{value_negative,-1}")),
    ] {
        assert_eq!(
            answer(&[("x-queue-type", text("quorum")), (key, value.clone())]),
            expected,
            "{key} {value:?}"
        );
    }
}

fn settings(fields: &[(&str, AMQPValue)]) -> QueueSettings {
    QueueSettings::parse(&arguments(fields), &PROPERTIES).expect("accepted")
}

#[test]
fn arguments_become_settings() {
    let given = settings(&[
        ("x-message-ttl", int(0)),
        ("x-expires", AMQPValue::LongLongInt(1000)),
        ("x-max-length", AMQPValue::ShortInt(3)),
        ("x-max-length-bytes", AMQPValue::LongUInt(4)),
        ("x-overflow", text("reject-publish-dlx")),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("k")),
        ("x-max-priority", AMQPValue::ShortShortUInt(255)),
        ("x-single-active-consumer", AMQPValue::Boolean(true)),
    ]);
    assert_eq!(
        given,
        QueueSettings {
            queue_type: QueueType::Classic,
            message_ttl_ms: Some(0),
            expires_ms: Some(1000),
            max_length: Some(3),
            max_length_bytes: Some(4),
            overflow: Some(Overflow::RejectPublishDlx),
            dead_letter_exchange: Some(ExchangeName::from("".to_owned())),
            dead_letter_routing_key: Some(b"k".as_slice().into()),
            dead_letter_strategy: None,
            max_priority: Some(255),
            single_active_consumer: true,
            delivery_limit: None,
        }
    );
    assert_eq!(given.overflow(), Overflow::RejectPublishDlx);
    assert_eq!(given.deadline_ms(7, Some(5)), Some(7), "the shorter of both");
    assert_eq!(settings(&[]).deadline_ms(7, Some(5)), Some(12));
    assert_eq!(settings(&[]).deadline_ms(7, None), None);
}

#[test]
fn quorum_queues_have_a_delivery_limit_and_drop_where_they_cannot_reject() {
    let quorum = || ("x-queue-type", text("quorum"));
    for (value, expected) in [
        (int(3), Some(3)),
        (int(0), Some(0)),
        (int(-1), None),
        (int(-7), None),
        (AMQPValue::LongLongInt(1 << 40), Some(1 << 40)),
        (text("foo"), None),
    ] {
        let given = settings(&[quorum(), ("x-delivery-limit", value.clone())]);
        assert_eq!(given.delivery_limit(), expected, "{value:?}");
    }
    assert_eq!(settings(&[quorum()]).delivery_limit(), Some(20));
    assert_eq!(settings(&[]).delivery_limit(), None);
    for (asked, used) in [
        ("drop-head", Overflow::DropHead),
        ("reject-publish", Overflow::RejectPublish),
        ("reject-publish-dlx", Overflow::DropHead),
    ] {
        assert_eq!(settings(&[quorum(), ("x-overflow", text(asked))]).overflow(), used);
    }
}

#[test]
fn redeclaration_compares_what_the_type_knows() {
    let differ = |key: &str, received: &str, current: &str| {
        format!(
            "406 PRECONDITION_FAILED - inequivalent arg '{key}' for queue 'q' in vhost '/': received {received} but \
             current is {current}"
        )
    };
    let locator = "x-queue-master-locator";
    let ok = || "ok".to_owned();
    for (current, received, expected) in [
        (vec![("x-max-length", int(5))], vec![("x-max-length", AMQPValue::LongLongInt(5))], ok()),
        (vec![("x-max-length", int(5))], vec![("x-max-length", AMQPValue::ShortShortUInt(5))], ok()),
        (
            vec![("x-max-length", int(5))],
            vec![("x-max-length", AMQPValue::LongLongInt(1 << 40))],
            differ("x-max-length", "'1099511627776'", "'5'"),
        ),
        (
            vec![("x-max-length", int(5))],
            vec![],
            differ("x-max-length", "none", "the value '5' of type 'signedint'"),
        ),
        (
            vec![],
            vec![("x-max-length", AMQPValue::LongLongInt(5))],
            differ("x-max-length", "the value '5' of type 'long'", "none"),
        ),
        (
            vec![("x-single-active-consumer", AMQPValue::Boolean(true))],
            vec![("x-single-active-consumer", AMQPValue::Boolean(false))],
            differ("x-single-active-consumer", "'false'", "'true'"),
        ),
        (vec![(locator, text("a"))], vec![(locator, int(5))], differ(locator, "'5'", "'a'")),
        (
            vec![(locator, array())],
            vec![(locator, AMQPValue::FieldArray(vec![text("b")].into()))],
            differ(locator, "'[{longstr,<<\"b\">>}]'", "'[{longstr,<<\"a\">>}]'"),
        ),
        (
            vec![(locator, AMQPValue::Void)],
            vec![],
            differ(locator, "none", "the value 'undefined' of type 'void'"),
        ),
        (vec![(locator, text("a"))], vec![(locator, AMQPValue::Void)], differ(locator, "none", "'a'")),
        (vec![(locator, AMQPValue::ByteArray(b"a".as_slice().into()))], vec![(locator, text("a"))], ok()),
        (
            vec![(locator, int(1))],
            vec![(locator, AMQPValue::Boolean(true))],
            differ(locator, "'true'", "'1'"),
        ),
        (vec![("x-foo", int(1))], vec![("x-foo", int(2)), ("x-bar", text("b"))], ok()),
        (vec![("x-delivery-limit", int(1))], vec![], ok()),
        (vec![], vec![("x-queue-type", text("classic"))], ok()),
        (
            vec![],
            vec![("x-queue-type", text("quorum")), ("x-max-length", int(1))],
            differ("x-queue-type", "'quorum'", "'classic'"),
        ),
    ] {
        let got = check_queue_equivalence(
            &arguments(&current),
            QueueType::Classic,
            &arguments(&received),
            "queue 'q' in vhost '/'",
        );
        assert_eq!(
            got.map_or_else(|error| error.to_string(), |()| ok()),
            expected,
            "{current:?} {received:?}"
        );
    }
    let limit = |number| arguments(&[("x-queue-type", text("quorum")), ("x-delivery-limit", int(number))]);
    let got = check_queue_equivalence(&limit(3), QueueType::Quorum, &limit(4), "queue 'q' in vhost '/'");
    assert_eq!(got.expect_err("differ").to_string(), differ("x-delivery-limit", "'4'", "'3'"));
    let got =
        check_queue_equivalence(&limit(3), QueueType::Quorum, &arguments(&[]), "queue 'q' in vhost '/'");
    assert_eq!(got.expect_err("differ").to_string(), differ("x-queue-type", "'classic'", "'quorum'"));
}

#[test]
fn arguments_reach_management_with_their_types() {
    let fields = [
        ("a", array()),
        ("b", AMQPValue::Boolean(true)),
        ("i", int(-5)),
        ("l", AMQPValue::LongLongInt(5)),
        ("s", text("x")),
        ("v", AMQPValue::Void),
    ];
    let given = arguments(&fields);
    let named = |name: &str, value| (name.to_owned(), value);
    let expected = [
        named("a", Argument::Array(vec![Argument::LongStr(b"a".to_vec())])),
        named("b", Argument::Bool(true)),
        named("i", Argument::SignedInt(-5)),
        named("l", Argument::Long(5)),
        named("s", Argument::LongStr(b"x".to_vec())),
        named("v", Argument::Void),
    ];
    assert_eq!(given.to_admin(), expected);
    let nested = arguments(&[("t", AMQPValue::FieldTable(given.to_amqp()))]);
    assert_eq!(nested.to_admin(), [named("t", Argument::Table(expected.to_vec()))]);
    assert_eq!(Arguments::from_amqp(&nested.to_amqp()), Ok(nested));
}
