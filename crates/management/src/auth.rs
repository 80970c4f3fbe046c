//! Login over HTTP, and the rights that routes ask for.
//!
//! On TCP every route asks for HTTP Basic login; the broker checks name, password and the loopback rule. On the
//! control socket the file's permissions have already decided: whoever opened it owns the process.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leveret_core::admin::{Admin, AuthFailure};

use crate::error::ApiError;
use crate::request::{Caller, percent_decode};

/// The right that a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// None, not even a login.
    Public,
    /// Any management tag.
    Management,
    /// Any management tag, and the virtual host that is the path's first part: a permission in it, or the tag
    /// administrator.
    Vhost,
    /// Like `Vhost`, but the tag monitoring is enough too.
    VhostOrMonitoring,
    /// The tag policymaker or administrator.
    Policymaker,
    /// The tag monitoring or administrator.
    Monitoring,
    /// The tag administrator.
    Administrator,
}

/// Checks the login of a request over TCP.
pub(crate) fn log_in(
    admin: &dyn Admin,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Caller, ApiError> {
    let (name, password) = credentials(headers)?;
    let loopback = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    match admin.authenticate(&name, &password, loopback) {
        Ok(user) => Ok(Caller::User(user)),
        Err(AuthFailure::Refused) => Err(ApiError::Login),
        Err(AuthFailure::LoopbackOnly) => Err(ApiError::NotAuthorised("User can only log in via localhost")),
    }
}

fn credentials(headers: &HeaderMap) -> Result<(String, Vec<u8>), ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(ApiError::NoLogin);
    };
    let value = value.to_str().map_err(|_| ApiError::Unreadable)?;
    let (scheme, encoded) = value.split_once(' ').ok_or(ApiError::Login)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(ApiError::Login);
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| ApiError::Unreadable)?;
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or(ApiError::Unreadable)?;
    let (name, password) = decoded.split_at(colon);
    let name = String::from_utf8(name.to_vec()).map_err(|_| ApiError::Login)?;
    Ok((name, password.get(1..).unwrap_or_default().to_vec()))
}

/// Checks the right that a route asks for. `vhost` is the path's first variable part, which may be rewritten to the
/// virtual host that is meant.
pub(crate) fn authorise(
    admin: &dyn Admin,
    caller: &Caller,
    access: Access,
    vhost: Option<&mut String>,
) -> Result<(), ApiError> {
    if access != Access::Public && !caller.may_manage() {
        return Err(ApiError::NotAuthorised("Not management user"));
    }
    let refused = match access {
        Access::Public | Access::Management => None,
        Access::Vhost => return authorise_vhost(admin, caller, false, vhost),
        Access::VhostOrMonitoring => return authorise_vhost(admin, caller, caller.may_monitor(), vhost),
        Access::Policymaker => {
            (!caller.may_make_policies()).then_some("User not authorised to access object")
        }
        Access::Monitoring => (!caller.may_monitor()).then_some("Not monitor user"),
        Access::Administrator => (!caller.may_administrate()).then_some("Not administrator user"),
    };
    refused.map_or(Ok(()), |reason| Err(ApiError::NotAuthorised(reason)))
}

fn authorise_vhost(
    admin: &dyn Admin,
    caller: &Caller,
    allowed: bool,
    vhost: Option<&mut String>,
) -> Result<(), ApiError> {
    let vhost = vhost.ok_or(ApiError::Internal)?;
    *vhost = existing_vhost(admin, vhost).ok_or(ApiError::NotFound)?;
    if allowed || caller.sees_vhost(vhost) {
        Ok(())
    } else {
        Err(ApiError::NotAuthorised("User not authorised to access virtual host"))
    }
}

/// The virtual host that a part of a path means. Older tools write a space in this part as a plus.
pub(crate) fn existing_vhost(admin: &dyn Admin, part: &str) -> Option<String> {
    let existing = admin.vhosts();
    let spaced = percent_decode(part, true);
    let found = existing.iter().find(|view| view.name == part);
    found.or_else(|| existing.iter().find(|view| view.name == spaced)).map(|view| view.name.clone())
}
