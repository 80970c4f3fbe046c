//! Which queues does this message reach? Exchanges, bindings and the walk over them.
//!
//! A [`Router`] holds the exchanges of one vhost and their bindings; [`Router::route`] walks from an exchange
//! over bindings between exchanges and alternate exchanges to the queues and writes them into a [`Routes`] that
//! the caller keeps and reuses. It knows queues as numbers only: nothing here knows what a queue holds, who may
//! use it, or what survives a restart.
//!
//! ```
//! use leveret_routing::{Binding, Destination, ExchangeType, Publication, QueueKey, Router, Routes};
//!
//! let mut router = Router::new();
//! let logs = router.declare("logs", ExchangeType::Topic, None);
//! router.bind(Binding::new(logs, Destination::Queue(QueueKey(7)), b"kern.#", b""))?;
//! let mut routes = Routes::new();
//! router.route(logs, &Publication::new(b"kern.warn.disk"), &mut routes);
//! assert_eq!(routes.queues(), &[QueueKey(7)]);
//! # Ok::<(), leveret_routing::InvalidBinding>(())
//! ```

pub mod erlang_term;

mod binding;
mod destinations;
mod direct;
mod exchange;
mod fanout;
mod headers;
mod router;
mod routes;
mod topic;

pub use binding::{Binding, Destination, ExchangeKey, InvalidBinding, QueueKey};
pub use exchange::{Exchange, ExchangeType, UnknownExchangeType, check_binding};
pub use router::{Publication, RemovedExchange, Router};
pub use routes::Routes;
