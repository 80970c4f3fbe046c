//! A second reading of the wire format, as plain as can be, written apart from the decoder.
//!
//! Says only whether bytes are acceptable. Recursive, but never deeper than the bound it checks.

use leveret_protocol::constants::FRAME_END;
use leveret_protocol::layout::{Field, find};
use leveret_protocol::limits::{TABLE_DEPTH, TABLE_ELEMENTS};

/// What the first bytes of a stream are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// A frame of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Cut,
    /// No frame that may come.
    Wrong,
}

/// Reads a frame.
pub(crate) fn frame(bytes: &[u8], max_frame_bytes: u32) -> Plain {
    if bytes.len() < 7 {
        return Plain::Cut;
    }
    let payload_bytes = number(&bytes[3..7]);
    if payload_bytes as u64 > u64::from(max_frame_bytes) {
        return Plain::Wrong;
    }
    if bytes.len() < payload_bytes + 8 {
        return Plain::Cut;
    }
    let heartbeat = bytes[0] == 8;
    let known = matches!(bytes[0], 1..=3) || (heartbeat && payload_bytes == 0);
    if known && bytes[payload_bytes + 7] == FRAME_END {
        Plain::Whole(payload_bytes + 8)
    } else {
        Plain::Wrong
    }
}

/// Whether a method frame's payload is a method.
pub(crate) fn is_method(payload: &[u8]) -> bool {
    if payload.len() < 4 {
        return false;
    }
    let (class_id, method_id) = (number(&payload[..2]) as u16, number(&payload[2..4]) as u16);
    let Some(layout) = find(class_id, method_id) else { return false };
    let hot = class_id == 60 && [40, 50, 60, 71, 80, 90, 120].contains(&method_id);
    let mut cursor = Cursor { bytes: &payload[4..], text: !hot };
    let whole = layout.fields.iter().all(|field| cursor.field(*field).is_some());
    whole && cursor.bytes.is_empty()
}

/// Whether bytes are a flags word and the properties it says.
pub(crate) fn is_properties(raw: &[u8]) -> bool {
    if raw.len() < 2 || raw[1] & 1 == 1 {
        return false;
    }
    let flags = number(&raw[..2]);
    let mut cursor = Cursor { bytes: &raw[2..], text: false };
    let kinds = "SSTBBSSSSLSSSS";
    let whole = kinds.bytes().enumerate().filter(|(bit, _)| (flags << bit) & 0x8000 != 0).all(|(_, kind)| {
        let field = match kind {
            b'S' => Field::Short,
            b'T' => Field::Table,
            b'B' => Field::Octet,
            _ => Field::U64,
        };
        cursor.field(field).is_some()
    });
    whole && cursor.bytes.is_empty()
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| (number << 8) | usize::from(*byte))
}

/// What is left to read; whether names must be text.
struct Cursor<'a> {
    bytes: &'a [u8],
    text: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn counted(&mut self, length_bytes: usize) -> Option<&'a [u8]> {
        let count = number(self.take(length_bytes)?);
        self.take(count)
    }

    fn name(&mut self) -> Option<()> {
        let name = self.counted(1)?;
        (!self.text || std::str::from_utf8(name).is_ok()).then_some(())
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Octet | Field::Bits => self.take(1).map(drop),
            Field::U16 => self.take(2).map(drop),
            Field::U32 => self.take(4).map(drop),
            Field::U64 => self.take(8).map(drop),
            Field::Long => self.counted(4).map(drop),
            Field::Short => self.name(),
            Field::Table => {
                let table = Self { bytes: self.counted(4)?, text: self.text };
                let mut elements = 0;
                table.items(true, 1, &mut elements)
            }
        }
    }

    /// Reads a table's or an array's content to its end.
    fn items(mut self, named: bool, depth: usize, elements: &mut usize) -> Option<()> {
        if depth > TABLE_DEPTH {
            return None;
        }
        while !self.bytes.is_empty() {
            *elements += 1;
            if *elements > TABLE_ELEMENTS {
                return None;
            }
            if named {
                self.name()?;
            }
            let letter = self.take(1)?[0];
            let fixed = match letter {
                b'V' => 0,
                b't' | b'b' | b'B' => 1,
                b's' | b'u' | b'U' => 2,
                b'I' | b'i' | b'f' => 4,
                b'D' => 5,
                b'l' | b'L' | b'd' | b'T' => 8,
                b'S' | b'x' | b'A' | b'F' => {
                    let inner = Self { bytes: self.counted(4)?, text: self.text };
                    if matches!(letter, b'A' | b'F') {
                        inner.items(letter == b'F', depth + 1, elements)?;
                    }
                    0
                }
                _ => return None,
            };
            self.take(fixed)?;
        }
        Some(())
    }
}
