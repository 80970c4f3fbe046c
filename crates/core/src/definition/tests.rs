//! What is written is read back, and nothing else is taken for a definition.

use leveret_protocol::field_table::{FieldValue, TableWriter};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::access::{Limit, PasswordHash};
use crate::admin::Argument;
use crate::parameters::{GlobalParameter, Parameter, ParameterValue, Policy};

fn name<T: From<String> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    prop_oneof![".{0,8}", "[a-z./#*é]{0,60}"].prop_map(T::from)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let encode = |value: FieldValue<'_>| {
        let mut out = Vec::new();
        value.write_to(&mut out).expect("short");
        out
    };
    prop_oneof![
        any::<bool>().prop_map(move |v| encode(FieldValue::Bool(v))),
        any::<i8>().prop_map(move |v| encode(FieldValue::I8(v))),
        any::<u8>().prop_map(move |v| encode(FieldValue::U8(v))),
        any::<i16>().prop_map(move |v| encode(FieldValue::I16(v))),
        any::<u16>().prop_map(move |v| encode(FieldValue::U16(v))),
        any::<i32>().prop_map(move |v| encode(FieldValue::I32(v))),
        any::<u32>().prop_map(move |v| encode(FieldValue::U32(v))),
        any::<i64>().prop_map(move |v| encode(FieldValue::I64(v))),
        any::<f32>().prop_map(move |v| encode(FieldValue::F32(v))),
        any::<f64>().prop_map(move |v| encode(FieldValue::F64(v))),
        (any::<u8>(), any::<u32>())
            .prop_map(move |(scale, value)| encode(FieldValue::Decimal { scale, value })),
        vec(any::<u8>(), 0..20).prop_map(move |v| encode(FieldValue::LongString(&v))),
        vec(any::<u8>(), 0..20).prop_map(move |v| encode(FieldValue::Bytes(&v))),
        any::<u64>().prop_map(move |v| encode(FieldValue::Timestamp(v))),
        Just(encode(FieldValue::Void)),
    ]
}

/// A table's content of every type, two levels deep, made of bytes as they come off the wire.
fn arguments() -> impl Strategy<Value = Arguments> {
    let field = |value: Vec<u8>, number: usize| {
        let mut field = vec![2, b'x', b'a' + u8::try_from(number).expect("few")];
        field.extend_from_slice(&value);
        field
    };
    let table = move |values: Vec<Vec<u8>>| -> Vec<u8> {
        values.into_iter().enumerate().flat_map(|(number, value)| field(value, number)).collect()
    };
    let nested = vec(value(), 0..3).prop_map(move |values| {
        let content = table(values);
        let mut writer = TableWriter::new();
        let inner = leveret_protocol::field_table::FieldTable::parse(&content).expect("within bounds");
        writer.put(b"", &FieldValue::Table(inner)).expect("short");
        // Without the empty name's length octet.
        writer.into_content().split_off(1)
    });
    vec(prop_oneof![3 => value(), 1 => nested], 0..5)
        .prop_map(move |values| Arguments::from_content(&table(values)).expect("within bounds"))
}

fn password() -> impl Strategy<Value = PasswordHash> {
    prop_oneof![
        Just(PasswordHash::None),
        (any::<[u8; 4]>(), vec(any::<u8>(), 0..9))
            .prop_map(|(salt, text)| PasswordHash::salted_sha256(salt, &text)),
        any::<[u8; 20]>().prop_map(PasswordHash::Md5),
        any::<[u8; 34]>().prop_map(|half| {
            let both: Vec<u8> = half.iter().chain(&half).copied().collect();
            PasswordHash::Sha512(both.try_into().expect("68 octets"))
        }),
    ]
}

fn exchange_type() -> impl Strategy<Value = ExchangeType> {
    prop_oneof![
        Just(ExchangeType::Direct),
        Just(ExchangeType::Fanout),
        Just(ExchangeType::Topic),
        Just(ExchangeType::Headers)
    ]
}

fn binding() -> impl Strategy<Value = BindingDefinition> {
    let target = prop_oneof![name().prop_map(BindingTarget::Queue), name().prop_map(BindingTarget::Exchange)];
    (name(), name(), target, vec(any::<u8>(), 0..40), arguments()).prop_map(
        |(vhost, source, target, key, arguments)| BindingDefinition {
            vhost,
            source,
            target,
            key: key.into(),
            arguments,
        },
    )
}

fn parameter_value() -> impl Strategy<Value = ParameterValue> {
    let leaf = prop_oneof![
        Just(Argument::Void),
        any::<bool>().prop_map(Argument::Bool),
        any::<i64>().prop_map(Argument::Long),
        ".{0,9}".prop_map(|text| Argument::LongStr(text.into_bytes())),
    ];
    let nested = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Argument::Array),
            vec(("[a-z]{1,5}", inner), 0..4).prop_map(Argument::Table),
        ]
    });
    nested.prop_map(|value| ParameterValue::new(value).expect("a small value"))
}

fn limit() -> impl Strategy<Value = Option<Limit>> {
    prop::option::of(any::<i64>().prop_map(Limit))
}

fn definition() -> impl Strategy<Value = Definition> {
    let flags = || any::<(bool, bool, bool)>();
    prop_oneof![
        (name(), ".{0,20}", vec(".{0,9}", 0..3), "[a-z]{0,7}").prop_map(
            |(name, description, tags, default_queue_type)| {
                Definition::Vhost(VhostDefinition { name, description, tags, default_queue_type })
            }
        ),
        (name(), password(), vec(".{0,9}", 0..3)).prop_map(|(name, password, tags)| Definition::User(User {
            name,
            password,
            tags
        })),
        (name(), name(), ".{0,9}", ".{0,9}", ".{0,9}").prop_map(|(vhost, user, configure, write, read)| {
            Definition::Permission(Permission { vhost, user, configure, write, read })
        }),
        (name(), name(), exchange_type(), flags(), arguments()).prop_map(
            |(vhost, name, exchange_type, (durable, auto_delete, internal), arguments)| {
                Definition::Exchange(ExchangeDefinition {
                    vhost,
                    name,
                    exchange_type,
                    durable,
                    auto_delete,
                    internal,
                    arguments,
                })
            }
        ),
        (name(), name(), any::<u64>(), flags(), arguments()).prop_map(
            |(vhost, name, id, (durable, auto_delete, _), arguments)| {
                let id = QueueId(id);
                Definition::Queue(QueueDefinition { vhost, name, id, durable, auto_delete, arguments })
            }
        ),
        binding().prop_map(Definition::Binding),
        (name(), "[a-z]{1,9}", ".{1,9}", parameter_value()).prop_map(|(vhost, component, name, value)| {
            Definition::Parameter(Parameter { vhost, component, name, value })
        }),
        (".{1,9}", parameter_value())
            .prop_map(|(name, value)| Definition::GlobalParameter(GlobalParameter { name, value })),
        (name(), ".{1,9}", ".{0,9}", "[a-z]{0,9}", arguments(), any::<i64>()).prop_map(
            |(vhost, name, pattern, apply_to, definition, priority)| {
                Definition::Policy(Policy { vhost, name, pattern, apply_to, definition, priority })
            }
        ),
        (name(), name(), name(), ".{0,9}", ".{0,9}").prop_map(|(vhost, user, exchange, write, read)| {
            Definition::TopicPermission(TopicPermission { vhost, user, exchange, write, read })
        }),
        (name(), limit(), limit()).prop_map(|(vhost, max_connections, max_queues)| {
            Definition::VhostLimits(VhostLimits { vhost, max_connections, max_queues })
        }),
        (name(), limit(), limit()).prop_map(|(user, max_connections, max_channels)| {
            Definition::UserLimits(UserLimits { user, max_connections, max_channels })
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(definition in definition()) {
        let (key, value) = Change::Put(definition.clone()).encode();
        let value = value.expect("a put has a value");
        prop_assert!(key.len() <= 1200, "{}", key.len());
        prop_assert_eq!(Definition::decode(&key, &value), Ok(definition.clone()));
        let (deleted, none) = Change::Delete(definition.key()).encode();
        prop_assert_eq!((deleted, none), (key, None), "a deletion names the same thing");
    }

    #[test]
    fn different_things_have_different_keys(a in definition(), b in definition()) {
        let keys = [Change::Delete(a.key()).encode().0, Change::Delete(b.key()).encode().0];
        prop_assert_eq!(keys[0] == keys[1], a.key() == b.key());
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(
        definition in definition(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let (key, value) = Change::Put(definition).encode();
        let mut value = value.expect("a put has a value");
        for (at, octet) in damage {
            let at = at.index(value.len());
            value[at] = octet;
        }
        // A value that is read must at least be of the kind and name that its key says.
        if let Ok(definition) = Definition::decode(&key, &value) {
            prop_assert_eq!(Change::Delete(definition.key()).encode().0, key.clone());
        }
        value.truncate(cut.index(value.len()));
        prop_assert!(Definition::decode(&key, &value).is_err(), "cut short");
    }

    #[test]
    fn any_bytes_are_survived(key in vec(any::<u8>(), 0..40), value in vec(any::<u8>(), 0..80)) {
        let key = key.as_slice();
        if let Err(error) = Definition::decode(key, &value) {
            prop_assert_eq!(error.key, key.escape_ascii().to_string());
        }
    }
}

#[test]
fn errors_name_the_key_and_what_is_wrong() {
    let vhost = Definition::Vhost(VhostDefinition::new("v".into()));
    let (key, value) = Change::Put(vhost).encode();
    let value = value.expect("a put has a value");
    let newer = [&[9], value.get(1..).expect("long enough")].concat();
    let longer = [value.as_slice(), b"!"].concat();
    let other = Change::Delete(DefinitionKey::Vhost("w".into())).encode().0;
    for (key, value, what) in [
        (
            key.as_slice(),
            newer.as_slice(),
            r"definition \x01\x00\x01v: version 9 is unknown, this broker writes 1",
        ),
        (&key, &longer, r"definition \x01\x00\x01v: 1 bytes too many"),
        (&key, &[], r"definition \x01\x00\x01v: its value is cut short"),
        (&other, &value, r"definition \x01\x00\x01w: its value belongs to another key"),
        (b"\x63", &value, r"definition c: kind 99 is unknown"),
        (b"", &value, "definition : the key is empty"),
    ] {
        assert_eq!(Definition::decode(key, value).expect_err("damaged").to_string(), what);
    }
}

/// The bytes on disk of version 1: a change here breaks every data directory.
#[test]
fn version_1_is_what_it_was() {
    let queue = Definition::Queue(QueueDefinition {
        vhost: "/".into(),
        name: "q".into(),
        id: QueueId(258),
        durable: true,
        auto_delete: false,
        arguments: Arguments::from_content(b"\x01ab\x07").expect("a table"),
    });
    let (key, value) = Change::Put(queue).encode();
    assert_eq!(key, b"\x05\0\x01/\0\x01q");
    assert_eq!(
        value.expect("a put"),
        b"\x01\0\0\0\x01/\0\0\0\x01q\0\0\0\0\0\0\x01\x02\x01\0\0\0\x04\x01ab\x07"
    );
    let binding = Definition::Binding(BindingDefinition {
        vhost: "/".into(),
        source: "x".into(),
        target: BindingTarget::Queue("q".into()),
        key: b"k".as_slice().into(),
        arguments: Arguments::default(),
    });
    let (key, value) = Change::Put(binding).encode();
    let nothing =
        b"\xe3\xb0\xc4B\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99o\xb9$'\xaeA\xe4d\x9b\x93L\xa4\x95\x99\x1bxR\xb8U";
    assert_eq!(key, [b"\x06\0\x01/\0\x01x\0\x01\0\0\x01q\0\x01k".as_slice(), nothing].concat());
    assert_eq!(value.expect("a put"), b"\x01\0\0\0\x01/\0\0\0\x01x\0\0\0\0\x01q\0\0\0\x01k\0\0\0\0");
}
