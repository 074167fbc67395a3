//! `tcp_echo` and `multi_client`.

use crate::program::{Peer, Program, run};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

fn server() -> Program {
    Program::start("tcp_echo", &["server", "127.0.0.1:0"])
}

#[test]
fn a_thousand_clients_get_every_byte_back() {
    let server = server();
    let ended = run("tcp_echo", &["client", &server.listening().to_string(), "1000", "10"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("1000 clients, 10 messages each: every byte came back"));
    assert!(server.terminate().success());
}

#[test]
fn quit_ends_a_session_and_nothing_behind_it_is_echoed() {
    let server = server();
    for ending in ["\n", "\r\n"] {
        let mut peer = Peer::connect(server.listening());
        peer.send(format!("one\r\nquit or not\nquit{ending}two\n"));
        assert_eq!(peer.rest(), b"one\r\nquit or not\n");
    }
}

#[test]
fn what_is_owed_at_the_end_of_input_is_sent() {
    let server = server();
    for sent in ["", "\n", "no newline", "a line\nno newline", "\r"] {
        let mut peer = Peer::connect(server.listening());
        peer.send(sent).end();
        assert_eq!(peer.rest(), sent.as_bytes());
    }
}

#[test]
fn bytes_come_back_as_they_were_however_they_are_cut() {
    let server = server();
    let sent = b"caf\xc3\xa9\r\n\0\xff\xfe\n\n \t\r\r\nend";
    let mut peer = Peer::connect(server.listening());
    for byte in sent {
        peer.send([*byte]);
    }
    assert_eq!(peer.end().rest(), sent);
}

#[test]
fn boom_costs_its_own_connection_only() {
    let server = server();
    let mut other = Peer::connect(server.listening());
    assert_eq!(other.send("before\n").line(), "before\n");
    let mut peer = Peer::connect(server.listening());
    assert_eq!(peer.send("boom\nnever\n").rest(), b"");
    server.logged("the connection panicked: boom");
    assert_eq!(other.send("after\n").line(), "after\n");
    assert_eq!(Peer::connect(server.listening()).send("new\n").line(), "new\n");
}

#[test]
fn an_endless_line_costs_its_own_connection_only() {
    let server = server();
    let mut peer = Peer::connect(server.listening());
    let _ = peer.0.get_mut().write_all(&[b'x'; 100_000]);
    assert_eq!(peer.rest(), b"");
    server.logged("the line is too long");
    let longest = "x".repeat(16 * 1024 - 1) + "\n";
    let mut other = Peer::connect(server.listening());
    assert_eq!(other.send(&longest).exactly(longest.len()), longest.as_bytes());
}

#[test]
fn silence_and_half_a_line_are_timed_out_while_others_are_served() {
    let server = Program::start("tcp_echo", &["server", "127.0.0.1:0", "1"]);
    let mut silent = Peer::connect(server.listening());
    let mut half = Peer::connect(server.listening());
    half.send("half a li");
    let mut deaf = Peer::connect(server.listening());
    deaf.0.get_mut().set_nonblocking(true).unwrap();
    while deaf.0.get_mut().write(&b"a line\n".repeat(1000)).is_ok() {}
    deaf.0.get_mut().set_nonblocking(false).unwrap();
    assert_eq!(silent.rest(), b"");
    assert_eq!(half.rest(), b"");
    assert_eq!(Peer::connect(server.listening()).send("hello\n").line(), "hello\n");
    server.logged("the connection failed: the time was over first");
    deaf.rest();
}

#[test]
fn fifty_connections_from_one_loop_get_both_messages_back() {
    let server = server();
    let ended = run("multi_client", &[&server.listening().to_string(), "50"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "50 connections, 0 failures\n");
}

#[test]
fn a_server_that_answers_wrongly_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    // The first is answered in capitals, the second not in full, the third with more.
    thread::spawn(move || {
        for number in 1..=3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = [0; 46];
            stream.read_exact(&mut sent).unwrap();
            let answer = match number {
                1 => sent.to_ascii_uppercase(),
                2 => sent[1..].to_vec(),
                _ => [&sent[..], b"."].concat(),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    let ended = run("multi_client", &[&addr, "3"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "3 connections, 3 failures\n");
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_connection_takes_less_than_a_kibibyte() {
    const CONNECTIONS: usize = 800;
    let server = server();
    let addr = server.listening();
    let speak = || {
        let mut peer = Peer::connect(addr);
        assert_eq!(peer.send("hello\n").line(), "hello\n");
        peer
    };
    let _warm: Vec<_> = (0..10).map(|_| speak()).collect();
    let before = server.anonymous_bytes();
    let idle: Vec<_> = (0..CONNECTIONS).map(|_| speak()).collect();
    let each = (server.anonymous_bytes() - before) / idle.len();
    assert!(each < 1024, "{each} bytes");
}
