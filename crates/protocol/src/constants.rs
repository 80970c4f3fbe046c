//! The numbers of AMQP 0-9-1 and RabbitMQ's additions to them.
//!
//! Section numbers are of the AMQP 0-9-1 specification, `amqp0-9-1.pdf`; "RabbitMQ" marks its
//! extensions, as its documentation and its grammar `amqp-rabbit0.9.1.json` define them.

/// Frame type octet of a method frame (4.2.3).
pub const FRAME_METHOD: u8 = 1;
/// Frame type octet of a content header frame (4.2.3).
pub const FRAME_HEADER: u8 = 2;
/// Frame type octet of a content body frame (4.2.3).
pub const FRAME_BODY: u8 = 3;
/// Frame type octet of a heartbeat (4.2.3, 4.2.7).
pub const FRAME_HEARTBEAT: u8 = 8;
/// The octet that ends every frame (4.2.3).
pub const FRAME_END: u8 = 0xCE;

/// Bytes before a frame's payload: type, channel, payload size (4.2.3).
pub const FRAME_HEADER_BYTES: usize = 7;
/// Bytes around a frame's payload: its header and its end octet (4.2.3).
pub const FRAME_OVERHEAD_BYTES: usize = 8;
/// Smallest frame_max a peer may ask for, in bytes, and the limit before tune (1.4.2.6).
///
/// RabbitMQ 4.1 and later refuse anything below 8,192; older clients ask for 4,096, so this is the spec's.
pub const FRAME_MIN_SIZE: u32 = 4096;
/// The frame_max offered by default, in bytes (RabbitMQ's default).
pub const DEFAULT_FRAME_MAX: u32 = 131_072;

/// Class ids (1.1, and RabbitMQ's confirm class).
pub mod class_id {
    /// `connection` (1.4).
    pub const CONNECTION: u16 = 10;
    /// `channel` (1.5).
    pub const CHANNEL: u16 = 20;
    /// `access`, of AMQP 0-9: RabbitMQ answers it for old clients.
    pub const ACCESS: u16 = 30;
    /// `exchange` (1.6).
    pub const EXCHANGE: u16 = 40;
    /// `queue` (1.7).
    pub const QUEUE: u16 = 50;
    /// `basic` (1.8).
    pub const BASIC: u16 = 60;
    /// `confirm`, RabbitMQ's publisher confirms.
    pub const CONFIRM: u16 = 85;
    /// `tx` (1.9).
    pub const TX: u16 = 90;
}

/// Method ids of the `basic` class (1.8.3); the others stand in [`layout`](crate::layout).
pub mod basic_method_id {
    /// `basic.publish` (1.8.3.7).
    pub const PUBLISH: u16 = 40;
    /// `basic.return` (1.8.3.8).
    pub const RETURN: u16 = 50;
    /// `basic.deliver` (1.8.3.9).
    pub const DELIVER: u16 = 60;
    /// `basic.get` (1.8.3.10).
    pub const GET: u16 = 70;
    /// `basic.get-ok` (1.8.3.11).
    pub const GET_OK: u16 = 71;
    /// `basic.ack` (1.8.3.13); RabbitMQ sends it to publishers too.
    pub const ACK: u16 = 80;
    /// `basic.reject` (1.8.3.14).
    pub const REJECT: u16 = 90;
    /// `basic.nack`, RabbitMQ.
    pub const NACK: u16 = 120;
}

/// Reply codes (1.2) and their names in reply texts.
pub mod reply_code {
    /// Success (1.2).
    pub const REPLY_SUCCESS: u16 = 200;
    /// `CONTENT_TOO_LARGE`, closes the channel (1.2).
    pub const CONTENT_TOO_LARGE: u16 = 311;
    /// `NO_ROUTE`, in basic.return (RabbitMQ's grammar, of AMQP 0-9).
    pub const NO_ROUTE: u16 = 312;
    /// `NO_CONSUMERS`, closes the channel (1.2).
    pub const NO_CONSUMERS: u16 = 313;
    /// `CONNECTION_FORCED`, closes the connection (1.2).
    pub const CONNECTION_FORCED: u16 = 320;
    /// `INVALID_PATH`, closes the connection (1.2).
    pub const INVALID_PATH: u16 = 402;
    /// `ACCESS_REFUSED`, closes the channel, or the connection at login (1.2).
    pub const ACCESS_REFUSED: u16 = 403;
    /// `NOT_FOUND`, closes the channel (1.2).
    pub const NOT_FOUND: u16 = 404;
    /// `RESOURCE_LOCKED`, closes the channel (1.2).
    pub const RESOURCE_LOCKED: u16 = 405;
    /// `PRECONDITION_FAILED`, closes the channel (1.2).
    pub const PRECONDITION_FAILED: u16 = 406;
    /// `FRAME_ERROR`, closes the connection (1.2).
    pub const FRAME_ERROR: u16 = 501;
    /// `SYNTAX_ERROR`, closes the connection (1.2).
    pub const SYNTAX_ERROR: u16 = 502;
    /// `COMMAND_INVALID`, closes the connection (1.2).
    pub const COMMAND_INVALID: u16 = 503;
    /// `CHANNEL_ERROR`, closes the connection (1.2).
    pub const CHANNEL_ERROR: u16 = 504;
    /// `UNEXPECTED_FRAME`, closes the connection (1.2).
    pub const UNEXPECTED_FRAME: u16 = 505;
    /// `RESOURCE_ERROR`, closes the connection (1.2).
    pub const RESOURCE_ERROR: u16 = 506;
    /// `NOT_ALLOWED`, closes the connection (1.2).
    pub const NOT_ALLOWED: u16 = 530;
    /// `NOT_IMPLEMENTED`, closes the connection (1.2).
    pub const NOT_IMPLEMENTED: u16 = 540;
    /// `INTERNAL_ERROR`, closes the connection (1.2).
    pub const INTERNAL_ERROR: u16 = 541;

    /// The name that stands before ` - ` in RabbitMQ's reply texts; `UNKNOWN` for any other code.
    pub fn name(code: u16) -> &'static str {
        match code {
            REPLY_SUCCESS => "REPLY_SUCCESS",
            CONTENT_TOO_LARGE => "CONTENT_TOO_LARGE",
            NO_ROUTE => "NO_ROUTE",
            NO_CONSUMERS => "NO_CONSUMERS",
            CONNECTION_FORCED => "CONNECTION_FORCED",
            INVALID_PATH => "INVALID_PATH",
            ACCESS_REFUSED => "ACCESS_REFUSED",
            NOT_FOUND => "NOT_FOUND",
            RESOURCE_LOCKED => "RESOURCE_LOCKED",
            PRECONDITION_FAILED => "PRECONDITION_FAILED",
            FRAME_ERROR => "FRAME_ERROR",
            SYNTAX_ERROR => "SYNTAX_ERROR",
            COMMAND_INVALID => "COMMAND_INVALID",
            CHANNEL_ERROR => "CHANNEL_ERROR",
            UNEXPECTED_FRAME => "UNEXPECTED_FRAME",
            RESOURCE_ERROR => "RESOURCE_ERROR",
            NOT_ALLOWED => "NOT_ALLOWED",
            NOT_IMPLEMENTED => "NOT_IMPLEMENTED",
            INTERNAL_ERROR => "INTERNAL_ERROR",
            _ => "UNKNOWN",
        }
    }

    /// Whether the code ends the whole connection rather than one channel (1.2: "hard" errors).
    pub fn closes_connection(code: u16) -> bool {
        matches!(
            code,
            CONNECTION_FORCED
                | INVALID_PATH
                | FRAME_ERROR
                | SYNTAX_ERROR
                | COMMAND_INVALID
                | CHANNEL_ERROR
                | UNEXPECTED_FRAME
                | RESOURCE_ERROR
                | NOT_ALLOWED
                | NOT_IMPLEMENTED
                | INTERNAL_ERROR
        )
    }
}
