//! Real sockets on free ports of this machine.

use tokio::sync::mpsc;

use super::*;

type Accepted = mpsc::UnboundedReceiver<(TcpStream, SocketAddr, ConnectionPermit)>;

/// Accepts in a task of its own and hands over what comes.
fn serve(listener: TcpListener, gate: Arc<ConnectionGate>) -> Accepted {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(accept_loop(listener, gate, move |stream, peer, permit| {
        let _ = sender.send((stream, peer, permit));
    }));
    receiver
}

/// Lets every other task run until nothing is left to do.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_bare_port_takes_both_families_and_shows_plain_addresses() {
    let listener = bind(&BindAddress::Any(0)).unwrap().remove(0);
    let port = listener.local_addr().unwrap().port();
    let mut accepted = serve(listener, ConnectionGate::new(1_024));
    for host in ["127.0.0.1", "::1"] {
        let host: IpAddr = host.parse().unwrap();
        let client = TcpStream::connect((host, port)).await.unwrap();
        let (stream, peer, _permit) = accepted.recv().await.unwrap();
        assert_eq!(peer.ip(), host);
        assert_eq!(peer.port(), client.local_addr().unwrap().port());
        assert!(stream.nodelay().unwrap());
    }
}

#[tokio::test]
async fn localhost_has_one_port_on_both_families() {
    let listeners = bind(&BindAddress::Localhost(0)).unwrap();
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0].port(), addresses[1].port());
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
}

#[tokio::test]
async fn a_port_in_use_is_refused() {
    let first = bind(&BindAddress::Any(0)).unwrap().remove(0);
    let port = first.local_addr().unwrap().port();
    let error = bind(&BindAddress::Any(port)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn at_the_limit_accepting_pauses_until_a_connection_ends() {
    let listener = bind(&BindAddress::Any(0)).unwrap().remove(0);
    let port = listener.local_addr().unwrap().port();
    let mut accepted = serve(listener, ConnectionGate::with_limits(2, 100));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let first = accepted.recv().await.unwrap();
    let second = accepted.recv().await.unwrap();
    settle().await;
    assert!(accepted.try_recv().is_err(), "a third client got in");
    drop(first);
    let third = accepted.recv().await.unwrap();
    assert_eq!(third.1.port(), clients[2].local_addr().unwrap().port());
    drop((second, third));
}

#[tokio::test]
async fn logging_in_makes_room_for_those_who_have_not() {
    let listener = bind(&BindAddress::Any(0)).unwrap().remove(0);
    let port = listener.local_addr().unwrap().port();
    let mut accepted = serve(listener, ConnectionGate::with_limits(100, 1));
    let _clients = [
        TcpStream::connect(("127.0.0.1", port)).await.unwrap(),
        TcpStream::connect(("127.0.0.1", port)).await.unwrap(),
    ];
    let mut first = accepted.recv().await.unwrap();
    settle().await;
    assert!(accepted.try_recv().is_err(), "a second client got in");
    first.2.authenticated();
    accepted.recv().await.unwrap();
}

#[test]
fn some_descriptors_are_kept_back() {
    let cases = [(65_536, 65_024), (1_024, 512), (100, 50), (1, 1), (0, 1), (u64::MAX, CONNECTIONS_MAX)];
    for (descriptors, connections) in cases {
        assert_eq!(ConnectionGate::new(descriptors).connections_max(), connections, "{descriptors}");
    }
}

#[test]
fn the_descriptor_limit_is_raised_to_what_is_allowed() {
    let raised = raise_descriptor_limit();
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
    assert_eq!(raised, limit.maximum.unwrap_or(u64::MAX));
}
