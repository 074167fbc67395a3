//! `udp_echo`.

use crate::{
    program::{Program, run},
    util::PATIENCE,
};
use std::net::UdpSocket;

#[test]
fn several_clients_get_all_their_datagrams_back() {
    let server = Program::start("udp_echo", &["server", "127.0.0.1:0"]);
    let ended = run("udp_echo", &["client", &server.listening().to_string(), "10", "50"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("10 clients, 50 datagrams each: all came back"));
}

#[test]
fn lost_datagrams_are_sent_again() {
    let server = Program::start("udp_echo", &["server", "127.0.0.1:0", "3"]);
    let ended = run("udp_echo", &["client", &server.listening().to_string(), "4", "5"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Of 20 that come through, and more that are lost, every third is.
    let again = ended.stdout.split(", ").nth(2).and_then(|word| word.split(' ').next());
    assert!(again.unwrap().parse::<u32>().unwrap() >= 9, "{ended:?}");
}

#[test]
fn a_datagram_that_is_never_answered_is_given_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ended = run("udp_echo", &["client", &silent.local_addr().unwrap().to_string(), "1", "1"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no answer after 8 attempts"), "{ended:?}");
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..8 {
        silent.recv(&mut [0; 64]).expect("it was sent so often");
    }
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 64]).is_err(), "and no more often");
}

#[test]
fn late_and_foreign_answers_are_passed_over() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let addr = server.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let foreign = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut buf = [0; 64];
        for _ in 0..2 {
            let (len, peer) = server.recv_from(&mut buf).unwrap();
            foreign.send_to(&buf[..len], peer).unwrap();
            for answer in [&b""[..], b"client 1, datagram 0", &[0xff; 1472], &buf[..len]] {
                server.send_to(answer, peer).unwrap();
            }
        }
    });
    let ended = run("udp_echo", &["client", &addr, "1", "2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    answering.join().unwrap();
}

#[test]
fn what_does_not_fit_is_reported_and_not_echoed_in_part() {
    let server = Program::start("udp_echo", &["server", "127.0.0.1:0"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(server.listening()).unwrap();
    client.send(&[b'x'; 1473]).unwrap();
    server.logged("a datagram of more than 1472 bytes was cut");
    let mut buf = [0; 2000];
    for sent in [&[b'y'; 1472][..], b"", b"\0\xff"] {
        client.send(sent).unwrap();
        let len = client.recv(&mut buf).expect("an echo");
        assert_eq!(&buf[..len], sent);
    }
}
