//! AMQP 0-9-1 bytes: frames, method payloads and field tables, written and read by hand.
//!
//! The writers check nothing: wrong bytes are what most tests want to send. The reader is strict and gives `None`
//! for anything that the grammar does not allow.

/// Frame type of a method.
pub const METHOD: u8 = 1;
/// Frame type of a content header.
pub const HEADER: u8 = 2;
/// Frame type of a piece of content body.
pub const BODY: u8 = 3;
/// Frame type of a heartbeat.
pub const HEARTBEAT: u8 = 8;
/// The octet that ends each frame.
pub const FRAME_END: u8 = 0xCE;
/// What a client says first.
pub const PROTOCOL_HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// One whole frame without its end octet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Frame type octet.
    pub kind: u8,
    /// Channel number.
    pub channel: u16,
    /// Everything between the size field and the end octet.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Class and method id of a method frame.
    #[must_use]
    pub fn method(&self) -> Option<(u16, u16)> {
        if self.kind != METHOD {
            return None;
        }
        let mut reader = Reader::new(&self.payload);
        Some((reader.u16()?, reader.u16()?))
    }

    /// A reader over the arguments of a method frame.
    #[must_use]
    pub fn arguments(&self) -> Reader<'_> {
        Reader::new(self.payload.get(4..).unwrap_or_default())
    }

    /// Takes the first whole frame out of `buffer`; `None` when there is none yet.
    ///
    /// # Panics
    /// When the broker did not put the end octet where the size says.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let mut reader = Reader::new(buffer);
        let (kind, channel, size) = (reader.u8()?, reader.u16()?, reader.u32()? as usize);
        let end = *buffer.get(7 + size)?;
        assert_eq!(end, FRAME_END, "the broker's frame does not end in 0xCE");
        let payload = buffer[7..7 + size].to_vec();
        buffer.drain(..8 + size);
        Some(Self { kind, channel, payload })
    }
}

/// A whole frame as bytes.
#[must_use]
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a payload below 4 GiB");
    let mut bytes = frame_head(kind, channel, size);
    bytes.extend_from_slice(payload);
    bytes.push(FRAME_END);
    bytes
}

/// The seven octets before a frame's payload, whatever the payload will be.
#[must_use]
pub fn frame_head(kind: u8, channel: u16, size: u32) -> Vec<u8> {
    Writer::default().u8(kind).u16(channel).u32(size).done()
}

/// Writes a payload piece by piece.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins a method payload.
    #[must_use]
    pub fn method(class: u16, method: u16) -> Self {
        Self::default().u16(class).u16(method)
    }

    /// One octet; packed bits too.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// A short.
    #[must_use]
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A long.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A longlong.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A short string: at most 255 octets.
    #[must_use]
    pub fn short(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.push(u8::try_from(value.len()).expect("a short string"));
        self.0.extend_from_slice(value);
        self
    }

    /// A long string.
    #[must_use]
    pub fn long(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self = self.u32(u32::try_from(value.len()).expect("a long string"));
        self.0.extend_from_slice(value);
        self
    }

    /// A field table.
    #[must_use]
    pub fn table(self, table: &Table) -> Self {
        self.long(&table.0)
    }

    /// Octets as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The payload.
    #[must_use]
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A field table under construction.
#[derive(Debug, Default, Clone)]
pub struct Table(pub Vec<u8>);

impl Table {
    /// A field with any type letter and any octets as its value.
    #[must_use]
    pub fn field(mut self, key: &str, letter: u8, value: &[u8]) -> Self {
        self.0.push(u8::try_from(key.len()).expect("a short key"));
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(letter);
        self.0.extend_from_slice(value);
        self
    }

    /// A long string field (`S`).
    #[must_use]
    pub fn text(self, key: &str, value: &str) -> Self {
        let value = Writer::default().long(value).done();
        self.field(key, b'S', &value)
    }

    /// A signed 32-bit field (`I`).
    #[must_use]
    pub fn int(self, key: &str, value: i32) -> Self {
        self.field(key, b'I', &value.to_be_bytes())
    }

    /// A boolean field (`t`).
    #[must_use]
    pub fn flag(self, key: &str, value: bool) -> Self {
        self.field(key, b't', &[u8::from(value)])
    }

    /// A nested table (`F`).
    #[must_use]
    pub fn table(self, key: &str, value: &Self) -> Self {
        let value = Writer::default().table(value).done();
        self.field(key, b'F', &value)
    }

    /// An array of long strings (`A`).
    #[must_use]
    pub fn texts(self, key: &str, values: &[&str]) -> Self {
        let items = values.iter().fold(Writer::default(), |writer, value| writer.u8(b'S').long(value));
        let value = Writer::default().long(items.done()).done();
        self.field(key, b'A', &value)
    }
}

/// Reads a payload piece by piece.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    bits: Option<(u8, u8)>,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, bits: None }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bits = None;
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    /// One octet.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|bytes| bytes[0])
    }

    /// A short.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A long.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A longlong.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next of a run of packed bits.
    pub fn bit(&mut self) -> Option<bool> {
        let (octet, place) = match self.bits {
            Some((octet, place)) if place < 8 => (octet, place),
            _ => (self.u8()?, 0),
        };
        self.bits = Some((octet, place + 1));
        Some(octet >> place & 1 == 1)
    }

    /// The next `len` octets.
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        self.bits = None;
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    /// A short string.
    pub fn short(&mut self) -> Option<String> {
        let len = usize::from(self.u8()?);
        self.bytes(len).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A long string or a table, unparsed.
    pub fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.bytes(len)
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
