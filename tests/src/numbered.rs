//! Bodies that carry a number, and from which it is seen that nobody altered them.

/// The body of a message: its number, its length, and octets that follow from both. At least 12 octets long:
/// with fewer of those octets another number would pass for it.
///
/// # Panics
/// When the body is longer than 4 GiB.
#[must_use]
pub fn body(number: u32, len: usize) -> Vec<u8> {
    let len = len.max(12);
    let mut body = Vec::with_capacity(len + 4);
    body.extend(number.to_be_bytes());
    body.extend(u32::try_from(len).expect("a small body").to_be_bytes());
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    while body.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        body.extend(state.to_le_bytes());
    }
    body.truncate(len);
    body
}

/// The number of an unaltered body.
#[must_use]
pub fn number(bytes: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    let len = u32::from_be_bytes(bytes.get(4..8)?.try_into().ok()?);
    (len as usize == bytes.len() && body(number, bytes.len()) == bytes).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_was_altered_or_cut_has_no_number() {
        for len in [0, 12, 13, 1000] {
            let body = body(7, len);
            assert_eq!((body.len(), number(&body)), (len.max(12), Some(7)));
            for at in 0..body.len() {
                let mut altered = body.clone();
                altered[at] ^= 4;
                assert_eq!(number(&altered), None, "octet {at} of {len}");
                assert_eq!(number(&body[..at]), None, "{at} octets of {len}");
            }
        }
    }
}
