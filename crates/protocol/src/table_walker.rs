//! The check of a field table before anything recursive or allocating sees it.
//!
//! Iterative, without allocation, within the table's own bytes: its stack is an array of
//! [`TABLE_DEPTH`] ends. Knows the shape of every field type and nothing of their meaning.

use crate::error::{DecodeError, DecodeErrorKind, Place};
use crate::limits::{TABLE_DEPTH, TABLE_ELEMENTS};

/// What a container holds.
#[derive(Clone, Copy)]
enum Items {
    /// A table: each item has a name.
    Named,
    /// An array.
    Bare,
}

/// One container being walked: where it ends, and what it holds.
#[derive(Clone, Copy)]
struct Level {
    end: usize,
    items: Items,
}

/// Checks the content of a field table, the bytes after its length.
///
/// # Errors
/// 501 beyond [`TABLE_DEPTH`] or [`TABLE_ELEMENTS`], for an unknown type letter and for a value that reaches
/// beyond its container.
pub fn check_table(content: &[u8]) -> Result<(), DecodeError> {
    walk(content, Items::Named, |_| true)
}

/// [`check_table`], and every name must be UTF-8: for arguments, which amq-protocol holds as text.
///
/// RabbitMQ takes such names as bytes; as published headers they pass here too.
///
/// # Errors
/// As [`check_table`], and 501 for a name that is not UTF-8.
pub fn check_text_table(content: &[u8]) -> Result<(), DecodeError> {
    walk(content, Items::Named, |name| std::str::from_utf8(name).is_ok())
}

/// Checks the content of an array, the bytes after its length, as [`check_table`] does.
///
/// # Errors
/// As [`check_table`].
pub fn check_array(content: &[u8]) -> Result<(), DecodeError> {
    walk(content, Items::Bare, |_| true)
}

#[inline]
fn walk(content: &[u8], items: Items, name_passes: impl Fn(&[u8]) -> bool) -> Result<(), DecodeError> {
    let mut outer: [Level; TABLE_DEPTH] = [Level { end: 0, items }; TABLE_DEPTH];
    let mut depth = 0usize;
    let mut level = Level { end: content.len(), items };
    let mut at = 0usize;
    let mut elements = 0usize;
    loop {
        while at == level.end {
            let Some(up) = depth.checked_sub(1) else {
                return Ok(());
            };
            depth = up;
            level = outer.get(depth).copied().unwrap_or(level);
        }
        elements = elements.saturating_add(1);
        if elements > TABLE_ELEMENTS {
            return Err(table_error(DecodeErrorKind::TableTooLarge, at));
        }
        if matches!(level.items, Items::Named) {
            let name = name(content, at, level.end)?;
            if !name_passes(name) {
                return Err(table_error(DecodeErrorKind::NotUtf8, at));
            }
            at = at.saturating_add(1).saturating_add(name.len());
        }
        let (next, inner) = skip_value(content, at, level.end)?;
        at = next;
        if let Some(inner) = inner {
            let slot = outer.get_mut(depth).filter(|_| depth.saturating_add(1) < TABLE_DEPTH);
            *slot.ok_or(table_error(DecodeErrorKind::TableTooDeep, at))? = level;
            depth = depth.saturating_add(1);
            level = inner;
        }
    }
}

/// A field's name.
#[inline]
fn name(content: &[u8], at: usize, end: usize) -> Result<&[u8], DecodeError> {
    let truncated = table_error(DecodeErrorKind::Truncated, at);
    let within = content.get(at..end).unwrap_or_default();
    let (&length, rest) = within.split_first().ok_or(truncated)?;
    rest.get(..usize::from(length)).ok_or(truncated)
}

/// Passes a value's type letter and, of a plain value, its bytes; of a container, its length.
fn skip_value(content: &[u8], at: usize, end: usize) -> Result<(usize, Option<Level>), DecodeError> {
    let truncated = table_error(DecodeErrorKind::Truncated, at);
    let within = content.get(at..end).unwrap_or_default();
    let (&letter, value) = within.split_first().ok_or(truncated)?;
    let start = at.saturating_add(1);
    let fixed = match letter {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        b'S' | b'x' | b'A' | b'F' => 4,
        other => return Err(table_error(DecodeErrorKind::UnknownFieldType(other), at)),
    };
    if value.len() < fixed {
        return Err(truncated);
    }
    let next = start.saturating_add(fixed);
    if !matches!(letter, b'S' | b'x' | b'A' | b'F') {
        return Ok((next, None));
    }
    let length = value.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let stop = next.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    if stop > end {
        return Err(truncated);
    }
    Ok(match letter {
        b'A' => (next, Some(Level { end: stop, items: Items::Bare })),
        b'F' => (next, Some(Level { end: stop, items: Items::Named })),
        _ => (stop, None),
    })
}

#[cold]
const fn table_error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, Place::Table, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` tables, each in the one before.
    fn nested(count: usize) -> Vec<u8> {
        let mut content = Vec::new();
        for _ in 1..count {
            let length = u32::try_from(content.len()).unwrap();
            let mut outer = vec![1, b'a', b'F'];
            outer.extend_from_slice(&length.to_be_bytes());
            outer.extend_from_slice(&content);
            content = outer;
        }
        content
    }

    fn kind(content: &[u8]) -> Option<DecodeErrorKind> {
        check_table(content).err().map(|error| error.kind)
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(kind(&nested(TABLE_DEPTH)), None);
        assert_eq!(kind(&nested(TABLE_DEPTH + 1)), Some(DecodeErrorKind::TableTooDeep));
        assert_eq!(kind(&nested(1100)), Some(DecodeErrorKind::TableTooDeep));
    }

    #[test]
    fn elements_are_bounded_across_all_levels() {
        let void_array = |count: u32| {
            let mut content = vec![1, b'a', b'A'];
            content.extend_from_slice(&count.to_be_bytes());
            content.resize(content.len() + usize::try_from(count).unwrap(), b'V');
            content
        };
        assert_eq!(kind(&void_array(4095)), None);
        assert_eq!(kind(&void_array(4096)), Some(DecodeErrorKind::TableTooLarge));
        let twice = [void_array(2047), void_array(2048)].concat();
        assert_eq!(kind(&twice), Some(DecodeErrorKind::TableTooLarge));
        assert_eq!(check_array(&[b'V'; 4096]), Ok(()));
        assert!(check_array(&[b'V'; 4097]).is_err());
    }

    #[test]
    fn each_shape_ends_where_it_should() {
        let widths = [
            (b'V', 0),
            (b't', 1),
            (b'b', 1),
            (b'B', 1),
            (b's', 2),
            (b'u', 2),
            (b'U', 2),
            (b'I', 4),
            (b'i', 4),
            (b'f', 4),
            (b'D', 5),
            (b'l', 8),
            (b'L', 8),
            (b'd', 8),
            (b'T', 8),
            (b'S', 4),
            (b'x', 4),
            (b'A', 4),
            (b'F', 4),
        ];
        for (letter, width) in widths {
            let mut content = vec![1, b'k', letter];
            content.resize(3 + width, 0);
            assert_eq!(kind(&content), None, "{}", char::from(letter));
            content.pop();
            assert_eq!(kind(&content), Some(DecodeErrorKind::Truncated), "{}", char::from(letter));
        }
        assert_eq!(kind(&[1, b'k', b'z']), Some(DecodeErrorKind::UnknownFieldType(b'z')));
        assert_eq!(kind(&[1, 0xFF, b'V']), None);
        let not_text = check_text_table(&[1, 0xFF, b'V']).unwrap_err();
        assert_eq!(not_text.kind, DecodeErrorKind::NotUtf8);
        assert_eq!(kind(&[1]), Some(DecodeErrorKind::Truncated));
    }

    #[test]
    fn an_inner_value_may_not_reach_beyond_its_container() {
        let content = [1, b'a', b'F', 0, 0, 0, 3, 1, b'b', b'I', 0, 0, 0, 0];
        assert_eq!(kind(&content), Some(DecodeErrorKind::Truncated));
        let beyond = [1, b'a', b'S', 0, 0, 0, 9, b'x'];
        assert_eq!(kind(&beyond), Some(DecodeErrorKind::Truncated));
    }
}
