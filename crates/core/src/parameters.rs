//! Runtime parameters, global parameters and policies: kept as they came and given back.
//!
//! Owns their names and values. Nothing acts on them yet, so nothing here knows what a component or a policy's key
//! means.

use std::collections::BTreeMap;

use leveret_protocol::error::DecodeError;

use crate::admin::Argument;
use crate::arguments::Arguments;
use crate::definition::{Change, Definition, DefinitionKey};
use crate::names::VhostName;

/// A value of any shape that JSON has, within the bounds of a field table (`leveret_protocol::limits`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterValue(Arguments);

/// The value stands in a table of its own, under this name.
const FIELD: &str = "value";

impl ParameterValue {
    /// A value.
    ///
    /// # Errors
    /// [`DecodeError`] for one that nests too deep or has too many parts.
    pub fn new(value: Argument) -> Result<Self, DecodeError> {
        Arguments::from_admin(&vec![(FIELD.to_owned(), value)]).map(Self)
    }

    /// What [`ParameterValue::content`] gave before.
    pub(crate) const fn from_content(content: Arguments) -> Self {
        Self(content)
    }

    /// As it is stored.
    pub(crate) const fn content(&self) -> &Arguments {
        &self.0
    }

    /// As management sees it.
    #[must_use]
    pub fn to_admin(&self) -> Argument {
        self.0.to_admin().into_iter().next().map_or(Argument::Void, |(_, value)| value)
    }
}

/// A runtime parameter of a virtual host, for instance a federation upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where.
    pub vhost: VhostName,
    /// What it is for, for instance `federation-upstream`.
    pub component: String,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: ParameterValue,
}

/// A parameter of the whole broker, for instance `cluster_name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalParameter {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: ParameterValue,
}

/// A policy of a virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where.
    pub vhost: VhostName,
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

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    parameters: BTreeMap<(VhostName, String, String), Parameter>,
    global: BTreeMap<String, GlobalParameter>,
    policies: BTreeMap<(VhostName, String), Policy>,
}

impl Parameters {
    /// Takes what a restart brought back; other kinds of definitions are not ours and are left alone.
    pub fn restore(&mut self, definition: &Definition) {
        match definition {
            Definition::Parameter(parameter) => _ = self.put(parameter.clone()),
            Definition::GlobalParameter(parameter) => _ = self.put_global(parameter.clone()),
            Definition::Policy(policy) => _ = self.put_policy(policy.clone()),
            _ => {}
        }
    }

    /// Adds a parameter, in place of one of that name. The caller has checked that its virtual host exists.
    pub fn put(&mut self, parameter: Parameter) -> Change {
        let key = (parameter.vhost.clone(), parameter.component.clone(), parameter.name.clone());
        self.parameters.insert(key, parameter.clone());
        Change::Put(Definition::Parameter(parameter))
    }

    /// Adds a global parameter, in place of one of that name.
    pub fn put_global(&mut self, parameter: GlobalParameter) -> Change {
        self.global.insert(parameter.name.clone(), parameter.clone());
        Change::Put(Definition::GlobalParameter(parameter))
    }

    /// Adds a policy, in place of one of that name. The caller has checked that its virtual host exists.
    pub fn put_policy(&mut self, policy: Policy) -> Change {
        self.policies.insert((policy.vhost.clone(), policy.name.clone()), policy.clone());
        Change::Put(Definition::Policy(policy))
    }

    /// Takes away all that is of a virtual host that goes.
    pub fn delete_vhost(&mut self, vhost: &str) -> Vec<Change> {
        let parameters = self.parameters.extract_if(.., |(of, ..), _| **of == *vhost);
        let mut keys: Vec<DefinitionKey> = parameters
            .map(|((vhost, component, name), _)| DefinitionKey::Parameter(vhost, component, name))
            .collect();
        let policies = self.policies.extract_if(.., |(of, _), _| **of == *vhost);
        keys.extend(policies.map(|((vhost, name), _)| DefinitionKey::Policy(vhost, name)));
        keys.into_iter().map(Change::Delete).collect()
    }

    /// All parameters in the order of virtual hosts, components and names.
    pub fn all(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.values()
    }

    /// All global parameters in the order of their names.
    pub fn global(&self) -> impl Iterator<Item = &GlobalParameter> {
        self.global.values()
    }

    /// All policies in the order of virtual hosts and names.
    pub fn policies(&self) -> impl Iterator<Item = &Policy> {
        self.policies.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(argument: Argument) -> ParameterValue {
        ParameterValue::new(argument).expect("a small value")
    }

    #[test]
    fn values_come_back() {
        let nested = Argument::Table(vec![("k".to_owned(), Argument::Array(vec![Argument::Double(2.5)]))]);
        for argument in [Argument::Void, Argument::Long(i64::MIN), Argument::LongStr(b"x".to_vec()), nested] {
            assert_eq!(value(argument.clone()).to_admin(), argument);
        }
        let mut deep = Argument::Void;
        for _ in 0..1_000 {
            deep = Argument::Array(vec![deep]);
        }
        assert!(ParameterValue::new(deep).is_err());
    }

    #[test]
    fn a_vhost_takes_what_is_its_own_along() {
        let mut all = Parameters::default();
        for vhost in ["a", "b"] {
            let parameter = Parameter {
                vhost: vhost.into(),
                component: "c".to_owned(),
                name: "n".to_owned(),
                value: value(Argument::Bool(true)),
            };
            let policy = Policy {
                vhost: vhost.into(),
                name: "p".to_owned(),
                pattern: ".*".to_owned(),
                apply_to: "all".to_owned(),
                definition: Arguments::default(),
                priority: 0,
            };
            _ = all.put(parameter);
            _ = all.put_policy(policy);
        }
        _ = all.put_global(GlobalParameter { name: "g".to_owned(), value: value(Argument::Long(1)) });
        let gone = all.delete_vhost("a");
        let keys = [
            DefinitionKey::Parameter("a".into(), "c".to_owned(), "n".to_owned()),
            DefinitionKey::Policy("a".into(), "p".to_owned()),
        ];
        assert_eq!(gone, keys.map(Change::Delete));
        assert_eq!((all.all().count(), all.policies().count(), all.global().count()), (1, 1, 1));
        assert!(all.delete_vhost("a").is_empty());
    }
}
