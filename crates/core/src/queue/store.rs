//! Where a queue keeps the bytes of its messages: small ones side by side in chunks, large bodies by reference.

use std::collections::VecDeque;

use crate::limits::CHUNK_BYTES;
use crate::message::{Body, Message, SharedBody};

/// The smallest chunk, in bytes. Chunks double up to [`CHUNK_BYTES`], so that a queue of one message is small.
const FIRST_CHUNK_BYTES: usize = 512;

/// The lengths of exchange and routing key, a byte each, stand before a message's bytes.
const NAME_LENGTHS: usize = 2;

/// Where one message lies in its queue's [`Store`].
#[derive(Debug)]
pub(crate) struct Place {
    chunk: u32,
    offset: u32,
    properties_len: u32,
    body_len: u32,
    large: Option<Box<SharedBody>>,
}

impl Place {
    /// The body's length.
    pub(crate) fn body_len(&self) -> u64 {
        u64::from(self.body_len)
    }

    /// Bytes of properties and body.
    fn bytes(&self) -> u64 {
        u64::from(self.properties_len) + u64::from(self.body_len)
    }
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    live: u32,
}

/// The chunks of one queue. A chunk is freed when none of its messages lives, from either end or the middle.
#[derive(Debug, Default)]
pub(crate) struct Store {
    chunks: VecDeque<Chunk>,
    first: u32,
    live_bytes: u64,
}

impl Store {
    /// Copies a message in; a large body is kept by reference.
    pub(crate) fn put(&mut self, message: &Message<'_>) -> Place {
        let small_body: &[u8] = match message.body {
            Body::Small(bytes) => bytes,
            Body::Large(_) => &[],
        };
        let names = message.exchange.len() + message.routing_key.len();
        let needed = NAME_LENGTHS + names + message.properties.len() + small_body.len();
        let (chunk, bytes) = self.room_for(needed);
        let offset = bytes.len();
        bytes.extend_from_slice(&[fits_u8(message.exchange.len()), fits_u8(message.routing_key.len())]);
        bytes.extend_from_slice(message.exchange);
        bytes.extend_from_slice(message.routing_key);
        bytes.extend_from_slice(message.properties);
        bytes.extend_from_slice(small_body);
        let place = Place {
            chunk,
            offset: fits(offset),
            properties_len: fits(message.properties.len()),
            body_len: fits(message.body.len()),
            large: match message.body {
                Body::Small(_) => None,
                Body::Large(body) => Some(Box::new(body.clone())),
            },
        };
        self.live_bytes += place.bytes();
        place
    }

    /// Bytes of properties and bodies that it holds.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// The message at a place.
    pub(crate) fn get<'a>(&'a self, place: &'a Place) -> Message<'a> {
        let bytes = self
            .chunks
            .get(place.chunk.wrapping_sub(self.first) as usize)
            .map_or(&[][..], |chunk| chunk.bytes.get(place.offset as usize..).unwrap_or(&[]));
        let (exchange_len, routing_key_len, rest) = match bytes {
            [exchange_len, routing_key_len, rest @ ..] => (*exchange_len, *routing_key_len, rest),
            _ => (0, 0, bytes),
        };
        let (exchange, rest) = split(rest, exchange_len.into());
        let (routing_key, rest) = split(rest, routing_key_len.into());
        let (properties, rest) = split(rest, place.properties_len as usize);
        let body = match &place.large {
            Some(body) => Body::Large(body),
            None => Body::Small(split(rest, place.body_len as usize).0),
        };
        Message { exchange, routing_key, properties, body }
    }

    /// Gives a message's bytes up.
    pub(crate) fn free(&mut self, place: &Place) {
        self.live_bytes -= place.bytes();
        let index = place.chunk.wrapping_sub(self.first) as usize;
        let last = self.chunks.len().saturating_sub(1);
        if let Some(chunk) = self.chunks.get_mut(index) {
            chunk.live -= 1;
            if chunk.live == 0 {
                if index == last {
                    chunk.bytes.clear();
                } else {
                    chunk.bytes = Vec::new();
                }
            }
        }
        while self.chunks.len() > 1 && self.chunks.front().is_some_and(|chunk| chunk.live == 0) {
            self.chunks.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Frees the spare room of an empty store.
    pub(crate) fn shrink(&mut self) {
        if self.chunks.iter().all(|chunk| chunk.live == 0) {
            self.chunks = VecDeque::new();
        }
    }

    fn room_for(&mut self, needed: usize) -> (u32, &mut Vec<u8>) {
        let full = self.chunks.back().is_none_or(|chunk| chunk.bytes.capacity() - chunk.bytes.len() < needed);
        if full {
            let grown = self.chunks.back().map_or(FIRST_CHUNK_BYTES, |chunk| chunk.bytes.capacity() * 2);
            let bytes = Vec::with_capacity(grown.min(CHUNK_BYTES).max(needed));
            match self.chunks.back_mut() {
                // An empty last chunk that is too small is replaced, so that no dead chunk stays behind.
                Some(chunk) if chunk.live == 0 => chunk.bytes = bytes,
                _ => self.chunks.push_back(Chunk { bytes, live: 0 }),
            }
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        chunk.live += 1;
        (self.first.wrapping_add(fits(index)), &mut chunk.bytes)
    }
}

fn split(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    bytes.split_at(at.min(bytes.len()))
}

/// A length that the protocol bounds far below 4 GiB: max_message_size ends at 512 MiB.
fn fits(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok(), "lengths are bounded by max_message_size");
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The length of a short string.
fn fits_u8(len: usize) -> u8 {
    debug_assert!(len <= 255, "short strings have at most 255 bytes");
    u8::try_from(len).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<'a>(key: &'a [u8], body: &'a [u8]) -> Message<'a> {
        Message { exchange: b"x", routing_key: key, properties: &[0x10, 0x00, 2], body: Body::Small(body) }
    }

    #[test]
    fn what_goes_in_comes_out_whatever_is_freed_around_it() {
        let mut store = Store::default();
        let mut places = VecDeque::new();
        for i in 0..10_000u32 {
            let body = i.to_be_bytes().repeat((i % 37) as usize);
            places.push_back((i, store.put(&message(&i.to_le_bytes(), &body))));
            if i % 3 == 0 {
                let at = (i as usize * 7) % places.len();
                let (_, place) = places.remove(at).unwrap();
                store.free(&place);
            }
        }
        for (i, place) in &places {
            let found = store.get(place);
            assert_eq!(found.routing_key, i.to_le_bytes());
            assert_eq!(found.exchange, b"x");
            let Body::Small(body) = found.body else { panic!("small bodies stay small") };
            assert_eq!(body, i.to_be_bytes().repeat((i % 37) as usize));
        }
        for (_, place) in places {
            store.free(&place);
        }
        assert_eq!(store.chunks.len(), 1, "an empty store keeps one chunk");
        store.shrink();
        assert!(store.chunks.is_empty());
    }

    #[test]
    fn a_message_larger_than_a_chunk_gets_its_own() {
        let mut store = Store::default();
        let body = vec![7; CHUNK_BYTES * 3];
        let small = store.put(&message(b"a", b"b"));
        let large = store.put(&message(b"a", &body));
        assert_eq!(store.get(&large).body.len(), body.len());
        store.free(&small);
        assert_eq!(store.get(&large).body.len(), body.len());
    }
}
