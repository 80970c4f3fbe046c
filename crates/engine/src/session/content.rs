//! A publish that did not arrive in one piece, or must wait for its transaction: its bytes, owned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use leveret_core::BrokerError;
use leveret_core::limits::SMALL_BODY_BYTES;
use leveret_core::message::SharedBody;
use leveret_protocol::constants::reply_code;
use leveret_protocol::content::{ContentAssembler, ContentError, Progress};
use leveret_protocol::method::Publish;
use leveret_protocol::properties::ContentHeader;

/// Body pieces below this are gathered into larger ones, so that a peer that sends its body in crumbs pins no
/// read buffer for each.
const CRUMB_BYTES: usize = 16 * 1024;

/// The size that gathered crumbs grow to.
const GATHERED_BYTES: usize = 64 * 1024;

/// Where the parts of a publish lie in the bytes they were read into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn new(at: usize, len: usize) -> Self {
        // Spans lie within one read buffer, which is bounded far below 4 GiB.
        let fits = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { at: fits(at), len: fits(len) }
    }

    pub(crate) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        bytes.get(at..at + self.len as usize).unwrap_or_default()
    }
}

/// A whole publish with its bytes.
#[derive(Clone, Debug)]
pub(crate) struct OwnedPublish {
    /// Exchange, routing key, properties and small body, one after another.
    pub(crate) head: Bytes,
    pub(crate) exchange: Span,
    pub(crate) routing_key: Span,
    pub(crate) properties: Span,
    pub(crate) small_body: Span,
    pub(crate) large_body: Option<SharedBody>,
    pub(crate) mandatory: bool,
}

/// Bytes of unfinished messages that one channel holds, counted with those of all others while they are held.
#[derive(Debug)]
pub(crate) struct Receiving {
    total: Arc<AtomicU64>,
    own: u64,
}

impl Receiving {
    pub(crate) fn new(total: &Arc<AtomicU64>) -> Self {
        Self { total: Arc::clone(total), own: 0 }
    }

    /// Counts more bytes; false if all channels together hold more than `limit` now.
    fn add(&mut self, bytes: u64, limit: u64) -> bool {
        self.own += bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed) + bytes <= limit
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.total.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// Counts bytes that a channel holds for messages that no queue has yet.
///
/// # Errors
/// 506 if all channels together hold too many.
pub(crate) fn count(
    held: &mut Option<Receiving>,
    bytes: u64,
    total: &Arc<AtomicU64>,
    limit: u64,
) -> Result<(), BrokerError> {
    if held.get_or_insert_with(|| Receiving::new(total)).add(bytes, limit) {
        return Ok(());
    }
    let text = format!("unfinished messages of all connections exceed {limit} bytes");
    Err(BrokerError::new(reply_code::RESOURCE_ERROR, text))
}

impl OwnedPublish {
    /// The bytes it holds.
    pub(crate) fn bytes(&self) -> u64 {
        (self.head.len() + self.large_body.as_ref().map_or(0, SharedBody::len)) as u64
    }
}

/// The content that a channel is receiving.
#[derive(Debug, Default)]
pub(crate) struct PendingContent {
    assembler: ContentAssembler,
    head: BytesMut,
    exchange: Span,
    routing_key: Span,
    properties: Span,
    mandatory: bool,
    body_size: u64,
    small: bool,
    gathered: BytesMut,
    large: SharedBody,
    receiving: Option<Receiving>,
}

impl PendingContent {
    pub(crate) fn is_open(&self) -> bool {
        self.assembler.is_open()
    }

    /// A method frame on this channel.
    pub(crate) fn method(&mut self, publish: Option<&Publish<'_>>) -> Result<(), ContentError> {
        self.assembler.method(publish.is_some())?;
        if let Some(publish) = publish {
            self.head.clear();
            self.exchange = self.put(publish.exchange);
            self.routing_key = self.put(publish.routing_key);
            self.mandatory = publish.mandatory;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.head.len(), bytes.len());
        self.head.extend_from_slice(bytes);
        span
    }

    /// A content header on this channel.
    pub(crate) fn header(&mut self, header: &ContentHeader<'_>) -> Result<Progress, ContentError> {
        let progress = self.assembler.header(header)?;
        self.properties = self.put(header.properties);
        self.body_size = header.body_size;
        self.small = header.body_size <= SMALL_BODY_BYTES as u64;
        Ok(progress)
    }

    /// Counts a body frame among the unfinished messages of all channels.
    ///
    /// # Errors
    /// 506 if they are too many bytes together.
    pub(crate) fn count(
        &mut self,
        bytes: u64,
        total: &Arc<AtomicU64>,
        limit: u64,
    ) -> Result<(), BrokerError> {
        count(&mut self.receiving, bytes, total, limit)
    }

    /// A body frame on this channel; `payload` may be a slice of the read buffer.
    pub(crate) fn body(&mut self, payload: Bytes) -> Result<Progress, ContentError> {
        let progress = self.assembler.body(payload.len() as u64)?;
        if self.small {
            self.gathered.extend_from_slice(&payload);
        } else if payload.len() < CRUMB_BYTES {
            self.gathered.extend_from_slice(&payload);
            if self.gathered.len() >= GATHERED_BYTES {
                self.large.push(self.gathered.split().freeze());
            }
        } else {
            self.push_gathered();
            self.large.push(payload);
        }
        Ok(progress)
    }

    fn push_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.large.push(self.gathered.split().freeze());
        }
    }

    /// The whole publish; the channel is ready for the next.
    pub(crate) fn finish(&mut self) -> OwnedPublish {
        self.receiving = None;
        let mut small_body = Span::default();
        let mut large_body = None;
        if self.small {
            small_body = Span::new(self.head.len(), self.gathered.len());
            let gathered = self.gathered.split();
            self.head.extend_from_slice(&gathered);
        } else {
            self.push_gathered();
            large_body = Some(std::mem::take(&mut self.large));
        }
        OwnedPublish {
            head: std::mem::take(&mut self.head).freeze(),
            exchange: self.exchange,
            routing_key: self.routing_key,
            properties: self.properties,
            small_body,
            large_body,
            mandatory: self.mandatory,
        }
    }
}

/// RabbitMQ's rule and text for a body that is too large.
pub(crate) fn check_size(body_size: u64, max: u64) -> Result<(), BrokerError> {
    if body_size > max {
        return Err(BrokerError::precondition_failed(format!(
            "message size {body_size} is larger than configured max size {max}"
        )));
    }
    Ok(())
}

/// A content frame out of place.
pub(crate) fn content_error(error: ContentError) -> BrokerError {
    BrokerError::new(error.reply_code(), error.to_string())
}
