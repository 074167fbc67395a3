//! UDP: datagrams arrive whole or are said to be truncated, and no peer can end a server.

mod util;

use snow::{
    net::{Datagram, UdpSocket},
    rt::counts,
    sleep, spawn, timeout,
};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};
use util::{PATIENCE, run};

fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Receives a whole datagram.
async fn receive(socket: &mut UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buf = vec![0; 65_535];
    let (datagram, peer) = socket.recv_from(&mut buf).await.unwrap();
    buf.truncate(datagram.whole().unwrap());
    (buf, peer)
}

/// Sends everything back, whatever happens to the answers.
async fn echo(mut socket: UdpSocket) {
    let mut buf = [0; 2048];
    while let Ok((datagram, peer)) = socket.recv_from(&mut buf).await {
        if let Datagram::Whole(len) = datagram {
            let _ = socket.send_to(&buf[..len], peer).await;
        }
    }
}

#[test]
fn a_socket_that_is_never_silent_leaves_others_their_turn() {
    run(async {
        let (mut socket, addr) = bind();
        let deadline = Instant::now() + PATIENCE;
        let busy = async {
            loop {
                socket.send_to(b"a word", addr).await.unwrap();
                receive(&mut socket).await;
                assert!(Instant::now() < deadline, "nobody else has had a turn");
            }
        };
        assert!(timeout(Duration::from_millis(20), busy).await.is_err());
    });
}

#[test]
fn three_clients_have_their_own_words_echoed() {
    run(async {
        let (server, addr) = bind();
        spawn(echo(server)).detach();
        let clients = (0..3).map(|client| {
            spawn(async move {
                let (mut socket, _) = bind();
                for number in 0..100 {
                    let words = format!("client {client}, number {number}");
                    socket.send_to(words.as_bytes(), addr).await.unwrap();
                    assert_eq!(receive(&mut socket).await, (words.into_bytes(), addr));
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await;
        }
    });
}

#[test]
fn a_datagram_is_whole_or_said_to_be_truncated() {
    run(async {
        let ((mut receiver, addr), (mut sender, sender_addr)) = (bind(), bind());
        for (sent, room, expected) in [
            (0, 8, Datagram::Whole(0)),
            (7, 8, Datagram::Whole(7)),
            (8, 8, Datagram::Whole(8)),
            (9, 8, Datagram::Truncated),
            (1, 0, Datagram::Truncated),
            (0, 0, Datagram::Whole(0)),
            (60_000, 1500, Datagram::Truncated),
            (60_000, 65_534, Datagram::Whole(60_000)),
            (60_000, 65_535, Datagram::Whole(60_000)),
            (60_000, 100_000, Datagram::Whole(60_000)),
        ] {
            let bytes: Vec<u8> = (0..sent).map(|at| (at % 251) as u8).collect();
            sender.send_to(&bytes, addr).await.unwrap();
            let mut buf = vec![0xff; room];
            // A peek says the same.
            let peeked = receiver.peek_from(&mut buf).await.unwrap();
            assert_eq!(peeked, (expected, sender_addr), "{sent} bytes into {room}, peeked");
            buf.fill(0xff);
            let received = receiver.recv_from(&mut buf).await.unwrap();
            assert_eq!(received, (expected, sender_addr), "{sent} bytes into {room}");
            let kept = sent.min(room);
            assert!(buf[..kept] == bytes[..kept], "the beginning is kept");
            assert!(buf[kept..].iter().all(|byte| *byte == 0xff), "the rest is left alone");
        }
        assert_eq!(Datagram::Truncated.whole().unwrap_err().kind(), ErrorKind::InvalidData);
    });
}

#[test]
fn a_truncated_datagram_on_a_connected_socket_is_reported_too() {
    run(async {
        let ((mut receiver, addr), (mut sender, sender_addr)) = (bind(), bind());
        receiver.connect(sender_addr).await.unwrap();
        sender.connect(addr.to_string()).await.unwrap();
        sender.send(b"much too long").await.unwrap();
        sender.send(b"short").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), Datagram::Truncated);
        assert_eq!(&buf, b"much too");
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), Datagram::Whole(5));
        assert_eq!(&buf[..5], b"short");
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    run(async {
        let ((mut ours, our_addr), (mut peer, peer_addr), (mut other, _)) =
            (bind(), bind(), bind());
        assert_eq!(ours.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        ours.connect(peer_addr).await.unwrap();
        assert_eq!(ours.peer_addr().unwrap(), peer_addr);
        other.send_to(b"not for you", our_addr).await.unwrap();
        peer.send_to(b"for you", our_addr).await.unwrap();
        assert_eq!(receive(&mut ours).await.0, b"for you");
    });
}

#[test]
fn a_connected_socket_is_told_that_nobody_listens_and_goes_on() {
    run(async {
        let (gone, addr) = bind();
        let (mut client, client_addr) = bind();
        client.connect(addr).await.unwrap();
        drop(gone);
        client.send(b"anybody?").await.unwrap();
        let error = client.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // Somebody comes.
        let mut late = UdpSocket::bind(addr).unwrap();
        client.send(b"now?").await.unwrap();
        assert_eq!(receive(&mut late).await, (b"now?".to_vec(), client_addr));
        late.send_to(b"yes", client_addr).await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), Datagram::Whole(3));
    });
}

#[test]
fn clients_that_are_gone_do_not_end_a_server() {
    run(async {
        let (server, addr) = bind();
        // Connected too, where the system reports what routers and peers say.
        let (mut connected, connected_addr) = bind();
        spawn(echo(server)).detach();
        for _ in 0..10 {
            let (mut gone, gone_addr) = bind();
            gone.send_to(b"answer me", addr).await.unwrap();
            connected.connect(gone_addr).await.unwrap();
            drop(gone);
            if connected.send(b"nobody").await.is_err() {
                // It was told of the one before; of this one it is told when it receives.
                connected.send(b"nobody").await.unwrap();
            }
        }
        let (mut client, client_addr) = bind();
        client.send_to(b"still there?", addr).await.unwrap();
        assert_eq!(receive(&mut client).await.0, b"still there?");
        connected.connect(client_addr).await.unwrap();
        client.send_to(b"and you?", connected_addr).await.unwrap();
        assert_eq!(receive(&mut connected).await.0, b"and you?");
    });
}

#[test]
fn a_datagram_that_is_too_long_is_an_error_and_the_socket_goes_on() {
    run(async {
        let ((mut sender, _), (mut receiver, addr)) = (bind(), bind());
        assert!(sender.send_to(&[0; 65_536], addr).await.is_err());
        sender.send_to(b"short", addr).await.unwrap();
        assert_eq!(receive(&mut receiver).await.0, b"short");
    });
}

#[test]
fn a_clone_sends_while_the_other_waits() {
    run(async {
        let ((mut receiver, addr), (mut peer, peer_addr)) = (bind(), bind());
        let mut sender = receiver.try_clone().unwrap();
        let waiting = spawn(async move { receive(&mut receiver).await });
        sleep(Duration::from_millis(1)).await;
        sender.send_to(b"ping", peer_addr).await.unwrap();
        assert_eq!(receive(&mut peer).await, (b"ping".to_vec(), addr));
        peer.send_to(b"pong", addr).await.unwrap();
        assert_eq!(waiting.await.0, b"pong");
        // The first is gone; the clone hears what comes.
        peer.send_to(b"again", addr).await.unwrap();
        assert_eq!(receive(&mut sender).await.0, b"again");
        drop((sender, peer));
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn a_broadcast_must_be_allowed() {
    run(async {
        let mut socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let everyone = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
        let error = socket.send_to(b"all", everyone).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(!socket.broadcast().unwrap());
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        // The network of a loopback is its own to broadcast on.
        let (mut receiver, addr) = (
            UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap(),
            Ipv4Addr::new(127, 255, 255, 255),
        );
        let port = receiver.local_addr().unwrap().port();
        socket.send_to(b"all", (addr, port).into()).await.unwrap();
        assert_eq!(receive(&mut receiver).await.0, b"all");
    });
}

#[test]
fn a_group_is_heard_from_joining_to_leaving() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 77);
    run(async {
        let mut member = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = member.local_addr().unwrap().port();
        let (mut sender, _) = bind();
        if let Err(error) = member.join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST) {
            eprintln!("this machine has no multicast: {error}");
            return;
        }
        sender.set_multicast_interface_v4(Ipv4Addr::LOCALHOST).unwrap();
        sender.set_multicast_loop_v4(true).unwrap();
        sender.set_multicast_ttl_v4(1).unwrap();
        sender.send_to(b"members", (GROUP, port).into()).await.unwrap();
        assert_eq!(receive(&mut member).await.0, b"members");
        member.leave_multicast_v4(GROUP, Ipv4Addr::LOCALHOST).unwrap();
        sender.send_to(b"members", (GROUP, port).into()).await.unwrap();
        sender.send_to(b"you", (Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
        assert_eq!(receive(&mut member).await.0, b"you");
        let not_joined = member.leave_multicast_v4(GROUP, Ipv4Addr::LOCALHOST);
        assert!(not_joined.is_err());
        assert!(member.join_multicast_v4(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST).is_err());
    });
}

#[test]
fn a_group_of_ipv6_is_joined_and_left() {
    const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x77);
    run(async {
        let Ok(socket) = UdpSocket::bind("[::]:0".parse().unwrap()) else {
            return; // This machine has no IPv6.
        };
        socket.set_multicast_loop_v6(true).unwrap();
        socket.set_multicast_hops_v6(1).unwrap();
        // The first interface is the loopback.
        if socket.join_multicast_v6(GROUP, 1).is_ok() {
            socket.set_multicast_interface_v6(1).unwrap();
            socket.leave_multicast_v6(GROUP, 1).unwrap();
        }
        assert!(socket.join_multicast_v6(Ipv6Addr::LOCALHOST, 1).is_err());
    });
}

#[test]
fn options_are_what_they_are_set_to() {
    run(async {
        let (socket, _) = bind();
        socket.set_ttl(5).unwrap();
        socket.set_recv_buffer_bytes(100_000).unwrap();
        socket.set_send_buffer_bytes(50_000).unwrap();
        // Linux doubles what it is asked for.
        assert!((100_000..=200_000).contains(&socket.recv_buffer_bytes().unwrap()));
        assert!((50_000..=100_000).contains(&socket.send_buffer_bytes().unwrap()));
    });
}

#[test]
fn the_time_to_live_is_the_hop_limit_of_ipv6() {
    run(async {
        let Ok(socket) = std::net::UdpSocket::bind("[::]:0") else {
            return; // This machine has no IPv6.
        };
        let same = socket.try_clone().unwrap();
        UdpSocket::from_std(socket).unwrap().set_ttl(5).unwrap();
        let same = socket2::SockRef::from(&same);
        assert_eq!(same.unicast_hops_v6().unwrap(), 5);
        // To an IPv4 address it sends the same.
        #[cfg(target_os = "linux")]
        assert_eq!(same.ttl_v4().unwrap(), 5);
    });
}
