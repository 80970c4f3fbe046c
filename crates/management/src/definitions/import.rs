//! From a definitions file into the broker.

use std::collections::HashSet;

use leveret_core::admin::{
    Acting, Admin, AdminError, Argument, DestinationKind, ParameterView, PermissionView, VhostLimitValues,
};

use super::document::{Document, Malformed};
use super::items::{Binding, Exchange, Queue};

/// Why an import stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file; nothing was changed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The virtual host that it was meant for does not exist; nothing was changed.
    #[error("vhost_not_found")]
    NoSuchVhost,
    /// The broker refused something; what stood before it is imported.
    #[error("{0}")]
    Refused(String),
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// How many there were of each kind.
    pub counts: Vec<(&'static str, usize)>,
    /// What was left out or has no effect, in words for the log.
    pub warnings: Vec<String>,
}

/// Imports a file in RabbitMQ's JSON; with a virtual host, everything into that one.
///
/// What is there already stays as it is, except that users, permissions, parameters and policies become what the file
/// says. The user who imports may do everything in the virtual hosts that are new, as in RabbitMQ. Everything is durable when this returns, whatever it returns.
///
/// # Errors
/// [`ImportError`]; its text is RabbitMQ's where RabbitMQ has one.
pub fn import(
    admin: &dyn Admin,
    acting: Acting<'_>,
    text: &[u8],
    vhost: Option<&str>,
) -> Result<Imported, ImportError> {
    let document = Document::read(text, vhost)?;
    if vhost.is_some_and(|name| !admin.vhosts().iter().any(|vhost| vhost.name == name)) {
        return Err(ImportError::NoSuchVhost);
    }
    let mut outcome = Ok(());
    let mut imported = Imported { counts: counts(&document), warnings: Vec::new() };
    let durable = admin.together(&mut |admin| {
        let mut import = Import { admin, acting, warnings: Vec::new() };
        outcome = import.all(&document);
        imported.warnings = std::mem::take(&mut import.warnings);
    });
    let durable = durable.map_err(told);
    outcome.and(durable).map(|()| imported).map_err(ImportError::Refused)
}

fn counts(document: &Document) -> Vec<(&'static str, usize)> {
    let all = [
        ("users", document.users.len()),
        ("vhosts", document.vhosts.len()),
        ("permissions", document.permissions.len()),
        ("topic permissions", document.topic_permissions.len()),
        ("parameters", document.parameters.len()),
        ("global parameters", document.global_parameters.len()),
        ("policies", document.policies.len()),
        ("exchanges", document.exchanges.len()),
        ("queues", document.queues.len()),
        ("bindings", document.bindings.len()),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Exchanges or queues that exist, by virtual host and name.
type Names = HashSet<(String, String)>;

struct Import<'a> {
    admin: &'a dyn Admin,
    /// Whose import it is; what it does is not limited by that user's permissions.
    acting: Acting<'a>,
    warnings: Vec<String>,
}

impl Import<'_> {
    /// In RabbitMQ's order, so that everything finds what it refers to.
    fn all(&mut self, document: &Document) -> Result<(), String> {
        let unknown = document.unknown.iter().map(|key| format!("'{key}' is unknown and left out"));
        self.warnings.extend(unknown);
        self.access(document)?;
        self.parameters(document)?;
        let exchanges = self.exchanges(&document.exchanges)?;
        let queues = self.queues(&document.queues)?;
        self.bindings(&document.bindings, &exchanges, &queues)
    }

    fn access(&self, document: &Document) -> Result<(), String> {
        for user in &document.users {
            self.admin.put_user(&user.name, &user.password, Some(&user.tags)).map_err(
                |error| match error {
                    AdminError::BadRequest(what) => format!("user '{}': {what}", user.name),
                    other => told(other),
                },
            )?;
            self.admin.set_user_limits(&user.name, user.limits).map_err(told)?;
        }
        for vhost in &document.vhosts {
            let is_new = self.admin.put_vhost(&vhost.name, &vhost.settings).map_err(told)?;
            if let (true, Acting::User(user)) = (is_new, self.acting) {
                let all = || ".*".to_owned();
                let (vhost, user) = (vhost.name.clone(), user.to_owned());
                let permission = PermissionView { vhost, user, configure: all(), write: all(), read: all() };
                self.admin.put_permission(&permission).map_err(told)?;
            }
        }
        for permission in &document.permissions {
            self.admin.put_permission(&permission.0).map_err(told)?;
        }
        for permission in &document.topic_permissions {
            self.admin.put_topic_permission(&permission.0).map_err(told)?;
        }
        Ok(())
    }

    fn parameters(&mut self, document: &Document) -> Result<(), String> {
        for parameter in &document.global_parameters {
            self.admin.put_global_parameter(&parameter.0).map_err(told)?;
        }
        for policy in &document.policies {
            self.admin.put_policy(&policy.0).map_err(told)?;
        }
        if !document.policies.is_empty() {
            let count = document.policies.len();
            self.warnings.push(format!("{count} policies are kept and exported, but not applied yet"));
        }
        let mut without_effect = 0;
        for parameter in &document.parameters {
            if parameter.0.component == "vhost-limits" {
                self.admin.set_vhost_limits(&parameter.0.vhost, limits(&parameter.0)).map_err(told)?;
            } else {
                without_effect += 1;
                self.admin.put_parameter(&parameter.0).map_err(told)?;
            }
        }
        if without_effect > 0 {
            self.warnings
                .push(format!("{without_effect} parameters are kept and exported, but have no effect yet"));
        }
        Ok(())
    }

    fn exchanges(&mut self, exchanges: &[Exchange]) -> Result<Names, String> {
        let existing = self.admin.exchanges(None).into_iter();
        let mut names: Names = existing.map(|exchange| (exchange.vhost, exchange.name)).collect();
        for Exchange { vhost, spec } in exchanges {
            let name = &spec.name;
            if name.is_empty() || name.starts_with("amq.") {
                self.warnings
                    .push(format!("exchange '{name}' in vhost '{vhost}' is predeclared and left out"));
            } else if !names.contains(&(vhost.clone(), name.clone())) {
                self.admin.declare_exchange(Acting::Owner, vhost, spec).map_err(told)?;
                names.insert((vhost.clone(), name.clone()));
            }
        }
        Ok(names)
    }

    fn queues(&mut self, queues: &[Queue]) -> Result<Names, String> {
        let existing = self.admin.queues(None).into_iter();
        let mut names: Names = existing.map(|queue| (queue.vhost, queue.name)).collect();
        for Queue { vhost, spec } in queues {
            let name = &spec.name;
            if name.starts_with("amq.") {
                self.warnings
                    .push(format!("queue '{name}' in vhost '{vhost}' has a reserved name and is left out"));
            } else if !names.contains(&(vhost.clone(), name.clone())) {
                self.admin.declare_queue(Acting::Owner, vhost, spec).map_err(told)?;
                names.insert((vhost.clone(), name.clone()));
            }
        }
        Ok(names)
    }

    fn bindings(&self, bindings: &[Binding], exchanges: &Names, queues: &Names) -> Result<(), String> {
        for Binding { vhost, spec } in bindings {
            let kind = match spec.destination_kind {
                DestinationKind::Exchange => "exchange",
                DestinationKind::Queue => "queue",
            };
            let targets = if spec.destination_kind == DestinationKind::Queue { queues } else { exchanges };
            let ends = [("exchange", &spec.source, exchanges), (kind, &spec.destination, targets)];
            let missing: Vec<String> = ends
                .iter()
                .filter(|(_, name, names)| !names.contains(&(vhost.clone(), (*name).clone())))
                .map(|(kind, name, _)| {
                    format!("{{not_found,{{resource,<<\"{vhost}\">>,{kind},<<\"{name}\">>}}}}")
                })
                .collect();
            if !missing.is_empty() {
                return Err(format!("{{resources_missing,[{}]}}", missing.join(",\n                    ")));
            }
            // The default exchange's bindings are implied.
            if !spec.source.is_empty() {
                self.admin.bind(Acting::Owner, vhost, spec).map_err(told)?;
            }
        }
        Ok(())
    }
}

fn limits(parameter: &ParameterView) -> VhostLimitValues {
    let Argument::Table(values) = &parameter.value else { return VhostLimitValues::default() };
    let limit = |key: &str| {
        values.iter().find_map(|(name, value)| match value {
            Argument::Long(limit) if name == key => Some(*limit),
            _ => None,
        })
    };
    VhostLimitValues { max_connections: limit("max-connections"), max_queues: limit("max-queues") }
}

/// RabbitMQ's words for what the broker refuses.
fn told(error: AdminError) -> String {
    match error {
        AdminError::NoSuchVhost(name) => {
            format!("Please create virtual host \"{name}\" prior to importing definitions.")
        }
        AdminError::NoSuchUser(name) => format!("{{no_such_user,<<\"{name}\">>}}"),
        AdminError::InvalidPattern { pattern, reason } => {
            format!("{{invalid_regexp,\"{pattern}\",{:?}}}", reason.lines().last().unwrap_or_default())
        }
        AdminError::Refused(error) => {
            let name = leveret_core::error::reply_code::name(error.code).to_lowercase();
            format!("{name}: {}", error.explanation)
        }
        other => other.to_string(),
    }
}
