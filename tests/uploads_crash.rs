//! What of an upload outlives the process, and what a large one costs: `examples/uploads.rs` as a process of
//! its own, which is killed, has no room on its disk, and is watched.
#![cfg(target_os = "linux")]

mod tus;
mod util;

use std::{fs, thread, time::Duration};
use tus::{Dir, OCTETS, Process, create, head, offset, patch};
use util::{Chance, Client, noise, wait_until};

fn stored(dir: &Dir, upload: &str) -> Vec<u8> {
    fs::read(dir.path().join(upload.strip_prefix("/files/").unwrap())).expect("it is there")
}

#[test]
fn an_upload_survives_twenty_kills_and_is_the_same() {
    const KILLS: usize = 20;
    let content = noise(4 << 20);
    let dir = Dir::new();
    let mut chance = Chance::seeded(4711);
    let mut process = Process::start(&dir);
    let upload = create(process.addr, &[("Upload-Length", &content.len().to_string())]);
    for kill in 0..KILLS {
        let at = offset(process.addr, &upload);
        let acknowledged = at + 1 + chance.below(10_000);
        assert_eq!(patch(process.addr, &upload, at, &content[at..acknowledged]).status, 204);

        // More than is sent is announced, so that the process is killed in the middle.
        let is_on_trial = kill % 3 == 2;
        let (start, len) = (acknowledged.to_string(), (content.len() - acknowledged).to_string());
        let mut fields = vec![OCTETS, ("Upload-Offset", &*start), ("Content-Length", &*len)];
        if is_on_trial {
            fields.push(("Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="));
        }
        let mut client = Client::connect(process.addr);
        client.send(head("PATCH", &upload, &fields));
        client.send(&content[acknowledged..acknowledged + chance.below(150_000)]);
        thread::sleep(Duration::from_micros(chance.below(5_000) as u64));
        drop(process);

        process = Process::start(&dir);
        let kept = offset(process.addr, &upload);
        assert!(kept >= acknowledged, "kill {kill}: {acknowledged} were acknowledged, {kept} kept");
        assert!(!is_on_trial || kept == acknowledged, "kill {kill}: bytes on trial were kept");
        assert!(stored(&dir, &upload) == content[..kept], "kill {kill}: other bytes were kept");
    }
    let at = offset(process.addr, &upload);
    assert_eq!(patch(process.addr, &upload, at, &content[at..]).status, 204);
    assert!(stored(&dir, &upload) == content);
    assert_eq!(process.logged("is complete"), 1);
    drop(process);
    let process = Process::start(&dir);
    assert_eq!(offset(process.addr, &upload), content.len());
    assert_eq!(process.logged("is complete"), 0, "it was reported before");
}

/// Bytes after which an upload is synced while it is received.
const SYNCED_AFTER: usize = 16 << 20;

#[test]
fn an_upload_survives_kills_around_the_syncs_in_the_middle_of_a_request() {
    let block = noise((1 << 20) + 1); // No divisor of anything: a shift shows.
    let content: Vec<u8> = block.iter().copied().cycle().take(8 * SYNCED_AFTER).collect();
    let dir = Dir::new();
    let mut chance = Chance::seeded(815);
    let mut process = Process::start(&dir);
    let upload = create(process.addr, &[("Upload-Length", &content.len().to_string())]);
    for kill in 0..4 {
        let at = offset(process.addr, &upload);
        let (start, len) = (at.to_string(), (content.len() - at).to_string());
        let fields = [OCTETS, ("Upload-Offset", &*start), ("Content-Length", &*len)];
        let mut client = Client::connect(process.addr);
        client.send(head("PATCH", &upload, &fields));
        // What is written reaches the next sync, which is under way or over when the kill comes.
        let synced = at + SYNCED_AFTER;
        client.send(&content[at..synced + chance.below(2 << 20)]);
        wait_until("the sync is due", || stored(&dir, &upload).len() > synced - (128 << 10));
        thread::sleep(Duration::from_micros(chance.below(20_000) as u64));
        drop(process);

        process = Process::start(&dir);
        let kept = offset(process.addr, &upload);
        assert!(kept > at, "kill {kill}: nothing was kept");
        assert!(stored(&dir, &upload) == content[..kept], "kill {kill}: other bytes were kept");
    }
    let at = offset(process.addr, &upload);
    assert_eq!(patch(process.addr, &upload, at, &content[at..]).status, 204);
    assert!(stored(&dir, &upload) == content);
    assert_eq!(process.logged("is complete"), 1);
}

#[test]
fn a_full_disk_is_507_and_loses_nothing_that_was_acknowledged() {
    let content = noise(1 << 20);
    let dir = Dir::new();
    // No file may be longer: as good as full, for what can be done about it.
    let process = Process::start_after(&dir, "trap '' XFSZ; ulimit -f 200");
    let upload = create(process.addr, &[("Upload-Length", &content.len().to_string())]);
    assert_eq!(patch(process.addr, &upload, 0, &content[..50_000]).status, 204);
    let rest = &content[50_000..];
    patch(process.addr, &upload, 50_000, rest).expect_failure(507);
    let kept = offset(process.addr, &upload);
    assert!(kept >= 50_000 && stored(&dir, &upload) == content[..kept], "{kept} were kept");
    patch(process.addr, &upload, kept, &content[kept..]).expect_failure(507);
    assert_eq!(offset(process.addr, &upload), kept);
    assert!(process.logged("an upload failed") > 0);
    drop(process);
    let process = Process::start(&dir);
    assert_eq!(patch(process.addr, &upload, kept, &content[kept..]).status, 204);
    assert!(stored(&dir, &upload) == content);
}

/// Returns the most memory that a process has had, in bytes.
fn peak(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is told");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// Uploads so many bytes in one request, and returns how much memory that took.
fn memory_for(len: usize) -> usize {
    let dir = Dir::new();
    let process = Process::start(&dir);
    let piece = noise(1 << 20);
    let upload = create(process.addr, &[("Upload-Length", &(piece.len() + len).to_string())]);
    assert_eq!(patch(process.addr, &upload, 0, &piece).status, 204);
    let before = peak(&process);
    let (at, announced) = (piece.len().to_string(), len.to_string());
    let mut client = Client::connect(process.addr);
    let fields = [OCTETS, ("Upload-Offset", &*at), ("Content-Length", &*announced)];
    client.send(head("PATCH", &upload, &fields));
    for _ in 0..len / piece.len() {
        client.send(&piece);
    }
    assert_eq!(client.read().status, 204);
    let stored = fs::File::open(dir.path().join(upload.strip_prefix("/files/").unwrap())).unwrap();
    assert_eq!(stored.metadata().unwrap().len(), (piece.len() + len) as u64);
    peak(&process) - before
}

#[test]
fn a_large_upload_takes_no_more_memory_than_a_small_one() {
    let grown = memory_for(64 << 20);
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
#[ignore = "writes 1 GiB"]
fn a_gibibyte_takes_no_more_memory_than_a_mebibyte() {
    let began = std::time::Instant::now();
    let grown = memory_for(1 << 30);
    println!("{grown} bytes more, {:?}", began.elapsed());
    assert!(grown < 4 << 20, "{grown} bytes more");
}

#[test]
fn an_upload_that_is_being_received_is_finished_when_the_server_stops() {
    let dir = Dir::new();
    let process = Process::start(&dir);
    let content = noise(300_000);
    let upload = create(process.addr, &[("Upload-Length", "300000")]);
    let mut client = Client::connect(process.addr);
    let fields = [OCTETS, ("Upload-Offset", "0"), ("Content-Length", "300000")];
    client.send(head("PATCH", &upload, &fields));
    client.send(&content[..150_000]);
    wait_until("it is being received", || stored(&dir, &upload).len() > 100_000);
    process.terminate();
    wait_until("it stops", || process.logged("stopping") > 0);
    client.send(&content[150_000..]);
    assert_eq!(client.read().status, 204);
    assert!(stored(&dir, &upload) == content);
    assert_eq!(process.logged("is complete"), 1);
}
