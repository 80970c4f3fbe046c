//! Judges one input: what the decoder made of it against what it should have made.
//!
//! - A frame, a method and properties are accepted or refused as [`plain`] says, which reads them apart.
//! - A method that is accepted is what amq-protocol reads; written again, it is read as the same.
//! - A content's bodies never exceed the size that its header announced.
//! - Accepted headers can be walked, converted and written back unchanged.
//! - Cutting the stream into pieces changes nothing.

use std::collections::BTreeMap;

use amq_protocol::protocol::parse_class;
use leveret_protocol::content::ContentAssembler;
use leveret_protocol::encode::encode_method;
use leveret_protocol::field_table::FieldValue;
use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::method::Method;
use leveret_protocol::properties::{PropertiesBuilder, PropertyView, parse_content_header};
use leveret_protocol::testing::reader::{Decoder, Ending, Reader};

use crate::grammar::Input;
use crate::plain::{self, Plain};
use crate::planted::{Plant, Planted};

/// Methods up to this size are compared with amq-protocol, which copies all it reads.
const COMPARED_BYTES: usize = 2048;

/// One channel: the decoder's judge of contents, and a count kept apart from it.
#[derive(Default)]
struct Channel {
    content: ContentAssembler,
    announced: u64,
    received: u64,
}

/// Judges one input; an error is a finding.
pub(crate) fn judge(decoder: Planted, input: Input<'_>) -> Result<(), String> {
    let mut channels: BTreeMap<u16, Channel> = BTreeMap::new();
    let mut rest = input.bytes;
    while let Some(bytes) = judge_frame(decoder, rest, input.max_frame_bytes, &mut channels)? {
        rest = rest.get(bytes..).ok_or("more was taken than there is")?;
    }
    match input.pieces {
        Some(pieces) => judge_pieces(decoder, input, pieces),
        None => Ok(()),
    }
}

/// Judges the first frame of `rest`; its size, or nothing if the stream ends or is refused here.
fn judge_frame(
    decoder: Planted,
    rest: &[u8],
    max_frame_bytes: u32,
    channels: &mut BTreeMap<u16, Channel>,
) -> Result<Option<usize>, String> {
    let expected = plain::frame(rest, max_frame_bytes);
    let (frame, bytes) = match (decoder.frame(rest, max_frame_bytes), expected) {
        (Ok(Some(taken)), Plain::Whole(bytes)) if taken.1 == bytes => taken,
        (Ok(None), Plain::Cut) => return Ok(None),
        (Err(error), Plain::Wrong) if error.reply_code() == 501 => return Ok(None),
        (taken, expected) => return Err(format!("a frame is {expected:?}, not {taken:?}")),
    };
    if frame.payload.len() + 8 != bytes || rest.get(7..bytes - 1) != Some(frame.payload) {
        return Err("a frame's payload is not the bytes between header and end".to_owned());
    }
    if frame.check_channel().is_err() {
        return Ok(None);
    }
    let channel = channels.entry(frame.channel).or_default();
    let goes_on = match frame.kind {
        FrameKind::Method => judge_method(decoder, frame, channel)?,
        FrameKind::Header => judge_header(frame, channel)?,
        FrameKind::Body => judge_body(decoder, frame, channel)?,
        FrameKind::Heartbeat => true,
    };
    Ok(goes_on.then_some(bytes))
}

fn judge_method(decoder: Planted, frame: Frame<'_>, channel: &mut Channel) -> Result<bool, String> {
    let decoded = decoder.method(frame.payload);
    // That fault is to be found by the overflow alone, which proves that overflows are found.
    let overflow_wanted = decoder.0 == Some(Plant::UnboundedRecursion);
    if !overflow_wanted && decoded.is_ok() != plain::is_method(frame.payload) {
        return Err(format!("a plain reading judges a method otherwise than {decoded:?}"));
    }
    let Ok(method) = decoded else { return Ok(false) };
    if frame.payload.get(..4) != Some(&ids(&method)) {
        return Err("a method has other ids than its payload".to_owned());
    }
    if let Method::Cold(class) = &method
        && frame.payload.len() <= COMPARED_BYTES
    {
        match parse_class(frame.payload) {
            Ok(([], theirs)) if format!("{theirs:?}") == format!("{class:?}") => {}
            other => return Err(format!("read as {class:?}, by the oracle as {other:?}")),
        }
        let mut written = Vec::new();
        encode_method(&mut written, frame.channel, class.clone()).map_err(|error| error.to_string())?;
        let again = decoder.method(&written[7..written.len() - 1]).map_err(|error| error.to_string())?;
        if format!("{again:?}") != format!("{method:?}") {
            return Err(format!("{method:?} written is {again:?}"));
        }
    }
    let publish = matches!(method, Method::Publish(_));
    Ok(channel.content.method(publish).is_ok())
}

fn ids(method: &Method<'_>) -> [u8; 4] {
    let (class, method) = method.ids();
    let ([c1, c0], [m1, m0]) = (class.to_be_bytes(), method.to_be_bytes());
    [c1, c0, m1, m0]
}

fn judge_header(frame: Frame<'_>, channel: &mut Channel) -> Result<bool, String> {
    let Ok(header) = parse_content_header(frame.payload) else { return Ok(false) };
    if channel.content.header(&header).is_err() {
        return Ok(false);
    }
    channel.announced = header.body_size;
    channel.received = 0;
    let view = PropertyView::parse(header.properties);
    if view.is_ok() != plain::is_properties(header.properties) {
        return Err(format!("a plain reading judges properties otherwise than {view:?}"));
    }
    let Ok(view) = view else { return Ok(false) };
    if let Some(table) = view.headers_table() {
        let mut walked = 0usize;
        table.iter().for_each(|(name, value)| walked += 1 + name.len() + value_bytes(&value));
        if walked != table.as_bytes().len() {
            return Err(format!("{walked} of {} bytes of headers walked", table.as_bytes().len()));
        }
        table.to_amqp();
    }
    let mut raw = header.properties.to_vec();
    // The one flag that no property has is not written back.
    raw[1] &= !2;
    if PropertiesBuilder::from(view).to_vec() != raw {
        return Err("properties written back are others".to_owned());
    }
    Ok(true)
}

/// The bytes of a value on the wire, counted by walking into it.
fn value_bytes(value: &FieldValue<'_>) -> usize {
    match value {
        FieldValue::Void => 1,
        FieldValue::Bool(_) | FieldValue::I8(_) | FieldValue::U8(_) => 2,
        FieldValue::I16(_) | FieldValue::U16(_) => 3,
        FieldValue::I32(_) | FieldValue::U32(_) | FieldValue::F32(_) => 5,
        FieldValue::Decimal { .. } => 6,
        FieldValue::I64(_) | FieldValue::F64(_) | FieldValue::Timestamp(_) => 9,
        FieldValue::LongString(bytes) | FieldValue::Bytes(bytes) => 5 + bytes.len(),
        FieldValue::Array(array) => 5 + array.iter().map(|item| value_bytes(&item)).sum::<usize>(),
        FieldValue::Table(table) => {
            5 + table.iter().map(|(name, item)| 1 + name.len() + value_bytes(&item)).sum::<usize>()
        }
    }
}

fn judge_body(decoder: Planted, frame: Frame<'_>, channel: &mut Channel) -> Result<bool, String> {
    let bytes = frame.payload.len() as u64;
    if decoder.body(&mut channel.content, bytes).is_err() {
        return Ok(false);
    }
    channel.received += bytes;
    if channel.received > channel.announced {
        return Err(format!("{} bytes of body where {} were announced", channel.received, channel.announced));
    }
    Ok(true)
}

/// Feeds the stream in pieces of that size: the end must be the same.
fn judge_pieces(decoder: Planted, input: Input<'_>, pieces: usize) -> Result<(), String> {
    let (whole, taken_whole) = Reader::new(decoder, input.max_frame_bytes).take_all(input.bytes);
    let mut reader = Reader::new(decoder, input.max_frame_bytes);
    let (mut buffer, mut taken_all, mut ending) = (Vec::new(), 0, Ending::Whole);
    for piece in input.bytes.chunks(pieces) {
        buffer.extend_from_slice(piece);
        let (now, taken) = reader.take_all(&buffer);
        buffer.drain(..taken);
        taken_all += taken;
        ending = now;
        if matches!(ending, Ending::Refused(_)) {
            break;
        }
    }
    // A wrong frame is refused before all of it is there, so the words may show less of it.
    let same = match (&whole, &ending) {
        (Ending::Refused(whole), Ending::Refused(pieces)) => whole.reply_code == pieces.reply_code,
        (whole, ending) => whole == ending,
    };
    if same && taken_whole == taken_all {
        return Ok(());
    }
    Err(format!("whole: {whole:?} after {taken_whole}; in pieces: {ending:?} after {taken_all}"))
}
