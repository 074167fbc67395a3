//! The server that conformance suites are run against: every default as it is.
//!
//! cargo run --example conformance 8080
//!
//! curl -i localhost:8080/
//! curl -i localhost:8080/echo -d hello
//! curl -i 'localhost:8080/setheader?v=a%20b'
//! curl -i -X PUT localhost:8080/status/418
//! curl -i localhost:8080/stream/3

use futures_core::Stream;
use snow::{Request, Response, Result, Snow, TimeoutFuture, get, post, route};
use std::{
    env, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

fn echo(req: Request) -> Response {
    Response::bytes(req.into_body())
}

fn user(req: Request) -> String {
    req.param("id").unwrap_or_default().to_string()
}

fn sleep(req: Request) -> Result<TimeoutFuture> {
    let millis = req.parse_param("millis")?;
    Ok(TimeoutFuture::new(Duration::from_millis(millis)).then(|| "done"))
}

fn panic(_: Request) -> Response {
    panic!("as asked")
}

/// A value that cannot be in a field makes the response a 500.
fn set_header(req: Request) -> Response {
    Response::text("set").header("x-v", req.query("v").unwrap_or_default())
}

fn status(req: Request) -> Result<Response> {
    let code: u16 = req.parse_param("code")?;
    Ok(Response::text("status body").status(code))
}

/// `part0`, `part1` … as a stream whose length nobody knows.
struct Parts {
    next: u64,
    end: u64,
}

impl Stream for Parts {
    type Item = io::Result<String>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let part = (self.next < self.end).then(|| Ok(format!("part{}\n", self.next)));
        self.next += 1;
        Poll::Ready(part)
    }
}

fn stream(req: Request) -> Result<Response> {
    Ok(Response::stream(Parts { next: 0, end: req.parse_param("n")? }))
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let port = env::args().nth(1).ok_or("usage: conformance PORT")?;
    let big = vec![b'x'; 1 << 20];
    Snow::new([
        get("^/$", |_| "hello"),
        post("^/echo$", echo),
        get(r"^/user/(?<id>[0-9]+)$", user),
        get(r"^/sleep/(?<millis>\d+)$", sleep),
        get("^/panic$", panic),
        get("^/big$", move |_| big.clone()),
        get("^/setheader$", set_header),
        // The content is not read: what of it has come by then is thrown away.
        route(r"^/status/(?<code>\d+)$", status).streaming(),
        get(r"^/stream/(?<n>\d+)$", stream),
    ])
    .run(format!("127.0.0.1:{port}"))
}
