//! tiny_http: a blocking server, a thread per connection to read and THREADS threads to answer.
//!
//! Leaves out: routing (paths are compared by hand), timers and parking (a thread that waits for
//! one request is a thread nobody else has; it says 501 to both).

use contract::{Arguments, HELLO, MESSAGE};
use std::{error::Error, fs::File, io, sync::Arc, thread};
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::read();
    let server = Arc::new(Server::http(arguments.address())?);
    let big = contract::big();
    let workers: Vec<_> = (0..arguments.threads)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                for request in server.incoming_requests() {
                    // A client that breaks off is no concern of ours.
                    let _ = answer(request, big);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")?;
    }
    Ok(())
}

fn answer(mut request: Request, big: &'static [u8]) -> io::Result<()> {
    let path = request.url().to_owned();
    match (request.method(), path.as_str()) {
        (Method::Get, "/plaintext") => request.respond(text(HELLO)),
        (Method::Get, "/json") => {
            let body = serde_json::to_vec(&MESSAGE)?;
            request.respond(Response::from_data(body).with_header(json_type()))
        }
        (Method::Post, "/echo") => {
            let mut body = Vec::with_capacity(request.body_length().unwrap_or(0));
            request.as_reader().read_to_end(&mut body)?;
            request.respond(Response::from_data(body))
        }
        (Method::Get, "/big") => {
            let headers = Vec::new();
            let response = Response::new(StatusCode(200), headers, big, Some(big.len()), None);
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
        (Method::Get, "/file") => {
            let response = Response::from_file(File::open(contract::file())?);
            request.respond(response.with_chunked_threshold(usize::MAX))
        }
        (Method::Get, path) => match path.strip_prefix("/user/").and_then(digits) {
            Some(id) => request.respond(text(id)),
            None => request.respond(Response::empty(501)),
        },
        _ => request.respond(Response::empty(501)),
    }
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

/// Its strings are text/plain by default.
fn text(body: &str) -> Response<io::Cursor<Vec<u8>>> {
    Response::from_string(body)
}

fn json_type() -> Header {
    Header::from_bytes("Content-Type", "application/json").expect("both are plain ASCII")
}
