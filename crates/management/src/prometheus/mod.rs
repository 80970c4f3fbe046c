//! Metrics for Prometheus under RabbitMQ's names: `/metrics`, `/metrics/per-object`, `/metrics/detailed`.
//!
//! Only what is counted here is shown. Whatever RabbitMQ tells of its Erlang machine, of streams or of Raft has no line.
//! There is no login, as in RabbitMQ: who can reach the port can read.

mod families;
mod node;
mod text;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use leveret_core::admin::Admin;
use tokio::sync::Semaphore;

use crate::limits::CONCURRENT_SCRAPES;
use crate::request::parse_query;
use families::{FAMILIES, Scope};
use text::Page;

#[derive(Clone)]
struct Exporter {
    admin: Arc<dyn Admin>,
    permits: Arc<Semaphore>,
}

/// The metrics as a service of their own.
pub fn prometheus_router(admin: Arc<dyn Admin>) -> axum::Router {
    let exporter = Exporter { admin, permits: Arc::new(Semaphore::new(CONCURRENT_SCRAPES)) };
    axum::Router::new().fallback(scrape).with_state(exporter)
}

async fn scrape(State(exporter): State<Exporter>, request: axum::extract::Request) -> Response {
    let Some(asked) = asked(request.uri().path(), request.uri().query().unwrap_or_default()) else {
        return status(StatusCode::NOT_FOUND);
    };
    match *request.method() {
        Method::GET => {}
        // As RabbitMQ: whoever asks for the head learns that there is a page.
        Method::HEAD => return status(StatusCode::NO_CONTENT),
        _ => return status(StatusCode::METHOD_NOT_ALLOWED),
    }
    let Ok(permit) = Arc::clone(&exporter.permits).acquire_owned().await else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let admin = Arc::clone(&exporter.admin);
    let page = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        page(&*admin, &asked)
    });
    let Ok(text) = page.await else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What a path asks for.
enum Asked {
    /// Sums over all objects.
    Totals,
    /// Everything for each object.
    PerObject,
    /// Some families for each object.
    Detailed { families: Vec<String>, scope: Scope },
}

fn asked(path: &str, query: &str) -> Option<Asked> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/metrics" => Some(Asked::Totals),
        "/metrics/per-object" => Some(Asked::PerObject),
        "/metrics/detailed" => {
            let options = parse_query(query);
            let all = |name: &str| -> Vec<String> {
                options.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
            };
            let scope = Scope { vhosts: all("vhost"), queues: all("queue") };
            Some(Asked::Detailed { families: all("family"), scope })
        }
        _ => None,
    }
}

fn page(admin: &dyn Admin, asked: &Asked) -> String {
    let mut page = Page::default();
    let status = admin.node_status();
    node::identity(&mut page, admin, &status);
    match asked {
        Asked::Totals => {
            node::totals(&mut page, admin, &status);
            node::all(&mut page, admin, &status);
            node::alarms(&mut page, &admin.alarms());
        }
        Asked::PerObject => {
            let everything = Scope::default();
            for family in FAMILIES.iter().filter(|family| family.per_object) {
                (family.write)(&mut page, "rabbitmq_", admin, &everything);
            }
            node::all(&mut page, admin, &status);
        }
        Asked::Detailed { families, scope } => {
            for family in FAMILIES.iter().filter(|family| families.iter().any(|name| name == family.name)) {
                (family.write)(&mut page, family.prefix, admin, scope);
            }
        }
    }
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_broker::TestBroker;

    fn text(path: &str, query: &str) -> String {
        page(&TestBroker::default(), &asked(path, query).unwrap())
    }

    #[test]
    fn paths() {
        assert!(asked("/", "").is_none());
        assert!(asked("/metrics/nope", "").is_none());
        assert!(asked("/metrics/", "").is_some());
    }

    #[test]
    fn every_metric_is_begun_once_and_every_sample_belongs_to_the_one_above_it() {
        let families: Vec<String> = FAMILIES.iter().map(|family| format!("family={}", family.name)).collect();
        let pages = [
            text("/metrics", ""),
            text("/metrics/per-object", ""),
            text("/metrics/detailed", &families.join("&")),
        ];
        for page in pages {
            let mut begun: Vec<&str> = Vec::new();
            for line in page.lines() {
                if let Some(rest) = line.strip_prefix("# TYPE ") {
                    let name = rest.split(' ').next().unwrap();
                    assert!(!begun.contains(&name), "{name} is begun twice");
                    begun.push(name);
                } else if !line.starts_with('#') {
                    let name = line.split(['{', ' ']).next().unwrap();
                    assert_eq!(Some(&name), begun.last(), "{line}");
                }
            }
            assert!(begun.len() > 10);
        }
    }

    #[test]
    fn detailed_shows_only_what_is_asked_for() {
        let page = text("/metrics/detailed", "family=queue_coarse_metrics&vhost=/&queue=q1");
        let samples: Vec<&str> = page.lines().filter(|line| line.starts_with("rabbitmq_detailed_")).collect();
        assert_eq!(
            samples,
            [
                "rabbitmq_detailed_queue_messages_ready{vhost=\"/\",queue=\"q1\"} 7",
                "rabbitmq_detailed_queue_messages_unacked{vhost=\"/\",queue=\"q1\"} 1",
                "rabbitmq_detailed_queue_messages{vhost=\"/\",queue=\"q1\"} 8",
            ]
        );
        assert!(!text("/metrics/detailed", "").contains("rabbitmq_detailed_"));
    }
}
