//! The management API as an operator's script uses it: one request at a time, as guest.

use std::net::SocketAddr;

use serde_json::Value;

use crate::http::Http;

/// Talks to one broker's management API as its administrator.
#[derive(Debug, Clone)]
pub struct AdminApi {
    address: SocketAddr,
}

impl AdminApi {
    /// The API at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request with a JSON body and gives status and body of the answer.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub fn request(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let body = (!body.is_null()).then(|| body.to_string());
        let path = format!("/api{path}");
        let reply = Http::new(self.address).call(method, &path, Some("guest:guest"), body.as_deref());
        (reply.status, reply.text())
    }

    /// PUT that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn put(&self, path: &str, body: &Value) {
        let (status, text) = self.request("PUT", path, body);
        assert!((200..300).contains(&status), "PUT {path}: {status} {text}");
    }

    /// DELETE that must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn delete(&self, path: &str) {
        let (status, text) = self.request("DELETE", path, &Value::Null);
        assert!((200..300).contains(&status), "DELETE {path}: {status} {text}");
    }

    /// DELETE that may find nothing.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub fn delete_any(&self, path: &str) {
        self.request("DELETE", path, &Value::Null);
    }

    /// A user with password `pw`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn user(&self, name: &str, tags: &str) {
        self.put(&format!("/users/{name}"), &serde_json::json!({"password": "pw", "tags": tags}));
    }

    /// Grants permissions: patterns of configure, write, read.
    ///
    /// # Panics
    /// When they are refused.
    pub fn grant(&self, vhost: &str, user: &str, [configure, write, read]: [&str; 3]) {
        let body = serde_json::json!({"configure": configure, "write": write, "read": read});
        self.put(&format!("/permissions/{vhost}/{user}"), &body);
    }
}
