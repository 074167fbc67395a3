//! may_minihttp: a coroutine per connection, and about as little HTTP as can be served.
//!
//! Leaves out: routing (paths are compared by hand), timeouts, chunked bodies, files (a blocking
//! read would hold its thread, and may has no file of its own), `Connection: close`. It copies
//! every body into its response buffer.

use contract::{Arguments, HELLO, MESSAGE};
use may::{coroutine, sync::mpsc};
use may_minihttp::{HttpServer, HttpService, Request, Response};
use std::{
    io::{self, Read},
    sync::{LazyLock, Mutex},
    thread,
    time::Duration,
};

static BIG: LazyLock<&str> =
    LazyLock::new(|| std::str::from_utf8(contract::big()).expect("the big body is ASCII"));
static PARKED: Mutex<Vec<mpsc::Sender<()>>> = Mutex::new(Vec::new());

fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    may::config().set_workers(arguments.threads).set_stack_size(0x1000);
    let server = HttpServer(Peer).start(arguments.address())?;
    server.join().map_err(|_| io::Error::other("the acceptor panicked"))
}

#[derive(Clone)]
struct Peer;

impl HttpService for Peer {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        match request.path() {
            "/plaintext" => text(response, HELLO),
            "/json" => {
                response.header("Content-Type: application/json");
                response.body_vec(serde_json::to_vec(&MESSAGE)?);
            }
            "/echo" => {
                response.header("Content-Type: application/octet-stream");
                let mut body = Vec::new();
                request.body().read_to_end(&mut body)?;
                response.body_vec(body);
            }
            "/big" => text(response, *BIG),
            "/park" => {
                let (sender, receiver) = mpsc::channel();
                PARKED.lock().map_err(|_| io::ErrorKind::Other)?.push(sender);
                receiver.recv().map_err(io::Error::other)?;
                text(response, "done");
            }
            "/release" => {
                thread::spawn(release);
                text(response, "done");
            }
            path => answer_by_prefix(path, response),
        }
        Ok(())
    }
}

fn answer_by_prefix(path: &str, response: &mut Response) {
    if let Some(id) = path.strip_prefix("/user/").and_then(digits) {
        response.header("Content-Type: text/plain");
        response.body_mut().extend_from_slice(id.as_bytes());
    } else if let Some(milliseconds) = path.strip_prefix("/sleep/").and_then(digits) {
        coroutine::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
        text(response, "done");
    } else {
        response.status_code(404, "Not Found");
        text(response, "not found\n");
    }
}

fn release() {
    if let Ok(mut parked) = PARKED.lock() {
        for sender in parked.drain(..) {
            // Whoever asked may have left.
            let _ = sender.send(());
        }
    }
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

fn text(response: &mut Response, body: &'static str) {
    response.header("Content-Type: text/plain");
    response.body(body);
}
