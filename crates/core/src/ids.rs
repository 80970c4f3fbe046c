//! Numbers that name things. Each is a newtype, so that two of them are never mixed up in a signature.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A queue for its whole life: allocated when it is declared and never used again. A name that is deleted
    /// and declared anew is a new id.
    QueueId(u64)
);
number!(
    /// A message's place in its queue: rising, never reused, gaps allowed. A requeued message returns to it.
    QueueSeq(u64)
);
number!(
    /// A client's connection, unique while the process runs.
    ConnectionId(u64)
);
number!(
    /// The delivery tag of basic.deliver and basic.get-ok: counts from 1 on each channel (AMQP 0-9-1, 3.1.8).
    DeliveryTag(u64)
);
number!(
    /// The publish sequence number of publisher confirms: counts from 1 after confirm.select on each channel.
    ConfirmSeq(u64)
);
number!(
    /// A channel's number on its connection, 1 to channel_max; 0 is the connection itself.
    ChannelNumber(u16)
);
number!(
    /// The number of a change to the definitions; rises by one with each change.
    Revision(u64)
);
number!(
    /// Milliseconds since the Unix epoch, as the shell read them.
    UnixMillis(u64)
);
number!(
    /// Milliseconds on a clock that never jumps, from an arbitrary start; for deadlines.
    MonotonicMillis(u64)
);
