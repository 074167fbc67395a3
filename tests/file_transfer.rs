//! The example `file_transfer`, from outside: its server and its client as programs, killed and cut off
//! where it hurts, and peers that are neither.

#![cfg(target_os = "linux")]

mod util;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use util::{
    Chance, Folder, example, noise,
    program::{Finished, Program, frame, read_frame, wait_for},
};

const MIB: usize = 1 << 20;

fn file_transfer() -> Command {
    Command::new(example("file_transfer"))
}

/// A folder with one for the server and one for the client, until it is dropped.
struct Folders(Folder);

impl Folders {
    fn new() -> Folders {
        let folders = Folders(Folder::new());
        fs::create_dir(folders.theirs("")).unwrap();
        fs::create_dir(folders.ours("")).unwrap();
        folders
    }

    fn theirs(&self, name: &str) -> PathBuf {
        self.0.path("server").join(name)
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.0.path("client").join(name)
    }

    /// Starts a server on a free port.
    #[track_caller]
    fn serve(&self, options: &[&str]) -> Program {
        let mut command = file_transfer();
        command.args(["server", "127.0.0.1:0"]).arg(self.theirs("")).args(options);
        Program::start(&mut command)
    }

    fn put(&self, addr: SocketAddr, name: &str) -> Program {
        let mut command = file_transfer();
        command.arg("client").arg(addr.to_string()).arg("put").arg(self.ours(name));
        Program::start(&mut command)
    }

    fn get(&self, addr: SocketAddr, name: &str) -> Program {
        let mut command = file_transfer();
        command.arg("client").arg(addr.to_string()).args(["get", name]).arg(self.ours(""));
        Program::start(&mut command)
    }

    /// Starts a transfer in this direction, and returns also where the file will be.
    fn start(&self, direction: Direction, addr: SocketAddr) -> Program {
        match direction {
            Direction::Up => self.put(addr, NAME),
            Direction::Down => self.get(addr, NAME),
        }
    }

    fn source(&self, direction: Direction) -> PathBuf {
        match direction {
            Direction::Up => self.ours(NAME),
            Direction::Down => self.theirs(NAME),
        }
    }

    fn target(&self, direction: Direction) -> PathBuf {
        match direction {
            Direction::Up => self.theirs(NAME),
            Direction::Down => self.ours(NAME),
        }
    }

    fn partial(&self, direction: Direction) -> PathBuf {
        self.target(direction).with_file_name(format!(".{NAME}.part"))
    }
}

/// The file that travels in most tests.
const NAME: &str = "big.bin";

#[derive(Clone, Copy, PartialEq, Debug)]
enum Direction {
    Up,
    Down,
}

#[track_caller]
fn expect_same(path: &Path, content: &[u8]) {
    assert!(fs::read(path).unwrap() == content, "{} is not what was sent", path.display());
}

#[track_caller]
fn expect_travelled(finished: Finished, size: usize, travelled: u64) {
    let expected = format!("done: {size} bytes, {travelled} of them now\n");
    let finished = finished.expect(0);
    assert_eq!(finished.text(), expected);
    assert!(finished.peak_memory < 24 << 20, "{} bytes of memory", finished.peak_memory);
}

/// What is between a client and its server for one connection, and counts what passes.
struct Proxy {
    addr: SocketAddr,
    passed: Arc<AtomicU64>,
}

/// What a proxy does when it has let pass as much as it should, both directions together.
#[derive(Clone, Copy, PartialEq)]
enum AtLimit {
    /// Ends the connection.
    Cut,
    /// Keeps the rest to itself until one side has left.
    Hold,
}

impl Proxy {
    fn new(server: SocketAddr, limit: u64, at_limit: AtLimit) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { addr: listener.local_addr().unwrap(), passed: Arc::default() };
        let passed = Arc::clone(&proxy.passed);
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let server = TcpStream::connect(server).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let counted = Arc::clone(&passed);
            thread::spawn(move || pass(from, to, limit, at_limit, &counted));
            pass(server, client, limit, at_limit, &passed);
        });
        proxy
    }

    fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, limit: u64, at: AtLimit, passed: &AtomicU64) {
    let mut buf = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buf) {
        let before = passed.load(Ordering::SeqCst);
        let count = limit.saturating_sub(before).min(count as u64) as usize;
        if to.write_all(&buf[..count]).is_err() {
            break;
        }
        let now = passed.fetch_add(count as u64, Ordering::SeqCst) + count as u64;
        if now >= limit && at == AtLimit::Cut {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Reads messages until one has this tag.
#[track_caller]
fn read_until(stream: &mut TcpStream, tag: u8) -> Vec<u8> {
    loop {
        match read_frame(&mut *stream) {
            Ok((found, content)) if found == tag => return content,
            Ok((0..9, _)) => {}
            other => panic!("no message with the tag {tag}, but {other:?}"),
        }
    }
}

/// Expects that the server says why it does not go on, and leaves.
#[track_caller]
fn expect_failure(stream: &mut TcpStream, words: &str) {
    let why = String::from_utf8(read_until(stream, 9)).unwrap();
    assert!(why.contains(words), "{why:?}, where {words:?} was expected");
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn a_file_goes_up_and_comes_down_in_little_memory() {
    let folders = Folders::new();
    let content = noise(64 * MIB);
    fs::write(folders.ours(NAME), &content).unwrap();
    let server = folders.serve(&[]);
    expect_travelled(folders.put(server.addr(), NAME).finish(), content.len(), 64 << 20);
    expect_same(&folders.theirs(NAME), &content);
    fs::remove_file(folders.ours(NAME)).unwrap();
    expect_travelled(folders.get(server.addr(), NAME).finish(), content.len(), 64 << 20);
    expect_same(&folders.ours(NAME), &content);
    server.expect_memory_below(24 << 20);
    // Neither leaves anything else behind.
    assert_eq!(fs::read_dir(folders.ours("")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folders.theirs("")).unwrap().count(), 1);
}

#[test]
#[ignore = "writes 3 GiB"]
fn a_gibibyte_goes_up_and_comes_down_in_as_little_memory() {
    let folders = Folders::new();
    let piece = noise(MIB);
    let mut file = fs::File::create(folders.ours(NAME)).unwrap();
    (0..1024).for_each(|_| file.write_all(&piece).unwrap());
    let server = folders.serve(&[]);
    expect_travelled(folders.put(server.addr(), NAME).finish(), 1024 * MIB, 1 << 30);
    fs::rename(folders.ours(NAME), folders.ours("original")).unwrap();
    expect_travelled(folders.get(server.addr(), NAME).finish(), 1024 * MIB, 1 << 30);
    let mut compare = Command::new("cmp");
    compare.arg(folders.ours(NAME)).arg(folders.ours("original"));
    assert!(compare.status().unwrap().success());
    server.expect_memory_below(24 << 20);
}

#[test]
fn small_and_empty_files_travel_and_what_is_there_does_not() {
    let folders = Folders::new();
    let server = folders.serve(&[]);
    for (name, content) in [("empty", &b""[..]), ("one", b"1"), ("two words é", b"12345")] {
        fs::write(folders.ours(name), content).unwrap();
        let (size, len) = (content.len(), content.len() as u64);
        expect_travelled(folders.put(server.addr(), name).finish(), size, len);
        expect_same(&folders.theirs(name), content);
        expect_travelled(folders.put(server.addr(), name).finish(), size, 0);
        expect_travelled(folders.get(server.addr(), name).finish(), size, 0);
        expect_same(&folders.ours(name), content);
    }
    // As long as what is there, and something else.
    fs::write(folders.ours("one"), b"2").unwrap();
    expect_travelled(folders.put(server.addr(), "one").finish(), 1, 1);
    expect_same(&folders.theirs("one"), b"2");
    assert_eq!(fs::read_dir(folders.theirs("")).unwrap().count(), 3);
}

/// Has a transfer of `content` broken off after some MiB, and returns how much has arrived.
#[track_caller]
fn break_off(folders: &Folders, server: &Program, direction: Direction, content: &[u8]) -> u64 {
    fs::write(folders.source(direction), content).unwrap();
    let proxy = Proxy::new(server.addr(), 5 << 20, AtLimit::Cut);
    let cut_off = folders.start(direction, proxy.addr).finish();
    assert_eq!(cut_off.status.code(), Some(1), "{cut_off:?}");
    // The lock is free when the last piece is written.
    server.said("the connection failed");
    let arrived = fs::metadata(folders.partial(direction)).unwrap().len();
    assert!(arrived > 4 << 20, "{arrived}");
    arrived
}

#[test]
fn only_the_rest_travels_after_a_break() {
    for direction in [Direction::Up, Direction::Down] {
        let folders = Folders::new();
        let server = folders.serve(&[]);
        let content = noise(8 * MIB);
        fs::write(folders.target(direction), "the old file").unwrap();
        let arrived = break_off(&folders, &server, direction, &content);
        expect_same(&folders.target(direction), b"the old file");
        let proxy = Proxy::new(server.addr(), u64::MAX, AtLimit::Cut);
        let rest = content.len() as u64 - arrived;
        let finished = folders.start(direction, proxy.addr).finish();
        expect_travelled(finished, content.len(), rest);
        let passed = proxy.passed();
        assert!((rest..rest + 4096).contains(&passed), "{passed} bytes for {rest}");
        expect_same(&folders.target(direction), &content);
        assert!(!folders.partial(direction).exists());
    }
}

#[test]
fn a_source_that_has_changed_is_not_spliced() {
    for direction in [Direction::Up, Direction::Down] {
        for (change, at_most) in [("its beginning", 8 << 20), ("its length", 1 << 20)] {
            let folders = Folders::new();
            let server = folders.serve(&[]);
            let mut content = noise(8 * MIB);
            break_off(&folders, &server, direction, &content);
            match change {
                "its beginning" => content[17] ^= 1,
                _ => content.truncate(MIB),
            }
            fs::write(folders.source(direction), &content).unwrap();
            let finished = folders.start(direction, server.addr()).finish();
            expect_travelled(finished, content.len(), at_most);
            expect_same(&folders.target(direction), &content);
        }
    }
}

/// Interrupts a transfer 20 times at points of chance, each time by killing the client or the server,
/// and finishes it.
#[track_caller]
fn interrupt(direction: Direction) {
    const SIZE: usize = 16 * MIB;
    let folders = Folders::new();
    let content = noise(SIZE);
    fs::write(folders.source(direction), &content).unwrap();
    let mut server = folders.serve(&[]);
    let mut chance = Chance::seeded(0x2545_f491_4f6c_dd1d);
    for round in 0..20 {
        // Never so far that there is nothing left for the next round.
        let limit = chance.below(SIZE / 24) as u64;
        let proxy = Proxy::new(server.addr(), limit, AtLimit::Hold);
        let client = folders.start(direction, proxy.addr);
        wait_for("the point", || (proxy.passed() >= limit).then_some(()));
        if round % 2 == 0 {
            drop(client); // which kills it
        } else {
            drop(server);
            client.finish().expect(1);
            server = folders.serve(&[]);
        }
        assert!(!folders.target(direction).exists());
    }
    let finished = folders.start(direction, server.addr()).finish();
    // done: SIZE bytes, COUNT of them now
    let travelled = finished.text().split(' ').nth(3).and_then(|count| count.parse().ok());
    assert!(travelled.is_some_and(|count: usize| count < SIZE * 7 / 8), "{finished:?}");
    expect_same(&folders.target(direction), &content);
}

#[test]
fn an_upload_that_is_killed_twenty_times_is_whole_in_the_end() {
    interrupt(Direction::Up);
}

#[test]
fn a_download_that_is_killed_twenty_times_is_whole_in_the_end() {
    interrupt(Direction::Down);
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let folders = Folders::new();
    fs::write(folders.0.path("secret"), "secret").unwrap();
    let server = folders.serve(&[]);
    let long = "x".repeat(241);
    for (name, words) in [
        (&b""[..], "needs a name"),
        (b".", "a dot"),
        (b"..", "a dot"),
        (b"../secret", "a dot"),
        (b".hidden", "a dot"),
        (b"/etc/passwd", "separator"),
        (b"a/b", "separator"),
        (b"a/../../secret", "separator"),
        (b"a\\b", "separator"),
        (b"a\0b", "control"),
        (b"a\nb", "control"),
        (b"\xff", "not UTF-8"),
        (long.as_bytes(), "longer than 240 bytes"),
    ] {
        for put_or_get in [0, 1] {
            let mut stream = server.connect();
            stream.write_all(&frame(put_or_get, name)).unwrap();
            expect_failure(&mut stream, words);
        }
    }
    assert_eq!(fs::read_dir(folders.theirs("")).unwrap().count(), 0);
    // As long as a name may be.
    let name = &long[..240];
    fs::write(folders.ours(name), "content").unwrap();
    expect_travelled(folders.put(server.addr(), name).finish(), 7, 7);
}

#[test]
fn links_pipes_devices_and_folders_are_neither_sent_nor_written() {
    let folders = Folders::new();
    let secret = folders.0.path("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, folders.theirs("link")).unwrap();
    symlink("/dev/zero", folders.theirs("device")).unwrap();
    symlink(folders.0.path("nowhere"), folders.theirs("dangling")).unwrap();
    fs::create_dir(folders.theirs("folder")).unwrap();
    let pipe = Command::new("mkfifo").arg(folders.theirs("pipe")).status();
    assert!(pipe.unwrap().success());
    let server = folders.serve(&[]);
    for name in ["link", "device", "dangling", "folder", "pipe"] {
        let words = "not a regular file";
        folders.get(server.addr(), name).finish().expect_words(1, words);
        // A client that fails leaves what it has; this one has nothing.
        let _ = fs::remove_file(folders.ours(name));
        fs::write(folders.ours(name), "content").unwrap();
        folders.put(server.addr(), name).finish().expect_words(1, words);
    }
    // Nor is a link followed where the beginning of a file should be.
    symlink(&secret, folders.theirs(".file.part")).unwrap();
    fs::write(folders.ours("file"), "content").unwrap();
    folders.put(server.addr(), "file").finish().expect_words(1, "not a regular file");
    expect_same(&secret, b"secret");
    assert!(!folders.0.path("nowhere").exists());
}

#[test]
fn two_uploads_of_one_name_at_once_are_refused() {
    let folders = Folders::new();
    let server = folders.serve(&[]);
    let mut first = server.connect();
    first.write_all(&[frame(0, b"file"), frame(2, &8_u64.to_be_bytes())].concat()).unwrap();
    read_until(&mut first, 3);
    first.write_all(&[frame(4, &0_u64.to_be_bytes()), frame(5, b"half")].concat()).unwrap();
    fs::write(folders.ours("file"), "another").unwrap();
    fs::write(folders.ours("other"), "another").unwrap();
    let refused = folders.put(server.addr(), "file").finish();
    refused.expect_words(1, "somebody else is sending a file of this name");
    expect_travelled(folders.put(server.addr(), "other").finish(), 7, 7);
    // The first one is none the worse for it.
    first.write_all(&frame(5, b"half")).unwrap();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"halfhalf");
    first.write_all(&frame(6, &digest)).unwrap();
    read_until(&mut first, 7);
    expect_same(&folders.theirs("file"), b"halfhalf");
    expect_travelled(folders.put(server.addr(), "file").finish(), 7, 7);
}

#[test]
fn a_wrong_digest_is_refused_and_what_came_is_thrown_away() {
    let folders = Folders::new();
    fs::write(folders.theirs("file"), "old").unwrap();
    let server = folders.serve(&[]);
    let mut stream = server.connect();
    stream.write_all(&[frame(0, b"file"), frame(2, &4_u64.to_be_bytes())].concat()).unwrap();
    read_until(&mut stream, 3);
    let rest = [frame(4, &[0; 8]), frame(5, b"four"), frame(6, &[7; 32])].concat();
    stream.write_all(&rest).unwrap();
    expect_failure(&mut stream, "the SHA-256 is not that of what has come");
    expect_same(&folders.theirs("file"), b"old");
    assert!(!folders.theirs(".file.part").exists());
}

#[test]
fn messages_that_make_no_sense_cost_their_own_connection() {
    let folders = Folders::new();
    let server = folders.serve(&[]);
    let put = |size: u64| [frame(0, b"file"), frame(2, &size.to_be_bytes())].concat();
    let started = |size: u64| [put(size), frame(4, &[0; 8])].concat();
    for (bytes, words) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "longer than the limit"),
        (vec![0xff; 1000], "longer than the limit"),
        (vec![0; 4], "no tag"),
        (frame(10, b""), "unknown tag"),
        (frame(2, b"1234567"), "length of its kind"),
        (frame(3, &[0; 39]), "length of its kind"),
        (frame(7, b"!"), "length of its kind"),
        (frame(5, b""), "length of its kind"),
        (frame(5, b"data"), "data out of turn"),
        (frame(7, b""), "the end out of turn"),
        ([frame(0, b"file"), frame(0, b"file")].concat(), "a request out of turn"),
        ([put(9), frame(5, b"data")].concat(), "out of turn"),
        ([put(9), frame(4, &9_u64.to_be_bytes())].concat(), "an offset out of turn"),
        ([started(3), frame(5, b"four")].concat(), "data out of turn"),
        ([started(5), frame(5, b"four"), frame(6, &[0; 32])].concat(), "the end out of turn"),
        (started(u64::MAX), "the peer left"),
        ([started(5), frame(5, b"four")[..7].to_vec()].concat(), "ended within a frame"),
        (Vec::new(), "the peer left"),
    ] {
        let mut stream = server.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        expect_failure(&mut stream, words);
    }
    fs::write(folders.ours("file"), "content").unwrap();
    folders.put(server.addr(), "file").finish().expect(0);
    server.expect_memory_below(24 << 20);
}

#[test]
fn a_client_that_stalls_is_timed_out_and_frees_the_name() {
    let folders = Folders::new();
    let server = folders.serve(&["--stall", "1"]);
    let put = [frame(0, b"file"), frame(2, &9_u64.to_be_bytes())].concat();
    let half = [&put[..], &frame(4, &[0; 8]), &frame(5, b"four")[..6]].concat();
    for bytes in [&b""[..], b"\0\0", &put, &half] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        expect_failure(&mut stream, "the peer says nothing any more");
    }
    fs::write(folders.ours("file"), "content").unwrap();
    folders.put(server.addr(), "file").finish().expect(0);
    // One that takes nothing has no way of hearing that: its connection ends.
    fs::write(folders.theirs("big"), vec![0; 64 * MIB]).unwrap();
    let mut stream = server.connect();
    stream.write_all(&frame(1, b"big")).unwrap();
    stream.write_all(&frame(3, &[0; 40])).unwrap();
    server.said("the peer takes nothing any more");
}

#[test]
fn a_peer_is_told_while_a_digest_takes_long() {
    let folders = Folders::new();
    // Half a file that takes no room on the disk.
    let half = fs::File::create(folders.theirs(".file.part")).unwrap();
    half.set_len(1 << 30).unwrap();
    let server = folders.serve(&["--stall", "1"]);
    let mut stream = server.connect();
    stream.write_all(&[frame(0, b"file"), frame(2, &u64::MAX.to_be_bytes())].concat()).unwrap();
    read_until(&mut stream, 8);
    let have = read_until(&mut stream, 3);
    assert_eq!(have[..8], (1_u64 << 30).to_be_bytes());
}

/// A server that says `bytes` to one client, and no more until that has left.
fn pretend(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(&bytes).unwrap();
        io::copy(&mut stream, &mut io::sink())
    });
    addr
}

#[test]
fn a_server_that_stalls_or_lies_harms_no_client() {
    let folders = Folders::new();
    let offer = |size: u64| frame(2, &size.to_be_bytes());
    let started = |size: u64| [offer(size), frame(4, &[0; 8])].concat();
    for (bytes, words) in [
        (vec![], "the peer says nothing any more"),
        (vec![0; 3], "the peer says nothing any more"),
        (offer(u64::MAX), "the peer says nothing any more"),
        (started(u64::MAX), "the peer says nothing any more"),
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "longer than the limit"),
        (frame(9, b"\x1b[2Jno\n"), "Error:  [2Jno "),
        ([started(3), frame(5, b"four")].concat(), "data out of turn"),
        ([started(4), frame(5, b"four"), frame(6, &[0; 32])].concat(), "the SHA-256 is not that"),
    ] {
        let mut command = file_transfer();
        command.arg("client").arg(pretend(bytes).to_string()).args(["get", NAME]);
        let client = Program::start(command.arg(folders.ours("")).args(["--stall", "1"]));
        client.finish().expect_words(1, words);
        assert!(!folders.ours(NAME).exists());
    }
}

#[test]
fn a_full_disk_is_reported_and_what_fits_is_kept() {
    let folders = Folders::new();
    let content = noise(4 * MIB);
    fs::write(folders.ours(NAME), &content).unwrap();
    // A limit on the size of files fails a write as a full disk does, and needs no disk of one's own.
    let mut limited = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" server 127.0.0.1:0 \"$1\"";
    limited.args(["-c", script]).arg(example("file_transfer")).arg(folders.theirs(""));
    let full = Program::start(&mut limited);
    let failed = folders.put(full.addr(), NAME).finish();
    failed.expect_words(1, "cannot write \"big.bin\": File too large");
    drop(full);
    let kept = fs::metadata(folders.partial(Direction::Up)).unwrap().len();
    assert_eq!(kept, 2 << 20);
    let server = folders.serve(&[]);
    expect_travelled(folders.put(server.addr(), NAME).finish(), content.len(), 2 << 20);
    expect_same(&folders.theirs(NAME), &content);
}

#[test]
fn what_the_server_may_not_do_is_reported() {
    let folders = Folders::new();
    fs::write(folders.ours("file"), "content").unwrap();
    let server = Program::start(file_transfer().args(["server", "127.0.0.1:0", "/proc"]));
    folders.put(server.addr(), "file").finish().expect_words(1, "cannot write \"file\": ");
    let server = folders.serve(&["--max-bytes", "6"]);
    folders.put(server.addr(), "file").finish().expect_words(1, "more than 6 bytes");
    let failed = folders.get(server.addr(), "missing").finish();
    failed.expect_words(1, "cannot read \"missing\": No such file");
}

#[test]
fn the_bar_is_for_terminals_only() {
    let folders = Folders::new();
    fs::write(folders.ours(NAME), noise(MIB)).unwrap();
    let server = folders.serve(&[]);
    assert_eq!(folders.put(server.addr(), NAME).finish().expect(0).stderr, "");
    fs::remove_file(folders.theirs(NAME)).unwrap();
    // `script` runs a command on a terminal.
    let client = format!("'{}' client {} put", example("file_transfer").display(), server.addr());
    let line = format!("{client} '{}'", folders.ours(NAME).display());
    let on_terminal = Program::start(Command::new("script").args(["-qec", &line, "/dev/null"]));
    let finished = on_terminal.finish().expect(0);
    let bar = format!("\r[{}] 100 %", "#".repeat(40));
    assert!(finished.text().contains(&bar), "{finished:?}");
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for args in [
        &[][..],
        &["server", "127.0.0.1:0"],
        &["client", "127.0.0.1:1", "put"],
        &["client", "127.0.0.1:1", "take", "file"],
        &["client", "127.0.0.1:1", "put", "file", "file"],
        &["client", "127.0.0.1:1", "get", "file", "--max-bytes", "1"],
        &["server", "127.0.0.1:0", ".", "--stall"],
        &["server", "127.0.0.1:0", ".", "--stall", "long"],
    ] {
        let finished = Program::start(file_transfer().args(args)).finish();
        finished.expect_words(1, "usage: file_transfer server ADDR FOLDER");
    }
    let failed = Program::start(file_transfer().args(["server", "nowhere", "."])).finish();
    failed.expect_words(1, "\"nowhere\" is no address");
    let failed = Program::start(file_transfer().args(["server", "127.0.0.1:0", "/nowhere"]));
    failed.finish().expect_words(1, "\"/nowhere\" is no folder");
}
