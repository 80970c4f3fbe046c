//! The few readers that every decoder here shares: nom's, borrowed, on complete input.
//!
//! A failed read says nothing but that it failed; callers know the place and the offset.

use nom::IResult;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u32};

/// The error of the readers: empty, so that results stay in registers.
pub(crate) type Short = ();

/// A reader's result.
pub(crate) type Read<'a, T> = IResult<&'a [u8], T, Short>;

/// A short string's bytes (spec 4.2.5.3).
#[inline]
pub(crate) fn short_string(input: &[u8]) -> Read<'_, &[u8]> {
    let (rest, length) = be_u8(input)?;
    take(length)(rest)
}

/// A long string's bytes, or a table's content (spec 4.2.5.3, 4.2.5.5).
#[inline]
pub(crate) fn long_string(input: &[u8]) -> Read<'_, &[u8]> {
    let (rest, length) = be_u32(input)?;
    take(length)(rest)
}

/// How many bytes of `whole` come before `rest`, its tail.
#[inline]
pub(crate) fn offset_of(whole: &[u8], rest: &[u8]) -> usize {
    whole.len().saturating_sub(rest.len())
}
