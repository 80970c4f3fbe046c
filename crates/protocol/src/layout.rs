//! What each method's arguments are, in wire order: one row a method.
//!
//! [`check_method`] walks a payload by its row, every field table in it by the bounded walker, before
//! amq-protocol's parser sees a byte. The rows are also the grammar of tests and of the fuzzer.

use crate::error::{DecodeError, DecodeErrorKind, Place};
use crate::read::{self, long_string, offset_of, short_string};
use crate::table_walker::check_text_table;
use nom::bytes::complete::take;

use self::Field::{Bits, Long, Octet, Short, Table, U16, U32, U64};

/// The type of one argument on the wire (spec 4.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// One octet.
    Octet,
    /// A 16-bit integer.
    U16,
    /// A 32-bit integer.
    U32,
    /// A 64-bit integer.
    U64,
    /// Up to eight adjacent bits in one octet; unknown ones are ignored.
    Bits,
    /// A short string: a length octet and its bytes.
    Short,
    /// A long string: a 32-bit length and its bytes.
    Long,
    /// A field table: a 32-bit length and its content.
    Table,
}

/// One method: its ids, its name and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Class id.
    pub class_id: u16,
    /// Method id within the class.
    pub method_id: u16,
    /// `class.method`, as the spec and RabbitMQ's error texts write it.
    pub name: &'static str,
    /// Arguments in wire order, reserved ones included.
    pub fields: &'static [Field],
}

const fn method(class_id: u16, method_id: u16, name: &'static str, fields: &'static [Field]) -> Layout {
    Layout { class_id, method_id, name, fields }
}

/// Every method of AMQP 0-9-1 as RabbitMQ speaks it, by class id, then method id.
pub const METHODS: [Layout; 66] = [
    method(10, 10, "connection.start", &[Octet, Octet, Table, Long, Long]),
    method(10, 11, "connection.start-ok", &[Table, Short, Long, Short]),
    method(10, 20, "connection.secure", &[Long]),
    method(10, 21, "connection.secure-ok", &[Long]),
    method(10, 30, "connection.tune", &[U16, U32, U16]),
    method(10, 31, "connection.tune-ok", &[U16, U32, U16]),
    method(10, 40, "connection.open", &[Short, Short, Bits]),
    method(10, 41, "connection.open-ok", &[Short]),
    method(10, 50, "connection.close", &[U16, Short, U16, U16]),
    method(10, 51, "connection.close-ok", &[]),
    method(10, 60, "connection.blocked", &[Short]),
    method(10, 61, "connection.unblocked", &[]),
    method(10, 70, "connection.update-secret", &[Long, Short]),
    method(10, 71, "connection.update-secret-ok", &[]),
    method(20, 10, "channel.open", &[Short]),
    method(20, 11, "channel.open-ok", &[Long]),
    method(20, 20, "channel.flow", &[Bits]),
    method(20, 21, "channel.flow-ok", &[Bits]),
    method(20, 40, "channel.close", &[U16, Short, U16, U16]),
    method(20, 41, "channel.close-ok", &[]),
    method(30, 10, "access.request", &[Short, Bits]),
    method(30, 11, "access.request-ok", &[U16]),
    method(40, 10, "exchange.declare", &[U16, Short, Short, Bits, Table]),
    method(40, 11, "exchange.declare-ok", &[]),
    method(40, 20, "exchange.delete", &[U16, Short, Bits]),
    method(40, 21, "exchange.delete-ok", &[]),
    method(40, 30, "exchange.bind", &[U16, Short, Short, Short, Bits, Table]),
    method(40, 31, "exchange.bind-ok", &[]),
    method(40, 40, "exchange.unbind", &[U16, Short, Short, Short, Bits, Table]),
    method(40, 51, "exchange.unbind-ok", &[]),
    method(50, 10, "queue.declare", &[U16, Short, Bits, Table]),
    method(50, 11, "queue.declare-ok", &[Short, U32, U32]),
    method(50, 20, "queue.bind", &[U16, Short, Short, Short, Bits, Table]),
    method(50, 21, "queue.bind-ok", &[]),
    method(50, 30, "queue.purge", &[U16, Short, Bits]),
    method(50, 31, "queue.purge-ok", &[U32]),
    method(50, 40, "queue.delete", &[U16, Short, Bits]),
    method(50, 41, "queue.delete-ok", &[U32]),
    method(50, 50, "queue.unbind", &[U16, Short, Short, Short, Table]),
    method(50, 51, "queue.unbind-ok", &[]),
    method(60, 10, "basic.qos", &[U32, U16, Bits]),
    method(60, 11, "basic.qos-ok", &[]),
    method(60, 20, "basic.consume", &[U16, Short, Short, Bits, Table]),
    method(60, 21, "basic.consume-ok", &[Short]),
    method(60, 30, "basic.cancel", &[Short, Bits]),
    method(60, 31, "basic.cancel-ok", &[Short]),
    method(60, 40, "basic.publish", &[U16, Short, Short, Bits]),
    method(60, 50, "basic.return", &[U16, Short, Short, Short]),
    method(60, 60, "basic.deliver", &[Short, U64, Bits, Short, Short]),
    method(60, 70, "basic.get", &[U16, Short, Bits]),
    method(60, 71, "basic.get-ok", &[U64, Bits, Short, Short, U32]),
    method(60, 72, "basic.get-empty", &[Short]),
    method(60, 80, "basic.ack", &[U64, Bits]),
    method(60, 90, "basic.reject", &[U64, Bits]),
    method(60, 100, "basic.recover-async", &[Bits]),
    method(60, 110, "basic.recover", &[Bits]),
    method(60, 111, "basic.recover-ok", &[]),
    method(60, 120, "basic.nack", &[U64, Bits]),
    method(85, 10, "confirm.select", &[Bits]),
    method(85, 11, "confirm.select-ok", &[]),
    method(90, 10, "tx.select", &[]),
    method(90, 11, "tx.select-ok", &[]),
    method(90, 20, "tx.commit", &[]),
    method(90, 21, "tx.commit-ok", &[]),
    method(90, 30, "tx.rollback", &[]),
    method(90, 31, "tx.rollback-ok", &[]),
];

/// The method of these ids.
pub fn find(class_id: u16, method_id: u16) -> Option<&'static Layout> {
    let at = METHODS.binary_search_by_key(&(class_id, method_id), |row| (row.class_id, row.method_id));
    METHODS.get(at.ok()?)
}

/// `class.method` of these ids, for reply texts; `none` if there is no such method.
pub fn method_name(class_id: u16, method_id: u16) -> &'static str {
    find(class_id, method_id).map_or("none", |row| row.name)
}

/// Checks that `arguments`, the payload after the two ids, is exactly what `layout` says.
///
/// Short strings must be UTF-8, since the cold methods hold them as text; long strings are bytes.
///
/// # Errors
/// 501 for a value that reaches beyond the end, bytes left over, or text that is not UTF-8; what
/// [`check_text_table`] says of a table.
pub fn check_method(layout: &Layout, arguments: &[u8]) -> Result<(), DecodeError> {
    let mut rest = arguments;
    for field in layout.fields {
        let at = rest;
        let error = |kind| method_error(kind, offset_of(arguments, at));
        rest = skip_field(*field, rest).map_err(|fault| match fault {
            Fault::Truncated => error(DecodeErrorKind::Truncated),
            Fault::NotUtf8 => error(DecodeErrorKind::NotUtf8),
            Fault::Table(inner) => inner,
        })?;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(method_error(DecodeErrorKind::TrailingBytes, offset_of(arguments, rest)))
    }
}

enum Fault {
    Truncated,
    NotUtf8,
    Table(DecodeError),
}

impl From<nom::Err<read::Short>> for Fault {
    fn from(_: nom::Err<read::Short>) -> Self {
        Self::Truncated
    }
}

fn skip_field(field: Field, input: &[u8]) -> Result<&[u8], Fault> {
    let skip = |bytes: usize| take::<_, _, read::Short>(bytes)(input);
    Ok(match field {
        Octet | Bits => skip(1)?.0,
        U16 => skip(2)?.0,
        U32 => skip(4)?.0,
        U64 => skip(8)?.0,
        Short => {
            let (rest, text) = short_string(input)?;
            std::str::from_utf8(text).map_err(|_| Fault::NotUtf8)?;
            rest
        }
        Long => long_string(input)?.0,
        Table => {
            let (rest, table) = long_string(input)?;
            check_text_table(table).map_err(Fault::Table)?;
            rest
        }
    })
}

/// Offsets of this place count from the class id, four bytes before the arguments.
fn method_error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError::new(kind, Place::Method, offset.saturating_add(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_so_that_find_can_search() {
        assert!(METHODS.is_sorted_by_key(|row| (row.class_id, row.method_id)));
        for row in &METHODS {
            assert_eq!(find(row.class_id, row.method_id), Some(row));
        }
        assert_eq!(find(60, 41), None);
        assert_eq!(method_name(40, 51), "exchange.unbind-ok");
    }
}
