//! Parameters and policies: changed under one lock, logged before anybody is answered.

use leveret_core::definition::Change;
use leveret_core::parameters::{GlobalParameter, Parameter, Parameters, Policy};
use leveret_storage::Position;

use super::{AccessError, Broker};
use crate::seams::{Registry, Seams, Shared, SharedRw};

impl<S: Seams> Broker<S> {
    /// Adds or replaces a parameter: the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchVhost`].
    pub fn put_parameter(&self, parameter: Parameter) -> Result<Position, AccessError> {
        let vhost = parameter.vhost.clone();
        self.change_parameters(&vhost, |all| all.put(parameter))
    }

    /// Adds or replaces a parameter of the whole broker: the position that makes it durable.
    pub fn put_global_parameter(&self, parameter: GlobalParameter) -> Position {
        self.parameters.write(|all| self.log_changes(&[all.put_global(parameter)]))
    }

    /// Adds or replaces a policy: the position that makes it durable.
    ///
    /// # Errors
    /// [`AccessError::NoSuchVhost`].
    pub fn put_policy(&self, policy: Policy) -> Result<Position, AccessError> {
        let vhost = policy.vhost.clone();
        self.change_parameters(&vhost, |all| all.put_policy(policy))
    }

    fn change_parameters(
        &self,
        vhost: &str,
        change: impl FnOnce(&mut Parameters) -> Change,
    ) -> Result<Position, AccessError> {
        self.administration.with(|()| {
            // No virtual host comes or goes while the lock of administration is held.
            if self.vhosts.find(vhost).is_none() {
                return Err(AccessError::NoSuchVhost(vhost.to_owned()));
            }
            Ok(self.parameters.write(|all| self.log_changes(&[change(all)])))
        })
    }
}
