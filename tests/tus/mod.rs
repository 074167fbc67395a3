//! What the tests of uploads share: a directory of their own, a server for it, requests of the protocol.

#![allow(dead_code, reason = "every test crate uses only a part of it")]

pub(crate) use crate::util::Process;
use crate::util::{Answer, Client, Folder, example, serve};
use snow::{
    Running, Snow, mount,
    uploads::{Upload, Uploads},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

pub(crate) const OCTETS: (&str, &str) = ("Content-Type", "application/offset+octet-stream");

/// A directory that goes with the test. Whoever serves it makes it.
pub(crate) struct Dir {
    path: PathBuf,
    /// Removes what is in it.
    _around: Folder,
}

impl Dir {
    pub(crate) fn new() -> Dir {
        let folder = Folder::new();
        Dir { path: folder.path("uploads"), _around: folder }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of all files of uploads, in order: not the one whose lock tells who has the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("the directory is there");
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }
}

/// A server of uploads, and what it has reported as complete.
pub(crate) struct Server {
    running: Running,
    pub(crate) dir: Arc<Dir>,
    pub(crate) complete: Arc<Mutex<Vec<Upload>>>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::with(|uploads| uploads)
    }

    pub(crate) fn with(change: impl FnOnce(Uploads) -> Uploads) -> Server {
        Server::on(Arc::new(Dir::new()), change)
    }

    /// Serves a directory that may have been served before.
    pub(crate) fn on(dir: Arc<Dir>, change: impl FnOnce(Uploads) -> Uploads) -> Server {
        let complete = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&complete);
        let uploads = Uploads::new(dir.path())
            .on_complete(move |upload: &Upload| reported.lock().unwrap().push(upload.clone()));
        let routes = change(uploads).routes().expect("the directory opens");
        let app = Snow::new([mount("/files", routes)]).workers(2);
        Server { running: serve(app), dir, complete }
    }

    /// Stops, and returns the directory for another to serve.
    pub(crate) fn stop(self) -> Arc<Dir> {
        self.running.stop().expect("stops");
        self.dir
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.local_addr()
    }

    pub(crate) fn completed(&self) -> usize {
        self.complete.lock().unwrap().len()
    }

    #[track_caller]
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        ask(self.addr(), method, target, fields, b"")
    }

    /// Makes an upload of `length` bytes and returns its path.
    #[track_caller]
    pub(crate) fn create(&self, length: usize) -> String {
        create(self.addr(), &[("Upload-Length", &length.to_string())])
    }

    #[track_caller]
    pub(crate) fn patch(&self, target: &str, offset: usize, content: &[u8]) -> Answer {
        patch(self.addr(), target, offset, content)
    }

    #[track_caller]
    pub(crate) fn offset(&self, target: &str) -> usize {
        offset(self.addr(), target)
    }

    /// Returns the bytes of an upload, as they are on disk.
    #[track_caller]
    pub(crate) fn stored(&self, target: &str) -> Vec<u8> {
        fs::read(self.file(target)).expect("the file is there")
    }

    /// Returns where the bytes of an upload are.
    pub(crate) fn file(&self, target: &str) -> PathBuf {
        self.dir.path().join(target.strip_prefix("/files/").expect("it is an upload"))
    }
}

/// Returns the head of a request; `Tus-Resumable` is there.
pub(crate) fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\nTus-Resumable: 1.0.0\r\n{fields}\r\n")
}

/// Sends a request on a connection of its own.
#[track_caller]
pub(crate) fn ask(
    addr: SocketAddr,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    content: &[u8],
) -> Answer {
    let len = content.len().to_string();
    let mut all = fields.to_vec();
    let is_framed = fields.iter().any(|(name, _)| *name == "Transfer-Encoding");
    if !is_framed && matches!(method, "POST" | "PATCH") {
        all.push(("Content-Length", &len));
    }
    let mut client = Client::connect(addr);
    client.send(head(method, target, &all));
    client.send(content);
    let answer = client.read_to(method);
    assert_eq!(answer.field("tus-resumable"), Some("1.0.0"), "{answer:?}");
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer:?}");
    answer
}

#[track_caller]
pub(crate) fn create(addr: SocketAddr, fields: &[(&str, &str)]) -> String {
    let answer = ask(addr, "POST", "/files", fields, b"");
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.field("location").expect("says where it is").to_string()
}

#[track_caller]
pub(crate) fn patch(addr: SocketAddr, target: &str, offset: usize, content: &[u8]) -> Answer {
    let offset = offset.to_string();
    ask(addr, "PATCH", target, &[OCTETS, ("Upload-Offset", &offset)], content)
}

#[track_caller]
pub(crate) fn offset(addr: SocketAddr, target: &str) -> usize {
    let answer = ask(addr, "HEAD", target, &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    let offset = answer.field("upload-offset").expect("there is an offset");
    offset.parse().expect("it is a number")
}

impl Process {
    /// Starts the example.
    pub(crate) fn start(dir: &Dir) -> Process {
        Process::start_after(dir, "true")
    }

    /// Starts it from a shell that does `first` before, and waits until it serves.
    pub(crate) fn start_after(dir: &Dir, first: &str) -> Process {
        Process::spawn(
            Command::new("sh")
                .args(["-c", &format!(r#"{first}; exec "$0" "$@""#)])
                .arg(example("uploads"))
                .arg("127.0.0.1:0")
                .arg(dir.path())
                .env("RUST_LOG", "info"),
        )
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it stop in good order.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }
}
