//! The binary `leveret`.

use clap::Parser;
use leveret_server::clock::Clock;
use leveret_server::config::{Args, Config};
use leveret_server::server::Server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args = Args::parse();
    let (config, _notices) = Config::load(&args, &|name| std::env::var(name).ok()).unwrap();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let server = std::sync::Arc::new(Server::start(&config, Clock::start()).unwrap());
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(async move {
        let mut listeners = Vec::new();
        for address in &config.amqp {
            for address in address.addresses() {
                listeners.push(tokio::net::TcpListener::bind(address).await.unwrap());
            }
        }
        let listener = listeners.remove(0);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            if let Ok(task) = server.connection(stream, Box::new(|| {})) {
                tokio::spawn(task);
            }
        }
    });
}
