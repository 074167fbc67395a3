//! Files as content: the whole file and nothing but the file, or a break that shows.

#![cfg(target_os = "linux")]

mod util;

use snow::{Error, ErrorKind, Request, Response, Snow, StatusCode, get, route};
use std::{
    env,
    fs::{self, File},
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use util::{Answer, Client, Folder, PATIENCE, collect_log, logged, serve, wait_until};

/// More than all buffers between two processes of a machine hold.
const LARGE: usize = 64 << 20;

impl Folder {
    /// Makes a file of so many bytes, in which a part that is missing or comes twice shows.
    fn file(&self, name: &str, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let block = [(bytes.len() / 4093) as u8; 4093];
            bytes.extend_from_slice(&block[..block.len().min(len - bytes.len())]);
        }
        fs::write(self.path(name), &bytes).expect("a file for the test");
        bytes
    }

    /// Returns how often this process has `name` open.
    fn descriptors(&self, name: &str) -> usize {
        let path = self.path(name);
        let all = fs::read_dir("/proc/self/fd").expect("descriptors can be listed");
        all.filter(|entry| {
            let entry = entry.as_ref().expect("a descriptor");
            fs::read_link(entry.path()).is_ok_and(|target| target == path)
        })
        .count()
    }
}

/// Serves the files of a folder, and a greeting.
fn app(folder: &Folder) -> Snow {
    let root = folder.root().to_path_buf();
    let file = move |req: Request| Response::file(root.join(req.param("name").unwrap_or_default()));
    Snow::new([get("^/$", |_| "hello"), get("^/file/(?<name>.*)$", file)]).workers(1)
}

/// Asks for a large file and reads its head: the server now waits for this client.
#[track_caller]
fn begin(client: &mut Client, name: &str) -> Vec<u8> {
    client.ask("GET", &format!("/file/{name}"));
    client.stream().set_read_timeout(Some(PATIENCE)).expect("has a timeout");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.stream().read_exact(&mut byte).expect("a head comes");
        head.extend_from_slice(&byte);
    }
    head
}

/// Reads so many bytes.
#[track_caller]
fn take(client: &Client, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.stream().read_exact(&mut bytes).expect("the rest comes");
    bytes
}

#[track_caller]
fn expect_file(answer: &Answer, content: &[u8]) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-length"), Some(&*content.len().to_string()));
    assert!(answer.body == content, "the content is another");
}

#[test]
fn a_file_is_sent_whole_whatever_its_size() {
    let folder = Folder::new();
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    for len in [0, 1, 4096, 65_536, 524_288, 524_289, (1 << 20) + 1, LARGE] {
        let content = folder.file("some", len);
        let answer = client.get("/file/some");
        expect_file(&answer, &content);
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
        client.get("/").expect(200, "hello");
    }
    wait_until("every file is closed", || folder.descriptors("some") == 0);
}

#[test]
fn head_gives_the_same_head_without_content() {
    let folder = Folder::new();
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    for len in [0, 1, 100_000] {
        folder.file("some", len);
        let (whole, head) = (client.get("/file/some"), client.request("HEAD", "/file/some"));
        assert_eq!(head.body, b"");
        let fields = |answer: &Answer| {
            let all = ["content-length", "content-type", "last-modified"];
            all.map(|name| answer.field(name).map(String::from))
        };
        assert_eq!((head.status, fields(&head)), (200, fields(&whole)));
        assert_eq!(head.field("content-length"), Some(&*len.to_string()));
    }
    assert_eq!(client.request("HEAD", "/file/none").status, 404);
    client.get("/").expect(200, "hello");
}

#[test]
fn last_modified_is_the_time_of_the_file() {
    let folder = Folder::new();
    folder.file("some", 10);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    let file = File::options().write(true).open(folder.path("some")).expect("opens");
    let mut modified = |time| {
        file.set_modified(time).expect("the time is set");
        let answer = client.get("/file/some");
        assert_eq!(answer.body.len(), 10);
        (answer.field("last-modified").map(String::from), answer.field("date").map(String::from))
    };
    let (time, _) = modified(UNIX_EPOCH + Duration::from_millis(784_111_777_900));
    assert_eq!(time.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    // What HTTP cannot say is left out.
    assert_eq!(modified(UNIX_EPOCH - Duration::from_secs(86_400)).0, None);
    // What is to come is now.
    let (time, date) = modified(SystemTime::now() + Duration::from_secs(86_400));
    assert_eq!(time, date);
}

#[test]
fn what_the_handler_sets_stays() {
    let folder = Folder::new();
    folder.file("some", 4);
    let path = folder.path("some");
    let server = serve(Snow::new([get("^/$", move |_| {
        let response = Response::file(&path).header("content-type", "text/x-test").status(404);
        response.header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    })]));
    let answer = Client::connect(server.local_addr()).get("/");
    answer.expect(404, "\0\0\0\0");
    assert_eq!(answer.all("content-type"), ["text/x-test"]);
    assert_eq!(answer.all("last-modified"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
}

#[test]
fn what_is_no_regular_file_is_not_found_and_never_waited_for() {
    collect_log();
    let folder = Folder::new();
    folder.file("some", 10);
    fs::create_dir(folder.path("folder")).expect("a folder");
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status();
    assert!(made.expect("mkfifo runs").success());
    let _listener = UnixListener::bind(folder.path("socket")).expect("binds");
    for (link, target) in [("loop", "loop"), ("zero", "/dev/zero"), ("dangling", "nowhere")] {
        std::os::unix::fs::symlink(target, folder.path(link)).expect("a link");
    }
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    let too_long = "a".repeat(300);
    let names =
        ["folder", "", "pipe", "socket", "loop", "zero", "dangling", "none", "some/x", &too_long];
    for name in names {
        client.get(&format!("/file/{name}")).expect(404, "not found\n");
    }
    for words in ["/pipe\": not a regular file", "/none\": No such file"] {
        assert!(logged(words).iter().any(|line| line.contains("DEBUG")), "{words} is not logged");
    }
    client.get("/").expect(200, "hello");
}

#[test]
fn a_file_that_may_not_be_read_is_forbidden() {
    let folder = Folder::new();
    folder.file("secret", 10);
    let path = folder.path("secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("the mode is set");
    if File::open(&path).is_ok() {
        return; // Whoever runs this test may read everything.
    }
    let server = serve(app(&folder));
    Client::connect(server.local_addr()).get("/file/secret").expect(403, "forbidden\n");
}

#[test]
fn on_error_sees_what_cannot_be_sent_and_may_answer_with_a_file() {
    let folder = Folder::new();
    let content = folder.file("page", 5000);
    let server = |page: &str| {
        let page = folder.path(page);
        serve(app(&folder).on_error(move |error: &Error| {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            Response::file(&page).status(error.status())
        }))
    };
    let answer = Client::connect(server("page").local_addr()).get("/file/none");
    assert!(answer.status == 404 && answer.body == content);
    let answer = Client::connect(server("no-page").local_addr()).get("/file/none");
    answer.expect(404, "Not Found\n");
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_the_connection() {
    let folder = Folder::new();
    folder.file("large", LARGE);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "large");
    let file = File::options().write(true).open(folder.path("large")).expect("opens");
    file.set_len(1000).expect("the file becomes shorter");
    let (content, _) = client.read_all();
    assert!(content.len() < LARGE, "{} bytes came", content.len());
    drop(file);
    wait_until("the file is closed", || folder.descriptors("large") == 0);
}

#[test]
fn a_file_that_grows_while_it_is_sent_is_sent_as_announced() {
    let folder = Folder::new();
    let content = folder.file("large", LARGE);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "large");
    let mut file = File::options().append(true).open(folder.path("large")).expect("opens");
    file.write_all(&[b'x'; 100_000]).expect("the file becomes longer");
    assert!(take(&client, LARGE) == content);
    client.get("/").expect(200, "hello");
}

#[test]
fn a_slow_reader_delays_nobody_and_gets_all() {
    let folder = Folder::new();
    let content = folder.file("large", LARGE);
    let server = serve(app(&folder));
    let mut slow = Client::connect(server.local_addr());
    begin(&mut slow, "large");
    let mut others = Client::connect(server.local_addr());
    let mut received = Vec::new();
    for _ in 0..64 {
        others.get("/").expect(200, "hello");
        received.extend(take(&slow, LARGE / 64));
    }
    assert!(received == content);
    slow.get("/").expect(200, "hello");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let folder = Folder::new();
    let server = serve(app(&folder));
    for len in [0, 10, (1 << 20) + 1] {
        let content = folder.file("some", len);
        let mut client = Client::connect(server.local_addr());
        let ask = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        client.send([ask("/"), ask("/file/some").repeat(3), ask("/")].concat());
        client.read().expect(200, "hello");
        (0..3).for_each(|_| expect_file(&client.read(), &content));
        client.read().expect(200, "hello");
        client.get("/").expect(200, "hello");
    }
}

#[test]
fn a_client_that_leaves_frees_the_descriptor() {
    collect_log();
    let folder = Folder::new();
    folder.file("left-behind", LARGE);
    let server = serve(app(&folder));
    let mut clients: Vec<_> = (0..8).map(|_| Client::connect(server.local_addr())).collect();
    clients.iter_mut().for_each(|client| drop(begin(client, "left-behind")));
    assert_eq!(folder.descriptors("left-behind"), 8);
    drop(clients);
    wait_until("every file is closed", || folder.descriptors("left-behind") == 0);
    assert_eq!(logged("GET /file/left-behind 200 ").len(), 8);
}

#[test]
fn a_client_that_does_not_read_is_reset() {
    let folder = Folder::new();
    folder.file("large", LARGE);
    let server = serve(app(&folder).configure(|config| {
        config.write_timeout = Duration::from_millis(200);
    }));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "large");
    wait_until("the file is closed", || folder.descriptors("large") == 0);
    let (content, is_reset) = client.read_all();
    assert!(is_reset && content.len() < LARGE);
}

#[test]
fn a_client_that_reads_too_slowly_is_reset() {
    let folder = Folder::new();
    folder.file("large", LARGE);
    let server = serve(app(&folder).configure(|config| {
        config.write_timeout = Duration::from_millis(500);
        config.min_write_rate = 1 << 40;
    }));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "large");
    // It takes something all the time, and would be done some day.
    wait_until("the file is closed", || {
        let _ = (&mut client.stream()).read(&mut [0; 1024]);
        folder.descriptors("large") == 0
    });
    let (content, _) = client.read_all();
    assert!(content.len() < LARGE);
}

#[test]
fn the_head_travels_with_the_file() {
    let folder = Folder::new();
    let content = folder.file("some", 1000);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..20 {
        client.ask("GET", "/file/some");
        client.stream().set_read_timeout(Some(PATIENCE)).expect("has a timeout");
        let mut bytes = [0; 4096];
        let len = client.stream().read(&mut bytes).expect("an answer comes");
        assert!(bytes[..len].ends_with(&content), "{len} bytes came by themselves");
    }
}

#[test]
fn http_1_0_gets_files_too() {
    let folder = Folder::new();
    let content = folder.file("some", 300_000);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    client.send("GET /file/some HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.read();
    expect_file(&answer, &content);
    answer.expect_close(false);
    client.send("GET /file/some HTTP/1.0\r\n\r\n");
    let answer = client.read();
    expect_file(&answer, &content);
    answer.expect_close(true);
    client.expect_end();
}

#[test]
fn the_access_line_comes_with_the_end_and_counts_the_content() {
    collect_log();
    let folder = Folder::new();
    folder.file("counted", LARGE);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "counted");
    let lines = || logged("GET /file/counted 200 ");
    assert!(lines().is_empty());
    take(&client, LARGE);
    wait_until("the line is there", || !lines().is_empty());
    assert!(lines()[0].contains(&format!(" {LARGE}B ")), "{lines:?}", lines = lines());
}

#[test]
fn a_stop_lets_a_download_finish() {
    let folder = Folder::new();
    let content = folder.file("large", LARGE);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    begin(&mut client, "large");
    let stop = server.stop_handle();
    stop.stop();
    assert!(take(&client, LARGE) == content);
    drop(client);
    assert!(server.wait().is_ok());
}

#[test]
fn a_test_client_gets_files_from_the_pool() {
    let folder = Folder::new();
    let mut client = app(&folder).test_client().expect("an app");
    for len in [0, 1, 65_536, 65_537, (1 << 20) + 1] {
        let content = folder.file("some", len);
        let answer = client.get("/file/some").send();
        assert_eq!(answer.header("content-length"), Some(&*len.to_string()));
        assert!(answer.status() == 200 && answer.body() == content);
        let head = client.request("HEAD", "/file/some").send();
        assert_eq!((head.status(), head.body().len()), (200, 0));
        assert_eq!(head.header("last-modified"), answer.header("last-modified"));
    }
    assert_eq!(client.get("/file/none").send().status(), 404);
    assert_eq!(folder.descriptors("some"), 0);
}

#[test]
fn a_file_that_the_kernel_does_not_send_is_read() {
    let path = "/proc/config.gz";
    let Ok(content) = fs::read(path) else { return }; // Not every kernel keeps it there.
    let server = serve(Snow::new([get("^/$", move |_| Response::file(path))]));
    let mut client = Client::connect(server.local_addr());
    expect_file(&client.get("/"), &content);
    expect_file(&client.get("/"), &content);
}

/// Set in the process that runs out of descriptors.
const STARVED: &str = "SNOW_STARVED";

#[test]
fn a_machine_out_of_descriptors_answers_503() {
    if env::var_os(STARVED).is_some() {
        return starve();
    }
    let status = Command::new("sh")
        .args(["-c", r#"ulimit -n 100; exec "$0" "$@""#])
        .arg(env::current_exe().expect("the test has a path"))
        .args(["--exact", "a_machine_out_of_descriptors_answers_503"])
        .env(STARVED, "yes")
        .status();
    assert!(status.expect("the process starts").success());
}

fn starve() {
    let folder = Folder::new();
    let content = folder.file("some", 10);
    let server = serve(app(&folder));
    let mut client = Client::connect(server.local_addr());
    client.get("/").expect(200, "hello");
    let open = || File::open(Path::new("/dev/null"));
    let all: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
    client.get("/file/some").expect(503, "Service Unavailable\n");
    drop(all);
    expect_file(&client.get("/file/some"), &content);
}

#[test]
fn any_method_and_status_may_have_a_file() {
    let folder = Folder::new();
    let content = folder.file("some", 70_000);
    let path = folder.path("some");
    let file = move |status| route("", move |_| Response::file(&path).status(status));
    for (status, len) in [(StatusCode::CREATED, 70_000), (StatusCode::NO_CONTENT, 0)] {
        let server = serve(Snow::new([file.clone()(status)]));
        let mut client = Client::connect(server.local_addr());
        let answer = client.request("PUT", "/x");
        assert_eq!(answer.status, status.as_u16());
        assert!(answer.body == content[..len]);
        client.get("/x");
    }
}
