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
    /// Any management tag.
    Management,
    /// Any management tag, and a permission in the virtual host that is the path's first part.
    Vhost,
    /// Like `Vhost`, and the tag administrator.
    VhostAdministrator,
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
    let (name, password) = credentials(headers).ok_or(ApiError::Login)?;
    let loopback = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
    match admin.authenticate(&name, &password, loopback) {
        Ok(user) => Ok(Caller::User(user)),
        Err(AuthFailure::Refused) => Err(ApiError::Login),
        Err(AuthFailure::LoopbackOnly) => Err(ApiError::NotAuthorised("User can only log in via localhost")),
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (name, password) = decoded.split_at(colon);
    Some((String::from_utf8(name.to_vec()).ok()?, password.get(1..)?.to_vec()))
}

/// Checks the right that a route asks for. `vhost` is the path's first variable part, which may be rewritten to the
/// virtual host that is meant.
pub(crate) fn authorise(
    admin: &dyn Admin,
    caller: &Caller,
    access: Access,
    vhost: Option<&mut String>,
) -> Result<(), ApiError> {
    if !caller.may_manage() {
        return Err(ApiError::NotAuthorised("Not management user"));
    }
    match access {
        Access::Management => Ok(()),
        Access::Monitoring if caller.may_monitor() => Ok(()),
        Access::Monitoring => Err(ApiError::NotAuthorised("Not monitor user")),
        Access::Administrator if caller.may_administrate() => Ok(()),
        Access::Administrator => Err(ApiError::NotAuthorised("Not administrator user")),
        Access::Vhost => authorise_vhost(admin, caller, vhost),
        Access::VhostAdministrator => {
            authorise_vhost(admin, caller, vhost)?;
            if caller.may_administrate() {
                Ok(())
            } else {
                Err(ApiError::NotAuthorised("Not administrator user"))
            }
        }
    }
}

fn authorise_vhost(admin: &dyn Admin, caller: &Caller, vhost: Option<&mut String>) -> Result<(), ApiError> {
    let vhost = vhost.ok_or(ApiError::Internal)?;
    let existing = admin.vhosts();
    let exists = |name: &str| existing.iter().any(|view| view.name == name);
    if !exists(vhost) {
        // Older tools write a space in this part as a plus.
        let spaced = percent_decode(vhost, true);
        if !exists(&spaced) {
            return Err(ApiError::NotFound);
        }
        *vhost = spaced;
    }
    if caller.sees_vhost(vhost) {
        Ok(())
    } else {
        Err(ApiError::NotAuthorised("User not authorised to access virtual host"))
    }
}
