//! Uploads whose clients break off, go silent, or come twice.

mod tus;
mod util;

use snow::{Snow, TestClient, mount, uploads::Uploads};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use tus::{Dir, OCTETS, Server, ask, head, patch};
use util::{Client, PATIENCE, noise, serve, wait_until};

/// Of "hello world".
const SHA1: &str = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";

#[test]
fn bytes_on_trial_are_not_kept_when_the_client_breaks_off() {
    let server = Server::start();
    let upload = server.create(100);
    server.patch(&upload, 0, b"safe");
    let mut client = Client::connect(server.addr());
    let fields =
        [OCTETS, ("Upload-Offset", "4"), ("Upload-Checksum", SHA1), ("Content-Length", "11")];
    client.send(head("PATCH", &upload, &fields));
    client.send("hello wor");
    wait_until("some are written", || server.stored(&upload).len() > 4);
    drop(client);
    wait_until("they are given up", || server.stored(&upload) == b"safe");
    assert_eq!(server.offset(&upload), 4);
    assert_eq!(server.dir.names().len(), 2, "no trial is left over");
}

#[test]
fn what_arrived_before_the_client_broke_off_is_kept() {
    let server = Server::start();
    let content = noise(3_000_000);
    let upload = server.create(content.len());
    let mut at = 0;
    let len = content.len().to_string();
    // Not reset and reset; what the kernel had not delivered yet may be lost with a reset.
    for (round, cut) in [100_000, 1, 70_000, 500_000, 65_536, 1_000_000].into_iter().enumerate() {
        let mut client = Client::connect(server.addr());
        let offset = at.to_string();
        let left = (len.parse::<usize>().unwrap() - at).to_string();
        client.send(head(
            "PATCH",
            &upload,
            &[OCTETS, ("Upload-Offset", &offset), ("Content-Length", &left)],
        ));
        client.send(&content[at..at + cut]);
        if round % 2 == 0 {
            client.half_close();
            client.read().expect_failure(400);
            assert_eq!(server.offset(&upload), at + cut);
        } else {
            drop(client);
            wait_until("it is kept", || server.offset(&upload) == at + cut);
        }
        at += cut;
    }
    assert_eq!(server.patch(&upload, at, &content[at..]).status, 204);
    assert!(server.stored(&upload) == content);
    assert_eq!(server.completed(), 1);
}

#[test]
fn a_creation_whose_content_breaks_off_leaves_nothing() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    client.send(head(
        "POST",
        "/files",
        &[OCTETS, ("Upload-Length", "11"), ("Content-Length", "11")],
    ));
    client.send("hello ");
    wait_until("it has begun", || server.dir.names().len() == 2);
    drop(client); // Which has not been told the name.
    wait_until("it is gone", || server.dir.names().is_empty());
}

/// A creation that fails with all of its bytes there, of which nobody may ever hear: neither its client, nor
/// the program.
#[test]
fn a_creation_that_fails_at_its_end_is_not_reported() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    let fields = [OCTETS, ("Upload-Length", "5"), ("Transfer-Encoding", "chunked")];
    client.send(head("POST", "/files", &fields));
    client.send(chunk(b"hello"));
    client.half_close(); // Before the last chunk.
    client.read().expect_failure(400);
    // The checksum is that of other content than none.
    let fields = [OCTETS, ("Upload-Length", "0"), ("Upload-Checksum", SHA1)];
    let answer = ask(server.addr(), "POST", "/files", &fields, b"");
    assert_eq!(answer.status, 460, "{answer:?}");
    assert_eq!(server.dir.names(), [""; 0]);
    assert_eq!(server.completed(), 0);
}

#[test]
fn a_creation_whose_bytes_cannot_be_put_on_trial_leaves_nothing() {
    let server = Server::start();
    let mut client = Client::connect(server.addr());
    let fields =
        [OCTETS, ("Upload-Length", "11"), ("Upload-Checksum", SHA1), ("Content-Length", "11")];
    client.send(head("POST", "/files", &fields));
    wait_until("it has begun", || server.dir.names().len() == 2);
    // In the way of the mark of a trial.
    let obstacle = format!("{}.trial.new", server.dir.names()[0]);
    fs::create_dir(server.dir.path().join(&obstacle)).unwrap();
    client.send("hello world");
    client.read().expect_failure(500);
    assert_eq!(server.dir.names(), [obstacle]);
}

/// Lets the application work until `file` holds `content`.
#[track_caller]
fn settle_until(client: &mut TestClient, file: &Path, content: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    while fs::read(file).expect("the file is there") != content {
        assert!(Instant::now() < deadline, "waited in vain for {} bytes", content.len());
        client.settle();
        thread::sleep(Duration::from_millis(1));
    }
}

fn chunk(content: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

/// In process, where it is certain what the server has read when the client goes.
#[test]
fn what_was_read_before_a_reset_is_kept() {
    let dir = Dir::new();
    let routes = Uploads::new(dir.path()).routes().expect("the directory opens");
    let mut client = Snow::new([mount("/files", routes)]).test_client().expect("is an application");
    let content = noise(30_000);
    for _ in 0..5 {
        let answer = client
            .post("/files")
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", "1000000")
            .send();
        let upload = answer.header("location").expect("says where it is").to_string();
        let file = dir.path().join(upload.strip_prefix("/files/").unwrap());
        let connection = client.connect();
        let fields = [OCTETS, ("Upload-Offset", "0"), ("Transfer-Encoding", "chunked")];
        connection.write(head("PATCH", &upload, &fields).as_bytes());
        connection.write(&chunk(&content[..1]));
        settle_until(&mut client, &file, &content[..1]);
        // At once, and written one after the other.
        let chunks = content[1..].chunks(3000).map(chunk).collect::<Vec<_>>().concat();
        connection.write(&chunks);
        client.settle();
        connection.reset();
        settle_until(&mut client, &file, &content);
    }
}

#[test]
fn an_upload_that_moves_may_take_longer_than_a_handler() {
    let dir = Dir::new();
    let routes = Uploads::new(dir.path()).routes().expect("the directory opens");
    let app = Snow::new([mount("/files", routes)])
        .configure(|config| config.handler_timeout = Some(Duration::from_millis(50)));
    let running = serve(app);
    let mut client = Client::connect(running.local_addr());
    let fields = [OCTETS, ("Upload-Length", "11"), ("Content-Length", "11")];
    client.send(head("POST", "/files", &fields));
    for byte in b"hello world" {
        client.send([*byte]);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(client.read().status, 201);
}

#[test]
fn a_second_writer_is_locked_out_while_the_first_moves() {
    let server = Server::start();
    let upload = server.create(1 << 30);
    let mut first = Client::connect(server.addr());
    first.send(head(
        "PATCH",
        &upload,
        &[OCTETS, ("Upload-Offset", "0"), ("Content-Length", "1073741824")],
    ));
    first.send("a");
    wait_until("it has begun", || server.stored(&upload).len() == 1);
    let others: Vec<_> = ["PATCH", "DELETE", "HEAD"]
        .map(|method| {
            let (addr, upload) = (server.addr(), upload.clone());
            thread::spawn(move || {
                ask(addr, method, &upload, &[OCTETS, ("Upload-Offset", "1")], b"")
            })
        })
        .into();
    while !others.iter().all(thread::JoinHandle::is_finished) {
        first.send("a");
        thread::sleep(Duration::from_millis(20)); // It moves, and not as fast as it can.
    }
    for other in others {
        assert_eq!(other.join().unwrap().status, 423);
    }
    first.half_close();
    first.read().expect_failure(400);
    assert_eq!(server.offset(&upload), server.stored(&upload).len());
}

#[test]
fn a_writer_whose_client_has_gone_silent_gives_way() {
    let server = Server::start();
    let upload = server.create(11);
    let mut silent = Client::connect(server.addr());
    silent.send(head(
        "PATCH",
        &upload,
        &[OCTETS, ("Upload-Offset", "0"), ("Content-Length", "11")],
    ));
    silent.send("hello ");
    wait_until("it has begun", || server.stored(&upload).len() == 6);
    let began = Instant::now();
    assert_eq!(server.offset(&upload), 6);
    assert!(
        began.elapsed() < PATIENCE / 2,
        "before the content has stalled: {:?}",
        began.elapsed()
    );
    silent.read().expect_failure(423);
    assert_eq!(server.patch(&upload, 6, b"world").status, 204);
    assert_eq!(server.stored(&upload), b"hello world");
}

#[test]
fn of_many_writers_at_once_one_writes() {
    let server = Server::start();
    for round in 0..5 {
        let upload = server.create(1000);
        let writers: Vec<_> = (0..8)
            .map(|writer: u8| {
                let (addr, upload) = (server.addr(), upload.clone());
                thread::spawn(move || (writer, patch(addr, &upload, 0, &[writer; 1000]).status))
            })
            .collect();
        let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let winners: Vec<_> = outcomes.iter().filter(|(_, status)| *status == 204).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|(_, status)| [204, 409].contains(status)), "{outcomes:?}");
        assert_eq!(server.stored(&upload), [winners[0].0; 1000]);
        assert_eq!(server.completed(), round + 1);
    }
}
