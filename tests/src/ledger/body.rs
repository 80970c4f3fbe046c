//! Bodies that need not be kept: length and octets follow from the message's name.

use crate::chance::mix;

use super::MessageId;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The body of a message, from nothing to 1 MiB: its length and octets follow from its id alone, so a consumer needs
/// no copy. Most are small: a million messages are some 2 GB.
#[must_use]
pub fn body(id: MessageId) -> Vec<u8> {
    let mut state = mix(((id.publisher as u64) << 40) ^ id.number as u64);
    let len = match state % 2048 {
        0 => MIB,
        1 | 2 => 1 + (state >> 11) % MIB,
        3..=10 => 64 * KIB + (state >> 11) % (192 * KIB + 1),
        11..=127 => 0,
        128..=255 => 1 + (state >> 11) % (8 * KIB),
        _ => 1 + (state >> 11) % 512,
    };
    let len = usize::try_from(len).expect("a length in memory");
    let mut body = Vec::with_capacity(len + 8);
    while body.len() < len {
        state = mix(state);
        body.extend(state.to_le_bytes());
    }
    body.truncate(len);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_every_size_from_nothing_to_a_mebibyte() {
        let lengths: Vec<usize> =
            (0..16_000).map(|number| body(MessageId { publisher: 1, number }).len()).collect();
        assert!(lengths.contains(&0));
        assert!(lengths.contains(&(1 << 20)));
        assert!(lengths.iter().any(|len| (300_000..1 << 20).contains(len)));
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((1_000..4_000).contains(&mean), "{mean}");
    }
}
