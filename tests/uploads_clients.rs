//! Uploads with the clients of others, whose connections are cut: `tuspy` for Python, `tus-js-client` for Node.
//!
//! `.ci/clients` installs them; until then these tests are ignored, and `.ci/run` runs them.
#![cfg(unix)]

mod tus;
mod util;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use tus::{Dir, Server};
use util::noise;

/// Bytes that pass before a connection is cut: in the middle of a request of every client.
const CUT: usize = 700_000;

/// What stands between client and server, and cuts as many connections as it has been told.
struct Proxy {
    addr: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(server: SocketAddr, cuts: usize) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicUsize::new(cuts));
        let left = Arc::clone(&cuts);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { return };
                let left = Arc::clone(&left);
                let (client_out, server_in) =
                    (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass(server_in, client_out));
                thread::spawn(move || pass_or_cut(client, server, &left));
            }
        });
        Proxy { addr, cuts }
    }

    fn url(&self) -> String {
        format!("http://{}/files", self.addr)
    }

    fn cuts_left(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn pass_or_cut(mut from: TcpStream, mut to: TcpStream, cuts: &AtomicUsize) {
    let passed = io::copy(&mut Read::by_ref(&mut from).take(CUT as u64), &mut to);
    let spend = |cuts: usize| cuts.checked_sub(1);
    let is_long = passed.is_ok_and(|passed| passed == CUT as u64);
    if is_long && cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_ok() {
        let _ = to.flush();
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
        return;
    }
    pass(from, to);
}

/// A file to be uploaded, and where the clients note how far they are.
struct Work {
    dir: Dir,
    content: Vec<u8>,
    file: PathBuf,
}

impl Work {
    fn new(name: &str) -> Work {
        let (dir, content) = (Dir::new(), noise(3_333_333));
        fs::create_dir_all(dir.path()).unwrap();
        let file = dir.path().join(name);
        fs::write(&file, &content).unwrap();
        Work { dir, content, file }
    }

    fn run(&self, interpreter: &Path, script: &str, url: &str, last: &str) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = root.join("tests/clients").join(script);
        let mut command = Command::new(interpreter);
        command.env("NODE_PATH", clients().join("node_modules")).arg(script);
        command.args([
            url.as_ref(),
            self.file.as_os_str(),
            self.dir.path().join("notes").as_os_str(),
        ]);
        command.arg(last).output().expect("the client starts")
    }

    fn python(&self, url: &str, retries: &str) -> Output {
        self.run(&clients().join("venv/bin/python"), "tuspy.py", url, retries)
    }

    fn node(&self, url: &str, mode: &str) -> Output {
        self.run(Path::new("node"), "tus_js.js", url, mode)
    }
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

/// Expects that a client says that all is well, and that the server agrees.
#[track_caller]
fn expect_uploaded(output: &Output, server: &Server, work: &Work) {
    assert!(output.status.success(), "{output:?}");
    let complete = server.complete.lock().unwrap();
    assert_eq!(complete.len(), 1);
    assert_eq!(complete[0].metadata("filename"), Some("größe.bin".as_bytes()));
    let url = String::from_utf8_lossy(&output.stdout);
    assert!(url.trim().ends_with(&format!("/files/{}", complete[0].id())), "{output:?}");
    assert!(fs::read(complete[0].path()).unwrap() == work.content, "other bytes have arrived");
}

#[test]
#[ignore = "needs tuspy: .ci/clients installs it"]
fn tuspy_goes_on_after_its_connection_is_cut() {
    for name in ["file", "file.checked"] {
        let (server, work) = (Server::start(), Work::new(name));
        let proxy = Proxy::start(server.addr(), 2);
        expect_uploaded(&work.python(&proxy.url(), "9"), &server, &work);
        assert_eq!(proxy.cuts_left(), 0, "it was cut");
    }
}

#[test]
#[ignore = "needs tuspy: .ci/clients installs it"]
fn tuspy_goes_on_where_an_earlier_run_was_cut() {
    let (server, work) = (Server::start(), Work::new("file"));
    let proxy = Proxy::start(server.addr(), 1);
    assert!(!work.python(&proxy.url(), "0").status.success());
    assert_eq!(proxy.cuts_left(), 0);
    expect_uploaded(&work.python(&proxy.url(), "0"), &server, &work);
}

#[test]
#[ignore = "needs tus-js-client: .ci/clients installs it"]
fn tus_js_client_goes_on_after_its_connection_is_cut() {
    for mode in ["resume", "creation", "deferred", "override", "parallel"] {
        let (server, work) = (Server::start(), Work::new("file"));
        let is_in_pieces = matches!(mode, "deferred" | "override");
        let proxy = Proxy::start(server.addr(), if is_in_pieces { 0 } else { 2 });
        expect_uploaded(&work.node(&proxy.url(), mode), &server, &work);
        assert_eq!(proxy.cuts_left(), 0, "{mode} was cut");
    }
}

#[test]
#[ignore = "needs tus-js-client: .ci/clients installs it"]
fn tus_js_client_goes_on_where_an_earlier_run_was_cut() {
    let (server, work) = (Server::start(), Work::new("file"));
    let proxy = Proxy::start(server.addr(), 1);
    assert!(!work.node(&proxy.url(), "once").status.success());
    assert_eq!(proxy.cuts_left(), 0);
    expect_uploaded(&work.node(&proxy.url(), "once"), &server, &work);
}

#[test]
#[ignore = "needs tus-js-client: .ci/clients installs it"]
fn tus_js_client_takes_its_upload_back() {
    let (server, work) = (Server::start(), Work::new("file"));
    let output = work.node(&format!("http://{}/files", server.addr()), "terminate");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.dir.names(), [""; 0]);
}
