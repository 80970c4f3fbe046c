//! What a client's certificate says, in RabbitMQ's words: names as RFC 4514 with RabbitMQ's escapes, validity, and the
//! name that EXTERNAL takes.

use std::fmt::Write as _;
use std::net::IpAddr;

use leveret_core::admin::CertificateEnd;
use leveret_core::connection::CertificateFacts;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::der_parser::Oid;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::files::parse;
use crate::config::{CertLogin, LoginFrom, SanType};

/// The kinds of names that RabbitMQ knows by a word; all others go by their numbers.
const WORDS: [(&str, &str); 16] = [
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];

const COMMON_NAME: &str = "2.5.4.3";

/// Reads a certificate. `None` if it cannot be read, which a verified one can.
#[must_use]
pub fn certificate_facts(certificate: &CertificateDer<'_>, login: &CertLogin) -> Option<CertificateFacts> {
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    Some(CertificateFacts {
        subject: distinguished_name(parsed.subject()),
        issuer: distinguished_name(parsed.issuer()),
        validity: format!("{} - {}", time(validity.not_before), time(validity.not_after)),
        login: login_name(&parsed, login).filter(|name| !name.is_empty()),
    })
}

/// When a certificate ends. `None` if it cannot be read.
pub(super) fn certificate_end(certificate: &CertificateDer<'static>) -> Option<CertificateEnd> {
    let end = parse(certificate)?.validity().not_after;
    let text = time(end).replace('T', " ").replace('Z', "");
    Some(CertificateEnd { at_s: end.timestamp(), text })
}

fn login_name(certificate: &X509Certificate<'_>, login: &CertLogin) -> Option<String> {
    match login.from {
        LoginFrom::DistinguishedName => Some(distinguished_name(certificate.subject())),
        LoginFrom::CommonName => {
            let names = certificate.subject().iter_attributes().filter(|name| oid(name) == COMMON_NAME);
            let names: Vec<String> = names.map(|name| text(name.attr_value())).collect();
            (!names.is_empty()).then(|| names.join(","))
        }
        LoginFrom::SubjectAlternativeName => {
            let names = certificate.subject_alternative_name().ok()??;
            let of_type =
                names.value.general_names.iter().filter_map(|name| alternative(name, login.san_type));
            of_type.into_iter().nth(login.san_index)
        }
    }
}

/// The name if it is of that kind.
fn alternative(name: &GeneralName<'_>, kind: SanType) -> Option<String> {
    match (kind, name) {
        (SanType::Dns, GeneralName::DNSName(name))
        | (SanType::Email, GeneralName::RFC822Name(name))
        | (SanType::Uri, GeneralName::URI(name)) => Some((*name).to_owned()),
        (SanType::Ip, GeneralName::IPAddress(octets)) => {
            let four = <[u8; 4]>::try_from(*octets).map(IpAddr::from).ok();
            let address = four.or_else(|| <[u8; 16]>::try_from(*octets).map(IpAddr::from).ok());
            address.map(|address| address.to_string())
        }
        (SanType::OtherName, GeneralName::OtherName(_, value)) => {
            // The value within its explicit tag.
            let (_, outer) = x509_parser::der_parser::parse_der(value).ok()?;
            let (_, inner) = x509_parser::der_parser::parse_der(outer.as_slice().ok()?).ok()?;
            inner.as_str().ok().map(str::to_owned)
        }
        _ => None,
    }
}

/// The last part first, as RFC 4514 has it.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = oid(attribute);
    let word = WORDS.iter().find(|(known, _)| *known == oid).map_or(oid.as_str(), |(_, word)| word);
    format!("{word}={}", escaped(&text(attribute.attr_value())))
}

fn oid(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid: &Oid<'_> = attribute.attr_type();
    oid.to_id_string()
}

/// The text of any of X.500's kinds of strings. What is none is shown as RFC 4514 shows it, by its bytes.
fn text(value: &Any<'_>) -> String {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Tag::T61String => bytes.iter().map(|octet| char::from(*octet)).collect(),
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
            let units = units.map(u16::from_be_bytes);
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        Tag::UniversalString => {
            let units = bytes.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok());
            let chars = units.map(|four| char::from_u32(u32::from_be_bytes(four)));
            chars.map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => bytes.iter().fold("#".to_owned(), |mut text, octet| {
            _ = write!(text, "{octet:02X}");
            text
        }),
    }
}

/// RabbitMQ's escapes: RFC 4514's, and everything that is no printable ASCII, byte by byte.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (index, octet) in value.bytes().enumerate() {
        match octet {
            b' ' | b'#' if index == 0 => escaped.push('\\'),
            b' ' if index == last => escaped.push('\\'),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => escaped.push('\\'),
            0..=31 | 126..=255 => {
                _ = write!(escaped, "\\{octet:02X}");
                continue;
            }
            _ => {}
        }
        escaped.push(char::from(octet));
    }
    escaped
}

/// `2026-11-21T13:59:16Z`.
fn time(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests;
