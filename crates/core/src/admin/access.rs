//! Users, virtual hosts, permissions and limits, as management changes them.

use std::fmt;

use super::AdminError;

/// What becomes of a user's password.
#[derive(Clone, PartialEq, Eq)]
pub enum PasswordChange {
    /// It stays; a new user has none.
    Keep,
    /// This one, to be hashed. An empty one is kept, but nobody logs in with it.
    Plain(Vec<u8>),
    /// A hash as definitions have it.
    Hash {
        /// `password_hash`, in base64; an empty one is no password.
        base64: String,
        /// `hashing_algorithm`, for instance `rabbit_password_hashing_sha512`; SHA-256 if it is not said.
        algorithm: Option<String>,
    },
    /// None: no password opens it.
    None,
}

impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "Keep",
            Self::Plain(_) => "Plain(..)",
            Self::Hash { .. } => "Hash(..)",
            Self::None => "None",
        })
    }
}

/// What a virtual host is made with; what is `None` stays as it is, or is empty for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostSettings {
    /// What somebody wrote about it.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Option<Vec<String>>,
    /// The type of queues declared without `x-queue-type`: `classic` or `quorum`.
    pub default_queue_type: Option<String>,
}

/// A user's permissions in a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionView {
    /// Where.
    pub vhost: String,
    /// Who.
    pub user: String,
    /// Names that may be declared and deleted, as a pattern.
    pub configure: String,
    /// Names that may be published or bound to.
    pub write: String,
    /// Names that may be consumed or bound from.
    pub read: String,
}

/// A user's permissions on the routing keys of a topic exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermissionView {
    /// Where.
    pub vhost: String,
    /// Who.
    pub user: String,
    /// At which exchange.
    pub exchange: String,
    /// Routing keys that may be published to, as a pattern.
    pub write: String,
    /// Binding keys that may be bound with.
    pub read: String,
}

/// The limits of a virtual host, as they were set: a negative one is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostLimitValues {
    /// `max-connections`.
    pub max_connections: Option<i64>,
    /// `max-queues`.
    pub max_queues: Option<i64>,
}

/// The limits of a user, as they were set: a negative one is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimitValues {
    /// `max-connections`.
    pub max_connections: Option<i64>,
    /// `max-channels`.
    pub max_channels: Option<i64>,
}

/// What management may ask about access. Every change is durable before its call returns, and in force for what
/// clients do from then on.
pub trait AccessAdmin: Send + Sync {
    /// Adds a user that is not there.
    ///
    /// # Errors
    /// [`AdminError::AlreadyExists`]; [`AdminError::BadRequest`] for a name that is too long or a malformed hash.
    fn add_user(&self, name: &str, password: &PasswordChange, tags: &[String]) -> Result<(), AdminError>;

    /// Adds a user or changes the one of that name; true if it is new. Tags that are `None` stay.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name that is too long or a malformed hash.
    fn put_user(
        &self,
        name: &str,
        password: &PasswordChange,
        tags: Option<&[String]>,
    ) -> Result<bool, AdminError>;

    /// Changes a user's password. Open connections stay open.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`]; [`AdminError::BadRequest`] for a malformed hash.
    fn set_password(&self, name: &str, password: &PasswordChange) -> Result<(), AdminError>;

    /// Salt and hash that a user with this password would be stored with.
    fn hash_password(&self, password: &[u8]) -> Vec<u8>;

    /// Changes a user's tags.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`].
    fn set_user_tags(&self, name: &str, tags: &[String]) -> Result<(), AdminError>;

    /// Deletes a user with its permissions, and closes its connections.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`].
    fn delete_user(&self, name: &str) -> Result<(), AdminError>;

    /// Adds a virtual host or changes the one of that name; true if it is new.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name that is too long or an unknown queue type.
    fn put_vhost(&self, name: &str, settings: &VhostSettings) -> Result<bool, AdminError>;

    /// Deletes a virtual host with all that is in it, and closes its connections.
    ///
    /// # Errors
    /// [`AdminError::NoSuchVhost`].
    fn delete_vhost(&self, name: &str) -> Result<(), AdminError>;

    /// All permissions.
    fn permissions(&self) -> Vec<PermissionView>;

    /// Grants a permission, in place of one for the same user and virtual host; true if there was none.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::NoSuchVhost`], [`AdminError::InvalidPattern`].
    fn put_permission(&self, permission: &PermissionView) -> Result<bool, AdminError>;

    /// Takes a permission away; true if there was one.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::NoSuchVhost`].
    fn delete_permission(&self, vhost: &str, user: &str) -> Result<bool, AdminError>;

    /// All topic permissions.
    fn topic_permissions(&self) -> Vec<TopicPermissionView>;

    /// Grants a topic permission, in place of one for the same user, virtual host and exchange; true if there was
    /// none.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::NoSuchVhost`], [`AdminError::InvalidPattern`].
    fn put_topic_permission(&self, permission: &TopicPermissionView) -> Result<bool, AdminError>;

    /// Takes a topic permission away, those of all exchanges if none is named; true if there was one.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`], [`AdminError::NoSuchVhost`].
    fn delete_topic_permission(
        &self,
        vhost: &str,
        user: &str,
        exchange: Option<&str>,
    ) -> Result<bool, AdminError>;

    /// The limits of the virtual hosts that have one.
    fn vhost_limits(&self) -> Vec<(String, VhostLimitValues)>;

    /// Sets the limits of a virtual host; without any, there are none.
    ///
    /// # Errors
    /// [`AdminError::NoSuchVhost`].
    fn set_vhost_limits(&self, vhost: &str, limits: VhostLimitValues) -> Result<(), AdminError>;

    /// The limits of the users who have one.
    fn user_limits(&self) -> Vec<(String, UserLimitValues)>;

    /// Sets the limits of a user; without any, there are none.
    ///
    /// # Errors
    /// [`AdminError::NoSuchUser`].
    fn set_user_limits(&self, user: &str, limits: UserLimitValues) -> Result<(), AdminError>;
}
