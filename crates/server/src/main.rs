//! The binary `leveret`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use leveret_server::config::{Args, Config, config_docs, unused_variables};
use leveret_server::server::ServerError;
use leveret_server::{allocator, node, offline, telemetry};

// The allocator of the hot path: some five times the system's rate for small blocks freed on another thread.
#[cfg(not(feature = "count-allocations"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "count-allocations")]
#[global_allocator]
static ALLOCATOR: leveret_server::allocations::CountingAllocator =
    leveret_server::allocations::CountingAllocator;

/// Exit codes of sysexits.h, as RabbitMQ uses them.
const EX_SOFTWARE: u8 = 70;
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    allocator::use_small_pages();
    let args = Args::parse();
    if args.print_config_docs {
        let written = std::io::stdout().write_all(config_docs().as_bytes());
        return if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(asked) = &args.offline {
        return ExitCode::from(offline::run(asked));
    }
    let (config, mut notices) = match Config::load(&args, &|name| std::env::var(name).ok()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(EX_CONFIG, &error),
    };
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    notices.extend(unused_variables(std::env::vars_os().map(|(name, value)| (text(name), text(value)))));
    let filter = std::env::var("LEVERET_LOG").ok();
    if let Err(error) = telemetry::start(config.log_level, config.log_format, filter.as_deref()) {
        return refuse(EX_CONFIG, &error);
    }
    for notice in notices {
        if notice.warning {
            tracing::warn!("{}", notice.text);
        } else {
            tracing::info!("{}", notice.text);
        }
    }
    #[cfg(feature = "count-allocations")]
    leveret_server::allocations::start_report();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(EX_SOFTWARE, &error),
    };
    match runtime.block_on(node::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ ServerError::Tls(_)) => refuse(EX_CONFIG, &error),
        Err(error) => refuse(EX_SOFTWARE, &error),
    }
}

/// One clear line, and the code. The line is in the log; where nothing is logged, or not yet, on standard error.
fn refuse(code: u8, error: &dyn std::error::Error) -> ExitCode {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{error}");
    } else {
        // Nobody is left to tell if this fails.
        _ = writeln!(std::io::stderr(), "leveret: {error}");
    }
    ExitCode::from(code)
}
