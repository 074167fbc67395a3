//! rouille: tiny_http with a pool of threads for the requests; routes are tried in turn.
//!
//! Leaves out: timers and parking (a handler is a thread of the pool; it says 501 to both).

use contract::{Arguments, HELLO, MESSAGE};
use rouille::{Request, Response, ResponseBody, Server};
use std::{error::Error, fs::File, io::Read};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments = Arguments::read();
    let big = contract::big();
    let prefixes: Vec<String> = contract::routes("").collect();
    Server::new(arguments.address(), move |request| answer(request, big, &prefixes))?
        .pool_size(arguments.threads)
        .run();
    Ok(())
}

fn answer(request: &Request, big: &'static [u8], prefixes: &[String]) -> Response {
    match (request.method(), request.raw_url()) {
        ("GET", "/plaintext") => text(HELLO),
        ("GET", "/json") => json(),
        ("POST", "/echo") => echo(request),
        ("GET", "/big") => Response {
            data: ResponseBody::from_reader_and_size(big, big.len()),
            ..Response::from_data("application/octet-stream", Vec::new())
        },
        ("GET", "/file") => match File::open(contract::file()) {
            Ok(file) => Response::from_file("application/octet-stream", file),
            Err(_) => Response::empty_404(),
        },
        ("GET", path) => {
            let mut routes = prefixes.iter().map(String::as_str).chain(["/user/"]);
            match routes.find_map(|prefix| path.strip_prefix(prefix).and_then(digits)) {
                Some(id) => text(id),
                None => not_implemented(),
            }
        }
        _ => not_implemented(),
    }
}

fn text(body: &str) -> Response {
    Response::from_data("text/plain", body)
}

fn json() -> Response {
    match serde_json::to_vec(&MESSAGE) {
        Ok(body) => Response::from_data("application/json", body),
        Err(_) => not_implemented(),
    }
}

fn echo(request: &Request) -> Response {
    let mut body = Vec::new();
    match request.data().map(|mut data| data.read_to_end(&mut body)) {
        Some(Ok(_)) => Response::from_data("application/octet-stream", body),
        Some(Err(_)) | None => Response::empty_400(),
    }
}

fn not_implemented() -> Response {
    Response::text("not here").with_status_code(501)
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}
