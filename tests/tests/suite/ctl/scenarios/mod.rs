//! What is asked of the command line, a module a subject.

mod app;
mod clients;
mod definitions;
mod node;
mod object_limits;
mod parameters;
mod queues;
mod topology;
mod usage;
mod users;
mod vhosts;

use super::Scenario;

pub(super) const ALL: &[Scenario] = &[
    ("app", app::stop_and_start),
    ("clients: lists", clients::lists),
    ("clients: close", clients::close),
    ("definitions", definitions::definitions),
    ("node: checks", node::checks),
    ("node: limits", node::limits),
    ("node: other tools", node::other_tools),
    ("node: status", node::status),
    ("node: certificates and process", node::certificates_and_process),
    ("parameters", parameters::lists),
    ("queues: change", queues::change),
    ("queues: lists", queues::lists),
    ("topology", topology::lists),
    ("usage: arguments", usage::arguments),
    ("usage: help", usage::help),
    ("usage: options", usage::options),
    ("users", users::users),
    ("users: limits", object_limits::users),
    ("users: permissions", users::permissions),
    ("users: topic permissions", users::topic_permissions),
    ("vhosts: limits", object_limits::vhosts),
    ("vhosts", vhosts::vhosts),
    // The last: the node is gone after it.
    ("stop", app::stop),
];

/// Those that ask nothing of the process itself.
pub(super) const ALSO_OVER_HTTP: &[Scenario] = &[
    ("clients: lists", clients::lists),
    ("clients: close", clients::close),
    ("definitions", definitions::definitions),
    ("node: checks", node::checks),
    ("node: limits", node::limits),
    ("parameters", parameters::lists),
    ("queues: change", queues::change),
    ("queues: lists", queues::lists),
    ("topology", topology::lists),
    ("users", users::users),
    ("users: limits", object_limits::users),
    ("users: permissions", users::permissions),
    ("users: topic permissions", users::topic_permissions),
    ("vhosts: limits", object_limits::vhosts),
    ("vhosts", vhosts::vhosts),
];
