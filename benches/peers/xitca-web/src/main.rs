//! xitca-web: a runtime per worker, a radix tree of routes.
//!
//! Routes are a radix tree, not regexes. Its file service looks for a file by the name in the path,
//! so the file behind `GET /file` has to be called `file`.

use contract::{Arguments, HELLO, MESSAGE, Message};
use std::{io, path::Path, sync::Mutex, thread, time::Duration};
use tokio::sync::oneshot;
use xitca_web::{
    App,
    bytes::Bytes,
    error::{Error, ErrorStatus},
    handler::{handler_service, json::Json, params::Params, state::StateOwn},
    route::{get, post},
    service::file::ServeDir,
};

const BACKLOG: u32 = 4096;

static PARKED: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let file = contract::file();
    let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
    let mut app = App::new()
        .with_state(Bytes::from_static(contract::big()))
        .at("/plaintext", get(handler_service(async || HELLO)))
        .at("/json", get(handler_service(json)))
        .at("/echo", post(handler_service(echo)))
        .at("/sleep/{milliseconds}", get(handler_service(sleep)))
        .at("/big", get(handler_service(big)))
        .at("/park", get(handler_service(park)))
        .at("/release", post(handler_service(release)))
        .at("/", ServeDir::new(folder));
    for pattern in contract::routes("{digits}") {
        app = app.at(&pattern, get(handler_service(user)));
    }
    app.at("/user/{digits}", get(handler_service(user)))
        .serve()
        .worker_threads(arguments.threads)
        .backlog(BACKLOG)
        .bind(arguments.address())?
        .run()
        .wait()
}

async fn json() -> Json<Message> {
    Json(MESSAGE)
}

async fn echo(body: Vec<u8>) -> Bytes {
    body.into()
}

async fn big(StateOwn(body): StateOwn<Bytes>) -> Bytes {
    body
}

async fn sleep(Params(milliseconds): Params<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    "done"
}

async fn park() -> Result<&'static str, Error> {
    let (sender, receiver) = oneshot::channel();
    PARKED.lock().expect("no holder panics").push(sender);
    receiver.await.map(|()| "done").map_err(|_| ErrorStatus::internal().into())
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

async fn user(Params(digits): Params<u64>) -> String {
    digits.to_string()
}
