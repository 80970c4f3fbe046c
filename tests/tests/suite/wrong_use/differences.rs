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

pub(super) const DIFFERENCES: &[Difference] = &[
    Difference {
        case: "connection.tune-ok: frame_max 0",
        leveret: &["connection.open-ok"],
        reason: "0 asks for no limit; it means the broker's own maximum here, and old clients send it",
    },
    Difference {
        case: "connection.tune-ok: channel_max 0",
        leveret: &["connection.open-ok"],
        reason: "0 asks for no limit; it means the broker's own maximum here, and old clients send it",
    },
    Difference {
        case: "basic.publish: a body of 17 MiB",
        leveret: &[],
        reason: "max_message_size is 128 MiB, as before RabbitMQ 4.0",
    },
    Difference {
        case: "basic.publish: a body of 128 MiB and one octet",
        leveret: &[
            r#"channel 1: channel.close 406 "PRECONDITION_FAILED - message size 134217729 is larger than configured max size 134217728" 60 40"#,
        ],
        reason: "max_message_size is 128 MiB, as before RabbitMQ 4.0",
    },
];
