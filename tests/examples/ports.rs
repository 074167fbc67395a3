//! `many_ports`, and `blocking`.

use crate::program::{Peer, Program, run};
use std::{
    io::{ErrorKind, Write},
    net::SocketAddr,
};

fn many_ports(idle: &str) -> Program {
    let services =
        ["echo", "upper", "discard", "daytime"].map(|name| format!("{name}=127.0.0.1:0"));
    let mut args: Vec<_> = services.iter().map(String::as_str).collect();
    args.push(idle);
    Program::start("many_ports", &args)
}

fn port(program: &Program, service: &str) -> SocketAddr {
    program.addr(&format!("{service}: listening on "))
}

#[test]
fn each_port_has_its_own_behaviour() {
    let program = many_ports("idle=60");
    for (service, sent, expected) in [
        ("Echo", &b"one\ntw\xff"[..], &b"one\ntw\xff"[..]),
        ("Upper", b"caf\xc3\xa9 2\n", b"CAF\xc3\xa9 2\n"),
        ("Discard", b"into the void", b""),
        ("Echo", b"", b""),
    ] {
        let mut peer = Peer::connect(port(&program, service));
        peer.send(sent).end();
        assert_eq!(peer.rest(), expected, "{service}");
    }
    let time = String::from_utf8(Peer::connect(port(&program, "Daytime")).rest()).unwrap();
    assert!(httpdate::parse_http_date(time.trim_end()).is_ok(), "{time}");
    assert!(program.terminate().success());
}

#[test]
fn one_who_writes_and_does_not_read_holds_nobody_up_and_is_timed_out() {
    let program = many_ports("idle=1");
    let mut deaf = Peer::connect(port(&program, "Echo"));
    let stream = deaf.0.get_mut();
    stream.set_nonblocking(true).unwrap();
    let mut written = 0_usize;
    // Until the server has stopped reading: what it owes is bounded, and so is what the kernel holds.
    let refused = loop {
        match stream.write(&[b'x'; 64 * 1024]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
        let mut other = Peer::connect(port(&program, "Upper"));
        assert_eq!(other.send("still here\n").line(), "STILL HERE\n");
        assert!(written < 1 << 30, "the server owes without limit");
    };
    assert!(matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset));
    program.logged("the connection failed: the time was over first");
}

#[test]
fn a_flood_does_not_keep_the_others_waiting() {
    let program = many_ports("idle=60");
    let discard = port(&program, "Discard");
    let flood = std::thread::spawn(move || {
        let mut flood = Peer::connect(discard);
        for _ in 0..200 {
            flood.send([0; 64 * 1024]);
        }
        flood.end().rest()
    });
    for _ in 0..20 {
        let mut other = Peer::connect(port(&program, "Echo"));
        assert_eq!(other.send("hello\n").line(), "hello\n");
    }
    assert_eq!(flood.join().unwrap(), b"");
}

#[test]
fn silence_is_timed_out() {
    let program = many_ports("idle=1");
    for service in ["Echo", "Upper", "Discard"] {
        assert_eq!(Peer::connect(port(&program, service)).rest(), b"", "{service}");
    }
}

#[test]
fn more_jobs_than_threads_are_all_done_and_the_loop_answers_meanwhile() {
    let server = Program::start("blocking", &["server", "127.0.0.1:0"]);
    let addr = server.listening().to_string();
    let ended = run("blocking", &["client", &addr, "200", "200"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("200 jobs done, 0 given up"), "{ended:?}");
    // A ping that had to wait for a thread would wait for a round of jobs, of which there are four.
    let pings: u32 =
        ended.stdout.lines().nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(pings > 5, "{ended:?}");
    assert!(server.terminate().success());
}

#[test]
fn a_job_that_is_not_done_in_time_is_given_up() {
    let server = Program::start("blocking", &["server", "127.0.0.1:0", "1"]);
    let mut waiting = Peer::connect(server.listening());
    waiting.send("work 5000\n");
    let mut other = Peer::connect(server.listening());
    assert_eq!(other.send("work 1\nping\n").line(), "done\n");
    assert_eq!(other.line(), "pong\n");
    assert_eq!(waiting.line(), "busy\n");
    for wrong in ["work 10001", "work -1", "work", "", "ping 1"] {
        let answer = other.send(format!("{wrong}\n")).line();
        assert!(answer.starts_with("error: "), "{wrong}: {answer}");
    }
}
