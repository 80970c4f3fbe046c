//! Parameters and policies, as management keeps them and gives them back.

use super::{AdminError, Argument, Arguments};

/// A runtime parameter of a virtual host.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterView {
    /// Where.
    pub vhost: String,
    /// What it is for, for instance `federation-upstream`.
    pub component: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Argument,
}

/// A parameter of the whole broker.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalParameterView {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: Argument,
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyView {
    /// Where.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// Names of queues and exchanges that it applies to, as a pattern.
    pub pattern: String,
    /// `queues`, `exchanges`, `all` and so on.
    pub apply_to: String,
    /// What it sets.
    pub definition: Arguments,
    /// Of several that match, the highest counts.
    pub priority: i64,
}

/// What management may ask about parameters and policies. They are kept and given back; nothing acts on them yet.
/// Every change is durable before its call returns.
pub trait ParameterAdmin: Send + Sync {
    /// All parameters of virtual hosts.
    fn parameters(&self) -> Vec<ParameterView>;

    /// Adds a parameter, in place of one of that name.
    ///
    /// # Errors
    /// [`AdminError::NoSuchVhost`]; [`AdminError::BadRequest`] for a value that nests too deep or is too large.
    fn put_parameter(&self, parameter: &ParameterView) -> Result<(), AdminError>;

    /// All parameters of the whole broker.
    fn global_parameters(&self) -> Vec<GlobalParameterView>;

    /// Adds a parameter of the whole broker, in place of one of that name.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a value that nests too deep or is too large.
    fn put_global_parameter(&self, parameter: &GlobalParameterView) -> Result<(), AdminError>;

    /// All policies.
    fn policies(&self) -> Vec<PolicyView>;

    /// Adds a policy, in place of one of that name.
    ///
    /// # Errors
    /// [`AdminError::NoSuchVhost`]; [`AdminError::BadRequest`] for a definition that nests too deep or is too large.
    fn put_policy(&self, policy: &PolicyView) -> Result<(), AdminError>;
}
