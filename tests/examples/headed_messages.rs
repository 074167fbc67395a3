//! `headed_messages`, with its own client and with one in Python.

use crate::program::{Ended, Peer, Program, run, run_command};
use std::{net::SocketAddr, process::Command};

fn server() -> Program {
    Program::start("headed_messages", &["server", "127.0.0.1:0"])
}

fn ask(addr: SocketAddr, action: &str, value: &str) -> Ended {
    run("headed_messages", &["client", &addr.to_string(), action, value])
}

#[test]
fn requests_are_answered_from_the_table_and_the_exit_code_says_so() {
    let server = server();
    for (action, value, code, stdout) in [
        ("search", "morpheus", 0, "Follow the white rabbit. 🐰\n"),
        ("search", "ring", 0, "In the caves beneath the Misty Mountains. 💍\n"),
        ("search", "🐶", 0, "🐾 Playing ball! 🏐\n"),
        ("search", "nobody", 3, "No match for \"nobody\".\n"),
        ("search", "", 3, "No match for \"\".\n"),
        (
            "binary",
            "bytes and more of them",
            0,
            "binary/custom-server-binary-type: First 10 bytes of request: bytes and \n",
        ),
    ] {
        let ended = ask(server.listening(), action, value);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), stdout), "{ended:?}");
    }
    assert!(server.terminate().success());
}

/// Puts a message together by hand.
fn message(header: &str, content: &[u8]) -> Vec<u8> {
    let mut message = (header.len() as u16).to_be_bytes().to_vec();
    message.extend_from_slice(header.as_bytes());
    message.extend_from_slice(content);
    message
}

#[test]
fn bad_messages_cost_their_own_connection_and_the_reason_is_logged() {
    let server = server();
    let three =
        r#"{"byteorder": "little", "content-type": "text/json", "content-encoding": "utf-8"}"#;
    let with_len = |len: &str| three.replace('}', &format!(r#", "content-length": {len}}}"#));
    for (sent, reason) in [
        (message(three, b""), "the header has no `content-length`"),
        (message("{", b""), "the header is not"),
        (message(&with_len("65537"), b""), "content of 65537 bytes is longer than the limit"),
        (message(&with_len("1"), b"{"), "the content is not JSON"),
        (message(&with_len("10"), b"{}"), "the stream ended within a frame"),
        (b"\0".to_vec(), "the stream ended within a frame"),
        (b"\xff\xff".to_vec(), "a header of 65535 bytes is longer than the limit"),
    ] {
        let mut peer = Peer::connect(server.listening());
        peer.send(&sent).end();
        assert_eq!(peer.rest(), b"", "{reason}");
        server.logged(&format!("the connection failed: {reason}"));
        assert_eq!(ask(server.listening(), "search", "ring").code, Some(0), "after {reason}");
    }
}

#[test]
fn half_a_message_is_timed_out() {
    let server = Program::start("headed_messages", &["server", "127.0.0.1:0", "1"]);
    let mut peer = Peer::connect(server.listening());
    assert_eq!(peer.send(b"\0\x60{").rest(), b"");
    server.logged("the time was over first");
}

/// A client as programs in Python write it: `struct` for the length, `json` for the header.
const PYTHON: &str = r#"
import json, socket, struct, sys

def send(sock, content, kind, encoding):
    header = {"byteorder": sys.byteorder, "content-type": kind,
              "content-encoding": encoding, "content-length": len(content)}
    header = json.dumps(header, ensure_ascii=False).encode("utf-8")
    sock.sendall(struct.pack(">H", len(header)) + header + content)

def exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(min(7, count - len(data)))
        assert piece, "the server has left"
        data += piece
    return data

def receive(sock):
    header = json.loads(exactly(sock, struct.unpack(">H", exactly(sock, 2))[0]).decode("utf-8"))
    for key in ("byteorder", "content-length", "content-type", "content-encoding"):
        assert key in header, key
    return header, exactly(sock, header["content-length"])

sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
for action, value, result in [
    ("search", "morpheus", "Follow the white rabbit. \U0001f430"),
    ("search", "\U0001f436", "\U0001f43e Playing ball! \U0001f3d0"),
    ("double", "1", 'Error: invalid action "double".'),
]:
    for encoding in ("utf-8", "utf-16"):
        request = json.dumps({"action": action, "value": value}, ensure_ascii=False)
        send(sock, request.encode(encoding), "text/json", encoding)
        header, content = receive(sock)
        assert header["content-type"] == "text/json", header
        answer = json.loads(content.decode(header["content-encoding"]))
        assert answer["result"] == result, answer
send(sock, b"\x00\xff0123456789", "binary/custom-client-binary-type", "binary")
header, content = receive(sock)
assert header["content-type"] == "binary/custom-server-binary-type", header
assert content == b"First 10 bytes of request: \x00\xff01234567", content
"#;

#[test]
fn a_python_client_is_understood() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("ignored: there is no python3 here");
        return;
    }
    let server = server();
    let addr = server.listening();
    let mut python = Command::new("python3");
    python.args(["-c", PYTHON, &addr.ip().to_string(), &addr.port().to_string()]);
    let ended = run_command(&mut python);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
