//! The `expiration` property: milliseconds as text, checked when it is published.

use crate::error::BrokerError;

/// RabbitMQ's longest time to live: ten years, in milliseconds (`?MAX_EXPIRY_TIMER`).
const MAX_MS: i128 = 315_360_000_000;

/// Reads an expiration, or refuses it in RabbitMQ's words (`string:to_integer` and `rabbit_misc:check_expiry`).
///
/// # Errors
/// 406 for what is no whole number of milliseconds from 0 to ten years.
pub fn parse(expiration: &[u8]) -> Result<u64, BrokerError> {
    let refused = |why: String| {
        let given = String::from_utf8_lossy(expiration);
        Err(BrokerError::precondition_failed(format!("invalid expiration '{given}': {why}")))
    };
    let text = String::from_utf8_lossy(expiration);
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, &text[..]),
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, left_over) = rest.split_at(digits);
    if number.is_empty() {
        return refused("no_integer".to_owned());
    }
    if !left_over.is_empty() {
        return refused(format!("{{leftover_string,{left_over:?}}}"));
    }
    let significant = number.trim_start_matches('0');
    // A short string has at most 255 digits; what does not fit 128 bits is too large in any case.
    let value =
        significant.parse::<i128>().unwrap_or(if significant.is_empty() { 0 } else { i128::MAX }) * sign;
    if value < 0 {
        return refused(format!("{{value_negative,{value}}}"));
    }
    if value > MAX_MS {
        return refused(too_large(significant, text.len()));
    }
    // Between 0 and ten years.
    Ok(u64::try_from(value).unwrap_or_default())
}

/// Erlang breaks a tuple's line when it is long, and goes on below its first element: behind `invalid expiration '`,
/// the text of `text_len` octets, `': ` and the brace.
fn too_large(digits: &str, text_len: usize) -> String {
    let column = text_len + 24;
    if digits.len() < 20 {
        format!("{{value_too_large,{digits}}}")
    } else {
        format!("{{value_too_large,\n{:column$}{digits}}}", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expirations_are_refused_in_rabbitmqs_words() {
        let good = [
            ("0", 0),
            ("+5", 5),
            ("60000", 60_000),
            ("315360000000", 315_360_000_000),
            ("007", 7),
            ("-0", 0),
        ];
        for (text, value) in good {
            assert_eq!(parse(text.as_bytes()).unwrap(), value);
        }
        for (bad, why) in [
            ("", "no_integer"),
            ("soon", "no_integer"),
            (" 100", "no_integer"),
            ("-", "no_integer"),
            ("-1", "{value_negative,-1}"),
            ("1.5", "{leftover_string,\".5\"}"),
            ("100ms", "{leftover_string,\"ms\"}"),
            ("315360000001", "{value_too_large,315360000001}"),
        ] {
            let text = parse(bad.as_bytes()).unwrap_err().explanation;
            assert_eq!(text, format!("invalid expiration '{bad}': {why}"));
        }
        assert!(parse(&[b'9'; 255]).is_err());
    }
}
