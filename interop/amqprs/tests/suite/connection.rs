//! Connecting and logging in.

use amqprs::channel::QueueDeclareArguments;
use amqprs::connection::Connection;
use amqprs::security::SecurityCredentials;

use crate::support::{Client, Told, address, unique};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_introduces_itself() {
    let client = Client::open().await;
    let server = client.connection.server_properties();
    assert_eq!(server.product(), "RabbitMQ");
    assert!(server.version().starts_with("4."));
    let capabilities = server.capabilities();
    assert!(capabilities.publisher_confirms() && capabilities.basic_nack() && capabilities.direct_reply_to());
    assert!(!server.cluster_name().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_password_is_refused() {
    let mut wrong = address();
    wrong.credentials(SecurityCredentials::new_plain("guest", "wrong"));
    assert!(Connection::open(&wrong).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqplain_is_offered() {
    let mut other = address();
    other.credentials(SecurityCredentials::new_amqplain("guest", "guest"));
    let connection = Connection::open(&other).await.expect("connection");
    connection.close().await.expect("close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_vhost_is_refused() {
    let mut nowhere = address();
    nowhere.virtual_host("nowhere");
    assert!(Connection::open(&nowhere).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_is_renewed() {
    let client = Client::open().await;
    client.connection.update_secret("guest", "renewed").await.expect("update-secret-ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_queue_closes_the_channel_alone() {
    let mut client = Client::open().await;
    let name = unique();
    let passive = QueueDeclareArguments::new(&name).passive(true).finish();
    assert!(client.channel.queue_declare(passive).await.is_err());
    match client.told().await {
        Told::Closed(code, text) => {
            assert_eq!((code, text), (404, format!("NOT_FOUND - no queue '{name}' in vhost '/'")));
        }
        other => panic!("{other:?}"),
    }
    let again = Client::on(client.connection).await;
    again.queue(Default::default()).await;
}
