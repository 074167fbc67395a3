//! TCP without HTTP: connecting, halves, options, and the server helper.

mod util;

use snow::{
    Snow, block_on, get,
    net::{
        KeepAlive, ListenOptions, ReadExt, ServeHandle, TcpListener, TcpStream, WriteExt, serve,
    },
    race,
    rt::counts,
    sleep, spawn, timeout,
};
use std::{
    cell::Cell,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use util::{Client, PATIENCE, collect_log, listen, logged, millis, pair, read_all, run};

/// Bytes that tell where they belong.
fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + seed) * 31 % 251) as u8).collect()
}

#[test]
fn every_way_to_name_an_address_connects() {
    run(async {
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        let name = format!("localhost:{}", addr.port());
        TcpStream::connect(addr).await.unwrap();
        TcpStream::connect(addr.to_string()).await.unwrap();
        TcpStream::connect(addr.to_string().as_str()).await.unwrap();
        TcpStream::connect((addr.ip(), addr.port())).await.unwrap();
        TcpStream::connect(("127.0.0.1", addr.port())).await.unwrap();
        TcpStream::connect(("localhost", addr.port())).await.unwrap();
        TcpStream::connect(&name).await.unwrap();
        // The first refuses, the second does not exist, the third takes it.
        let refusing = listen().local_addr().unwrap().to_string();
        let list = [refusing.as_str(), "localhost:none", &name];
        TcpStream::connect(list).await.unwrap();
        for _ in 0..8 {
            listener.accept().await.unwrap();
        }
    });
}

#[test]
fn what_cannot_be_connected_to_is_an_error() {
    run(async {
        let refusing = listen().local_addr().unwrap().to_string();
        for (addr, kind) in [
            (refusing.as_str(), ErrorKind::ConnectionRefused),
            ("127.0.0.1", ErrorKind::InvalidInput),
            ("localhost:port", ErrorKind::InvalidInput),
            ("unix:/nowhere", ErrorKind::InvalidInput),
        ] {
            let error = TcpStream::connect(addr).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{addr}: {error}");
        }
        for (addr, line) in [
            (
                "localhost",
                r#""localhost" is no address: a port is missing, as in "localhost:8080""#,
            ),
            ("[::1]", r#""[::1]" is no address: a port is missing, as in "[::1]:8080""#),
        ] {
            let error = TcpStream::connect(addr).await.unwrap_err();
            assert_eq!((error.kind(), &*error.to_string()), (ErrorKind::InvalidInput, line));
        }
        let none: [&str; 0] = [];
        assert_eq!(TcpStream::connect(none).await.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn the_time_to_connect_begins_when_the_loop_comes_to_it() {
    run(async {
        let listener = listen();
        let port = listener.local_addr().unwrap().port();
        // Longer than the time: the loop has not looked at the clock since.
        thread::sleep(millis(800));
        TcpStream::connect_timeout(("localhost", port), millis(500)).await.unwrap();
    });
}

#[test]
fn connecting_to_who_does_not_answer_ends_in_time() {
    if !cfg!(target_os = "linux") {
        return; // What a full backlog does is for each system to say.
    }
    run(async {
        let mut options = ListenOptions::default();
        options.backlog = 1;
        let listener = TcpListener::listen("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let addr = listener.local_addr().unwrap();
        // Nobody accepts: after a few the kernel stops answering.
        let mut waiting = Vec::new();
        let error = loop {
            match TcpStream::connect_timeout(addr, millis(300)).await {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 16, "the backlog has no bound");
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // The bound is for all addresses together.
        let began = Instant::now();
        let error = TcpStream::connect_timeout(vec![addr; 100], millis(300)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(5));
        // One that does not answer leaves some of it to the others.
        let answers = listen();
        let addrs = [addr, answers.local_addr().unwrap()];
        TcpStream::connect_timeout(addrs, Duration::from_secs(2)).await.unwrap();
    });
}

#[test]
fn a_half_closed_stream_still_reads_the_answer() {
    run(async {
        let (mut client, mut served) = pair().await;
        client.write_all(b"a question").await.unwrap();
        client.close().await.unwrap();
        assert_eq!(read_all(&mut served).await.unwrap(), b"a question");
        served.write_all(b"an answer").await.unwrap();
        drop(served);
        assert_eq!(read_all(&mut client).await.unwrap(), b"an answer");
        assert_eq!(client.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_slow_reader_gets_every_byte() {
    const WRITES: usize = 400;
    run(async {
        let (mut client, mut served) = pair().await;
        let message = pattern(10_000, 0);
        let sent = message.clone();
        let writing = spawn(async move {
            for _ in 0..WRITES {
                client.write_all(&sent).await.unwrap();
            }
        });
        let (mut buf, mut received) = ([0; 7_001], 0);
        loop {
            let count = served.read(&mut buf).await.unwrap();
            if count == 0 {
                break;
            }
            for (at, byte) in buf[..count].iter().enumerate() {
                assert_eq!(*byte, message[(received + at) % message.len()], "at {}", received + at);
            }
            received += count;
            if received % 16 == 0 {
                sleep(millis(1)).await;
            }
        }
        writing.await;
        assert_eq!(received, WRITES * message.len());
    });
}

#[test]
fn a_peek_takes_nothing() {
    run(async {
        let (mut client, mut served) = pair().await;
        let mut buf = [0; 16];
        // It waits, too.
        let peeking = spawn(async move {
            let count = served.peek(&mut buf).await.unwrap();
            (served, buf[..count].to_vec())
        });
        sleep(millis(1)).await;
        client.write_all(b"once").await.unwrap();
        let (mut served, seen) = peeking.await;
        assert_eq!(seen, b"once");
        assert_eq!(served.peek(&mut buf[..2]).await.unwrap(), 2);
        client.close().await.unwrap();
        assert_eq!(read_all(&mut served).await.unwrap(), b"once");
        assert_eq!(served.peek(&mut buf).await.unwrap(), 0);
    });
}

/// Repeats what never has to wait, and expects that a timeout ends it all the same.
async fn expect_turns(mut step: impl AsyncFnMut()) {
    let deadline = Instant::now() + PATIENCE;
    let busy = async {
        loop {
            step().await;
            assert!(Instant::now() < deadline, "nobody else has had a turn");
        }
    };
    assert!(timeout(millis(20), busy).await.is_err());
}

#[test]
fn who_never_has_to_wait_leaves_others_their_turn() {
    run(async {
        let ((mut one, mut its_peer), (mut other, mut others_peer)) = (pair().await, pair().await);
        let mut buf = [0; 64];
        expect_turns(async || {
            its_peer.write_all(b"a word").await.unwrap();
            one.read(&mut buf).await.unwrap();
        })
        .await;
        its_peer.write_all(b"x").await.unwrap();
        others_peer.write_all(b"x").await.unwrap();
        expect_turns(async || assert_ne!(one.peek(&mut buf).await.unwrap(), 0)).await;
        // Of two that are always ready, one takes over when the other has to wait.
        expect_turns(async || {
            let (mut a, mut b) = ([0; 64], [0; 64]);
            let either = race(one.peek(&mut a), other.peek(&mut b));
            assert_ne!(either.await.unwrap(), 0);
        })
        .await;
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        expect_turns(async || {
            let _client = std::net::TcpStream::connect(addr).unwrap();
            listener.accept().await.unwrap();
        })
        .await;
    });
}

#[test]
fn who_never_has_to_wait_leaves_others_of_its_own_task_a_turn() {
    run(async {
        let ((mut one, mut its_peer), (mut other, mut others_peer)) = (pair().await, pair().await);
        let (mut its_word, mut word) = ([0; 4], [0; 4]);
        its_peer.write_all(b"busy").await.unwrap();
        let busy = async {
            loop {
                assert_eq!(one.peek(&mut its_word).await.unwrap(), 4);
            }
        };
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        let quiet = async {
            others_peer.write_all(b"word").await.unwrap();
            other.read_exact(&mut word).await.unwrap();
            let _client = std::net::TcpStream::connect(addr).unwrap();
            listener.accept().await.unwrap();
        };
        // Polled second, whatever comes of the first.
        timeout(PATIENCE, race(busy, quiet)).await.expect("it had its turns");
        assert_eq!(&word, b"word");
    });
}

#[test]
fn what_is_behind_urgent_data_is_read() {
    run(async {
        let mut listener = listen();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        let mut buf = [0; 64];
        assert!(timeout(millis(20), served.read(&mut buf)).await.is_err(), "it waits");
        let peer = socket2::SockRef::from(&peer);
        peer.send(b"abc").unwrap();
        peer.send_out_of_band(b"d").unwrap();
        peer.send(b"efg").unwrap();
        // The events are fetched before the read.
        sleep(millis(20)).await;
        let mut read = Vec::new();
        while !read.ends_with(b"efg") {
            let count = timeout(PATIENCE / 2, served.read(&mut buf)).await;
            read.extend_from_slice(&buf[..count.expect("the rest has come").unwrap()]);
        }
        assert!(read.starts_with(b"abc"));
    });
}

#[test]
fn halves_in_two_tasks_move_both_ways_at_once() {
    const LEN: usize = 8 << 20;
    run(async {
        let (client, served) = pair().await;
        let ends = [(client, 1, 2), (served, 2, 1)].map(|(stream, own, other)| {
            let (mut reader, mut writer) = stream.into_split();
            let writing = spawn(async move { writer.write_all(&pattern(LEN, own)).await });
            let reading = spawn(async move {
                let all = read_all(&mut reader).await.unwrap();
                assert!(all == pattern(LEN, other), "{} bytes, and not the right ones", all.len());
            });
            (writing, reading)
        });
        for (writing, reading) in ends {
            // The writer is dropped at its end, which is the end that the other side reads.
            writing.await.unwrap();
            reading.await;
        }
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn a_reader_and_a_writer_that_both_wait_are_both_woken() {
    run(async {
        let (client, mut served) = pair().await;
        let (mut reader, mut writer) = client.into_split();
        let reading = spawn(async move {
            let mut byte = [0];
            reader.read_exact(&mut byte).await.map(|()| byte)
        });
        let writing = spawn(async move { writer.write_all(&pattern(LEN, 0)).await });
        const LEN: usize = 8 << 20;
        sleep(millis(20)).await;
        assert!(!reading.is_finished() && !writing.is_finished(), "both are to wait");
        served.write_all(b"!").await.unwrap();
        assert_eq!(&reading.await.unwrap(), b"!");
        assert!(!writing.is_finished(), "nobody has read yet");
        assert_eq!(read_all(&mut served).await.unwrap().len(), LEN);
        writing.await.unwrap();
    });
}

#[test]
fn borrowed_halves_leave_the_stream_whole() {
    run(async {
        let (mut client, mut served) = pair().await;
        let (mut reader, mut writer) = client.split();
        writer.write_all(b"ping").await.unwrap();
        served.write_all(b"pong").await.unwrap();
        let mut word = [0; 4];
        reader.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
        drop(writer);
        client.write_all(b" and more").await.unwrap();
        client.close().await.unwrap();
        assert_eq!(read_all(&mut served).await.unwrap(), b"ping and more");
    });
}

#[test]
fn halves_of_one_stream_are_reunited_and_others_are_not() {
    run(async {
        let (client, mut served) = pair().await;
        let (other, mut other_served) = pair().await;
        let (reader, writer) = client.into_split();
        let (other_reader, other_writer) = other.into_split();
        let error = reader.reunite(other_writer).unwrap_err();
        assert_eq!(error.to_string(), "the halves are of different streams");
        let mut client = error.0.reunite(writer).unwrap();
        let mut other = other_reader.reunite(error.1).unwrap();
        client.write_all(b"one").await.unwrap();
        other.write_all(b"two").await.unwrap();
        drop((client, other));
        assert_eq!(read_all(&mut served).await.unwrap(), b"one");
        assert_eq!(read_all(&mut other_served).await.unwrap(), b"two");
    });
}

#[test]
fn a_message_that_breaks_off_is_no_message() {
    run(async {
        let (mut client, mut served) = pair().await;
        client.write_all(b"half").await.unwrap();
        drop(client);
        let error = served.read_exact(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn options_are_what_they_are_set_to() {
    run(async {
        let (client, served) = pair().await;
        assert_eq!(client.peer_addr().unwrap(), served.local_addr().unwrap());
        assert!(client.nodelay().unwrap() && served.nodelay().unwrap());
        client.set_nodelay(false).unwrap();
        assert!(!client.nodelay().unwrap());
        assert!(!client.keep_alive().unwrap());
        client.set_keep_alive(Some(KeepAlive { count: 3, ..KeepAlive::default() })).unwrap();
        assert!(client.keep_alive().unwrap());
        client.set_keep_alive(None).unwrap();
        assert!(!client.keep_alive().unwrap());
        assert_eq!(client.linger().unwrap(), None);
        client.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(3)));
        // In whole seconds, and never nothing, which is another thing.
        client.set_linger(Some(millis(300))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(1)));
        client.set_linger(Some(Duration::MAX)).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(65_535)));
        client.set_linger(None).unwrap();
        client.set_ttl(7).unwrap();
        assert_eq!(client.ttl().unwrap(), 7);
    });
}

#[test]
fn the_time_to_live_is_the_hop_limit_of_ipv6() {
    run(async {
        let Ok(listener) = TcpListener::bind("[::1]:0".parse().unwrap()) else {
            return; // This machine has no IPv6.
        };
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_ttl(7).unwrap();
        assert_eq!(client.ttl().unwrap(), 7);
        let client = client.into_std().unwrap();
        assert_eq!(socket2::SockRef::from(&client).unicast_hops_v6().unwrap(), 7);
    });
}

#[test]
fn a_linger_of_nothing_is_a_reset() {
    run(async {
        let (client, mut served) = pair().await;
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let error = served.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn streams_go_to_the_standard_library_and_come_back() {
    run(async {
        let (client, mut served) = pair().await;
        let mut client = client.into_std().unwrap();
        assert_eq!(counts().sockets, 1);
        client.set_nonblocking(false).unwrap();
        client.write_all(b"blocking").unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        client.write_all(b" and not").await.unwrap();
        // The duplicate keeps the connection open: no end yet.
        let duplicate = client.into_std().unwrap().try_clone().unwrap();
        let mut all = [0; 16];
        served.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"blocking and not");
        duplicate.shutdown(Shutdown::Both).unwrap();
        assert_eq!(served.read(&mut all).await.unwrap(), 0);
    });
}

#[test]
fn waiting_on_a_loop_that_is_not_the_sockets_own_panics() {
    let (mut client, served) = block_on(pair());
    let waited = catch_unwind(AssertUnwindSafe(|| run(client.read(&mut [0]))));
    let panic = waited.expect_err("nothing would ever wake it");
    let words = panic.downcast_ref::<&str>().copied().unwrap_or_default();
    assert!(words.contains("another loop than the one it was made on"), "{words}");
    drop(served);
}

#[test]
fn a_thread_of_the_standard_library_is_served_like_any_other() {
    run(async {
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        let client = thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(addr).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"hello").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut said = read_all(&mut stream).await.unwrap();
        said.reverse();
        stream.write_all(&said).await.unwrap();
        drop(stream);
        assert_eq!(client.join().unwrap(), "olleh");
    });
}

/// Waits until `condition` holds, while the loop goes on.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(millis(1)).await;
    }
}

/// Echoes; `boom` panics, `error` fails.
async fn echo(mut stream: TcpStream, _: SocketAddr) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(()),
            count if &buf[..count] == b"boom" => panic!("it was told to"),
            count if &buf[..count] == b"error" => {
                return Err(io::Error::other("it was told to fail"));
            }
            count => stream.write_all(&buf[..count]).await?,
        }
    }
}

/// Runs an echo server of at most `most` connections beside the test.
fn start_echo(most: usize) -> (SocketAddr, ServeHandle, snow::Task<io::Result<()>>) {
    let listener = listen();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener, echo).max_connections(most).shutdown_timeout(millis(200));
    (addr, server.stop_handle(), spawn(server.into_future()))
}

/// Sends a word and expects it back.
async fn expect_echo(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.unwrap();
    let mut echo = vec![0; word.len()];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, word);
}

#[test]
fn beyond_the_limit_clients_wait_and_then_have_their_turn() {
    run(async {
        let (addr, stop, serving) = start_echo(2);
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = TcpStream::connect(addr).await.unwrap();
            expect_echo(&mut client, b"in").await;
            clients.push(client);
        }
        let mut third = TcpStream::connect(addr).await.unwrap();
        third.write_all(b"wait").await.unwrap();
        let early = timeout(millis(100), third.read_exact(&mut [0; 4])).await;
        assert!(early.is_err(), "there are two already");
        drop(clients.pop());
        let mut word = [0; 4];
        third.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"wait");
        expect_echo(&mut clients[0], b"still here").await;
        drop((third, clients));
        stop.stop();
        serving.await.unwrap();
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn a_server_that_is_full_sleeps() {
    run(async {
        let (addr, stop, serving) = start_echo(1);
        let mut client = TcpStream::connect(addr).await.unwrap();
        expect_echo(&mut client, b"in").await;
        let _waiting = TcpStream::connect(addr).await.unwrap();
        let before = cpu_time();
        sleep(millis(300)).await;
        assert!(cpu_time() - before < millis(100), "it is busy with waiting");
        stop.stop_now();
        serving.await.unwrap();
    });
}

/// Returns the time that this thread has run on a processor, where the system tells it.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
    Duration::from_nanos(nanos)
}

#[test]
fn a_panic_and_an_error_cost_their_own_connection_and_are_logged() {
    collect_log();
    run(async {
        let (addr, stop, serving) = start_echo(10);
        let mut bystander = TcpStream::connect(addr).await.unwrap();
        for (word, line) in
            [("boom", "panicked: it was told to"), ("error", "failed: it was told to fail")]
        {
            let mut client = TcpStream::connect(addr).await.unwrap();
            let peer = client.local_addr().unwrap();
            client.write_all(word.as_bytes()).await.unwrap();
            assert_eq!(read_all(&mut client).await.unwrap(), b"");
            assert_eq!(logged(&format!("{peer}: the connection {line}")).len(), 1);
            expect_echo(&mut bystander, b"still here").await;
        }
        drop(bystander);
        stop.stop();
        serving.await.unwrap();
    });
}

#[test]
fn a_handler_that_panics_before_it_waits_is_contained_too() {
    collect_log();
    run(async {
        let listener = listen();
        let addr = listener.local_addr().unwrap();
        let server = serve(listener, |_, peer: SocketAddr| {
            assert!(peer.port() == 0, "no port will do");
            async { Ok(()) }
        });
        let (stop, serving) = (server.stop_handle(), spawn(server.into_future()));
        for _ in 0..2 {
            let mut client = TcpStream::connect(addr).await.unwrap();
            let peer = client.local_addr().unwrap();
            assert_eq!(read_all(&mut client).await.unwrap(), b"");
            let line = format!("{peer}: the connection panicked: no port will do");
            assert_eq!(logged(&line).len(), 1);
        }
        stop.stop();
        serving.await.unwrap();
    });
}

#[test]
fn a_stop_refuses_the_new_waits_for_the_quick_and_cuts_the_stalled() {
    run(async {
        let (addr, stop, serving) = start_echo(10);
        let mut quick = TcpStream::connect(addr).await.unwrap();
        let mut stalled = TcpStream::connect(addr).await.unwrap();
        expect_echo(&mut quick, b"in").await;
        expect_echo(&mut stalled, b"in").await;
        stop.stop();
        while TcpStream::connect_timeout(addr, millis(20)).await.is_ok() {
            sleep(millis(1)).await;
        }
        expect_echo(&mut quick, b"last words").await;
        drop(quick);
        assert!(!serving.is_finished(), "one is still there");
        serving.await.unwrap();
        assert_eq!(read_all(&mut stalled).await.unwrap_or_default(), b"");
        drop(stalled);
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn a_listener_that_fails_stops_its_server_gracefully() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let same = listener.try_clone().unwrap();
        let stop = Rc::new(Cell::new(None::<ServeHandle>));
        let known = Rc::clone(&stop);
        let listener = TcpListener::from_std(listener).unwrap();
        let server = serve(listener, move |mut stream: TcpStream, _| {
            let stop = known.take().unwrap();
            async move {
                stream.write_all(b"hello").await?;
                stop.stopping().await;
                stream.write_all(b", and farewell").await
            }
        });
        let server = server.shutdown_timeout(2 * PATIENCE);
        stop.set(Some(server.stop_handle()));
        let serving = spawn(server.into_future());
        let mut client = TcpStream::connect(addr).await.unwrap();
        client.read_exact(&mut [0; 5]).await.unwrap();
        socket2::SockRef::from(&same).shutdown(Shutdown::Both).unwrap();
        assert_eq!(read_all(&mut client).await.unwrap(), b", and farewell");
        assert_eq!(serving.await.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_stop_still_serves_who_has_connected() {
    run(async {
        let (addr, stop, serving) = start_echo(10);
        let mut clients: Vec<_> =
            (0..5).map(|_| std::net::TcpStream::connect(addr).unwrap()).collect();
        for client in &mut clients {
            client.write_all(b"word").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        }
        // The server has not been polled since.
        stop.stop();
        serving.await.unwrap();
        for mut client in clients {
            let mut echo = String::new();
            client.read_to_string(&mut echo).unwrap();
            assert_eq!(echo, "word");
        }
    });
}

#[test]
fn one_address_has_no_more_connections_than_it_may() {
    run(async {
        let listener = listen();
        let addr = listener.local_addr().unwrap();
        let server = serve(listener, echo).max_connections_per_address(2);
        let stop = server.stop_handle();
        let serving = spawn(server.into_future());
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = TcpStream::connect(addr).await.unwrap();
            expect_echo(&mut client, b"in").await;
            clients.push(client);
        }
        let mut third = TcpStream::connect(addr).await.unwrap();
        assert_eq!(read_all(&mut third).await.unwrap_or_default(), b"");
        // Another address is another client.
        if cfg!(target_os = "linux") {
            let elsewhere =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let elsewhere = elsewhere.unwrap();
            let other: SocketAddr = "127.0.0.2:0".parse().unwrap();
            elsewhere.bind(&other.into()).unwrap();
            elsewhere.connect(&addr.into()).unwrap();
            expect_echo(&mut TcpStream::from_std(elsewhere.into()).unwrap(), b"in").await;
        }
        drop(clients.pop());
        // One has left: there is room, as soon as the server knows.
        loop {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(b"in").await.unwrap_or_default();
            if matches!(client.read(&mut [0; 2]).await, Ok(2)) {
                break;
            }
        }
        expect_echo(&mut clients[0], b"still here").await;
        stop.stop_now();
        serving.await.unwrap();
    });
}

#[test]
fn a_stop_with_nobody_there_is_at_once_and_an_urgent_one_too() {
    run(async {
        let listener = listen();
        let addr = listener.local_addr().unwrap();
        let server = serve(listener, echo).shutdown_timeout(Duration::from_secs(3600));
        let stop = server.stop_handle();
        let serving = spawn(server.into_future());
        let mut client = TcpStream::connect(addr).await.unwrap();
        expect_echo(&mut client, b"in").await;
        stop.stop();
        sleep(millis(10)).await;
        assert!(!serving.is_finished());
        // From another thread.
        thread::spawn(move || stop.stop_now()).join().unwrap();
        serving.await.unwrap();

        let (_, stop, serving) = start_echo(1);
        stop.stop();
        serving.await.unwrap();
    });
}

#[test]
fn a_stop_ends_though_clients_keep_connecting() {
    // Whose kernel cannot pass over newcomers, as it is somebody else's, is stopped by the time.
    let inherited = || TcpListener::from_std(std::net::TcpListener::bind("127.0.0.1:0")?);
    let own = || {
        let mut options = ListenOptions::default();
        options.backlog = 64;
        TcpListener::listen("127.0.0.1:0".parse().unwrap(), &options)
    };
    for (listener, shutdown_timeout) in
        [(own as fn() -> _, Duration::from_secs(3600)), (inherited, millis(300))]
    {
        let (is_over, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
        let (is_over, connected) = (&is_over, &connected);
        let (addr_is, addr) = mpsc::channel();
        let began = Instant::now();
        thread::scope(|scope| {
            scope.spawn(move || {
                let addr: SocketAddr = addr.recv().unwrap();
                thread::scope(|scope| {
                    for _ in 0..16 {
                        scope.spawn(|| {
                            while !is_over.load(Ordering::SeqCst) && began.elapsed() < PATIENCE {
                                if std::net::TcpStream::connect_timeout(&addr, millis(100)).is_ok()
                                {
                                    connected.fetch_add(1, Ordering::SeqCst);
                                }
                            }
                        });
                    }
                });
            });
            run(async move {
                let listener = listener().unwrap();
                addr_is.send(listener.local_addr().unwrap()).unwrap();
                let server = serve(listener, |_, _| {
                    thread::sleep(millis(2));
                    async { Ok(()) }
                });
                let server = server.shutdown_timeout(shutdown_timeout);
                let stop = server.stop_handle();
                let serving = spawn(server.into_future());
                while connected.load(Ordering::SeqCst) < 100 {
                    sleep(millis(1)).await;
                }
                stop.stop();
                serving.await.unwrap();
                is_over.store(true, Ordering::SeqCst);
            });
        });
    }
}

#[test]
fn dropping_a_server_drops_its_connections() {
    run(async {
        let held = Rc::new(Cell::new(0));
        let count = Rc::clone(&held);
        let listener = listen();
        let addr = listener.local_addr().unwrap();
        let server = spawn(
            serve(listener, move |mut stream, _| {
                let count = Rc::clone(&count);
                count.set(count.get() + 1);
                async move {
                    let _count = count;
                    stream.read(&mut [0]).await.map(drop)
                }
            })
            .into_future(),
        );
        let mut client = TcpStream::connect(addr).await.unwrap();
        until("it is accepted", || held.get() == 1).await;
        server.cancel();
        assert_eq!(read_all(&mut client).await.unwrap_or_default(), b"");
        until("the handler and its connection are gone", || Rc::strong_count(&held) == 1).await;
    });
}

#[test]
fn several_listeners_share_one_loop_and_one_state() {
    run(async {
        let hits = Rc::new(Cell::new(0));
        let mut servers = Vec::new();
        for greeting in ["first", "second", "third"] {
            let (listener, hits) = (listen(), Rc::clone(&hits));
            let addr = listener.local_addr().unwrap();
            let server = serve(listener, move |mut stream, _| {
                hits.set(hits.get() + 1);
                async move { stream.write_all(greeting.as_bytes()).await }
            });
            servers.push((addr, greeting, server.stop_handle(), spawn(server.into_future())));
        }
        for (addr, greeting, ..) in &servers {
            let mut client = TcpStream::connect(*addr).await.unwrap();
            assert_eq!(read_all(&mut client).await.unwrap(), greeting.as_bytes());
        }
        assert_eq!(hits.get(), 3);
        for (.., stop, serving) in servers {
            stop.stop();
            serving.await.unwrap();
        }
    });
}

#[test]
fn a_server_listens_on_whatever_names_an_address() {
    let server = |addrs: Box<dyn snow::net::Addresses>| {
        let app = Snow::new([get("^/$", |_| "hello")]).workers(1);
        app.bind(&*addrs).unwrap().start().unwrap()
    };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for (addrs, count) in [
        (Box::new("127.0.0.1:0") as Box<dyn snow::net::Addresses>, 1),
        (Box::new(String::from("127.0.0.1:0")), 1),
        (Box::new(("127.0.0.1", 0)), 1),
        (Box::new(any), 1),
        (Box::new((any.ip(), 0)), 1),
        (Box::new([any, any]), 2),
        (Box::new(vec![any, any, any]), 3),
        (Box::new(&[("127.0.0.1", 0), ("127.0.0.1", 0)]), 2),
    ] {
        let running = server(addrs);
        assert_eq!(running.local_addrs().len(), count);
        for addr in running.local_addrs() {
            Client::connect(*addr).get("/").expect(200, "hello");
        }
    }
}
