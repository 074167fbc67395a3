//! Whose a directory of uploads is: one `Uploads` at a time, its owner's alone, and what of it the program takes.
#![cfg(unix)]

mod tus;
mod util;

use snow::{ErrorKind, Snow, mount, spawn, unblock, uploads::Uploads};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tus::{Dir, OCTETS, Process, Server, head, offset, patch};
use util::{Client, Folder, wait_until};

fn expect_refused(dir: &Dir) {
    let error = Uploads::new(dir.path()).routes().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let line = format!("{error:?}");
    let place = dir.path().display().to_string();
    assert!(line.contains("it is in use by another process") && line.contains(&place), "{line}");
}

#[test]
fn a_directory_in_use_is_refused_and_left_as_it_is() {
    let server = Server::start();
    let upload = server.create(11);
    let mut client = Client::connect(server.addr());
    let sum = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
    let fields =
        [OCTETS, ("Upload-Offset", "0"), ("Upload-Checksum", sum), ("Content-Length", "11")];
    client.send(head("PATCH", &upload, &fields));
    client.send("hello ");
    wait_until("a part is on trial", || server.stored(&upload).len() == 6);
    let before = server.dir.names();
    expect_refused(&server.dir);
    assert_eq!(server.dir.names(), before);
    client.send("world");
    assert_eq!(client.read().status, 204);
    assert_eq!(server.stored(&upload), b"hello world");
    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!(server.offset(&upload), 11, "it is free when its routes are gone");
}

#[test]
fn a_directory_is_free_when_its_server_has_ended_and_the_loop_goes_on() {
    let dir = Dir::new();
    util::run(async {
        let routes = Uploads::new(dir.path()).routes().unwrap();
        let server = Snow::new([mount("/files", routes)]).bind("127.0.0.1:0").unwrap();
        let (addr, stop) = (server.local_addr(), server.stop_handle());
        let serving = spawn(server.into_future());
        unblock(move || tus::create(addr, &[("Upload-Length", "5")])).await;
        stop.stop();
        serving.await.unwrap();
        Uploads::new(dir.path()).routes().unwrap();
    });
}

#[test]
fn another_process_keeps_its_directory_until_it_is_killed() {
    let dir = Arc::new(Dir::new());
    let process = Process::start(&dir);
    let upload = tus::create(process.addr, &[("Upload-Length", "5")]);
    assert_eq!(patch(process.addr, &upload, 0, b"hel").status, 204);
    expect_refused(&dir);
    assert_eq!(offset(process.addr, &upload), 3);
    drop(process);
    let server = Server::on(dir, |uploads| uploads);
    assert_eq!(server.patch(&upload, 3, b"lo").status, 204);
}

/// A process that is being started has all files of this one open for a moment.
#[test]
fn a_directory_is_free_when_its_routes_are_gone_though_others_start_processes() {
    let dir = Dir::new();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let starts = || {
            while !is_done.load(Ordering::Relaxed) {
                Command::new("true").status().expect("it runs");
            }
        };
        scope.spawn(starts);
        let taken = (0..300).filter(|_| Uploads::new(dir.path()).routes().is_ok()).count();
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(taken, 300);
    });
}

/// As long as the paths of temporary folders are on some systems, and longer than the address of a socket.
#[test]
fn a_long_path_does_not_keep_it_from_being_taken() {
    let dir = Dir::new();
    let long = dir.path().join("d".repeat(100));
    let routes = Uploads::new(&long).routes().unwrap();
    assert!(Uploads::new(&long).routes().is_err());
    drop(routes);
    Uploads::new(&long).routes().unwrap();
}

#[test]
fn nobody_but_the_owner_looks_into_it() {
    util::collect_log();
    let server = Server::start();
    server.create(5);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.dir.path().to_path_buf()), 0o700);
    for name in server.dir.names() {
        assert_eq!(mode(server.dir.path().join(&name)), 0o600, "{name}");
    }
    let warned = |dir: &Dir| !util::logged(&format!("{} is open", dir.path().display())).is_empty();
    assert!(!warned(&server.dir));
    let dir = server.stop();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    Uploads::new(dir.path()).routes().unwrap();
    assert!(warned(&dir));
}

#[test]
fn a_link_in_the_directory_is_not_followed() {
    let server = Server::start();
    let folder = Folder::new();
    let outside = folder.path("outside");
    fs::write(&outside, "mine").unwrap();
    let upload = server.create(100);
    fs::remove_file(server.file(&upload)).unwrap();
    symlink(&outside, server.file(&upload)).unwrap();
    assert_eq!(server.ask("HEAD", &upload, &[]).status, 404);
    assert_eq!(server.patch(&upload, 4, b"more").status, 404);
    assert_eq!(server.ask("DELETE", &upload, &[]).status, 404);
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
}

#[test]
fn files_with_other_names_are_left_alone() {
    let server = Server::start();
    let upload = server.create(5);
    let id = upload.rsplit('/').next().unwrap();
    let dir = server.stop();
    let others = [".thumb.new", ".new", ".info.newer", ".lock.new"].map(|end| format!("{id}{end}"));
    for other in &others {
        fs::write(dir.path().join(other), "mine").unwrap();
    }
    for half_made in [".info.new", ".trial.new"] {
        fs::write(dir.path().join(format!("{id}{half_made}")), "snow").unwrap();
    }
    let server = Server::on(dir, |uploads| uploads);
    for other in &others {
        assert!(server.dir.path().join(other).exists(), "{other}");
    }
    assert_eq!(server.dir.names().len(), 2 + others.len());
}
