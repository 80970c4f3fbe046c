//! `/api/connections`.

use leveret_core::admin::{ConnectionView, ConnectionsOf, Peer};
use serde_json::{Value, json};

use crate::arguments::{ArgumentStyle, Object, arguments_json};
use crate::error::ApiError;
use crate::list::{list, single};
use crate::request::Request;
use crate::routes::Answer;

pub(crate) fn list_all(request: &Request<'_>) -> Result<Answer, ApiError> {
    list_where(request, |_| true)
}

pub(crate) fn list_vhost(request: &Request<'_>) -> Result<Answer, ApiError> {
    let vhost = request.part(0)?;
    list_where(request, |connection| connection.vhost.as_deref() == Some(vhost))
}

pub(crate) fn list_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = request.part(0)?;
    if !request.caller.sees_connection_of(user) {
        return Err(ApiError::NotAuthorised("User not authorised to access object"));
    }
    list_where(request, |connection| connection.user.as_deref() == Some(user))
}

fn list_where(request: &Request<'_>, keep: impl Fn(&ConnectionView) -> bool) -> Result<Answer, ApiError> {
    let mut connections = request.admin.connections();
    connections.retain(|connection| visible(request, connection) && keep(connection));
    connections.sort_by(|left, right| {
        (&left.vhost, &left.peer.connection_name).cmp(&(&right.vhost, &right.peer.connection_name))
    });
    let node = request.admin.node_name();
    let style = request.argument_style();
    let items = connections.iter().map(|connection| connection_json(connection, &node, style)).collect();
    Ok(Answer::Ok(list(request, items)?))
}

/// A connection appears once it has opened a virtual host, as in RabbitMQ.
fn visible(request: &Request<'_>, connection: &ConnectionView) -> bool {
    connection.vhost.is_some()
        && connection.user.as_deref().is_some_and(|user| request.caller.sees_connection_of(user))
}

pub(crate) fn show(request: &Request<'_>) -> Result<Answer, ApiError> {
    let connection = named(request)?;
    let node = request.admin.node_name();
    Ok(Answer::Ok(single(request, connection_json(&connection, &node, request.argument_style()))))
}

/// Monitoring may look at any connection, but closes only its own.
pub(crate) fn close(request: &Request<'_>) -> Result<Answer, ApiError> {
    let connection = find(request)?;
    let own = connection.user.as_deref().is_some_and(|user| request.caller.is_user(user));
    if !own && !request.caller.may_administrate() {
        return Err(ApiError::NotAuthorised("User not authorised to access object"));
    }
    let reason = request.reason.as_deref().unwrap_or("Closed via management plugin");
    request.admin.close_connection(&connection.peer.connection_name, reason)?;
    Ok(Answer::Done)
}

/// Closes all of a user's connections: one's own, or anybody's as administrator.
pub(crate) fn close_user(request: &Request<'_>) -> Result<Answer, ApiError> {
    let user = request.part(0)?;
    if !request.caller.is_user(user) && !request.caller.may_administrate() {
        return Err(ApiError::NotAuthorised("User not authorised to access object"));
    }
    let reason = request.reason.as_deref().unwrap_or("Closed via management plugin");
    request.admin.close_connections(ConnectionsOf::User(user), reason);
    Ok(Answer::Done)
}

/// The connection that the path's first variable part names, if the caller may see it.
pub(crate) fn named(request: &Request<'_>) -> Result<ConnectionView, ApiError> {
    let connection = find(request)?;
    if connection.user.as_deref().is_some_and(|user| request.caller.sees_connection_of(user)) {
        Ok(connection)
    } else {
        Err(ApiError::NotAuthorised("User not authorised to access object"))
    }
}

fn find(request: &Request<'_>) -> Result<ConnectionView, ApiError> {
    let name = request.part(0)?;
    let mut connections = request.admin.connections().into_iter();
    connections.find(|connection| connection.peer.connection_name == name).ok_or(ApiError::NotFound)
}

fn connection_json(connection: &ConnectionView, node: &str, style: ArgumentStyle) -> Value {
    let user = connection.user.as_deref();
    let tls = connection.tls.as_deref();
    let certificate = tls.and_then(|tls| tls.certificate.as_ref());
    Object::default()
        .set("name", connection.peer.connection_name.as_str())
        .known("user_provided_name", connection.user_provided_name.as_deref())
        .set("node", node)
        .set("type", "network")
        .set("protocol", "AMQP 0-9-1")
        .set("state", connection.state.as_str())
        .known("user", user)
        .known("user_who_performed_action", user)
        .known("vhost", connection.vhost.as_deref())
        .set("host", connection.host.to_string())
        .set("port", connection.port)
        .set("peer_host", connection.peer.peer_host.to_string())
        .set("peer_port", connection.peer.peer_port)
        .set("ssl", tls.is_some())
        .set("ssl_protocol", tls.map(|tls| tls.protocol))
        .set("ssl_key_exchange", tls.map(|tls| tls.key_exchange))
        .set("ssl_cipher", tls.map(|tls| tls.cipher))
        .set("ssl_hash", tls.map(|tls| tls.hash))
        .set("peer_cert_subject", certificate.map(|certificate| certificate.subject.as_str()))
        .set("peer_cert_issuer", certificate.map(|certificate| certificate.issuer.as_str()))
        .set("peer_cert_validity", certificate.map(|certificate| certificate.validity.as_str()))
        .known("auth_mechanism", connection.auth_mechanism.as_deref())
        .set("frame_max", connection.frame_max)
        .set("channel_max", connection.channel_max)
        .set("timeout", connection.heartbeat_s)
        .set("channels", connection.channels)
        .set("client_properties", arguments_json(&connection.client_properties, style))
        .set("connected_at", connection.connected_at_ms)
        .known("recv_oct", connection.recv_oct)
        .known("recv_cnt", connection.recv_cnt)
        .known("send_oct", connection.send_oct)
        .known("send_cnt", connection.send_cnt)
        .known("send_pend", connection.send_pend)
        .into()
}

/// `connection_details` and `owner_pid_details`.
pub(crate) fn peer_json(peer: &Peer) -> Value {
    json!({
        "name": peer.connection_name,
        "peer_host": peer.peer_host.to_string(),
        "peer_port": peer.peer_port,
    })
}
