//! Makes inputs: streams of frames by the grammar, or cases of the corpus, then damaged.

use fastrand::Rng;
use leveret_protocol::constants::{DEFAULT_FRAME_MAX, FRAME_END, FRAME_MIN_SIZE};
use leveret_protocol::layout::{Field, METHODS};
use leveret_protocol::properties::Property;
use leveret_protocol::testing::corpus::{Stage, cases};

/// One execution's input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    /// The stream.
    pub(crate) bytes: &'a [u8],
    /// The agreed frame_max.
    pub(crate) max_frame_bytes: u32,
    /// Feed it again in pieces of so many bytes.
    pub(crate) pieces: Option<usize>,
}

/// Makes inputs into one buffer.
pub(crate) struct Grammar {
    corpus: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    bytes: Vec<u8>,
}

/// Cases of the corpus above this size come less often.
const LARGE_BYTES: usize = 8192;
/// The largest content of a frame made here.
const MOST_BYTES: usize = DEFAULT_FRAME_MAX as usize - 64;

impl Grammar {
    /// With the corpus of malformed input.
    ///
    /// # Panics
    /// If the corpus cannot be read, which a test in its crate rules out.
    pub(crate) fn new() -> Self {
        let cases = cases().unwrap_or_else(|error| panic!("the corpus: {error}"));
        let streams = cases.into_iter().filter(|case| case.stage != Stage::ProtocolHeader);
        let (large, corpus) = streams.map(|case| case.bytes).partition(|bytes| bytes.len() > LARGE_BYTES);
        Self { corpus, large, bytes: Vec::new() }
    }

    /// The input of this number: always the same for one seed.
    pub(crate) fn input(&mut self, seed: u64, number: u64) -> Input<'_> {
        let mut rng = Rng::with_seed(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        self.bytes.clear();
        match rng.u32(..4000) {
            0 => self.bytes.extend_from_slice(&self.large[rng.usize(..self.large.len())]),
            1..4 => bomb(&mut rng, &mut self.bytes),
            4..1000 => self.bytes.extend_from_slice(&self.corpus[rng.usize(..self.corpus.len())]),
            _ => (0..rng.u32(1..4)).for_each(|_| unit(&mut rng, &mut self.bytes)),
        }
        for _ in 0..rng.u32(..4) {
            self.damage(&mut rng);
        }
        let max_frame_bytes = if rng.u32(..4) == 0 { FRAME_MIN_SIZE } else { DEFAULT_FRAME_MAX };
        let small = self.bytes.len() <= 2048;
        let pieces = (small && rng.u32(..8) == 0).then(|| rng.usize(1..40));
        Input { bytes: &self.bytes, max_frame_bytes, pieces }
    }

    /// One thing goes wrong with the stream.
    fn damage(&mut self, rng: &mut Rng) {
        let bytes = &mut self.bytes;
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(..bytes.len());
        match rng.u32(..10) {
            0 | 1 => bytes[at] = rng.u8(..),
            2 => bytes[at] ^= 1 << rng.u32(..8),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, rng.u8(..)),
            5 => {
                bytes.remove(at);
            }
            6 => {
                let sizes = [0, 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX, 4096, 131_072, 131_073];
                let size = rng.choice(sizes).unwrap_or_default().wrapping_add(rng.u32(..2));
                bytes.iter_mut().skip(at).zip(size.to_be_bytes()).for_each(|(old, new)| *old = new);
            }
            7 => {
                let ends: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] == FRAME_END).collect();
                if let Some(end) = rng.choice(ends) {
                    bytes[end] = rng.u8(..);
                }
            }
            8 => {
                let other = &self.corpus[rng.usize(..self.corpus.len())];
                let from = rng.usize(..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => {
                let to = (at + rng.usize(1..32)).min(bytes.len());
                let copy = bytes[at..to].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

/// A frame whose payload `write` makes.
fn frame(out: &mut Vec<u8>, kind: u8, channel: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    long(out, write);
    out.push(FRAME_END);
}

/// Four bytes of length and what `write` makes.
fn long(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// What a peer sends at once: a method, or a whole content, or a heartbeat.
fn unit(rng: &mut Rng, out: &mut Vec<u8>) {
    let channel = rng.u16(..3);
    match rng.u32(..10) {
        0 => frame(out, 8, 0, |_| {}),
        1..6 => content(rng, out, channel.max(1)),
        _ => frame(out, 1, channel, |out| method(rng, out)),
    }
}

fn method(rng: &mut Rng, out: &mut Vec<u8>) {
    let layout = &METHODS[rng.usize(..METHODS.len())];
    out.extend_from_slice(&layout.class_id.to_be_bytes());
    out.extend_from_slice(&layout.method_id.to_be_bytes());
    for field in layout.fields {
        match field {
            Field::Octet | Field::Bits => some_bytes(rng, out, 1),
            Field::U16 => some_bytes(rng, out, 2),
            Field::U32 => some_bytes(rng, out, 4),
            Field::U64 => some_bytes(rng, out, 8),
            Field::Short => short(rng, out),
            Field::Long => long(out, |out| {
                let count = rng.usize(..20);
                some_bytes(rng, out, count);
            }),
            Field::Table => long(out, |out| table(rng, out, 4)),
        }
    }
}

/// Publish, header and bodies, whose sizes agree but one time in eight.
fn content(rng: &mut Rng, out: &mut Vec<u8>, channel: u16) {
    frame(out, 1, channel, |out| {
        out.extend_from_slice(&[0, 60, 0, 40, 0, 0]);
        short(rng, out);
        short(rng, out);
        out.push(rng.u8(..4));
    });
    let bodies: Vec<usize> = (0..rng.u32(..4)).map(|_| rng.usize(..30)).collect();
    let mut announced = bodies.iter().sum::<usize>() as u64;
    if rng.u32(..8) == 0 {
        announced = rng.choice([0, 1, announced + 1, announced.saturating_sub(1), u64::MAX]).unwrap_or(0);
    }
    frame(out, 2, channel, |out| {
        out.extend_from_slice(&[0, 60, 0, 0]);
        out.extend_from_slice(&announced.to_be_bytes());
        properties(rng, out);
    });
    for body in bodies {
        frame(out, 3, channel, |out| some_bytes(rng, out, body));
    }
}

fn properties(rng: &mut Rng, out: &mut Vec<u8>) {
    let flags = match rng.u32(..3) {
        0 => 0x1000,
        1 => rng.u16(..) & rng.u16(..) & 0xFFFE,
        _ => 0x2000 | (rng.u16(..) & rng.u16(..) & 0xFFFC),
    };
    out.extend_from_slice(&flags.to_be_bytes());
    for property in Property::ALL.into_iter().filter(|property| flags & property.flag() != 0) {
        match property {
            Property::Headers => long(out, |out| table(rng, out, 4)),
            Property::DeliveryMode | Property::Priority => some_bytes(rng, out, 1),
            Property::Timestamp => some_bytes(rng, out, 8),
            _ => short(rng, out),
        }
    }
}

fn table(rng: &mut Rng, out: &mut Vec<u8>, depth: u32) {
    for _ in 0..rng.u32(..4) {
        short(rng, out);
        value(rng, out, depth);
    }
}

fn value(rng: &mut Rng, out: &mut Vec<u8>, depth: u32) {
    let letters = b"tbBsuUIilLfdDTVSxSSAF";
    let letter = letters[rng.usize(..letters.len() - if depth == 0 { 2 } else { 0 })];
    out.push(letter);
    match letter {
        b't' | b'b' | b'B' => some_bytes(rng, out, 1),
        b's' | b'u' | b'U' => some_bytes(rng, out, 2),
        b'I' | b'i' | b'f' => some_bytes(rng, out, 4),
        b'D' => some_bytes(rng, out, 5),
        b'l' | b'L' | b'd' | b'T' => some_bytes(rng, out, 8),
        b'S' | b'x' => long(out, |out| {
            let count = rng.usize(..16);
            some_bytes(rng, out, count);
        }),
        b'A' => long(out, |out| (0..rng.u32(..4)).for_each(|_| value(rng, out, depth - 1))),
        b'F' => long(out, |out| table(rng, out, depth - 1)),
        _ => {}
    }
}

fn short(rng: &mut Rng, out: &mut Vec<u8>) {
    let count = if rng.u32(..50) == 0 { 255 } else { rng.u8(..12) };
    out.push(count);
    (0..count).for_each(|_| out.push(rng.u8(b'a'..=b'z')));
}

fn some_bytes(rng: &mut Rng, out: &mut Vec<u8>, count: usize) {
    (0..count).for_each(|_| out.push(rng.u8(..)));
}

/// A table that nests deep or has many elements, in arguments or in headers.
fn bomb(rng: &mut Rng, out: &mut Vec<u8>) {
    // Evenly over the orders of magnitude: as many tens as ten thousands.
    let most = MOST_BYTES / 7;
    let count = ((most as f64).powf(rng.f64()) as usize).clamp(1, most);
    let mut content = Vec::new();
    match rng.u32(..3) {
        0 => nested(&mut content, b"\x01aF", count),
        1 => {
            content.extend_from_slice(b"\x01a");
            nested(&mut content, b"A", count);
        }
        _ => (0..count).for_each(|_| content.extend_from_slice(b"\x01aV")),
    }
    let put = |out: &mut Vec<u8>| long(out, |out| out.extend_from_slice(&content));
    match rng.u32(..3) {
        0 => frame(out, 1, 1, |out| {
            out.extend_from_slice(&[0, 50, 0, 10, 0, 0, 0, 2]);
            put(out);
        }),
        1 => frame(out, 1, 0, |out| {
            out.extend_from_slice(&[0, 10, 0, 11]);
            put(out);
            out.extend_from_slice(b"\x05PLAIN\0\0\0\0\0");
        }),
        _ => {
            frame(out, 1, 1, |out| out.extend_from_slice(&[0, 60, 0, 40, 0, 0, 0, 0, 0]));
            frame(out, 2, 1, |out| {
                out.extend_from_slice(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0]);
                put(out);
            });
        }
    }
}

/// `count` containers, one in the other, each beginning with `head` and a length.
fn nested(out: &mut Vec<u8>, head: &[u8], count: usize) {
    for inner in (0..count).rev() {
        out.extend_from_slice(head);
        let length = u32::try_from(inner * (head.len() + 4)).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
    }
}
