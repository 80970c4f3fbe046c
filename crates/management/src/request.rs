//! A request as the handlers see it: who asks, the decoded parts of the path, the options of the query.

use axum::body::Bytes;
use leveret_core::admin::{Acting, Admin, AuthenticatedUser};
use serde_json::Value;

use crate::arguments::ArgumentStyle;
use crate::error::ApiError;
use crate::rates::Rates;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Over the control socket: the owner of the process, who may do everything.
    Owner,
    /// A user who logged in.
    User(AuthenticatedUser),
    /// Somebody who need not log in, since the route is open to all.
    Nobody,
}

impl Caller {
    fn has_tag(&self, tags: &[&str]) -> bool {
        match self {
            Self::Owner => true,
            Self::User(user) => user.tags.iter().any(|tag| tags.contains(&tag.as_str())),
            Self::Nobody => false,
        }
    }

    /// May use management at all.
    pub(crate) fn may_manage(&self) -> bool {
        self.has_tag(&["management", "policymaker", "monitoring", "administrator"])
    }

    /// Sees every user's connections, and the node.
    pub(crate) fn may_monitor(&self) -> bool {
        self.has_tag(&["monitoring", "administrator"])
    }

    /// May do everything.
    pub(crate) fn may_administrate(&self) -> bool {
        self.has_tag(&["administrator"])
    }

    /// Sees what is in the virtual host: administrators do, and who has some permission there.
    pub(crate) fn sees_vhost(&self, vhost: &str) -> bool {
        match self {
            Self::Owner => true,
            Self::User(_) | Self::Nobody => self.may_administrate() || self.has_permission_in(vhost),
        }
    }

    /// May see and make policies and parameters.
    pub(crate) fn may_make_policies(&self) -> bool {
        self.has_tag(&["policymaker", "administrator"])
    }

    /// Has a permission of its own in the virtual host.
    pub(crate) fn has_permission_in(&self, vhost: &str) -> bool {
        match self {
            Self::Owner => true,
            Self::User(user) => user.vhosts.iter().any(|seen| seen == vhost),
            Self::Nobody => false,
        }
    }

    /// On whose behalf the broker is asked.
    pub(crate) fn acting(&self) -> Acting<'_> {
        match self {
            Self::Owner => Acting::Owner,
            Self::User(user) => Acting::User(&user.name),
            // No user has an empty name, so nothing is allowed.
            Self::Nobody => Acting::User(""),
        }
    }

    /// The user's name; the owner of the process has none.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Owner | Self::Nobody => None,
            Self::User(user) => Some(&user.name),
        }
    }

    /// Is this user.
    pub(crate) fn is_user(&self, name: &str) -> bool {
        matches!(self, Self::User(user) if user.name == name)
    }

    /// May see a connection and what is on it: one's own, or all as monitoring.
    pub(crate) fn sees_connection_of(&self, user: &str) -> bool {
        self.may_monitor() || self.is_user(user)
    }
}

/// What a handler works with.
pub(crate) struct Request<'a> {
    /// The broker.
    pub(crate) admin: &'a dyn Admin,
    /// What was seen of counts before.
    pub(crate) rates: &'a Rates,
    /// Who asks; the route's right is checked already.
    pub(crate) caller: Caller,
    /// The variable parts of the path, decoded, in order.
    pub(crate) path: Vec<String>,
    /// The query's options, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// The body, for PUT and POST.
    pub(crate) body: Value,
    /// The body as it came, for routes that read it themselves.
    pub(crate) raw_body: Bytes,
    /// The header X-Reason.
    pub(crate) reason: Option<String>,
}

impl Request<'_> {
    /// A variable part of the path. A route's handler asks only for those its path has.
    pub(crate) fn part(&self, index: usize) -> Result<&str, ApiError> {
        self.path.get(index).map(String::as_str).ok_or(ApiError::Internal)
    }

    /// An option of the query.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// An option that is on or off.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.option(name) == Some("true")
    }

    /// How arguments are to be written.
    pub(crate) fn argument_style(&self) -> ArgumentStyle {
        if self.option("arguments") == Some("typed") { ArgumentStyle::Typed } else { ArgumentStyle::Plain }
    }
}

/// Every `%` stands before two digits.
pub(crate) fn is_percent_encoded(text: &str) -> bool {
    let mut pieces = text.split('%');
    pieces.next();
    pieces.all(|piece| {
        let mut bytes = piece.bytes();
        (0..2).all(|_| bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit()))
    })
}

/// Decodes `%2F` and the like; anything that is not valid stays as it is. `plus_is_space` is for queries.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                hex_digit(*high).zip(hex_digit(*low)).map(|digits| (digits, after))
            }
            _ => None,
        };
        match hex {
            Some(((high, low), after)) => {
                decoded.push(high << 4 | low);
                rest = after;
            }
            None if *first == b'+' && plus_is_space => decoded.push(b' '),
            None => decoded.push(*first),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The options of a query string.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            (percent_decode(key, true), percent_decode(value, true))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_decoding() {
        let cases = [
            ("%2F", false, "/"),
            ("%2f", false, "/"),
            ("a%20b", false, "a b"),
            ("a+b", false, "a+b"),
            ("a+b", true, "a b"),
            ("%", false, "%"),
            ("%4", false, "%4"),
            ("%zz", false, "%zz"),
            ("%C3%A9", false, "é"),
            ("%2541", false, "%41"),
        ];
        for (text, plus, decoded) in cases {
            assert_eq!(percent_decode(text, plus), decoded, "{text}");
        }
    }

    #[test]
    fn queries() {
        assert_eq!(parse_query(""), vec![]);
        assert_eq!(
            parse_query("columns=name,vhost&x&sort=a%26b"),
            vec![
                ("columns".to_owned(), "name,vhost".to_owned()),
                ("x".to_owned(), String::new()),
                ("sort".to_owned(), "a&b".to_owned())
            ]
        );
    }
}
