//! Password hashes as RabbitMQ makes them: four octets of salt, then the digest of salt and password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// Octets of salt before the digest.
const SALT_BYTES: usize = 4;

/// What a password is checked against.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// RabbitMQ's default, `rabbit_password_hashing_sha256`: salt and digest.
    Sha256([u8; SALT_BYTES + 32]),
    /// `rabbit_password_hashing_sha512`: salt and digest.
    Sha512([u8; SALT_BYTES + 64]),
    /// `rabbit_password_hashing_md5`: salt and digest. Broken as a hash; taken because old definitions have it.
    Md5([u8; SALT_BYTES + 16]),
    /// No password opens it.
    None,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.algorithm())
    }
}

impl PasswordHash {
    /// The hash of a new password. The salt is random and used once.
    #[must_use]
    pub fn salted_sha256(salt: [u8; SALT_BYTES], password: &[u8]) -> Self {
        let mut bytes = [0; SALT_BYTES + 32];
        let (head, tail) = bytes.split_at_mut(SALT_BYTES);
        head.copy_from_slice(&salt);
        tail.copy_from_slice(&Sha256::new().chain_update(salt).chain_update(password).finalize());
        Self::Sha256(bytes)
    }

    /// A hash from a definitions file: `password_hash` in base64 and `hashing_algorithm`. An empty hash is
    /// [`PasswordHash::None`]; a name that is missing means SHA-256, as in RabbitMQ.
    #[must_use]
    pub fn from_base64(algorithm: Option<&str>, hash: &str) -> Option<Self> {
        let bytes = STANDARD.decode(hash).ok()?;
        if bytes.is_empty() {
            return Some(Self::None);
        }
        match algorithm.unwrap_or("rabbit_password_hashing_sha256") {
            "rabbit_password_hashing_sha256" => bytes.try_into().ok().map(Self::Sha256),
            "rabbit_password_hashing_sha512" => bytes.try_into().ok().map(Self::Sha512),
            "rabbit_password_hashing_md5" => bytes.try_into().ok().map(Self::Md5),
            _ => None,
        }
    }

    /// The hash as a definitions file has it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.parts().1)
    }

    /// RabbitMQ's name of the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) | Self::None => "rabbit_password_hashing_sha256",
            Self::Sha512(_) => "rabbit_password_hashing_sha512",
            Self::Md5(_) => "rabbit_password_hashing_md5",
        }
    }

    /// Whether the password is the right one; takes the same time whatever is wrong with it.
    #[must_use]
    pub fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Sha256(bytes) => is_salted::<Sha256>(bytes, password),
            Self::Sha512(bytes) => is_salted::<Sha512>(bytes, password),
            Self::Md5(bytes) => is_salted::<Md5>(bytes, password),
            // As much work as any other: the time does not tell who has no password.
            Self::None => {
                std::hint::black_box(is_salted::<Sha256>(&[0; SALT_BYTES + 32], password));
                false
            }
        }
    }

    /// Salt and hash as RabbitMQ lays them out; empty if no password works.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.parts().1
    }

    /// Kind and bytes for storage.
    pub(crate) fn parts(&self) -> (u8, &[u8]) {
        match self {
            Self::None => (0, &[]),
            Self::Sha256(bytes) => (1, bytes),
            Self::Sha512(bytes) => (2, bytes),
            Self::Md5(bytes) => (3, bytes),
        }
    }

    /// What [`PasswordHash::parts`] gave.
    pub(crate) fn from_parts(kind: u8, bytes: &[u8]) -> Option<Self> {
        match kind {
            0 if bytes.is_empty() => Some(Self::None),
            1 => bytes.try_into().ok().map(Self::Sha256),
            2 => bytes.try_into().ok().map(Self::Sha512),
            3 => bytes.try_into().ok().map(Self::Md5),
            _ => None,
        }
    }
}

/// Whether salt and digest belong to the password, in the same time for every digest.
fn is_salted<D: Digest>(bytes: &[u8], password: &[u8]) -> bool {
    let (salt, digest) = bytes.split_at(SALT_BYTES);
    let actual = D::new().chain_update(salt).chain_update(password).finalize();
    actual.as_slice().ct_eq(digest).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `rabbitmqctl add_user` of RabbitMQ 4.0.5 for the password `bob`.
    const FROM_RABBITMQ: &str = "n+eVlGJ/OGii9WEUGEwB3/HeKFS/cLzgie4++0HShPRaLS9j";

    #[test]
    fn rabbitmq_hashes_verify_and_come_back_unchanged() {
        let hash = PasswordHash::from_base64(None, FROM_RABBITMQ).expect("a salted SHA-256");
        assert!(hash.verify(b"bob"));
        assert!(!hash.verify(b"bob "));
        assert!(!hash.verify(b""));
        assert_eq!(hash.to_base64(), FROM_RABBITMQ);
        let PasswordHash::Sha256(bytes) = &hash else { panic!("{hash:?}") };
        let salt = *bytes.first_chunk().expect("salt");
        assert_eq!(PasswordHash::salted_sha256(salt, b"bob"), hash);
    }

    #[test]
    fn sha512_verifies() {
        let salt = [1, 2, 3, 4];
        let mut bytes = salt.to_vec();
        bytes.extend_from_slice(&Sha512::new().chain_update(salt).chain_update(b"secret").finalize());
        let text = STANDARD.encode(bytes);
        let hash =
            PasswordHash::from_base64(Some("rabbit_password_hashing_sha512"), &text).expect("well formed");
        assert!(hash.verify(b"secret"));
        assert!(!hash.verify(b"Secret"));
        assert_eq!(hash.to_base64(), text);
    }

    /// `rabbitmqctl eval 'base64:encode(rabbit_password:hash(rabbit_password_hashing_md5, <<"bob">>)).'` of 4.0.5.
    #[test]
    fn md5_verifies() {
        let text = "moA9TmJHtOfOY0OLZkeBDqFjNBo=";
        let hash = PasswordHash::from_base64(Some("rabbit_password_hashing_md5"), text).expect("well formed");
        assert!(hash.verify(b"bob"));
        assert!(!hash.verify(b"Bob"));
        assert_eq!((hash.to_base64().as_str(), hash.algorithm()), (text, "rabbit_password_hashing_md5"));
    }

    #[test]
    fn malformed_and_unknown_hashes_are_refused() {
        for (algorithm, hash) in [
            (None, "not base64!"),
            (None, "AAAA"),
            (Some("rabbit_password_hashing_md4"), FROM_RABBITMQ),
            (Some("rabbit_password_hashing_md5"), FROM_RABBITMQ),
            (Some("rabbit_password_hashing_sha512"), FROM_RABBITMQ),
        ] {
            assert_eq!(PasswordHash::from_base64(algorithm, hash), None, "{algorithm:?} {hash}");
        }
        let none = PasswordHash::from_base64(None, "").expect("no password");
        assert!(!none.verify(b"") && !none.verify(b"x"));
    }
}
