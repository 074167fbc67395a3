//! Unix sockets: streams, datagrams, their files, and HTTP over them.

#![cfg(unix)]

mod util;

use snow::{
    Request, Response, Running, Snow, get,
    net::{
        Datagram, Endpoint, ReadExt, UnixDatagram, UnixListener, UnixOptions, UnixStream, WriteExt,
        serve,
    },
    rt::counts,
    sleep, spawn, timeout,
};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Instant,
};
use util::{Client, Folder, PATIENCE, millis, read_all, run, wait_until};

/// Leaves the file of a socket behind that nobody has open.
fn leave_stale(path: &Path) {
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_half_closed_stream_still_reads_the_answer() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        let mut listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path));
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut served, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        client.write_all(b"a question").await.unwrap();
        client.close().await.unwrap();
        assert_eq!(read_all(&mut served).await.unwrap(), b"a question");
        served.write_all(b"an answer").await.unwrap();
        drop(served);
        assert_eq!(read_all(&mut client).await.unwrap(), b"an answer");
    });
}

#[test]
fn halves_in_two_tasks_move_both_ways_at_once() {
    const LEN: usize = 8 << 20;
    run(async {
        let (a, b) = UnixStream::pair().unwrap();
        let ends = [(a, 1, 2), (b, 2, 1)].map(|(stream, own, other)| {
            let (mut reader, mut writer) = stream.into_split();
            let writing = spawn(async move { writer.write_all(&vec![own; LEN]).await });
            let reading = spawn(async move {
                let all = read_all(&mut reader).await.unwrap();
                assert!(all.len() == LEN && all.iter().all(|byte| *byte == other));
            });
            (writing, reading)
        });
        for (writing, reading) in ends {
            writing.await.unwrap();
            reading.await;
        }
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn streams_go_to_the_standard_library_and_come_back() {
    run(async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = ours.into_std().unwrap();
        assert_eq!(counts().sockets, 1);
        let mut ours = UnixStream::from_std(ours).unwrap();
        ours.write_all(b"hello").await.unwrap();
        drop(ours);
        assert_eq!(read_all(&mut theirs).await.unwrap(), b"hello");
    });
}

#[test]
fn a_client_waits_for_room_in_a_full_queue() {
    if !cfg!(target_os = "linux") {
        return; // What a full backlog does is for each system to say.
    }
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        let mut options = UnixOptions::default();
        options.backlog = 1;
        let mut listener = UnixListener::listen(&path, &options).unwrap();
        let mut clients = Vec::new();
        while let Ok(client) = timeout(millis(100), UnixStream::connect(&path)).await {
            clients.push(client.unwrap());
            assert!(clients.len() < 16, "the backlog has no bound");
        }
        let late_path = path.clone();
        let late = spawn(async move { UnixStream::connect(late_path).await });
        sleep(millis(20)).await;
        assert!(!late.is_finished());
        listener.accept().await.unwrap();
        late.await.unwrap();
    });
}

#[test]
fn a_stale_file_is_taken_over_and_a_live_one_is_not() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        leave_stale(&path);
        let first = UnixListener::bind(&path).unwrap();
        assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        // Nor did that disturb it.
        UnixStream::connect(&path).await.unwrap();
        drop(first);
        assert!(!path.exists());
        UnixListener::bind(&path).unwrap();

        leave_stale(&path);
        let mut datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        // Nor is one that hears its peer alone, and nobody else may connect to.
        let other = folder.path("other");
        let _peer = UnixDatagram::bind(&other).unwrap();
        datagrams.connect(&other).unwrap();
        assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(datagrams);
        assert!(!path.exists());
    });
}

#[test]
fn a_socket_that_is_about_to_listen_is_not_taken_over() {
    let folder = Folder::new();
    for round in 0..20 {
        let path = folder.path(&round.to_string());
        let socket =
            socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let starting = std::thread::spawn(move || {
            let since: Instant = begun.recv().unwrap();
            socket.listen(1).unwrap();
            (since.elapsed(), socket)
        });
        run(async {
            begin.send(Instant::now()).unwrap();
            let outcome = UnixListener::bind(&path);
            // A machine that has no time for it may be slower than anybody waits.
            let (took, _socket) = starting.join().unwrap();
            if took < millis(40) {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::AddrInUse);
            }
        });
    }
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = Folder::new();
    let (file, target) = (folder.path("file"), folder.path("target"));
    fs::write(&file, "precious").unwrap();
    leave_stale(&target);
    let link = folder.path("link");
    symlink(&target, &link).unwrap();
    let subfolder = folder.path("subfolder");
    fs::create_dir(&subfolder).unwrap();
    run(async {
        for path in [&file, &link, &subfolder] {
            let error = UnixListener::bind(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", path.display());
            let error = UnixDatagram::bind(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}", path.display());
        }
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(link.is_symlink() && target.exists() && subfolder.exists());
}

#[test]
fn a_file_that_is_no_longer_ours_stays() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        let old = UnixListener::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = UnixListener::bind(&path).unwrap();
        drop(old);
        UnixStream::connect(&path).await.expect("it is the new one's");
        // What is there by now may be anything.
        let other = folder.path("other");
        let listener = UnixListener::bind(&other).unwrap();
        fs::remove_file(&other).unwrap();
        fs::write(&other, "precious").unwrap();
        drop(listener);
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    });
}

#[test]
fn the_file_has_the_permissions_it_is_to_have() {
    let folder = Folder::new();
    run(async {
        for wanted in [0o600, 0o660, 0o666, 0o777] {
            let mut options = UnixOptions::default();
            options.mode = Some(wanted);
            let path = folder.path("socket");
            let listener = UnixListener::listen(&path, &options).unwrap();
            assert_eq!(mode(&path), wanted);
            drop(listener);
            let socket = UnixDatagram::bind_with(&path, &options).unwrap();
            assert_eq!(mode(&path), wanted);
            drop(socket);
        }
        let mut options = UnixOptions::default();
        options.mode = Some(0o600);
        let nameless = UnixListener::listen("\0snow-test-with-mode", &options);
        assert!(nameless.is_err(), "an abstract name has none");
    });
}

#[test]
fn what_cannot_be_bound_or_connected_to_is_an_error() {
    let folder = Folder::new();
    run(async {
        let (long, cut) = (folder.path(&"x".repeat(200)), folder.path("left\0right"));
        for path in [long, cut, PathBuf::new()] {
            assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(UnixDatagram::bind(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
            let error = UnixStream::connect(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        assert!(!folder.path("left").exists());
        let nowhere = folder.path("no/such/folder");
        assert_eq!(UnixListener::bind(&nowhere).unwrap_err().kind(), ErrorKind::NotFound);
        let error = UnixStream::connect(&nowhere).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let stale = folder.path("stale");
        leave_stale(&stale);
        let error = UnixStream::connect(&stale).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn an_abstract_name_has_no_file() {
    if !cfg!(target_os = "linux") {
        return;
    }
    run(async {
        let name = format!("\0snow-test-{}", std::process::id());
        let mut listener = UnixListener::bind(&name).unwrap();
        assert_eq!(UnixListener::bind(&name).unwrap_err().kind(), ErrorKind::AddrInUse);
        let mut client = UnixStream::connect(&name).await.unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        client.write_all(b"hello").await.unwrap();
        drop(client);
        assert_eq!(read_all(&mut served).await.unwrap(), b"hello");
    });
}

#[test]
fn the_server_helper_serves_unix_sockets_and_removes_their_file() {
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = serve(listener, |mut stream: UnixStream, _| async move {
            let mut word = [0; 4];
            stream.read_exact(&mut word).await?;
            stream.write_all(&word).await
        });
        let stop = server.stop_handle();
        let serving = spawn(server.into_future());
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        assert_eq!(read_all(&mut client).await.unwrap(), b"ping");
        stop.stop();
        serving.await.unwrap();
        assert!(!path.exists());
    });
}

#[test]
fn datagrams_are_answered_to_the_path_they_come_from() {
    let folder = Folder::new();
    run(async {
        let (server_path, client_path) = (folder.path("server"), folder.path("client"));
        let mut server = UnixDatagram::bind(&server_path).unwrap();
        let mut client = UnixDatagram::bind(&client_path).unwrap();
        client.send_to(b"ping", &server_path).await.unwrap();
        let mut buf = [0; 8];
        let (datagram, peer) = server.recv_from(&mut buf).await.unwrap();
        assert_eq!(datagram, Datagram::Whole(4));
        server.send_to(b"pong!", peer.as_pathname().unwrap()).await.unwrap();
        client.connect(&server_path).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*server_path));
        assert_eq!(client.recv(&mut buf).await.unwrap(), Datagram::Whole(5));
        let mut nameless = UnixDatagram::unbound().unwrap();
        nameless.send_to(b"?", &server_path).await.unwrap();
        let (_, peer) = server.recv_from(&mut buf).await.unwrap();
        assert!(peer.is_unnamed());
        drop(server);
        let error = client.send(b"anybody?").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_datagram_is_whole_or_said_to_be_truncated() {
    run(async {
        let (mut sender, mut receiver) = UnixDatagram::pair().unwrap();
        for (sent, room, expected) in [
            (0, 8, Datagram::Whole(0)),
            (8, 8, Datagram::Whole(8)),
            (9, 8, Datagram::Truncated),
            // Longer than any of UDP.
            (100_000, 80_000, Datagram::Truncated),
            (100_000, 100_000, Datagram::Whole(100_000)),
        ] {
            sender.send(&vec![b'x'; sent]).await.unwrap();
            let mut buf = vec![0; room];
            let received = receiver.recv(&mut buf).await.unwrap();
            assert_eq!(received, expected, "{sent} bytes into {room}");
            let kept = sent.min(room);
            assert!(buf[..kept].iter().all(|byte| *byte == b'x'));
            assert!(buf[kept..].iter().all(|byte| *byte == 0));
        }
    });
}

#[test]
fn who_never_has_to_wait_leaves_others_their_turn() {
    let folder = Folder::new();
    let path = folder.path("own");
    run(async {
        let mut socket = UnixDatagram::bind(&path).unwrap();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut buf = [0; 64];
        let datagrams = async {
            loop {
                socket.send_to(b"a word", &path).await.unwrap();
                let (datagram, _) = socket.recv_from(&mut buf).await.unwrap();
                assert_eq!(datagram, Datagram::Whole(6));
                assert!(Instant::now() < deadline, "nobody else has had a turn");
            }
        };
        assert!(timeout(millis(20), datagrams).await.is_err());
        let bytes = async {
            loop {
                ours.write_all(b"a word").await.unwrap();
                theirs.read(&mut buf).await.unwrap();
                assert!(Instant::now() < deadline, "nobody else has had a turn");
            }
        };
        assert!(timeout(millis(20), bytes).await.is_err());
    });
}

#[test]
fn a_receiver_that_is_behind_keeps_nobody_who_only_tries() {
    let folder = Folder::new();
    let (deaf, heard) = (folder.path("deaf"), folder.path("heard"));
    run(async {
        let _deaf = UnixDatagram::bind(&deaf).unwrap();
        let receiver = UnixDatagram::bind(&heard).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let full = (0..100_000).find_map(|_| sender.try_send_to(b"x", &deaf).err());
        assert_eq!(full.expect("a queue has an end").kind(), ErrorKind::WouldBlock);
        assert_eq!(sender.try_send_to(b"word", &heard).unwrap(), 4);
        let error = sender.try_send_to(b"x", folder.path("nobody")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        // The file goes with the last handle.
        let mut clone = receiver.try_clone().unwrap();
        drop(receiver);
        assert!(heard.exists());
        assert_eq!(clone.recv(&mut [0; 8]).await.unwrap(), Datagram::Whole(4));
        drop(clone);
        assert!(!heard.exists());
    });
}

#[test]
fn senders_wait_for_a_receiver_that_is_behind() {
    const COUNT: usize = 2000;
    let folder = Folder::new();
    run(async {
        let path = folder.path("socket");
        let mut receiver = UnixDatagram::bind(&path).unwrap();
        let (to, connected_to) = (path.clone(), path.clone());
        let sending = spawn(async move {
            let mut sender = UnixDatagram::unbound().unwrap();
            for _ in 0..COUNT {
                sender.send_to(b"to", &to).await.unwrap();
            }
        });
        let sending_connected = spawn(async move {
            let mut sender = UnixDatagram::unbound().unwrap();
            sender.connect(connected_to).unwrap();
            for _ in 0..COUNT {
                sender.send(b"connected").await.unwrap();
            }
        });
        let mut counts = [0, 0];
        while counts != [COUNT, COUNT] {
            let received = receiver.recv(&mut [0; 16]).await.unwrap();
            counts[usize::from(received == Datagram::Whole(9))] += 1;
        }
        sending.await;
        sending_connected.await;
    });
}

/// A connection of the standard library's, to a server of HTTP.
fn connect(path: &Path) -> std::os::unix::net::UnixStream {
    let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request on a connection of its own, and returns all of the answer.
fn ask(path: &Path, target: &str) -> String {
    let mut stream = connect(path);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Says where a request comes from, and takes its time on `/slow`.
fn app() -> Snow {
    Snow::new([
        get("^/$", |request: Request| format!("{:?}", request.remote_addr())),
        get("^/slow$", async |_: Request| {
            sleep(millis(300)).await;
            "at last"
        }),
    ])
    .workers(3)
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[track_caller]
fn start(app: Snow, addrs: impl snow::net::Addresses) -> Running {
    app.bind(addrs).unwrap().start().unwrap()
}

#[test]
fn http_is_served_over_unix_sockets_beside_tcp() {
    let folder = Folder::new();
    let (first, second) = (folder.path("first"), folder.path("second"));
    let addrs = ["127.0.0.1:0", &unix(&first), &unix(&second)];
    let server = start(app(), addrs);
    assert_eq!(server.local_addrs(), [server.local_addr()]);
    assert_eq!(server.endpoints()[1..], [Endpoint::unix(&first), Endpoint::unix(&second)]);
    assert_eq!(server.endpoints()[1].to_string(), unix(&first));
    for _ in 0..20 {
        for path in [&first, &second] {
            let answer = ask(path, "/");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nNone"), "{answer}");
        }
    }
    let mut client = Client::connect(server.local_addr());
    let addr = client.stream().local_addr().unwrap();
    client.get("/").expect(200, &format!("Some({addr})"));
    server.stop().unwrap();
    assert!(!first.exists() && !second.exists());
}

#[test]
fn a_file_arrives_whole_over_a_unix_socket() {
    let folder = Folder::new();
    let (socket, file) = (folder.path("socket"), folder.path("file"));
    let content: String = (0..300_000).map(|number| format!("{number} ")).collect();
    fs::write(&file, &content).unwrap();
    let _server = start(Snow::new([get("^/$", move |_| Response::file(&file))]), unix(&socket));
    let answer = ask(&socket, "/");
    let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}", content.len())), "{head}");
    assert!(rest == content);
}

#[test]
fn a_server_on_unix_sockets_alone_keeps_many_connections_alive() {
    let folder = Folder::new();
    let path = folder.path("socket");
    // There is no address for this to hold for.
    let app = app().configure(|config| config.max_connections_per_address = 1);
    let server = start(app, unix(&path));
    assert!(server.local_addrs().is_empty());
    let mut clients: Vec<_> = (0..50).map(|_| connect(&path)).collect();
    for _ in 0..3 {
        for client in &mut clients {
            client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        }
        for client in &mut clients {
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nNone") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
        }
    }
}

#[test]
fn a_graceful_stop_answers_what_is_in_flight_and_takes_the_file_away() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let server = start(app(), unix(&path));
    let mut slow = connect(&path);
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    // Answered behind it, so it is in.
    assert!(ask(&path, "/").ends_with("None"));
    server.stop_handle().stop();
    wait_until("nobody is let in", || !path.exists());
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
    assert!(answer.ends_with("at last"), "{answer}");
    server.wait().unwrap();
}

#[test]
fn a_server_takes_a_stale_file_over_and_sets_its_permissions() {
    let folder = Folder::new();
    let path = folder.path("socket");
    leave_stale(&path);
    let server = start(app(), Endpoint::unix(&path).mode(0o660));
    assert_eq!(mode(&path), 0o660);
    assert!(ask(&path, "/").ends_with("None"));
    drop(server);
    assert!(!path.exists());
    // One that was bound and never ran leaves nothing behind either.
    drop(app().bind(unix(&path)).unwrap());
    assert!(!path.exists());
}

#[test]
fn what_cannot_be_listened_on_is_one_clear_line() {
    let folder = Folder::new();
    let live = folder.path("live");
    let _live = std::os::unix::net::UnixListener::bind(&live).unwrap();
    let file = folder.path("file");
    fs::write(&file, "precious").unwrap();
    let missing = folder.path("no/such");
    for (path, words) in [
        (&live, "the socket is in use"),
        (&file, "it is no socket"),
        (&missing, "there is no such folder"),
    ] {
        let error = app().bind(unix(path)).unwrap_err();
        let line = format!("{error:?}");
        assert!(line.starts_with(&format!("cannot listen on {}: ", unix(path))), "{line}");
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let none: [&str; 0] = [];
    assert!(app().bind(none).is_err());
    // No manager has started this.
    assert!(app().bind("systemd:").is_err());
}

#[cfg(all(target_os = "linux", feature = "activation"))]
mod activation {
    //! Sockets that are handed to the process, which is this test program run once more.

    use super::*;
    use crate::util::Spawned;
    use std::{
        net::TcpListener,
        os::{fd::OwnedFd, unix::net::UnixListener},
        process::{Command, Stdio},
    };

    const MARK: &str = "SNOW_TEST_SERVES";

    /// What the child does; nothing when it is run as a test.
    #[test]
    fn serves_what_it_was_handed() {
        if std::env::var_os(MARK).is_none() {
            return;
        }
        let server = app().bind("systemd:").unwrap();
        assert!(app().bind("systemd:").is_err(), "they can be taken once");
        server.run().unwrap();
    }

    /// Runs this program with its descriptors 3 and on as told.
    fn activate(tcp: &TcpListener, unix: &UnixListener) -> Spawned {
        // The third is none to serve on.
        let script = "exec 3<&0 4<&1 5</dev/null 0</dev/null 1>/dev/null; \
            export LISTEN_PID=$$ LISTEN_FDS=3; exec \"$0\" \"$@\"";
        let handed = [OwnedFd::from(tcp.try_clone().unwrap()), unix.try_clone().unwrap().into()];
        let [tcp, unix] = handed.map(Stdio::from);
        Spawned::new(
            Command::new("sh")
                .args(["-c", script])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", "activation::serves_what_it_was_handed", "--nocapture"])
                .env(MARK, "1")
                .stdin(tcp)
                .stdout(unix),
        )
    }

    #[test]
    fn sockets_that_were_handed_over_are_served_and_outlive_the_server() {
        let folder = Folder::new();
        let path = folder.path("socket");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(&path).unwrap();
        let addr = tcp.local_addr().unwrap();
        // One after the other, on the same sockets.
        for _ in 0..2 {
            let mut child = activate(&tcp, &unix);
            let mut client = Client::connect(addr);
            let here = client.stream().local_addr().unwrap();
            client.get("/").expect(200, &format!("Some({here})"));
            assert!(ask(&path, "/").ends_with("None"));
            child.signal("TERM");
            assert!(child.ended_within(PATIENCE).success());
            assert!(path.exists(), "the file is not the server's");
        }
    }
}
