//! `chat`.

use crate::{
    program::{Peer, Program, http},
    util::{PATIENCE, Spawned, example, wait_until},
};
use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Command, Stdio},
    thread,
};

fn server() -> Program {
    Program::start("chat", &["server", "127.0.0.1:0", "127.0.0.1:0"])
}

/// Joins, and waits until the room has noticed.
#[track_caller]
fn join(addr: SocketAddr, name: &str) -> Peer {
    let mut peer = Peer::connect(addr);
    peer.send(format!("{name}\n"));
    assert_eq!(peer.line(), format!("* {name} has joined\n"));
    peer
}

#[test]
fn those_over_tcp_and_those_over_http_are_in_one_room() {
    let server = server();
    let (tcp, web) = (server.listening(), server.addr("http://"));
    let mut ann = join(tcp, "ann");
    let mut bob = join(tcp, "bob");
    assert_eq!(ann.line(), "* bob has joined\n");
    ann.send("hello, bob\r\n");
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.line(), "ann: hello, bob\n");
    }
    assert_eq!(http(web, "POST /messages?name=eve", "hello from here"), (204, String::new()));
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.line(), "eve: hello from here\n");
    }
    drop(bob);
    assert_eq!(ann.line(), "* bob has left\n");
    let (status, said) = http(web, "GET /messages?after=2", "");
    assert_eq!(status, 200);
    assert_eq!(said, "ann: hello, bob\neve: hello from here\n* bob has left\n");
    assert!(server.terminate().success());
}

#[test]
fn a_long_poll_waits_until_something_is_said() {
    let server = server();
    let (tcp, web) = (server.listening(), server.addr("http://"));
    let mut ann = join(tcp, "ann");
    let waiting = thread::spawn(move || http(web, "GET /messages?after=1", ""));
    ann.send("one\n");
    assert_eq!(ann.line(), "ann: one\n");
    let (status, said) = waiting.join().unwrap();
    assert_eq!((status, said.as_str()), (200, "ann: one\n"));
    // Without a number, the next message is meant.
    let waiting = thread::spawn(move || http(web, "GET /messages", ""));
    wait_until("the next is heard", || {
        ann.tell("two\n");
        waiting.is_finished()
    });
    assert!(waiting.join().unwrap().1.starts_with("ann: two\n"));
}

#[test]
fn who_falls_behind_is_told_how_much_was_missed_and_holds_nobody_up() {
    let server = server();
    let (tcp, web) = (server.listening(), server.addr("http://"));
    let _deaf = join(tcp, "deaf");
    let mut ann = join(tcp, "ann");
    for number in 1..=150 {
        let message = format!("message {number} {}", "x".repeat(400));
        ann.send(format!("{message}\n"));
        assert_eq!(ann.line(), format!("ann: {message}\n"));
    }
    let (_, said) = http(web, "GET /messages?after=0", "");
    assert!(said.starts_with("* 52 messages are forgotten\nann: message 51 x"), "{said}");
    assert_eq!(said.lines().count(), 101);
}

#[test]
fn bad_words_cost_their_own_connection_only() {
    let server = server();
    let (tcp, web) = (server.listening(), server.addr("http://"));
    let mut ann = join(tcp, "ann");
    for first in ["\n", "a name that is much too long\n", "bell\x07\n", &"x".repeat(600)] {
        assert_eq!(Peer::connect(tcp).send(first).rest(), b"", "{first:?}");
    }
    for bad in [&b"escape \x1b[2J\n"[..], b"\n", b"\xff\n", &[b'x'; 600]] {
        let mut mallory = join(tcp, "mallory");
        mallory.send(bad).rest();
        assert_eq!(ann.line(), "* mallory has joined\n");
        assert_eq!(ann.line(), "* mallory has left\n", "{bad:?}");
    }
    for (line, body) in [
        ("POST /messages", "nobody says"),
        ("POST /messages?name=eve", ""),
        ("POST /messages?name=%0a", "hello"),
        ("POST /messages?name=eve", "\x1b[2J"),
        ("GET /messages?after=soon", ""),
    ] {
        assert_eq!(http(web, line, body).0, 400, "{line}");
    }
    assert_eq!(ann.send("all is well\n").line(), "ann: all is well\n");
}

#[test]
fn silence_is_timed_out() {
    let server = Program::start("chat", &["server", "127.0.0.1:0", "127.0.0.1:0", "1"]);
    assert_eq!(Peer::connect(server.listening()).rest(), b"");
    let mut quiet = join(server.listening(), "quiet");
    assert_eq!(quiet.send("half a mess").rest(), b"");
}

#[test]
fn its_own_client_types_and_reads() {
    let server = server();
    let mut child = Spawned::new(
        Command::new(example("chat"))
            .args(["join", &server.listening().to_string(), "bob"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = || said.next().expect("a line").expect("text");
    assert_eq!(said(), "* bob has joined");
    child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    assert_eq!(said(), "bob: hello");
    drop(child.stdin.take());
    assert!(child.ended_within(PATIENCE).success());
}
