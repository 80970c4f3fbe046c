//! A message on its way: borrowed where it is read, shared where its body is large.

use bytes::Bytes;

/// A large body as the slices it arrived in; a clone shares them.
#[derive(Clone, Debug, Default)]
pub struct SharedBody {
    segments: Vec<Bytes>,
    len: usize,
}

impl SharedBody {
    /// An empty body, to be filled by [`SharedBody::push`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what the next body frame held.
    pub fn push(&mut self, segment: Bytes) {
        self.len += segment.len();
        self.segments.push(segment);
    }

    /// The slices in order.
    #[must_use]
    pub fn segments(&self) -> &[Bytes] {
        &self.segments
    }

    /// The body's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the body has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<Bytes> for SharedBody {
    fn from(segment: Bytes) -> Self {
        Self { len: segment.len(), segments: vec![segment] }
    }
}

/// A body as its reader sees it.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// Up to [`crate::limits::SMALL_BODY_BYTES`], copied wherever it is kept.
    Small(&'a [u8]),
    /// Larger: kept by reference.
    Large(&'a SharedBody),
}

impl Body<'_> {
    /// The body's length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Small(bytes) => bytes.len(),
            Self::Large(body) => body.len(),
        }
    }

    /// Whether the body has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A message as slices: what is relayed, byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The exchange it was published to.
    pub exchange: &'a [u8],
    /// The routing key it was published with.
    pub routing_key: &'a [u8],
    /// The property flags and values of its content header, unparsed.
    pub properties: &'a [u8],
    /// Its body.
    pub body: Body<'a>,
}

impl Message<'_> {
    /// The bytes it takes wherever it is kept: names, properties and body.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.exchange.len() + self.routing_key.len() + self.properties.len() + self.body.len()
    }
}
