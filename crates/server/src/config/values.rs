//! How single values are written: addresses, sizes, numbers, switches.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindAddress {
    /// All addresses of both IP families.
    Any(u16),
    /// The loopback addresses of both IP families: `localhost`.
    Localhost(u16),
    /// One address.
    One(SocketAddr),
}

impl BindAddress {
    /// The port; 0 takes any free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Any(port) | Self::Localhost(port) => *port,
            Self::One(address) => address.port(),
        }
    }

    /// The same address with another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        match self {
            Self::Any(_) => Self::Any(port),
            Self::Localhost(_) => Self::Localhost(port),
            Self::One(address) => Self::One(SocketAddr::new(address.ip(), port)),
        }
    }

    /// The same port on another address: an IP address or `localhost`.
    pub(super) fn with_host(self, host: &str) -> Option<Self> {
        let port = self.port();
        if host == "localhost" {
            return Some(Self::Localhost(port));
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().ok().map(|ip| Self::One(SocketAddr::new(ip, port)))
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "{port}"),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

/// A text that is not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not PORT or ADDR:PORT (an IP address, or localhost)")]
pub struct NotAnAddress(String);

impl FromStr for BindAddress {
    type Err = NotAnAddress;

    /// `5672`, `127.0.0.1:5672`, `[::1]:5672`, and RabbitMQ's `::1:5672`.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let wrong = || NotAnAddress(text.to_owned());
        let Some((host, port)) = text.rsplit_once(':') else {
            return text.parse().map(Self::Any).map_err(|_| wrong());
        };
        let port = port.parse().map_err(|_| wrong())?;
        Self::Any(port).with_host(host).ok_or_else(wrong)
    }
}

/// A number of bytes with RabbitMQ's units: `50MB` is decimal, `50MiB`, `50Mi` and `50M` are binary.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A switch.
pub(super) fn parse_switch(text: &str) -> Option<bool> {
    match text {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let v6 = |text: &str| BindAddress::One(text.parse().unwrap());
        let cases = [
            ("5672", Some(BindAddress::Any(5_672))),
            ("0", Some(BindAddress::Any(0))),
            ("127.0.0.1:0", Some(v6("127.0.0.1:0"))),
            ("0.0.0.0:5672", Some(v6("0.0.0.0:5672"))),
            ("::1:5672", Some(v6("[::1]:5672"))),
            ("[::1]:5672", Some(v6("[::1]:5672"))),
            (":::5672", Some(v6("[::]:5672"))),
            ("localhost:5672", Some(BindAddress::Localhost(5_672))),
            ("65536", None),
            ("-1", None),
            ("", None),
            ("127.0.0.1", None),
            ("127.0.0.1:", None),
            ("broker.example:5672", None),
            ("300.0.0.1:5672", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<BindAddress>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("1024", Some(1_024)),
            ("50MB", Some(50_000_000)),
            ("50mb", Some(50_000_000)),
            ("1kB", Some(1_000)),
            ("1KiB", Some(1_024)),
            ("1k", Some(1_024)),
            ("2GiB", Some(2 << 30)),
            ("2G", Some(2 << 30)),
            ("2 GB", Some(2_000_000_000)),
            ("1TB", Some(1_000_000_000_000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551615k", None),
            ("GB", None),
            ("1XB", None),
            ("-1", None),
            ("1.5GB", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }
}
