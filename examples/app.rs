//! Every kind of answer: now, later, by `async fn`, and when somebody else says so.
//!
//! cargo run --example app
//!
//! curl -i localhost:9999/                    # hello
//! curl -i localhost:9999/hello/snow          # hello, snow
//! curl -i localhost:9999/async/              # 504 after five seconds
//! curl -i localhost:9999/tea/                # tea is ready, after 50 ms
//! curl -i localhost:9999/req/                # waits, until somebody does
//! curl -i -X POST localhost:9999/stop/       #   this
//! curl -i localhost:9999/user/42             # user 42

use snow::{Future, Request, Response, Result, Snow, TimeoutFuture, get, post, route};
use std::{sync::Mutex, time::Duration};

static WAITING: Mutex<Vec<Future<String>>> = Mutex::new(Vec::new());

fn index(_: Request) -> Response {
    Response::text("hello")
}

fn hello(req: Request) -> String {
    format!("hello, {}", req.param("name").unwrap_or("you"))
}

fn later(_: Request) -> TimeoutFuture {
    TimeoutFuture::new(Duration::from_secs(5))
}

fn tea(_: Request) -> TimeoutFuture {
    TimeoutFuture::new(Duration::from_millis(50)).then(|| Response::text("tea is ready"))
}

/// Parked until somebody calls `/stop/`.
fn req(_: Request) -> Future<String> {
    let future = Future::new(|value: String| Response::text(value));
    WAITING.lock().unwrap().push(future.clone());
    future
}

fn stop(_: Request) -> Response {
    for future in WAITING.lock().unwrap().drain(..) {
        let _ = future.set_result("done".to_string());
    }
    Response::text("stop")
}

async fn user(req: Request) -> Result<Response> {
    let id: u64 = req.parse_param("id")?; // a 400 that names the parameter when it will not parse
    snow::sleep(Duration::from_millis(10)).await;
    Ok(Response::text(format!("user {id}")))
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    Snow::new([
        route("^/$", index), // any method
        get(r"^/hello/(?<name>\w+)$", hello),
        get("^/async/$", later),
        get("^/tea/$", tea),
        get("^/req/$", req),
        post("^/stop/$", stop),
        get(r"^/user/(?<id>\d+)$", user),
    ])
    .run("127.0.0.1:9999")
}
