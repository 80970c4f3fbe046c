//! Which part of a client's certificate is the user's name: `ssl_cert_login_*`.

/// The part of a certificate that EXTERNAL takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoginFrom {
    /// The whole subject.
    #[default]
    DistinguishedName,
    /// Its common name; several are joined by commas.
    CommonName,
    /// An alternative name.
    SubjectAlternativeName,
}

/// A kind of alternative name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SanType {
    /// A host's name.
    #[default]
    Dns,
    /// An IP address.
    Ip,
    /// A mail address.
    Email,
    /// A URI.
    Uri,
    /// Text of a kind of its own, such as Microsoft's user principal name.
    OtherName,
}

/// How EXTERNAL finds the user's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CertLogin {
    /// Where it stands.
    pub from: LoginFrom,
    /// Which kind of alternative name.
    pub san_type: SanType,
    /// Which of that kind, from 0.
    pub san_index: usize,
}

impl CertLogin {
    pub(super) fn set_from(&mut self, value: &str) -> Result<(), String> {
        self.from = match value {
            "distinguished_name" => LoginFrom::DistinguishedName,
            "common_name" => LoginFrom::CommonName,
            "subject_alternative_name" | "subject_alt_name" => LoginFrom::SubjectAlternativeName,
            _ => {
                let allowed = "distinguished_name, common_name or subject_alternative_name";
                return Err(format!("`{value}` cannot be used; allowed: {allowed}"));
            }
        };
        Ok(())
    }

    pub(super) fn set_san_type(&mut self, value: &str) -> Result<(), String> {
        self.san_type = match value {
            "dns" => SanType::Dns,
            "ip" => SanType::Ip,
            "email" => SanType::Email,
            "uri" => SanType::Uri,
            "other_name" => SanType::OtherName,
            _ => return Err(format!("`{value}` cannot be used; allowed: dns, ip, email, uri or other_name")),
        };
        Ok(())
    }
}
