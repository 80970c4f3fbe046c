//! The clients' suites: what each needs, how it is run, and what came of it.

mod certificates;
mod ours;
mod published;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::broker::{Broker, Port, Setup};
use crate::process::{Ended, run_reading};
use crate::tally::Tally;

/// Longer than any suite takes, its compiling included; a suite that hangs is ended by it.
const SUITE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// One client's suite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suite {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it is, for the table of results.
    pub(crate) title: &'static str,
    /// Whether it belongs to the commit tier.
    pub(crate) quick: bool,
    port: Port,
    /// What its broker needs beyond the defaults; may fetch the suite, whose files name it.
    setup: fn() -> Result<Setup, Failure>,
    run: fn(&Site) -> Result<Ran, Failure>,
}

/// The broker that a suite is run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Its address, `amqp://guest:guest@host:port/%2f`.
    pub(crate) url: String,
    /// The port of AMQP over TLS, if it listens there.
    pub(crate) tls_port: Option<u16>,
    /// Its data folder, by which leveretctl finds it, if it is ours.
    pub(crate) data_dir: Option<PathBuf>,
}

impl Site {
    /// Host and port out of the address.
    fn host_and_port(&self) -> Result<(&str, &str), Failure> {
        let found = self.url.split_once("://").map(|(_, rest)| {
            let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
            let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
            authority.rsplit_once(':').unwrap_or((authority, "5672"))
        });
        found.ok_or_else(|| format!("{} is no AMQP address", self.url))
    }
}

/// What running a suite gave.
#[derive(Debug)]
enum Ran {
    Counted(Tally),
    /// It cannot run here: what is missing, a program as a rule.
    Missing(&'static str),
}

const fn our(name: &'static str, title: &'static str, run: fn(&Site) -> Result<Ran, Failure>) -> Suite {
    Suite { name, title, quick: true, port: Port::Free, setup: plain, run }
}

const fn published(name: &'static str, title: &'static str, run: fn(&Site) -> Result<Ran, Failure>) -> Suite {
    Suite { name, title, quick: false, port: Port::Free, setup: plain, run }
}

/// Every suite, in the order of running.
pub(crate) const SUITES: &[Suite] = &[
    Suite { setup: ours::with_tls, ..our("pika", "pika (our tests)", ours::pika) },
    Suite { setup: ours::with_tls, ..our("lapin", "lapin (our tests)", ours::lapin) },
    Suite {
        port: Port::Default,
        ..our("tutorials", "pika (RabbitMQ's tutorials, default port)", ours::tutorials)
    },
    our("aio-pika", "aio-pika (our tests)", ours::aio_pika),
    our("py-amqp", "py-amqp (our tests)", ours::py_amqp),
    our("kombu", "kombu and celery (our tests)", ours::kombu),
    our("amqplib", "amqplib (our tests)", ours::amqplib),
    our("rabbitmq-client", "rabbitmq-client (our tests)", ours::rabbitmq_client),
    Suite { setup: ours::with_tls, ..our("amqp091-go", "amqp091-go (our tests)", ours::amqp091_go) },
    Suite { setup: ours::with_tls, ..our("java-client", "the Java client (our tests)", ours::java_client) },
    our("amqprs", "amqprs (our tests)", ours::amqprs),
    our("librabbitmq", "librabbitmq (our tests, by amqp-tools)", ours::librabbitmq),
    published("lapin-own", "lapin (its own tests)", published::lapin),
    published("amqp091-go-own", "amqp091-go (its own tests)", published::amqp091_go),
    Suite {
        setup: published::aiormq_tls,
        ..published("aio-pika-own", "aio-pika (its own tests)", published::aio_pika)
    },
    Suite {
        setup: published::aiormq_tls,
        ..published("aiormq-own", "aiormq (its own tests)", published::aiormq)
    },
    Suite {
        setup: published::py_amqp_tls,
        ..published("py-amqp-own", "py-amqp (its own tests)", published::py_amqp)
    },
    published("kombu-own", "kombu (its own tests)", published::kombu),
    published("celery-own", "celery (its own tests)", published::celery),
    Suite {
        port: Port::Default,
        setup: published::amqprs_login,
        ..published("amqprs-own", "amqprs (its own tests)", published::amqprs)
    },
];

/// A broker as it is with nothing set.
fn plain() -> Result<Setup, Failure> {
    Ok(Setup::default())
}

/// The suite of that name.
pub(crate) fn find(name: &str) -> Result<&'static Suite, Failure> {
    SUITES.iter().find(|suite| suite.name == name).ok_or_else(|| {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        format!("no suite {name:?}; there are {}", names.join(", "))
    })
}

impl Suite {
    /// Run it on a broker of its own, or on the one at `url`. Never fails as a whole: what goes wrong is counted.
    pub(crate) fn run(&self, url: Option<&str>) -> Tally {
        println!("\n=== {}", self.title);
        let tally = match url {
            Some(url) => self.counted(&Site { url: url.to_owned(), tls_port: None, data_dir: None }),
            None => self.on_own_broker(),
        };
        match tally {
            Ok(tally) => {
                println!("{}: {tally}", self.name);
                tally
            }
            Err(failure) => {
                println!("failed: {} ({failure})", self.name);
                Tally::FAILED
            }
        }
    }

    fn on_own_broker(&self) -> Result<Tally, Failure> {
        let mut broker = Broker::start(self.port, &(self.setup)()?)?;
        let tally = self.counted(&broker.site());
        let alive = broker.alive();
        if !alive || !matches!(tally, Ok(tally) if tally.failed == 0) {
            broker.show_log();
        }
        if alive { tally } else { Err("the broker ended while the suite ran".to_owned()) }
    }

    fn counted(&self, site: &Site) -> Result<Tally, Failure> {
        match (self.run)(site)? {
            Ran::Counted(tally) => Ok(tally),
            Ran::Missing(program) => {
                println!("skipped: {} (no {program} here)", self.name);
                Ok(Tally::SKIPPED)
            }
        }
    }
}

fn reading(command: &mut Command) -> Result<Ended, Failure> {
    run_reading(command, SUITE_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (at, suite) in SUITES.iter().enumerate() {
            assert!(
                SUITES
                    .iter()
                    .skip(at + 1)
                    .all(|other| other.name != suite.name && other.title != suite.title)
            );
            assert_eq!(find(suite.name).map(|found| found.title), Ok(suite.title));
        }
        assert!(find("none").is_err());
    }

    #[test]
    fn host_and_port_of_an_address() {
        let cases = [
            ("amqp://guest:guest@127.0.0.1:5901/%2f", Ok(("127.0.0.1", "5901"))),
            ("amqp://host", Ok(("host", "5672"))),
            ("amqp://u:p@host/v", Ok(("host", "5672"))),
            ("nothing", Err("nothing is no AMQP address".to_owned())),
        ];
        for (url, expected) in cases {
            let site = Site { url: url.to_owned(), tls_port: None, data_dir: None };
            assert_eq!(site.host_and_port(), expected, "{url}");
        }
    }
}
