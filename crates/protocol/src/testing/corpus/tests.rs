//! The decoder against the corpus: whole, cut at every byte, and a byte at a time.

use super::*;
use crate::constants::{DEFAULT_FRAME_MAX, FRAME_MIN_SIZE};
use crate::protocol_header::{GARBAGE_REPLY, HeaderVerdict, check_protocol_header};
use crate::testing::reader::{Ending, Reader, Shipped};

fn max_frame_bytes(stage: Stage) -> u32 {
    match stage {
        Stage::Open => DEFAULT_FRAME_MAX,
        Stage::ProtocolHeader | Stage::BeforeLogin => FRAME_MIN_SIZE,
    }
}

fn judge(ending: &Ending) -> Expected {
    match ending {
        Ending::Whole => Expected::Accepted,
        Ending::Waiting => Expected::Waiting,
        Ending::Refused(refusal) => Expected::Refused(refusal.reply_code),
    }
}

fn judge_header(bytes: &[u8]) -> Expected {
    match check_protocol_header(bytes) {
        HeaderVerdict::NeedMore => Expected::Waiting,
        HeaderVerdict::Amqp091 => Expected::Accepted,
        HeaderVerdict::Reply(reply) => Expected::Reply(reply.to_vec()),
        HeaderVerdict::Http | HeaderVerdict::Tls => Expected::Reply(GARBAGE_REPLY.to_vec()),
    }
}

#[test]
fn there_are_enough_cases_each_with_its_own_name() {
    let cases = cases().unwrap();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 150, "only {}", cases.len());
}

#[test]
fn each_case_ends_as_expected() {
    for case in cases().unwrap() {
        let verdict = match case.stage {
            Stage::ProtocolHeader => judge_header(&case.bytes),
            stage => judge(&Reader::new(Shipped, max_frame_bytes(stage)).take_all(&case.bytes).0),
        };
        assert_eq!(verdict, case.expected, "{}", case.name);
    }
}

/// A cut may leave the verdict open, but never change it. Long cases are cut at their edges.
#[test]
fn a_case_cut_anywhere_is_refused_only_as_the_whole_is() {
    for case in cases().unwrap() {
        let whole = case.bytes.len();
        let cuts = (0..whole).filter(|cut| *cut < 512 || whole.saturating_sub(*cut) < 64);
        for cut in cuts {
            let part = &case.bytes[..cut];
            let verdict = match case.stage {
                Stage::ProtocolHeader => judge_header(part),
                stage => judge(&Reader::new(Shipped, max_frame_bytes(stage)).take_all(part).0),
            };
            match verdict {
                Expected::Waiting | Expected::Accepted => {}
                refused => assert_eq!(refused, case.expected, "{} cut at {cut}", case.name),
            }
        }
    }
}

#[test]
fn a_case_fed_a_byte_at_a_time_ends_as_the_whole_does() {
    for case in cases().unwrap() {
        if case.stage == Stage::ProtocolHeader {
            continue;
        }
        let mut reader = Reader::new(Shipped, max_frame_bytes(case.stage));
        let mut buffer = Vec::new();
        let mut ending = Ending::Whole;
        for byte in &case.bytes {
            buffer.push(*byte);
            let (now, taken) = reader.take_all(&buffer);
            buffer.drain(..taken);
            ending = now;
            if matches!(ending, Ending::Refused(_)) {
                break;
            }
        }
        let whole = Reader::new(Shipped, max_frame_bytes(case.stage)).take_all(&case.bytes).0;
        assert_eq!(ending, whole, "{}", case.name);
    }
}

#[test]
fn shorthands_write_what_they_say() {
    let words = Words::from([("w".to_owned(), vec![7])]);
    let table: [(&str, &[u8]); 8] = [
        ("00ff \"a b\"", b"\x00\xffa b"),
        ("frame 1 258 { 0a }", b"\x01\x01\x02\0\0\0\x01\x0a\xCE"),
        ("short{\"ab\"} long { }", b"\x02ab\0\0\0\0"),
        ("times 3 { $w }", b"\x07\x07\x07"),
        ("tables 1 { }", b"F\0\0\0\0"),
        ("tables 2 { 01 \"bV\" }", b"F\0\0\0\x0a\x01aF\0\0\0\x03\x01bV"),
        ("arrays 2 { \"V\" }", b"A\0\0\0\x06A\0\0\0\x01V"),
        ("arrays 0 { \"V\" }", b"V"),
    ];
    for (text, bytes) in table {
        assert_eq!(parse_bytes(text, &words).unwrap(), bytes, "{text}");
    }
    for wrong in ["0", "0g", "short { 00", "frame 1 { }", "$x", "times x { }"] {
        assert!(parse_bytes(wrong, &words).is_err(), "{wrong}");
    }
}
