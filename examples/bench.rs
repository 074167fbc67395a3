//! The server that the benchmarks measure, as a user would write it; no log, as they would set it.
//!
//! BENCH_FILE=Cargo.lock cargo run --release --example bench 8080 1
//!
//! curl -i localhost:8080/plaintext
//! curl -i localhost:8080/json
//! curl -i localhost:8080/echo -d hello
//! curl -i localhost:8080/sleep/1000
//! curl -i localhost:8080/user/123 # behind a hundred routes, or as many as BENCH_ROUTES says
//! curl -i localhost:8080/r99/123
//! curl -i localhost:8080/file
//! curl -i localhost:8080/park & sleep 1; curl -i -X POST localhost:8080/release

use snow::{Bytes, Future, Json, Request, Response, Result, Snow, TimeoutFuture, get, post};
use std::{
    env, iter, mem,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Whoever waits for `/release`.
static PARKED: Mutex<Vec<Future<&'static str>>> = Mutex::new(Vec::new());

#[derive(serde::Serialize)]
struct Message {
    message: &'static str,
}

fn sleep(req: Request) -> Result<TimeoutFuture> {
    let millis = req.parse_param("millis")?;
    Ok(TimeoutFuture::new(Duration::from_millis(millis)).then(|| "done"))
}

fn user(req: Request) -> String {
    req.param("id").unwrap_or_default().to_string()
}

fn park(_: Request) -> Future<&'static str> {
    let future = Future::new(|text| text);
    PARKED.lock().unwrap_or_else(PoisonError::into_inner).push(future.clone());
    future
}

/// Completes all that are parked, from a thread of its own; answers how many.
fn release(_: Request) -> String {
    let parked = mem::take(&mut *PARKED.lock().unwrap_or_else(PoisonError::into_inner));
    let count = parked.len();
    thread::spawn(move || {
        for future in parked {
            let _ = future.set_result("done"); // an error if the client has left
        }
    });
    count.to_string()
}

fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let (Some(port), Some(threads)) = (args.next(), args.next()) else {
        return Err("usage: bench PORT THREADS".into());
    };
    let big = Bytes::from(vec![b'x'; 1 << 20]);
    let file = env::var_os("BENCH_FILE").map(PathBuf::from);
    let routes = [
        get("^/plaintext$", |_| "Hello, World!"),
        get("^/json$", |_| Json(Message { message: "Hello, World!" })),
        post("^/echo$", |req: Request| req.into_body()),
        get(r"^/sleep/(?<millis>\d+)$", sleep),
        get("^/big$", move |_| Response::bytes(big.clone())),
        get("^/file$", move |_| file.as_ref().map(Response::file)),
        get("^/park$", park),
        post("^/release$", release),
    ];
    let others = match env::var("BENCH_ROUTES") {
        Ok(count) => count.parse()?,
        Err(_) => 100,
    };
    let others = (0..others).map(|n| get(&format!(r"^/r{n}/(?<id>\d+)$"), user));
    let last = iter::once(get(r"^/user/(?<id>\d+)$", user));
    Snow::new(routes.into_iter().chain(others).chain(last))
        .workers(threads.parse()?)
        .run(format!("127.0.0.1:{port}"))
}
