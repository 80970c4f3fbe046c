//! Where Leveret answers otherwise than RabbitMQ 4.0.5 on purpose.

/// One intended difference.
pub(super) struct Difference {
    /// The case's name.
    pub(super) case: &'static str,
    /// What Leveret answers.
    pub(super) leveret: &'static [&'static str],
    /// Why.
    pub(super) reason: &'static str,
}

impl Difference {
    /// What Leveret answers, in the goldens' form.
    pub(super) fn answer(&self) -> Vec<String> {
        self.leveret.iter().map(|line| (*line).to_owned()).collect()
    }
}

/// RabbitMQ's connection process crashes on a method that it cannot name, and the socket closes without a word.
const UNKNOWN_METHOD: &str = "RabbitMQ closes without a word; the client's author learns more from a reply";
/// RabbitMQ's connection process crashes on what it cannot read: 541 without a text, or nothing at all.
const MALFORMED: &str = "the fault is the client's, so it is a 501 that says where, not an internal error";
const ERLANG_LINE: &str = "Erlang's printer breaks the line inside the reason; nobody misses the blanks";
const SIZE: &str = "max_message_size is 128 MiB, as before RabbitMQ 4.0";

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference { case: "basic.publish: a body of 17 MiB", leveret: &[], reason: SIZE },
    Difference {
        case: "basic.publish: a body of 128 MiB and one octet",
        leveret: &[
            r#"channel 1: channel.close 406 "PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728" 60 40"#,
        ],
        reason: SIZE,
    },
    Difference {
        case: "connection: unknown method 10.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 10" 10 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "channel: unknown method 20.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 20" 20 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "exchange: unknown method 40.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 40" 40 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "queue: unknown method 50.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 50" 50 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "basic: unknown method 60.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 60" 60 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "confirm: unknown method 85.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 85" 85 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "tx: unknown method 90.99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 99 of class 90" 90 99"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "frame: unknown class 99",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 10 of class 99" 99 10"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "frame: class 0",
        leveret: &[r#"connection.close 540 "NOT_IMPLEMENTED - unknown method 0 of class 0" 0 0"#],
        reason: UNKNOWN_METHOD,
    },
    Difference {
        case: "connection.close: cut short",
        leveret: &[r#"connection.close 501 "FRAME_ERROR - cannot decode <<0,200>>" 10 50"#],
        reason: MALFORMED,
    },
    Difference {
        case: "queue.declare: argument of an unknown type letter",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - unknown field type 0x3f at byte 4 of a field table" 50 10"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "queue.declare: argument cut short",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 4 of a field table" 50 10"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: a flag word too many",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - property flags continue at byte 0 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: flag words without end",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - property flags continue at byte 0 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: all flags, no properties",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 2 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: flag without its property",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 2 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: headers longer than the frame",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 2 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: cut short before the flags",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 0 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: headers with a text cut short",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - a value reaches beyond the end at byte 4 of a field table" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: headers with an unknown type letter",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - unknown field type 0x3f at byte 4 of a field table" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "content header: octets after the properties",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - bytes are left over at byte 2 of a properties" 60 40"#,
        ],
        reason: MALFORMED,
    },
    Difference {
        case: "frame: wrong end octet",
        leveret: &[
            r#"connection.close 501 "FRAME_ERROR - type 1, all octets = <<0,30,0,10,5,47,100,97,116,97,30>>: {invalid_frame_end_marker,0}" 0 0"#,
        ],
        reason: ERLANG_LINE,
    },
];
