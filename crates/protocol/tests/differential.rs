//! Ours against amq-protocol, both directions: every method, content headers, tables, frames.
//!
//! `LEVERET_PROPERTY_CASES` sets the cases of each property, 10,000 without it;
//! `LEVERET_PROPERTY_SEED` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking; clippy.toml lets only the tests themselves"
)]

mod grammar;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::frame::{WriteContext, gen_frame};
use amq_protocol::protocol::{basic as oracle_basic, gen_class, parse_class};
use amq_protocol::types::generation::gen_field_table;
use amq_protocol::types::parsing::parse_field_table;
use leveret_protocol::amqp::{self, AMQPClass, BasicProperties, basic};
use leveret_protocol::encode;
use leveret_protocol::field_table::{FieldTable, from_amqp};
use leveret_protocol::frame::{FrameKind, parse_frame};
use leveret_protocol::method::{Method, decode_method};
use leveret_protocol::properties::{PropertiesBuilder, Property, PropertyView, parse_content_header};
use leveret_protocol::table_walker::check_text_table;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::hash::{BuildHasher, RandomState};

/// A number from the environment, or the other.
fn number_of(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// Runs one property as often as the environment says. A failure says the seed that repeats it.
fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let cases = u32::try_from(number_of("LEVERET_PROPERTY_CASES", 10_000)).unwrap();
    let seed = number_of("LEVERET_PROPERTY_SEED", RandomState::new().hash_one(0));
    let config =
        Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    let outcome = TestRunner::new(config).run(&strategy, property);
    outcome.unwrap_or_else(|error| panic!("LEVERET_PROPERTY_SEED={seed}: {error}"));
}

/// A method of ours as amq-protocol's, if its names are text.
fn as_oracle(method: &Method<'_>) -> Option<AMQPClass> {
    let text = |bytes: &[u8]| Some(amqp::short_string(std::str::from_utf8(bytes).ok()?));
    Some(AMQPClass::Basic(match method {
        Method::Publish(publish) => basic::AMQPMethod::Publish(basic::Publish {
            exchange: text(publish.exchange)?,
            routing_key: text(publish.routing_key)?,
            mandatory: publish.mandatory,
            immediate: publish.immediate,
        }),
        Method::Ack(ack) => {
            basic::AMQPMethod::Ack(basic::Ack { delivery_tag: ack.delivery_tag, multiple: ack.multiple })
        }
        Method::Nack(nack) => basic::AMQPMethod::Nack(basic::Nack {
            delivery_tag: nack.delivery_tag,
            multiple: nack.multiple,
            requeue: nack.requeue,
        }),
        Method::Reject(reject) => basic::AMQPMethod::Reject(basic::Reject {
            delivery_tag: reject.delivery_tag,
            requeue: reject.requeue,
        }),
        Method::Deliver(deliver) => basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: text(deliver.consumer_tag)?,
            delivery_tag: deliver.delivery_tag,
            redelivered: deliver.redelivered,
            exchange: text(deliver.exchange)?,
            routing_key: text(deliver.routing_key)?,
        }),
        Method::GetOk(get_ok) => basic::AMQPMethod::GetOk(basic::GetOk {
            delivery_tag: get_ok.delivery_tag,
            redelivered: get_ok.redelivered,
            exchange: text(get_ok.exchange)?,
            routing_key: text(get_ok.routing_key)?,
            message_count: get_ok.message_count,
        }),
        Method::Return(returned) => basic::AMQPMethod::Return(basic::Return {
            reply_code: returned.reply_code,
            reply_text: text(returned.reply_text)?,
            exchange: text(returned.exchange)?,
            routing_key: text(returned.routing_key)?,
        }),
        Method::Cold(class) => return Some(class.clone()),
    }))
}

/// What amq-protocol reads, if it takes all of the bytes.
fn oracle_method(payload: &[u8]) -> Option<AMQPClass> {
    match parse_class(payload) {
        Ok(([], class)) => Some(class),
        _ => None,
    }
}

/// A frame as amq-protocol writes it.
fn oracle_frame(frame: &AMQPFrame) -> Vec<u8> {
    gen_frame(frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0
}

/// A frame of ours, written by the encoder for that method.
fn encoded(channel: u16, method: &Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match method {
        Method::Publish(publish) => encode::encode_publish(&mut out, channel, publish),
        Method::Ack(ack) => encode::encode_ack(&mut out, channel, ack),
        Method::Nack(nack) => encode::encode_nack(&mut out, channel, nack),
        Method::Reject(reject) => encode::encode_reject(&mut out, channel, reject),
        Method::Deliver(deliver) => encode::encode_deliver(&mut out, channel, deliver),
        Method::GetOk(get_ok) => encode::encode_get_ok(&mut out, channel, get_ok),
        Method::Return(returned) => encode::encode_return(&mut out, channel, returned),
        Method::Cold(class) => encode::encode_method(&mut out, channel, class.clone()).unwrap(),
    }
    out
}

/// Floats that are no number equal nothing, so values are compared as they print.
fn same<T: std::fmt::Debug>(ours: &T, theirs: &T) -> Result<(), TestCaseError> {
    prop_assert_eq!(format!("{:?}", ours), format!("{:?}", theirs));
    Ok(())
}

#[test]
fn every_method_reads_and_writes_as_the_oracle_does() {
    check((grammar::method(), any::<u16>()), |(payload, channel)| {
        let ours = decode_method(&payload).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let theirs = oracle_method(&payload).expect("the grammar writes whole methods");
        let ours_as_theirs = as_oracle(&ours).expect("the grammar writes text");
        same(&ours_as_theirs, &theirs)?;
        prop_assert_eq!(ours.ids(), (theirs.get_amqp_class_id(), theirs.get_amqp_method_id()));
        let written = encoded(channel, &ours);
        prop_assert_eq!(&written, &oracle_frame(&AMQPFrame::Method(channel, theirs)));
        let (frame, used) = parse_frame(&written, u32::MAX).unwrap().expect("a whole frame");
        prop_assert_eq!((frame.kind, frame.channel, used), (FrameKind::Method, channel, written.len()));
        same(&as_oracle(&decode_method(frame.payload).unwrap()), &Some(ours_as_theirs))
    });
}

#[test]
fn every_method_of_the_layout_is_generated_by_the_oracle_too() {
    for layout in &leveret_protocol::layout::METHODS {
        let payload = grammar::smallest(layout);
        let theirs = oracle_method(&payload).unwrap_or_else(|| panic!("{}", layout.name));
        let written = gen_class(&theirs)(WriteContext::from(Vec::new())).unwrap().into_inner().0;
        // Reserved values need not be zero: access.request-ok carries ticket 1.
        assert_eq!((written.len(), &written[..4]), (payload.len(), &payload[..4]), "{}", layout.name);
        assert!(decode_method(&written).is_ok(), "{}", layout.name);
    }
}

#[test]
fn a_damaged_method_is_accepted_only_as_the_oracle_accepts_it() {
    check((grammar::method(), grammar::damage()), |(mut payload, damage)| {
        damage.apply(&mut payload);
        let ours = decode_method(&payload);
        let shallow = grammar::depth_at_most(&payload, 64);
        let theirs = if shallow { oracle_method(&payload) } else { None };
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => match as_oracle(&ours) {
                Some(ours) => same(&ours, &theirs),
                None => Err(TestCaseError::fail("the oracle took names that are not text")),
            },
            // Hot names are bytes with us, text with the oracle.
            (Ok(ours), None) => {
                let named_in_bytes = as_oracle(&ours).is_none();
                prop_assert!(!shallow || named_in_bytes, "accepted by us alone: {:?}", ours);
                Ok(())
            }
            (Err(error), Some(_)) => {
                prop_assert!(error.to_string().contains("table"), "refused by us alone: {}", error);
                Ok(())
            }
            (Err(_), None) => Ok(()),
        }
    });
}

#[test]
fn tables_read_and_write_as_the_oracles_do() {
    check((grammar::table(), grammar::damage(), any::<bool>()), |(mut content, damage, damaged)| {
        if damaged {
            damage.apply(&mut content);
        }
        if !grammar::depth_at_most(&content, 64) {
            return Ok(());
        }
        let whole = grammar::long(&content);
        let theirs = match parse_field_table(whole.as_slice()) {
            Ok(([], table)) => Some(table),
            _ => None,
        };
        let ours = check_text_table(&content).ok().map(|()| FieldTable::parse(&content).unwrap());
        prop_assert_eq!(ours.is_some(), theirs.is_some());
        let (Some(ours), Some(theirs)) = (ours, theirs) else { return Ok(()) };
        same(&ours.to_amqp(), &theirs)?;
        let written = from_amqp(&theirs).unwrap();
        let oracle = gen_field_table(&theirs)(WriteContext::from(Vec::new())).unwrap().into_inner().0;
        prop_assert_eq!(grammar::long(&written), oracle);
        same(&FieldTable::parse(&written).unwrap().to_amqp(), &theirs)
    });
}

#[test]
fn a_table_without_a_name_keeps_the_rest() {
    check((grammar::table(), any::<prop::sample::Index>()), |(content, index)| {
        let table = FieldTable::parse(&content).unwrap();
        let names: Vec<_> = table.iter().map(|(name, _)| name).collect();
        let name = names.get(index.index(names.len().max(1))).copied().unwrap_or(b"absent");
        prop_assert_eq!(table.get(name).is_some(), !names.is_empty());
        let without = table.without(name);
        let rest = FieldTable::parse(&without).unwrap();
        let kept: Vec<_> = table.iter().filter(|(key, _)| *key != name).collect();
        same(&rest.iter().collect::<Vec<_>>(), &kept)
    });
}

/// amq-protocol's properties as ours, by the builder.
fn built(properties: &BasicProperties) -> Vec<u8> {
    let mut builder = PropertiesBuilder::new();
    let texts = [
        (Property::ContentType, properties.content_type()),
        (Property::ContentEncoding, properties.content_encoding()),
        (Property::CorrelationId, properties.correlation_id()),
        (Property::ReplyTo, properties.reply_to()),
        (Property::Expiration, properties.expiration()),
        (Property::MessageId, properties.message_id()),
        (Property::Kind, properties.kind()),
        (Property::UserId, properties.user_id()),
        (Property::AppId, properties.app_id()),
        (Property::ClusterId, properties.cluster_id()),
    ];
    for (property, text) in texts {
        if let Some(text) = text {
            builder.set_text(property, text.as_str().as_bytes());
        }
    }
    if let Some(mode) = properties.delivery_mode() {
        builder.set_octet(Property::DeliveryMode, *mode);
    }
    if let Some(priority) = properties.priority() {
        builder.set_octet(Property::Priority, *priority);
    }
    if let Some(seconds) = properties.timestamp() {
        builder.set_timestamp(*seconds);
    }
    if let Some(headers) = properties.headers() {
        builder.set_headers(&from_amqp(headers).unwrap());
    }
    builder.to_vec()
}

#[test]
fn content_headers_read_and_write_as_the_oracles_do() {
    check((grammar::properties(), any::<u16>(), any::<u64>()), |(raw, channel, body_size)| {
        let mut written = Vec::new();
        encode::encode_content_header(&mut written, channel, 60, body_size, &raw);
        let (frame, _) = parse_frame(&written, u32::MAX).unwrap().expect("a whole frame");
        let header = parse_content_header(frame.payload).unwrap();
        prop_assert_eq!((header.class_id, header.body_size, header.properties), (60, body_size, &raw[..]));
        let theirs = match amq_protocol::frame::parse_frame(written.as_slice()) {
            Ok(([], AMQPFrame::Header(at, theirs))) if at == channel => theirs,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let AMQPContentHeader { properties, .. } = &theirs;
        let view = PropertyView::parse(header.properties).unwrap();
        prop_assert_eq!(view.delivery_mode(), *properties.delivery_mode());
        prop_assert_eq!(view.priority(), *properties.priority());
        prop_assert_eq!(view.timestamp(), *properties.timestamp());
        let text = |text: &Option<amqp::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        let ours = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        prop_assert_eq!(ours(view.expiration()), text(properties.expiration()));
        prop_assert_eq!(ours(view.reply_to()), text(properties.reply_to()));
        prop_assert_eq!(ours(view.user_id()), text(properties.user_id()));
        prop_assert_eq!(ours(view.message_id()), text(properties.message_id()));
        prop_assert_eq!(ours(view.correlation_id()), text(properties.correlation_id()));
        prop_assert_eq!(ours(view.content_type()), text(properties.content_type()));
        prop_assert_eq!(ours(view.content_encoding()), text(properties.content_encoding()));
        prop_assert_eq!(ours(view.kind()), text(properties.kind()));
        prop_assert_eq!(ours(view.app_id()), text(properties.app_id()));
        same(&view.headers_table().map(|table| table.to_amqp()), properties.headers())?;
        prop_assert_eq!(&PropertiesBuilder::from(view).to_vec(), &raw);
        let mut by_builder = Vec::new();
        encode::encode_content_header(&mut by_builder, channel, 60, body_size, &built(properties));
        prop_assert_eq!(by_builder, oracle_frame(&AMQPFrame::Header(channel, theirs)));
        Ok(())
    });
}

/// Whether everything that the oracle holds as text is text.
fn is_text(view: &PropertyView<'_>) -> bool {
    let texts = Property::ALL.into_iter().filter_map(|property| view.text(property));
    let mut not_text = texts.filter(|text| std::str::from_utf8(text).is_err());
    not_text.next().is_none() && view.headers().is_none_or(|table| check_text_table(table).is_ok())
}

#[test]
fn damaged_properties_are_accepted_only_as_the_oracle_accepts_them() {
    check((grammar::properties(), grammar::damage()), |(mut raw, damage)| {
        damage.apply(&mut raw);
        let shallow = grammar::depth_at_most(&raw, 64);
        let theirs = match oracle_basic::parse_properties(raw.as_slice()) {
            Ok(([], properties)) if shallow => Some(properties),
            _ => None,
        };
        match (PropertyView::parse(&raw), theirs) {
            (Ok(view), Some(theirs)) => {
                same(&view.headers_table().map(|table| table.to_amqp()), theirs.headers())
            }
            // Texts and names are bytes with us, text with the oracle.
            (Ok(view), None) => {
                prop_assert!(!shallow || !is_text(&view), "accepted by us alone");
                Ok(())
            }
            (Err(error), Some(_)) => {
                let reason = error.to_string();
                let ours_alone = reason.contains("table") || reason.contains("flags continue");
                prop_assert!(ours_alone, "refused by us alone: {}", reason);
                Ok(())
            }
            (Err(_), None) => Ok(()),
        }
    });
}

#[test]
fn one_property_changed_leaves_the_others_as_they_were() {
    let pick = prop::sample::select(Property::ALL.to_vec());
    check((grammar::properties(), pick, any::<bool>()), |(raw, changed, removed)| {
        let view = PropertyView::parse(&raw).unwrap();
        let mut builder = PropertiesBuilder::from(view);
        if removed {
            builder.remove(changed);
        } else {
            builder.set_text(changed, b"new").set_octet(changed, 7);
        }
        let written = builder.to_vec();
        let after = PropertyView::parse(&written).unwrap();
        for property in Property::ALL {
            if property != changed {
                prop_assert_eq!(after.raw_value(property), view.raw_value(property));
            }
        }
        prop_assert!(!removed || !after.has(changed));
        Ok(())
    });
}

#[test]
fn bodies_are_split_by_frame_max_and_read_back_whole() {
    let body = prop::collection::vec(any::<u8>(), 0..4000);
    check((body, 9u32..5000, any::<u16>()), |(body, frame_max, channel)| {
        let mut written = Vec::new();
        encode::encode_body(&mut written, channel, frame_max, &body);
        let (mut rest, mut read) = (written.as_slice(), Vec::new());
        while let Some((frame, used)) = parse_frame(rest, frame_max).unwrap() {
            prop_assert_eq!((frame.kind, frame.channel), (FrameKind::Body, channel));
            prop_assert!(used <= frame_max as usize);
            prop_assert!(!frame.payload.is_empty());
            let oracle = AMQPFrame::Body(channel, frame.payload.to_vec());
            prop_assert_eq!(&rest[..used], &oracle_frame(&oracle)[..]);
            read.extend_from_slice(frame.payload);
            rest = &rest[used..];
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(read, body);
        Ok(())
    });
}
