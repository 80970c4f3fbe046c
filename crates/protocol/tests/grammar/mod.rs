//! What a peer may send, as bytes: methods by their layout, tables, properties, and damage to them.
//!
//! Writes the wire format by itself, so that neither codec is tested with its own output.

use leveret_protocol::layout::{Field, Layout, METHODS};
use leveret_protocol::properties::Property;
use proptest::prelude::*;
use proptest::sample::Index;

/// A long string, table or array: its length and its content.
pub(crate) fn long(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    [&length.to_be_bytes()[..], content].concat()
}

fn short() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        4 => "[a-z.*#]{0,12}",
        1 => "\\PC{0,20}",
        1 => "[a-z]{255}",
    ];
    text.prop_map(|text| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat())
}

fn bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), count)
}

fn long_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(|content| long(&content))
}

fn letter(letter: u8, value: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    value.prop_map(move |value| [&[letter], &value[..]].concat())
}

/// A field's value: its type letter and its bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let plain = prop_oneof![
        Just(b"V".to_vec()),
        letter(b't', bytes(1)),
        letter(b'b', bytes(1)),
        letter(b'B', bytes(1)),
        letter(b's', bytes(2)),
        letter(b'U', bytes(2)),
        letter(b'u', bytes(2)),
        letter(b'I', bytes(4)),
        letter(b'i', bytes(4)),
        letter(b'l', bytes(8)),
        letter(b'L', bytes(8)),
        letter(b'f', bytes(4)),
        letter(b'd', bytes(8)),
        letter(b'D', bytes(5)),
        letter(b'T', bytes(8)),
        letter(b'S', long_bytes()),
        letter(b'x', long_bytes()),
    ];
    plain.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            letter(b'A', prop::collection::vec(inner.clone(), 0..4).prop_map(|v| long(&v.concat()))),
            letter(b'F', prop::collection::vec(field(inner), 0..4).prop_map(|v| long(&v.concat()))),
        ]
    })
}

fn field(value: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (short(), value).prop_map(|(name, value)| [name, value].concat())
}

/// A table's content.
pub(crate) fn table() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(field(value()), 0..5).prop_map(|fields| fields.concat())
}

fn argument(kind: Field) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Field::Octet | Field::Bits => bytes(1).boxed(),
        Field::U16 => bytes(2).boxed(),
        Field::U32 => bytes(4).boxed(),
        Field::U64 => bytes(8).boxed(),
        Field::Short => short().boxed(),
        Field::Long => long_bytes().boxed(),
        Field::Table => table().prop_map(|content| long(&content)).boxed(),
    }
}

/// A whole method payload of any method.
pub(crate) fn method() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(METHODS.to_vec()).prop_flat_map(|layout| {
        let arguments: Vec<_> = layout.fields.iter().map(|kind| argument(*kind)).collect();
        arguments.prop_map(move |arguments| {
            let mut payload = layout.class_id.to_be_bytes().to_vec();
            payload.extend(layout.method_id.to_be_bytes());
            payload.extend(arguments.concat());
            payload
        })
    })
}

/// The method with every argument zero or empty.
pub(crate) fn smallest(layout: &Layout) -> Vec<u8> {
    let mut payload = layout.class_id.to_be_bytes().to_vec();
    payload.extend(layout.method_id.to_be_bytes());
    for kind in layout.fields {
        let bytes = match kind {
            Field::Octet | Field::Bits | Field::Short => 1,
            Field::U16 => 2,
            Field::U32 | Field::Long | Field::Table => 4,
            Field::U64 => 8,
        };
        payload.resize(payload.len() + bytes, 0);
    }
    payload
}

/// Raw properties: a flags word and the values it says.
pub(crate) fn properties() -> impl Strategy<Value = Vec<u8>> {
    let each: Vec<_> = Property::ALL
        .iter()
        .map(|property| {
            let value = match property {
                Property::Headers => table().prop_map(|content| long(&content)).boxed(),
                Property::DeliveryMode | Property::Priority => bytes(1).boxed(),
                Property::Timestamp => bytes(8).boxed(),
                _ => short().boxed(),
            };
            prop::option::of(value)
        })
        .collect();
    each.prop_map(|values| {
        let mut flags = 0u16;
        for (property, value) in Property::ALL.iter().zip(&values) {
            flags |= if value.is_some() { property.flag() } else { 0 };
        }
        let values: Vec<_> = values.into_iter().flatten().collect();
        [&flags.to_be_bytes()[..], &values.concat()].concat()
    })
}

/// What happens to bytes on a bad day.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// One byte is another.
    Changed(Index, u8),
    /// The end is missing.
    Cut(Index),
    /// Bytes are put in.
    Inserted(Index, Vec<u8>),
    /// One byte is missing.
    Removed(Index),
    /// A length is as large as can be.
    Huge(Index),
}

impl Damage {
    /// Does it to `bytes`.
    pub(crate) fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len().max(1));
        match self {
            _ if bytes.is_empty() => {}
            Self::Changed(index, byte) => {
                let at = at(index);
                bytes[at] = *byte;
            }
            Self::Cut(index) => bytes.truncate(at(index)),
            Self::Inserted(index, more) => {
                let at = at(index);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Removed(index) => {
                bytes.remove(at(index));
            }
            Self::Huge(index) => {
                let at = at(index);
                bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xFF);
            }
        }
    }
}

/// Any damage.
pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Changed(at, byte)),
        2 => any::<Index>().prop_map(Damage::Cut),
        2 => (any::<Index>(), prop::collection::vec(any::<u8>(), 1..4))
            .prop_map(|(at, more)| Damage::Inserted(at, more)),
        1 => any::<Index>().prop_map(Damage::Removed),
        1 => any::<Index>().prop_map(Damage::Huge),
    ]
}

/// Whether the bytes could nest no deeper than that: the oracle recurses without a bound.
pub(crate) fn depth_at_most(bytes: &[u8], depth: usize) -> bool {
    bytes.iter().filter(|byte| matches!(byte, b'A' | b'F')).count() <= depth
}
