//! What a second reader found and proved, each kept from coming back.

use futures_core::Stream;
use snow::{Bytes, Request, Response, Result, Snow, get};
use std::{
    future::pending,
    io::{Read, Write},
    net::TcpStream,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    thread,
    time::Duration,
};

/// A stream of one piece.
struct Once(Option<&'static [u8]>);

impl Stream for Once {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Bytes::from_static(piece))))
    }
}

#[test]
fn pipelined_streams_leave_others_their_turns() {
    static STREAMED: AtomicUsize = AtomicUsize::new(0);
    static BEFORE: AtomicUsize = AtomicUsize::new(usize::MAX);
    let stream = |_: Request| {
        STREAMED.fetch_add(1, Ordering::SeqCst);
        Response::stream(Once(Some(b"x")))
    };
    let other = |_: Request| {
        BEFORE.store(STREAMED.load(Ordering::SeqCst), Ordering::SeqCst);
        "other"
    };
    let mut client = Snow::new([get("^/s$", stream), get("^/o$", other)]).test_client().unwrap();
    let (busy, patient) = (client.connect(), client.connect());
    busy.write("GET /s HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000).as_bytes());
    patient.write(b"GET /o HTTP/1.1\r\nHost: a\r\n\r\n");
    client.settle();
    assert!(BEFORE.load(Ordering::SeqCst) <= 64, "{BEFORE:?} requests came first");
}

#[test]
fn shared_content_that_waits_is_not_memory_held() {
    static BIG: [u8; 8 << 20] = [b'x'; 8 << 20];
    let routes = [get("^/big$", |_| Response::bytes(&BIG[..])), get("^/$", |_| "hello")];
    let app = Snow::new(routes).workers(1).configure(|config| config.max_buffered_bytes = 1 << 20);
    let server = app.bind("127.0.0.1:0").unwrap().start().unwrap();
    let ask = |target: &str| {
        let mut client = TcpStream::connect(server.local_addr()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let mut start = [0; 15];
        client.read_exact(&mut start).unwrap();
        (client, start)
    };
    // They read the first bytes and no more.
    let deaf: Vec<_> = (0..8).map(|_| ask("/big")).collect();
    let (_, start) = ask("/");
    assert_eq!(start, *b"HTTP/1.1 200 OK");
    drop(deaf);
}

/// The kernel tells of room only when there is much of it, which is not what the timeout is about.
#[test]
fn a_slow_reader_far_above_the_minimum_is_not_given_up() {
    let content = vec![b'x'; 16 << 20];
    let app = Snow::new([get("^/$", move |_| content.clone())]).workers(1);
    let app = app.configure(|config| config.write_timeout = Duration::from_millis(1500));
    let server = app.bind("127.0.0.1:0").unwrap().start().unwrap();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    // Some 400 KB a second, for four times the timeout.
    let mut piece = [0; 8192];
    for _ in 0..300 {
        client.read_exact(&mut piece).expect("it is not reset");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panic_in_the_drop_of_a_task_costs_nobody_else() {
    snow::block_on(async {
        let task = snow::spawn(async {
            let _fragile = Fragile;
            pending::<()>().await;
        });
        snow::sleep(Duration::from_millis(1)).await;
        task.cancel();
        snow::sleep(Duration::from_millis(1)).await;
        assert_eq!(snow::rt::counts().tasks, 0);
    });
}
