//! axum: a radix tree of routes over hyper, on tokio's multi-threaded runtime.
//!
//! Leaves out: timeouts (hyper has none without a timer). Routes are a radix tree, not regexes.

use axum::{
    Json, Router,
    body::Bytes,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
    serve::ListenerExt,
};
use contract::{Arguments, HELLO, MESSAGE, Message};
use std::{io, sync::Mutex, thread, time::Duration};
use tokio::{net::TcpListener, sync::oneshot};
use tower_http::services::ServeFile;

static PARKED: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads)
        .enable_all()
        .build()?
        // Spawned, so that connections are accepted on a worker and not beside it.
        .block_on(async { tokio::spawn(serve(arguments)).await? })
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let listener = TcpListener::bind(arguments.address()).await?.tap_io(|stream| {
        // Refused, an answer may come later, and is still an answer.
        let _ = stream.set_nodelay(true);
    });
    // A plain router would be copied, all hundred routes of it, for each connection.
    axum::serve(listener, router().into_make_service()).await
}

fn router() -> Router {
    let big = Bytes::from_static(contract::big());
    let mut router = Router::new()
        .route("/plaintext", get(async || HELLO))
        .route("/json", get(json))
        .route("/echo", post(async |body: Bytes| body))
        .route("/sleep/{milliseconds}", get(sleep))
        .route("/big", get(async || big))
        .route_service("/file", ServeFile::new(contract::file()))
        .route("/park", get(park))
        .route("/release", post(release));
    for pattern in contract::routes("{digits}") {
        router = router.route(&pattern, get(user));
    }
    router.route("/user/{digits}", get(user))
}

async fn json() -> Json<Message> {
    Json(MESSAGE)
}

async fn sleep(Path(milliseconds): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    "done"
}

async fn park() -> Result<&'static str, StatusCode> {
    let (sender, receiver) = oneshot::channel();
    PARKED.lock().expect("no holder panics").push(sender);
    receiver.await.map(|()| "done").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn release() -> &'static str {
    thread::spawn(|| {
        for sender in PARKED.lock().expect("no holder panics").drain(..) {
            // Whoever asked may have left.
            let _ = sender.send(());
        }
    });
    "done"
}

async fn user(Path(digits): Path<u64>) -> String {
    digits.to_string()
}
