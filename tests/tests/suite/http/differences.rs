//! Where Leveret answers otherwise than RabbitMQ, and why.

use super::world::OfRoute;

/// How a route's answers differ.
pub(crate) enum Difference {
    /// The route is not built: whoever asks is told so.
    NotBuilt,
    /// RabbitMQ's answer, and the one that takes its place.
    Instead(&'static str, &'static str),
}

use Difference::{Instead, NotBuilt};

/// Where RabbitMQ's handler dies, the caller is told what is wrong.
const NOT_FOUND: Difference = Instead("500", "404 Object Not Found: Not Found");

/// Route, difference, reason.
#[rustfmt::skip]
pub(crate) const DIFFERENCES: &[(&str, Difference, &str)] = &[
    ("GET connections/nope", NOT_FOUND, "RabbitMQ's handler dies for callers without the tag monitoring"),
    ("DELETE connections/nope", NOT_FOUND, "RabbitMQ's handler dies for callers who are no administrators"),
    ("GET channels/nope", NOT_FOUND, "RabbitMQ's handler dies for callers without the tag monitoring"),
    ("GET auth/attempts/{node}", NotBuilt, "attempts are not counted"),
    ("PUT cluster-name {\"name\":\"one\"}", NotBuilt, "the name is a setting"),
    ("GET operator-policies", NotBuilt, "operator policies"),
];

/// What a route is expected to answer, from what RabbitMQ does.
pub(crate) fn expected(route: &str, golden: &OfRoute) -> OfRoute {
    let found = DIFFERENCES.iter().find(|(differing, ..)| *differing == route);
    let rename = |answer: &str| match found {
        Some((_, Instead(from, to), _)) if answer == *from => (*to).to_owned(),
        Some((_, NotBuilt, _)) if route.starts_with("GET") || route.starts_with("POST") => {
            "404 Object Not Found: Not Found".to_owned()
        }
        Some((_, NotBuilt, _)) => "405".to_owned(),
        _ => answer.to_owned(),
    };
    let mut expected = OfRoute::new();
    for (answer, who) in golden {
        expected.entry(rename(answer)).or_default().extend(who.iter().cloned());
    }
    expected.values_mut().for_each(|who| who.sort());
    expected
}
