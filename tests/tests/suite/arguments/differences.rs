//! Where Leveret does otherwise than RabbitMQ 4.0.5 on purpose.

/// One intended difference.
pub(super) struct Difference {
    /// The family of the scenario.
    pub(super) family: &'static str,
    /// The scenario's name.
    pub(super) scenario: &'static str,
    /// RabbitMQ's lines and Leveret's in their place.
    pub(super) lines: &'static [(&'static str, &'static [&'static str])],
    /// Why.
    pub(super) reason: &'static str,
}

impl Difference {
    /// Puts Leveret's lines in place of RabbitMQ's; says whether each of them was there.
    pub(super) fn change(&self, golden: &mut Vec<String>) -> bool {
        assert!(!self.reason.is_empty());
        self.lines.iter().all(|(theirs, ours)| {
            let place = golden.iter().position(|line| line == theirs);
            let ours = ours.iter().map(|line| (*line).to_owned());
            place.map(|place| golden.splice(place..=place, ours).count()).is_some()
        })
    }
}

const TWICE: &str = "a table has no name twice; of one that does the last counts, in RabbitMQ the first";
const STREAM: &str = "streams are not built; a queue that is none must not be taken for one";
const RELAYED: &str = "properties are relayed as they were given; RabbitMQ writes the number anew";
const COUNT: &str =
    "what has expired is not among those that are left, in RabbitMQ's quorum queues once more";
const TIMESTAMP: &str = "RabbitMQ turns the message's seconds into milliseconds before it compares";

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        family: "declare",
        scenario: "one argument twice",
        lines: &[
            (
                r#"queue.declare-ok "$q" 0 0"#,
                &[
                    r#"channel.close 406 "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '$q' in vhost '/': {value_negative,-1}" 50 10"#,
                ],
            ),
            (
                r#"channel.close 406 "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue '$r' in vhost '/': {value_negative,-1}" 50 10"#,
                &[r#"queue.declare-ok "$r" 0 0"#],
            ),
            (
                r#"channel.close 406 "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue '$s' in vhost '/': received '2' but current is '1'" 50 10"#,
                &[r#"queue.declare-ok "$s" 0 0"#],
            ),
        ],
        reason: TWICE,
    },
    Difference {
        family: "queue_type",
        scenario: "a stream",
        lines: &[(
            r#"queue.declare-ok "$stream" 0 0"#,
            &[
                r#"connection.close 540 "NOT_IMPLEMENTED - queues of type 'stream' are not supported yet" 50 10"#,
            ],
        )],
        reason: STREAM,
    },
    Difference {
        family: "ttl",
        scenario: "an expiration is delivered as it was given",
        lines: &[(
            r#"basic.get-ok 2 false "" "$q" 0 | "m2" | expiration=60000"#,
            &[r#"basic.get-ok 2 false "" "$q" 0 | "m2" | expiration=060000"#],
        )],
        reason: RELAYED,
    },
    Difference {
        family: "ttl",
        scenario: "an expiration with a plus",
        lines: &[(
            r#"basic.get-ok 1 false "" "$q" 0 | "m1" | expiration=60000"#,
            &[r#"basic.get-ok 1 false "" "$q" 0 | "m1" | expiration=+60000"#],
        )],
        reason: RELAYED,
    },
    Difference {
        family: "ttl",
        scenario: "in a quorum queue: only the head expires",
        lines: &[(
            r#"basic.get-ok 1 false "" "$q" 1 | "m1" | "#,
            &[r#"basic.get-ok 1 false "" "$q" 0 | "m1" | "#],
        )],
        reason: COUNT,
    },
    Difference {
        family: "routing",
        scenario: "headers: a binding with a timestamp",
        lines: &[
            (
                r#"basic.get-ok 1 false "$x" "" 1 | "m1" | headers={a=5}"#,
                &[
                    r#"basic.get-ok 1 false "$x" "" 2 | "m0" | headers={a=T:5}"#,
                    r#"basic.get-ok 2 false "$x" "" 1 | "m1" | headers={a=5}"#,
                ],
            ),
            (
                r#"basic.get-ok 2 false "$x" "" 0 | "m2" | headers={a=l:5}"#,
                &[r#"basic.get-ok 3 false "$x" "" 0 | "m2" | headers={a=l:5}"#],
            ),
        ],
        reason: TIMESTAMP,
    },
];
