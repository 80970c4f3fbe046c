//! From an HTTP request to its answer: find the route, check the right, read the body, ask, write.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use leveret_core::admin::Admin;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::auth::{Access, authorise, log_in};
use crate::body;
use crate::error::ApiError;
use crate::limits::{BODY_BYTES, CONCURRENT_REQUESTS};
use crate::rates::Rates;
use crate::request::{Caller, Request, parse_query};
use crate::routes::{Answer, Form, Found, Route, find};

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// TCP: every route asks for a login. The server must supply the peer's address as
    /// `ConnectInfo<SocketAddr>`; without it no peer counts as local.
    Tcp,
    /// The control socket: whoever can open it may do everything.
    Control,
}

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) admin: Arc<dyn Admin>,
    pub(crate) face: Face,
    /// Requests that are worked on at once.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) rates: Arc<Rates>,
}

/// The whole HTTP API on one face.
pub fn router(admin: Arc<dyn Admin>, face: Face) -> axum::Router {
    axum::Router::new().fallback(handle).with_state(Service::new(admin, face))
}

async fn handle(State(service): State<Service>, request: axum::extract::Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let (parts, body) = request.into_parts();
    service.respond(parts, body, peer).await
}

impl Service {
    pub(crate) fn new(admin: Arc<dyn Admin>, face: Face) -> Self {
        Self { admin, face, permits: Arc::new(Semaphore::new(CONCURRENT_REQUESTS)), rates: Arc::default() }
    }

    /// Answers one request.
    pub(crate) async fn respond(&self, parts: Parts, body: Body, peer: Option<IpAddr>) -> Response {
        let head = parts.method == Method::HEAD;
        let (route, path) = match find(&parts.method, parts.uri.path()) {
            Found::Route(route, path) => (route, path),
            Found::OtherMethods(methods) if parts.method == Method::OPTIONS => {
                return allowed_methods(&methods);
            }
            Found::OtherMethods(methods) => return refuse(&ApiError::MethodNotAllowed(methods)),
            // What is not there can still be asked for its methods: a page for what is missing has these.
            Found::Nothing if parts.method == Method::OPTIONS => {
                return allowed_methods("HEAD, GET, OPTIONS");
            }
            Found::Nothing => return refuse(&ApiError::NotFound),
            Found::Unreadable => return refuse(&ApiError::Unreadable),
        };
        let mut response = match self.answer(route, path, parts, body, peer).await {
            Ok(response) => response,
            Err(error) => refuse(&error),
        };
        if head {
            *response.body_mut() = Body::empty();
        }
        response
    }

    /// Checks login and right before a byte of the body is read. The broker is asked, and its answer written, on
    /// threads that may block; their number is bounded, and none waits for a client.
    async fn answer(
        &self,
        route: &'static Route,
        mut path: Vec<String>,
        parts: Parts,
        body: Body,
        peer: Option<IpAddr>,
    ) -> Result<Response, ApiError> {
        let (admin, face) = (Arc::clone(&self.admin), self.face);
        let headers = parts.headers.clone();
        let (caller, path) = self
            .blocking(move || {
                let caller = match face {
                    Face::Control => Caller::Owner,
                    Face::Tcp if route.access == Access::Public => Caller::Nobody,
                    Face::Tcp => log_in(&*admin, &headers, peer)?,
                };
                authorise(&*admin, &caller, route.access, path.first_mut())?;
                Ok((caller, path))
            })
            .await?;
        let raw_body = match parts.method {
            Method::PUT | Method::POST => {
                if route.form != Form::Any && !is_json(&parts) {
                    return Err(ApiError::UnsupportedMediaType);
                }
                read_body(body).await?
            }
            _ => Bytes::new(),
        };
        let (body, raw_body) = match route.form {
            Form::RawJson => (Value::Null, raw_body),
            Form::Any | Form::JsonOnly => (body::parse(&raw_body)?, Bytes::new()),
        };
        let (admin, rates) = (Arc::clone(&self.admin), Arc::clone(&self.rates));
        self.blocking(move || {
            let reason = parts.headers.get("x-reason");
            let reason = reason.and_then(|reason| reason.to_str().ok()).map(str::to_owned);
            let query = parse_query(parts.uri.query().unwrap_or_default());
            let request =
                Request { admin: &*admin, rates: &rates, caller, path, query, body, raw_body, reason };
            Ok(match (route.handler)(&request)? {
                Answer::Ok(value) => json_response(StatusCode::OK, &value),
                Answer::Download(value, name) => download(&value, &name),
                Answer::Unavailable(value) => json_response(StatusCode::SERVICE_UNAVAILABLE, &value),
                Answer::Created => with_status(StatusCode::CREATED),
                Answer::CreatedAt(place) => created_at(&place),
                Answer::Done => with_status(StatusCode::NO_CONTENT),
            })
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| ApiError::Internal)?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(ApiError::Internal))
    }
}

fn is_json(parts: &Parts) -> bool {
    let value = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    let read = to_bytes(body, BODY_BYTES).await;
    read.map_err(|_| ApiError::bad_request("Exceeded HTTP request body size limit"))
}

fn with_status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let caching = if status == StatusCode::OK { "no-cache" } else { "public, max-age=0, must-revalidate" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("script-src 'self'; object-src 'self'"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding, origin"));
    response
}

pub(crate) fn json_response(status: StatusCode, value: &Value) -> Response {
    let text = value.to_string();
    let mut response = with_status(status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    *response.body_mut() = Body::from(text);
    response
}

fn download(value: &Value, name: &str) -> Response {
    let mut response = json_response(StatusCode::OK, value);
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename={name}")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn created_at(place: &str) -> Response {
    let mut response = with_status(StatusCode::CREATED);
    if let Ok(place) = HeaderValue::from_str(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn allowed_methods(methods: &str) -> Response {
    let mut response = with_status(StatusCode::OK);
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

fn refuse(error: &ApiError) -> Response {
    let mut response = match error.body() {
        Some(body) => json_response(error.status(), &body),
        None => with_status(error.status()),
    };
    let headers = response.headers_mut();
    match error {
        ApiError::NoLogin => {
            let challenge = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        ApiError::MethodNotAllowed(methods) => {
            if let Ok(methods) = HeaderValue::from_str(methods) {
                headers.insert(header::ALLOW, methods);
            }
        }
        _ => {}
    }
    response
}
