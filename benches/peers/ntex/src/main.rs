//! ntex: a runtime per worker, routes in a tree of patterns.

use contract::{Arguments, HELLO, MESSAGE};
use ntex::{
    time,
    util::Bytes,
    web::{self, App, HttpResponse},
};
use ntex_files::NamedFile;
use std::{io, sync::Mutex, thread, time::Duration};
use tokio::sync::oneshot;

const BACKLOG: i32 = 4096;
const MAX_CONNECTIONS: usize = 20_000;

static PARKED: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

#[ntex::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let big = Bytes::from_static(contract::big());
    web::HttpServer::new(async move || App::new().configure(|config| routes(config, big.clone())))
        .workers(arguments.threads)
        .backlog(BACKLOG)
        .maxconn(MAX_CONNECTIONS)
        .bind(arguments.address())?
        .run()
        .await
}

fn routes(config: &mut web::ServiceConfig, big: Bytes) {
    config
        .route("/plaintext", web::get().to(async || text(HELLO)))
        .route("/json", web::get().to(async || HttpResponse::Ok().json(&MESSAGE)))
        .route("/echo", web::post().to(async |body: Bytes| body))
        .route(r"/sleep/{milliseconds:\d+}", web::get().to(sleep))
        .route("/big", web::get().to(move || std::future::ready(big.clone())))
        .route("/file", web::get().to(async || NamedFile::open(contract::file())))
        .route("/park", web::get().to(park))
        .route("/release", web::post().to(release));
    for pattern in contract::routes(r"{digits:\d+}") {
        config.route(&pattern, web::get().to(user));
    }
    config.route(r"/user/{digits:\d+}", web::get().to(user));
}

async fn sleep(milliseconds: web::types::Path<u64>) -> HttpResponse {
    time::sleep(Duration::from_millis(*milliseconds)).await;
    text("done")
}

async fn park() -> HttpResponse {
    let (sender, receiver) = oneshot::channel();
    PARKED.lock().expect("no holder panics").push(sender);
    match receiver.await {
        Ok(()) => text("done"),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

async fn release() -> HttpResponse {
    thread::spawn(|| {
        for sender in PARKED.lock().expect("no holder panics").drain(..) {
            // Whoever asked may have left.
            let _ = sender.send(());
        }
    });
    text("done")
}

async fn user(digits: web::types::Path<String>) -> HttpResponse {
    text(digits.into_inner())
}

fn text(body: impl Into<ntex::http::body::Body>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body(body)
}
