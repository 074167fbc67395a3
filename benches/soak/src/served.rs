//! What is served: answers now, later, never, in pieces, and panics.

use futures_core::Stream;
use snow::{Bytes, Future, Request, Response, Snow, TimeoutFuture, get, post, route};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// Short, so that a soak of seconds meets every timeout often.
const TIMEOUT: Duration = Duration::from_millis(700);

/// A stream of so many pieces.
struct Pieces {
    left: usize,
    piece: Bytes,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(self.piece.clone())))
    }
}

fn pieces(count: usize, len: usize) -> Response {
    Response::stream(Pieces { left: count, piece: Bytes::from(vec![b'x'; len]) })
}

async fn count_content(mut req: Request) -> snow::Result<String> {
    let mut body = req.body_stream();
    let mut len = 0;
    while let Some(piece) = body.next().await {
        len += piece?.len();
    }
    Ok(len.to_string())
}

async fn swallow(mut req: Request) -> &'static str {
    let _body = req.body_stream();
    snow::sleep(Duration::from_secs(60)).await;
    "late"
}

async fn fail(_: Request) -> &'static str {
    panic!("as asked, in a future")
}

fn sleep(req: Request) -> snow::Result<TimeoutFuture> {
    let millis = req.parse_param("millis")?;
    Ok(TimeoutFuture::new(Duration::from_millis(millis)).then(|| "done"))
}

/// Waits to be completed, which a task of the program does or finds nobody waiting.
fn park(_: Request) -> Future<String> {
    let future = Future::new(|value: String| Response::text(value));
    let parked = future.clone();
    snow::spawn(async move {
        for _ in 0..1200 {
            if parked.is_cancelled() {
                return;
            }
            snow::sleep(Duration::from_millis(50)).await;
        }
    })
    .detach();
    future
}

fn counts(_: Request) -> String {
    let counts = snow::rt::counts();
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count());
    format!("{} {} {} {descriptors}", counts.tasks, counts.timers, counts.sockets)
}

/// Serves on a free port of 127.0.0.1 until a signal; says on standard output which.
pub(crate) fn serve() -> Result<(), String> {
    // Panics are what is asked for here; what the log says of them is enough.
    std::panic::set_hook(Box::new(|_| {}));
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    let server = Snow::new([
        get("^/$", |_| "hello"),
        get("^/counts$", counts),
        get("^/large$", move |_| Response::bytes(large.clone())),
        get("^/pieces$", |_| pieces(10, 100)),
        get("^/endless$", |_| pieces(usize::MAX, 5000)),
        get(r"^/sleep/(?<millis>\d+)$", sleep),
        get("^/park$", park),
        get("^/panic$", |_| -> &'static str { panic!("as asked, in a handler") }),
        get("^/panic/future$", fail),
        post("^/echo$", |req: Request| req.into_body()),
        post("^/count$", count_content).streaming(),
        route("^/swallow$", swallow).streaming(),
    ])
    .configure(|config| {
        config.workers = 1;
        config.access_log = false;
        // Descriptors run out first, and connections of one address never do.
        config.max_connections = 100_000;
        config.max_connections_per_address = 100_000;
        config.first_byte_timeout = TIMEOUT;
        config.head_timeout = TIMEOUT;
        config.body_timeout = TIMEOUT;
        config.write_timeout = TIMEOUT;
        config.half_close_grace = TIMEOUT;
        config.linger_timeout = TIMEOUT / 2;
    })
    .bind("127.0.0.1:0")
    .map_err(|error| error.to_string())?;
    println!("{}", server.local_addr());
    server.run().map_err(|error| error.to_string())
}
