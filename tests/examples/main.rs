//! The example programs, end to end: built binaries that talk over real sockets.

mod chat;
mod gateway;
mod headed_messages;
mod ports;
mod program;
mod tcp_echo;
mod udp_echo;
#[path = "../util/mod.rs"]
mod util;

use program::run;

#[test]
fn a_wrong_call_is_one_clear_line_and_an_exit_code() {
    let calls: [(&str, &[&str], i32); 20] = [
        ("tcp_echo", &[], 1),
        ("tcp_echo", &["serve", "127.0.0.1:0"], 1),
        ("tcp_echo", &["server", "here"], 1),
        ("tcp_echo", &["server", "127.0.0.1:0", "-1"], 1),
        ("tcp_echo", &["client", "127.0.0.1:1", "many", "10"], 1),
        ("udp_echo", &["server"], 1),
        ("udp_echo", &["server", "localhost"], 1),
        ("udp_echo", &["client", "127.0.0.1:1", "1", "-1"], 1),
        ("multi_client", &["127.0.0.1:1"], 1),
        ("multi_client", &["127.0.0.1:1", "few"], 1),
        ("many_ports", &[], 1),
        ("many_ports", &["idle=1"], 1),
        ("many_ports", &["shout=127.0.0.1:0"], 1),
        ("many_ports", &["echo=127.0.0.1"], 1),
        ("headed_messages", &["client", "127.0.0.1:1", "find", "morpheus"], 2),
        ("gateway", &["server", "127.0.0.1:0", "127.0.0.1:0"], 1),
        ("gateway", &["device", "127.0.0.1:0", "kitchen"], 1),
        ("chat", &["server", "127.0.0.1:0"], 1),
        ("blocking", &["server", "127.0.0.1:0", "soon"], 1),
        ("blocking", &["client", "127.0.0.1:1", "1"], 1),
    ];
    for (name, args, code) in calls {
        let ended = run(name, args);
        assert_eq!(ended.code, Some(code), "{name} {args:?}: {ended:?}");
        let usages = ended.stderr.matches(&format!("usage: {name}")).count();
        assert_eq!(usages, 1, "{name} {args:?}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{name} {args:?}: {ended:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    for (name, args) in [
        ("tcp_echo", vec!["server", &addr]),
        ("headed_messages", vec!["server", &addr]),
        ("blocking", vec!["server", &addr]),
        ("gateway", vec!["server", "127.0.0.1:0", &addr, "127.0.0.1:9"]),
        ("chat", vec!["server", "127.0.0.1:0", &addr]),
    ] {
        let ended = run(name, &args);
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        assert!(ended.stderr.contains("in use"), "{name}: {ended:?}");
    }
}

#[test]
fn a_client_that_nobody_answers_fails() {
    // Bound and closed: nobody listens there.
    let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addr = addr.to_string();
    for (name, args) in [
        ("tcp_echo", vec!["client", &addr, "1", "1"]),
        ("multi_client", vec![addr.as_str(), "3"]),
        ("headed_messages", vec!["client", &addr, "search", "ring"]),
        ("blocking", vec!["client", &addr, "1", "1"]),
        ("chat", vec!["join", &addr, "ann"]),
    ] {
        let ended = run(name, &args);
        assert_eq!(ended.code, Some(1), "{name}: {ended:?}");
        assert!(ended.stderr.contains("refused"), "{name}: {ended:?}");
    }
}
