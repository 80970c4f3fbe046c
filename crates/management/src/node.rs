//! The node behind the control socket: it answers also while its application is stopped.
//!
//! Owns what can be asked then: whether it runs, to start and stop it, to end the process. Everything else is the
//! application's, and refused without it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use leveret_core::admin::Admin;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::control::settings_json;
use crate::limits::CONCURRENT_REQUESTS;
use crate::rates::Rates;
use crate::service::{Face, Service, json_response};

/// The process around the application. The calls may wait, so callers run them outside an async scheduler's own
/// threads.
pub trait Node: Send + Sync {
    /// The node's name, for instance `leveret@host`.
    fn name(&self) -> String;

    /// The settings it was started with, by their names in the configuration file; without secrets.
    fn settings(&self) -> Vec<(String, String)>;

    /// The application; `None` while it is stopped.
    fn admin(&self) -> Option<Arc<dyn Admin>>;

    /// Starts or stops the application, and waits until that is done. What is so already stays so.
    ///
    /// # Errors
    /// Why it could not be done, in words.
    fn set_running(&self, run: bool) -> Result<(), String>;

    /// Asks the process to end in an orderly way, and returns at once.
    fn request_stop(&self);
}

/// The HTTP API for whoever can open the control socket.
pub fn node_router(node: Arc<dyn Node>) -> axum::Router {
    let permits = Arc::new(Semaphore::new(CONCURRENT_REQUESTS));
    axum::Router::new().fallback(handle).with_state((node, permits, Arc::default()))
}

type Shared = (Arc<dyn Node>, Arc<Semaphore>, Arc<Rates>);

async fn handle(State((node, permits, rates)): State<Shared>, request: Request) -> Response {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/api/leveret/node") => json_response(StatusCode::OK, &node_json(&*node)),
        (&Method::GET, "/api/leveret/environment") => {
            json_response(StatusCode::OK, &settings_json(node.settings()))
        }
        (&Method::PUT, "/api/leveret/node/start_app") => set_running(node, true).await,
        (&Method::PUT, "/api/leveret/node/stop_app") => set_running(node, false).await,
        (&Method::PUT, "/api/leveret/stop") => {
            node.request_stop();
            json_response(StatusCode::OK, &node_json(&*node))
        }
        _ => forward(&*node, permits, rates, request).await,
    }
}

fn node_json(node: &dyn Node) -> Value {
    json!({"node": node.name(), "running": node.admin().is_some(), "pid": std::process::id()})
}

async fn set_running(node: Arc<dyn Node>, run: bool) -> Response {
    let changed =
        tokio::task::spawn_blocking(move || node.set_running(run).map(|()| node_json(&*node))).await;
    match changed {
        Ok(Ok(now)) => json_response(StatusCode::OK, &now),
        Ok(Err(reason)) => unavailable("application", &reason),
        Err(_) => unavailable("application", "it could not be asked"),
    }
}

async fn forward(
    node: &dyn Node,
    permits: Arc<Semaphore>,
    rates: Arc<Rates>,
    request: Request<Body>,
) -> Response {
    let Some(admin) = node.admin() else {
        return unavailable("application_stopped", "the application is stopped");
    };
    let (parts, body) = request.into_parts();
    Service { admin, face: Face::Control, permits, rates }.respond(parts, body, None).await
}

fn unavailable(error: &str, reason: &str) -> Response {
    json_response(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": error, "reason": reason}))
}
