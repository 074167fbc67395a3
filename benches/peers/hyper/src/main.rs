//! hyper alone: no framework, no router; one current-thread runtime and one listener per worker.
//!
//! Leaves out: routing (paths are compared by hand), timeouts (hyper has none without a timer).

use bytes::Bytes;
use contract::{Arguments, HELLO, MESSAGE};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{LazyLock, Mutex},
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{fs::File, net::TcpSocket, sync::oneshot};
use tokio_util::io::ReaderStream;

const BACKLOG: u32 = 4096;
const FILE_CHUNK_BYTES: usize = 64 * 1024;

static BIG: LazyLock<Bytes> = LazyLock::new(|| Bytes::from_static(contract::big()));
static PARKED: Mutex<Vec<oneshot::Sender<()>>> = Mutex::new(Vec::new());

type Body = Either<Full<Bytes>, StreamBody<FileFrames>>;

fn main() -> io::Result<()> {
    let arguments = Arguments::read();
    let workers: Vec<_> =
        (0..arguments.threads).map(|_| thread::spawn(move || run_worker(arguments.port))).collect();
    for worker in workers {
        worker.join().expect("a worker does not panic")?;
    }
    Ok(())
}

fn run_worker(port: u16) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, accept(port))
}

async fn accept(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Refused, an answer may come later, and is still an answer.
        let _ = stream.set_nodelay(true);
        tokio::task::spawn_local(async move {
            // A client that breaks off is no concern of ours.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/plaintext") => text(HELLO),
        (&Method::GET, "/json") => json(),
        (&Method::POST, "/echo") => bytes(request.into_body().collect().await?.to_bytes()),
        (&Method::GET, "/big") => bytes(BIG.clone()),
        (&Method::GET, "/file") => file().await.unwrap_or_else(|_| not_found()),
        (&Method::GET, "/park") => park().await,
        (&Method::POST, "/release") => {
            thread::spawn(release);
            text("done")
        }
        (&Method::GET, path) => {
            if let Some(id) = path.strip_prefix("/user/").and_then(digits) {
                text(id.to_owned())
            } else if let Some(milliseconds) = path.strip_prefix("/sleep/").and_then(digits) {
                sleep(milliseconds.parse().unwrap_or(0)).await
            } else {
                not_found()
            }
        }
        _ => not_found(),
    })
}

async fn sleep(milliseconds: u64) -> Response<Body> {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    text("done")
}

async fn park() -> Response<Body> {
    let (sender, receiver) = oneshot::channel();
    PARKED.lock().expect("no holder panics").push(sender);
    match receiver.await {
        Ok(()) => text("done"),
        Err(_) => not_found(),
    }
}

fn release() {
    for sender in PARKED.lock().expect("no holder panics").drain(..) {
        // Whoever asked may have left.
        let _ = sender.send(());
    }
}

fn json() -> Response<Body> {
    let body = serde_json::to_vec(&MESSAGE).expect("a string serialises");
    with_type(Either::Left(Full::from(body)), "application/json")
}

async fn file() -> io::Result<Response<Body>> {
    let file = File::open(contract::file()).await?;
    let len = file.metadata().await?.len();
    let frames = FileFrames(ReaderStream::with_capacity(file, FILE_CHUNK_BYTES));
    let mut response =
        with_type(Either::Right(StreamBody::new(frames)), "application/octet-stream");
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    Ok(response)
}

/// A file as the frames of a body.
struct FileFrames(ReaderStream<File>);

impl futures_core::Stream for FileFrames {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

fn digits(text: &str) -> Option<&str> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(text)
}

fn text(body: impl Into<Bytes>) -> Response<Body> {
    with_type(Either::Left(Full::new(body.into())), "text/plain")
}

fn bytes(body: Bytes) -> Response<Body> {
    with_type(Either::Left(Full::new(body)), "application/octet-stream")
}

fn with_type(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn not_found() -> Response<Body> {
    let mut response = text("not found\n");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}
