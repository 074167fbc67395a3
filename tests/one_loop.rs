//! HTTP and sockets of a program's own on one loop: a server that is awaited.

mod util;

use snow::{
    Future, Request, Response, Snow, get,
    net::{ReadExt, TcpListener, TcpStream, WriteExt, serve},
    rt::yield_now,
    spawn,
};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use util::read_all;

#[track_caller]
fn run(test: impl std::future::Future<Output = io::Result<()>>) {
    util::run(test).expect("no failure");
}

async fn request(addr: SocketAddr, path: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

async fn rest(stream: &mut TcpStream) -> io::Result<String> {
    Ok(String::from_utf8(read_all(stream).await?).expect("text"))
}

/// Waits, turn after turn, until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        yield_now().await;
    }
}

/// A server whose only route parks requests, and the promises of those.
fn parking() -> (Snow, Arc<Mutex<Vec<Future<String>>>>) {
    let parked = Arc::new(Mutex::new(Vec::new()));
    let park = |req: Request| {
        let future = Future::new(|word: String| Response::text(word));
        req.state::<Arc<Mutex<Vec<_>>>>().lock().unwrap().push(future.clone());
        future
    };
    (Snow::new([get("^/$", park)]).state(Arc::clone(&parked)), parked)
}

#[test]
fn what_a_raw_connection_says_answers_a_request_on_the_same_thread() {
    run(async {
        let (app, parked) = parking();
        let server = app.bind("127.0.0.1:0").unwrap();
        let (addr, stop) = (server.local_addr(), server.stop_handle());
        let serving = spawn(server.into_future());

        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
        let raw = listener.local_addr()?;
        let hears = Arc::clone(&parked);
        let devices = serve(listener, move |mut stream: TcpStream, _| {
            let parked = Arc::clone(&hears);
            async move {
                let mut word = [0; 4];
                stream.read_exact(&mut word).await?;
                for future in parked.lock().unwrap().drain(..) {
                    let _ = future.set_result(format!("{:?}", thread::current().id()));
                }
                Ok(())
            }
        });
        spawn(devices.into_future()).detach();

        let mut waiting = request(addr, "/").await?;
        until(|| !parked.lock().unwrap().is_empty()).await;
        TcpStream::connect(raw).await?.write_all(b"ping").await?;
        let answer = rest(&mut waiting).await?;
        assert!(answer.ends_with(&format!("{:?}", thread::current().id())), "{answer}");
        stop.stop();
        serving.await.expect("stopped in order");
        Ok(())
    });
}

#[test]
fn one_loop_serves_however_many_workers_were_configured() {
    run(async {
        let threads = Arc::new(AtomicUsize::new(0));
        let here = thread::current().id();
        let counted = Arc::clone(&threads);
        let elsewhere = move |_| {
            counted.fetch_add(usize::from(thread::current().id() != here), Ordering::SeqCst);
            "hello"
        };
        let server = Snow::new([get("^/$", elsewhere)]).workers(4).bind("127.0.0.1:0").unwrap();
        let (addr, stop) = (server.local_addr(), server.stop_handle());
        let serving = spawn(server.into_future());
        for _ in 0..20 {
            assert!(rest(&mut request(addr, "/").await?).await?.ends_with("hello"));
        }
        assert_eq!(threads.load(Ordering::SeqCst), 0);
        stop.stop();
        serving.await.expect("stopped in order");
        Ok(())
    });
}

#[test]
fn connections_that_outlast_the_stop_are_cut_although_the_loop_goes_on() {
    run(async {
        let (app, parked) = parking();
        let app = app.configure(|config| config.shutdown_timeout = Duration::from_millis(50));
        let server = app.bind("127.0.0.1:0").unwrap();
        let (addr, stop) = (server.local_addr(), server.stop_handle());
        let serving = spawn(server.into_future());
        let mut half = TcpStream::connect(addr).await?;
        half.write_all(b"GET / HTTP/1.1\r\nHost: half").await?;
        let _answered = request(addr, "/").await?;
        until(|| !parked.lock().unwrap().is_empty()).await;
        stop.stop();
        serving.await.expect("stopped in order");
        // The end, or a reset: the connection is gone.
        let _ = rest(&mut half).await;
        until(|| parked.lock().unwrap().iter().all(Future::is_cancelled)).await;
        Ok(())
    });
}

#[test]
fn a_server_whose_future_is_dropped_listens_no_more_and_cuts_its_connections() {
    run(async {
        let (app, parked) = parking();
        let server = app.bind("127.0.0.1:0").unwrap();
        let addr = server.local_addr();
        let serving = spawn(server.into_future());
        let mut waiting = request(addr, "/").await?;
        until(|| !parked.lock().unwrap().is_empty()).await;
        serving.cancel();
        let _ = rest(&mut waiting).await;
        until(|| parked.lock().unwrap().iter().all(Future::is_cancelled)).await;
        while TcpStream::connect(addr).await.is_ok() {
            yield_now().await;
        }
        Ok(())
    });
}

#[test]
fn a_server_that_was_cut_listens_no_more() {
    for is_urgent in [true, false] {
        run(async move {
            let app = Snow::new([get("^/$", |_| "hello")]);
            let app = app.configure(|config| config.shutdown_timeout = Duration::ZERO);
            let server = app.bind("127.0.0.1:0").expect("binds");
            let (addr, stop) = (server.local_addr(), server.stop_handle());
            let serving = spawn(server.into_future());
            rest(&mut request(addr, "/").await?).await?;
            if is_urgent {
                stop.stop_now()
            } else {
                stop.stop()
            }
            serving.await.expect("ends");
            TcpListener::bind(addr).map(drop)
        });
    }
}
