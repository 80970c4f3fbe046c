//! From the definitions that a restart brought back to virtual hosts and access.

use std::collections::BTreeMap;

use super::Definition;
use crate::access::{Access, VhostLimits};
use crate::names::VhostName;
use crate::parameters::Parameters;
use crate::vhost::Vhost;

/// What definitions make, and what of them could not be used.
#[derive(Debug)]
pub struct Restored {
    /// The virtual hosts with their durable topology.
    pub vhosts: BTreeMap<VhostName, Vhost>,
    /// Users and permissions.
    pub access: Access,
    /// Parameters and policies.
    pub parameters: Parameters,
    /// What was left out, as text for the log.
    pub problems: Vec<String>,
}

/// Builds virtual hosts and access from definitions in any order.
#[must_use]
pub fn restore(access: Access, definitions: &[Definition]) -> Restored {
    let mut restored =
        Restored { vhosts: BTreeMap::new(), access, parameters: Parameters::default(), problems: Vec::new() };
    for definition in definitions {
        match definition {
            Definition::Vhost(vhost) => {
                restored.vhosts.insert(vhost.name.clone(), Vhost::new(vhost.clone()));
            }
            Definition::User(_)
            | Definition::Permission(_)
            | Definition::TopicPermission(_)
            | Definition::UserLimits(_) => {
                if let Err(error) = restored.access.restore(definition) {
                    restored.problems.push(format!("{:?}: {error}", definition.key()));
                }
            }
            other => restored.parameters.restore(other),
        }
    }
    let topology = |definition: &&Definition| {
        matches!(definition, Definition::Exchange(_) | Definition::Queue(_) | Definition::VhostLimits(_))
    };
    let bindings = definitions.iter().filter(|definition| matches!(definition, Definition::Binding(_)));
    for definition in definitions.iter().filter(topology).chain(bindings) {
        let (Definition::VhostLimits(VhostLimits { vhost, .. })
        | Definition::Exchange(super::ExchangeDefinition { vhost, .. })
        | Definition::Queue(super::QueueDefinition { vhost, .. })
        | Definition::Binding(super::BindingDefinition { vhost, .. })) = definition
        else {
            continue;
        };
        let outcome = match restored.vhosts.get_mut(vhost) {
            Some(vhost) => vhost.restore(definition).map_err(|error| error.to_string()),
            None => Err(format!("there is no vhost '{vhost}'")),
        };
        if let Err(why) = outcome {
            restored.problems.push(format!("{:?}: {why}", definition.key()));
        }
    }
    restored
}
