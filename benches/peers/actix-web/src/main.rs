//! actix-web: a runtime per worker, routes that are regexes and are tried in turn.
//!
//! Compression and HTTP/2 are left out of the build.

use actix_files::NamedFile;
use actix_web::{
    App, HttpResponse, HttpServer, Responder,
    error::ErrorInternalServerError,
    web::{self, Bytes},
};
use contract::{Arguments, HELLO, MESSAGE};
use std::{io, sync::Mutex, thread, time::Duration};
use tokio::sync::oneshot;

const BACKLOG: u32 = 4096;
const MAX_CONNECTIONS: usize = 20_000;

static PARKED: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

#[actix_web::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let big = Bytes::from_static(contract::big());
    HttpServer::new(move || App::new().configure(|config| routes(config, big.clone())))
        .workers(arguments.threads)
        .backlog(BACKLOG)
        .max_connections(MAX_CONNECTIONS)
        .bind(arguments.address())?
        .run()
        .await
}

fn routes(config: &mut web::ServiceConfig, big: Bytes) {
    config
        .route("/plaintext", web::get().to(async || text(HELLO)))
        .route("/json", web::get().to(async || web::Json(MESSAGE)))
        .route("/echo", web::post().to(async |body: Bytes| body))
        .route(r"/sleep/{milliseconds:\d+}", web::get().to(sleep))
        .route("/big", web::get().to(move || std::future::ready(big.clone())))
        .route("/file", web::get().to(async || NamedFile::open_async(contract::file()).await))
        .route("/park", web::get().to(park))
        .route("/release", web::post().to(release));
    for pattern in contract::routes(r"{digits:\d+}") {
        config.route(&pattern, web::get().to(user));
    }
    config.route(r"/user/{digits:\d+}", web::get().to(user));
}

async fn sleep(milliseconds: web::Path<u64>) -> impl Responder {
    actix_web::rt::time::sleep(Duration::from_millis(*milliseconds)).await;
    text("done")
}

async fn park() -> actix_web::Result<HttpResponse> {
    let (sender, receiver) = oneshot::channel();
    PARKED.lock().expect("no holder panics").push(sender);
    receiver.await.map(|()| text("done")).map_err(ErrorInternalServerError)
}

async fn release() -> impl Responder {
    thread::spawn(|| {
        for sender in PARKED.lock().expect("no holder panics").drain(..) {
            // Whoever asked may have left.
            let _ = sender.send(());
        }
    });
    text("done")
}

async fn user(digits: web::Path<String>) -> impl Responder {
    text(digits.into_inner())
}

fn text(body: impl actix_web::body::MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body(body)
}
