//! What a directory of uploads takes and keeps: limits, expiry, termination, concatenation, what the program
//! is told, and what the next process finds.

mod tus;
mod util;

use snow::uploads::{Upload, Uploads};
use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tus::{Dir, OCTETS, Server, ask, create};
use util::{Client, noise, wait_until};

const PARTIAL: (&str, &str) = ("Upload-Concat", "partial");

#[test]
fn an_upload_that_is_deleted_is_gone() {
    let server = Server::start();
    for content in ["", "hel", "hello"] {
        let upload = server.create(5);
        server.patch(&upload, 0, content.as_bytes());
        let answer = server.ask("DELETE", &upload, &[]);
        assert_eq!((answer.status, answer.text()), (204, ""));
        for method in ["HEAD", "PATCH", "DELETE"] {
            let answer = server.ask(method, &upload, &[OCTETS, ("Upload-Offset", "0")]);
            assert_eq!(answer.status, 404, "{method}");
        }
        assert_eq!(server.dir.names(), [""; 0]);
    }
}

/// Makes a partial upload that is complete.
fn part(server: &Server, content: &[u8]) -> String {
    let len = content.len().to_string();
    let fields = [PARTIAL, OCTETS, ("Upload-Length", &len)];
    let answer = ask(server.addr(), "POST", "/files", &fields, content);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.field("location").unwrap().to_string()
}

#[test]
fn parts_make_a_whole_which_is_reported_and_they_are_not() {
    let server = Server::start();
    let (one, two, three) = (noise(9 << 20), noise(1), noise(0));
    let parts = [part(&server, &one), part(&server, &two), part(&server, &three)];
    let looked = server.ask("HEAD", &parts[0], &[]);
    assert_eq!(looked.field("upload-concat"), Some("partial"));
    assert!(looked.field("upload-expires").is_some(), "a part that nobody uses goes");
    assert_eq!(server.completed(), 0);

    let concat = format!("final;{} http://host{} {}", parts[0], parts[1], parts[2]);
    let fields = [("Upload-Concat", &*concat), ("Upload-Metadata", "kind d2hvbGU=")];
    let answer = server.ask("POST", "/files", &fields);
    assert_eq!(answer.status, 201, "{answer:?}");
    let whole = answer.field("location").unwrap();
    let expected = [&one[..], &two, &three].concat();
    assert!(server.stored(whole) == expected);
    let looked = server.ask("HEAD", whole, &[]);
    let len = expected.len().to_string();
    for (name, value) in [
        ("upload-concat", Some(&*concat)),
        ("upload-length", Some(&*len)),
        ("upload-offset", Some(&*len)),
        ("upload-metadata", Some("kind d2hvbGU=")),
        ("upload-expires", None),
    ] {
        assert_eq!(looked.field(name), value, "{name}");
    }
    server.patch(whole, expected.len(), b"").expect_failure(403);
    let complete = server.complete.lock().unwrap();
    assert_eq!(complete.len(), 1);
    assert_eq!(complete[0].metadata_pairs().collect::<Vec<_>>(), [("kind", &b"whole"[..])]);
    assert_eq!(server.ask("DELETE", &parts[0], &[]).status, 204);
    assert!(server.stored(whole) == expected);
}

/// Neither waits for what the other has.
#[test]
fn parts_are_joined_in_two_orders_at_once() {
    let server = Server::start();
    let (one, two) = (part(&server, &noise(9)), part(&server, &noise(9)));
    let join = |concat: String| {
        let addr = server.addr();
        thread::spawn(move || {
            for _ in 0..20 {
                let answer = ask(addr, "POST", "/files", &[("Upload-Concat", &concat)], b"");
                assert_eq!(answer.status, 201, "{answer:?}");
            }
        })
    };
    // Two of each, so that some wait while others end.
    let orders = [format!("final;{one} {two}"), format!("final;{two} {one}")];
    let joins: Vec<_> = orders.iter().cycle().take(4).cloned().map(join).collect();
    joins.into_iter().for_each(|join| join.join().unwrap());
}

#[test]
fn parts_that_make_no_whole_leave_nothing() {
    let server = Server::with(|uploads| uploads.max_upload_bytes(10).max_total_bytes(25));
    let (six, five) = (part(&server, b"sixsix"), part(&server, b"fives"));
    let unfinished = create(server.addr(), &[PARTIAL, ("Upload-Length", "2")]);
    let whole = server.create(0);
    let before = server.dir.names();
    for (status, parts) in [
        (413, format!("{six} {five}")),
        (400, format!("{six} {unfinished}")),
        (400, format!("{six} {whole}")),
        (404, format!("{six} {}0000", &five[..five.len() - 4])),
        (400, format!("{six}  {five}")),
        (400, format!("{five} http://other{five}")),
    ] {
        let answer = server.ask("POST", "/files", &[("Upload-Concat", &format!("final;{parts}"))]);
        answer.expect_failure(status);
        assert_eq!(server.dir.names(), before);
    }
    let more = format!("final;{five}");
    for _ in 0..2 {
        assert_eq!(server.ask("POST", "/files", &[("Upload-Concat", &more)]).status, 201);
    }
    // 21 bytes there are, and five do not fit.
    server.ask("POST", "/files", &[("Upload-Concat", &more)]).expect_failure(507);
    server.ask("DELETE", &six, &[]);
    assert_eq!(server.ask("POST", "/files", &[("Upload-Concat", &more)]).status, 201);
}

#[test]
fn only_so_many_are_joined_at_a_time() {
    let (entered, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let server = Server::with(|uploads| {
        let (entered, is_open) = (Arc::clone(&entered), Arc::clone(&is_open));
        uploads.on_complete(move |_| {
            entered.fetch_add(1, Ordering::SeqCst);
            wait_until("it is let go", || is_open.load(Ordering::SeqCst));
        })
    });
    let parts: Vec<_> = (0..5).map(|_| part(&server, b"x")).collect();
    let join = |part: &str| {
        let fields = [("Upload-Concat", &*format!("final;{part}")), ("Content-Length", "0")];
        let mut client = Client::connect(server.addr());
        client.send(tus::head("POST", "/files", &fields));
        client
    };
    let mut clients: Vec<_> = parts[..4].iter().map(|part| join(part)).collect();
    wait_until("four are joined", || entered.load(Ordering::SeqCst) == 4);
    join(&parts[4]).read().expect_failure(503);
    is_open.store(true, Ordering::SeqCst);
    for client in &mut clients {
        assert_eq!(client.read().status, 201);
    }
    wait_until("there is room again", || join(&parts[4]).read().status == 201);
}

#[test]
fn all_uploads_together_have_a_limit_and_those_that_go_make_room() {
    let server = Server::with(|uploads| uploads.max_total_bytes(10));
    let (one, two) = (server.create(10), server.create(10));
    assert_eq!(server.patch(&one, 0, b"sixsix").status, 204);
    server.ask("POST", "/files", &[("Upload-Length", "5")]).expect_failure(507);
    assert_eq!(server.patch(&two, 0, b"four").status, 204);
    server.patch(&two, 4, b"x").expect_failure(507);
    assert_eq!((server.offset(&one), server.offset(&two)), (6, 4));
    assert_eq!(server.ask("DELETE", &one, &[]).status, 204);
    assert_eq!(server.patch(&two, 4, b"sixsix").status, 204);
    assert_eq!(server.stored(&two), b"foursixsix");
}

#[test]
fn the_next_process_counts_what_is_there() {
    let change = |uploads: Uploads| uploads.max_total_bytes(10).max_uploads(2);
    let server = Server::with(change);
    let upload = server.create(10);
    server.patch(&upload, 0, b"sixsix");
    let dir = server.stop();
    fs::write(dir.path().join("README"), "a stranger").unwrap();
    let server = Server::on(dir, change);
    assert_eq!(server.offset(&upload), 6);
    server.ask("POST", "/files", &[("Upload-Length", "5")]).expect_failure(507);
    server.create(4);
    server.ask("POST", "/files", &[("Upload-Length", "0")]).expect_failure(507);
    assert_eq!(server.patch(&upload, 6, b"four").status, 204);
    assert!(server.dir.names().contains(&"README".to_string()));
}

#[test]
fn only_so_many_uploads_are_made() {
    let server = Server::with(|uploads| uploads.max_uploads(2));
    let uploads = [server.create(1), server.create(1)];
    for fields in [[("Upload-Length", "1"), ("X", "")], [("Upload-Defer-Length", "1"), PARTIAL]] {
        server.ask("POST", "/files", &fields).expect_failure(507);
    }
    server.ask("DELETE", &uploads[0], &[]);
    server.create(1);
}

#[test]
fn an_upload_that_nobody_goes_on_with_is_answered_410_and_swept_away() {
    let server = Server::with(|uploads| uploads.expires_after(Duration::from_secs(2)));
    let content = server.create(1);
    server.patch(&content, 0, b"x");
    let uploads = [server.create(5), create(server.addr(), &[PARTIAL, ("Upload-Length", "0")])];
    let patched = server.patch(&uploads[0], 0, b"hell");
    assert!(patched.field("upload-expires").is_some());
    let status =
        |method, upload: &str| server.ask(method, upload, &[OCTETS, ("Upload-Offset", "4")]).status;
    wait_until("they have expired", || status("HEAD", &uploads[0]) != 200);
    // The sweeper may come between.
    assert!([404, 410].contains(&status("PATCH", &uploads[0])));
    wait_until("they are swept away", || server.dir.names().len() == 2);
    assert_eq!(status("HEAD", &uploads[0]), 404);
    assert_eq!(server.offset(&content), 1, "what is complete stays");
}

#[test]
fn what_has_expired_and_is_still_there_is_gone_for_clients() {
    let server = Server::start();
    let uploads = [server.create(5), server.create(5)];
    let dir = server.stop();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let server =
        Server::on(Arc::clone(&dir), |uploads| uploads.expires_after(Duration::from_secs(600)));
    let age = |upload| {
        fs::File::options().append(true).open(server.file(upload)).unwrap().set_modified(long_ago)
    };
    age(&uploads[0]).unwrap();
    for method in ["HEAD", "PATCH", "DELETE"] {
        let answer = server.ask(method, &uploads[0], &[OCTETS, ("Upload-Offset", "0")]);
        assert_eq!(answer.status, 410, "{method}");
    }
    assert_eq!(server.patch(&uploads[1], 0, b"hel").status, 204);
    assert_eq!(server.dir.names().len(), 4);
    drop(server.stop());
    let server = Server::on(dir, |uploads| uploads.expires_after(Duration::from_secs(600)));
    assert_eq!(server.dir.names().len(), 2, "swept at the start");
    assert_eq!(server.offset(&uploads[1]), 3);
}

#[test]
fn uploads_may_be_kept_for_ever() {
    let server = Server::with(|uploads| uploads.expires_after(Duration::MAX));
    let upload = server.create(5);
    assert_eq!(server.patch(&upload, 0, b"hell").field("upload-expires"), None);
}

#[test]
fn a_file_that_the_program_takes_away_takes_its_upload_along() {
    let taken = Arc::new(Dir::new());
    fs::create_dir_all(taken.path()).unwrap();
    let target = taken.path().join("taken");
    let server = Server::with(|uploads| {
        uploads.max_total_bytes(5).on_complete(move |upload: &Upload| {
            fs::rename(upload.path(), &target).unwrap();
        })
    });
    for content in [b"hello", b"world"] {
        let upload = server.create(5);
        let answer = server.patch(&upload, 0, content);
        assert_eq!((answer.status, answer.field("upload-offset")), (204, Some("5")));
        assert_eq!(fs::read(taken.path().join("taken")).unwrap(), content);
        assert_eq!(server.ask("HEAD", &upload, &[]).status, 404);
        assert_eq!(server.dir.names(), [""; 0]);
    }
}

#[test]
fn a_file_that_the_program_takes_later_makes_room() {
    util::collect_log();
    let server = Server::with(|uploads| {
        uploads.max_uploads(1).max_total_bytes(5).expires_after(Duration::from_secs(1))
    });
    for method in ["HEAD", "PATCH", "DELETE"] {
        let upload = server.create(5);
        assert_eq!(server.patch(&upload, 0, b"hello").status, 204);
        server.ask("POST", "/files", &[("Upload-Length", "5")]).expect_failure(507);
        fs::remove_file(server.file(&upload)).unwrap();
        let answer = server.ask(method, &upload, &[OCTETS, ("Upload-Offset", "5")]);
        assert_eq!(answer.status, 404, "{method}");
        assert_eq!(server.dir.names(), [""; 0]);
    }
    let upload = server.create(5);
    assert_eq!(server.patch(&upload, 0, b"hello").status, 204);
    fs::remove_file(server.file(&upload)).unwrap();
    let length = [("Upload-Length", "5")];
    wait_until("it is noticed", || server.ask("POST", "/files", &length).status == 201);
    assert_eq!(util::logged("is not swept away").len(), 0);
}

#[test]
fn what_is_complete_goes_after_a_while_if_it_is_so_wished() {
    let server = Server::with(|uploads| {
        uploads.max_uploads(2).completed_expire_after(Duration::from_secs(1))
    });
    server.create(0);
    let upload = server.create(5);
    let answer = server.patch(&upload, 0, b"hello");
    assert_eq!((answer.status, answer.field("upload-expires")), (204, None));
    wait_until("they have gone", || server.dir.names().is_empty());
    assert_eq!(server.completed(), 2);
    let unfinished = server.create(5);
    server.patch(&unfinished, 0, b"hell");
    let dir = server.stop();
    let file = dir.path().join(unfinished.rsplit('/').next().unwrap());
    fs::write(&file, "hello").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().append(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let change = |uploads: Uploads| uploads.completed_expire_after(Duration::from_secs(1));
    let server = Server::on(dir, change);
    assert_eq!(server.completed(), 1, "it is reported before it goes");
}

#[test]
fn a_callback_that_panics_is_logged_and_not_called_again() {
    util::collect_log();
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let server = Server::with(|uploads| {
        uploads.on_complete(move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            panic!("no place for it");
        })
    });
    let upload = server.create(5);
    assert_eq!(server.patch(&upload, 0, b"hello").status, 204);
    assert_eq!(server.offset(&upload), 5);
    assert_eq!(util::logged("on_complete panicked").len(), 1);
    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!((server.offset(&upload), server.completed()), (5, 0));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_report_that_cannot_be_noted_is_not_repeated() {
    let server = Server::start();
    let upload = server.create(5);
    let in_the_way = format!("{}.info.new", server.file(&upload).display());
    fs::create_dir(&in_the_way).unwrap();
    let answer = server.patch(&upload, 0, b"hello");
    assert_eq!((answer.status, answer.field("upload-expires")), (204, None));
    assert_eq!((server.offset(&upload), server.completed()), (5, 1));
    fs::remove_dir(in_the_way).unwrap();
    assert_eq!((server.offset(&upload), server.completed()), (5, 1));
    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!((server.offset(&upload), server.completed()), (5, 0));
}

/// What a crash leaves at each step, made by hand.
#[test]
fn the_next_process_makes_up_for_what_a_crash_left_undone() {
    let server = Server::start();
    let [complete, on_trial, nameless, removed] = [(); 4]
        .map(|()| create(server.addr(), &[("Upload-Length", "5"), ("Upload-Metadata", "a Zg==")]));
    server.patch(&on_trial, 0, b"hel");
    let file = |upload, suffix: &str| format!("{}{suffix}", server.file(upload).display());
    // Between the last byte and the report.
    fs::write(file(&complete, ""), "hello").unwrap();
    // In the middle of content with a checksum.
    fs::write(file(&on_trial, ".trial"), "1").unwrap();
    // Before the upload was there, and before it was gone.
    fs::remove_file(file(&nameless, ".info")).unwrap();
    fs::write(file(&nameless, ".info.new"), "snow up").unwrap();
    fs::remove_file(file(&removed, "")).unwrap();

    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!(server.completed(), 1);
    assert_eq!(server.complete.lock().unwrap()[0].metadata("a"), Some(&b"f"[..]));
    assert_eq!((server.offset(&complete), server.offset(&on_trial)), (5, 1));
    assert_eq!(server.ask("HEAD", &nameless, &[]).status, 404);
    assert_eq!(server.ask("HEAD", &removed, &[]).status, 404);
    assert_eq!(server.dir.names().len(), 4);
    assert_eq!(server.patch(&on_trial, 1, b"ello").status, 204);
    assert_eq!(server.stored(&on_trial), b"hello");

    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!(server.completed(), 0, "a report is not repeated");
}

#[test]
fn a_damaged_record_is_the_servers_fault_and_nobody_elses() {
    util::collect_log();
    let server = Server::start();
    let (damaged, other) = (server.create(5), server.create(5));
    fs::write(format!("{}.info", server.file(&damaged).display()), "length 5").unwrap();
    assert_eq!(server.ask("HEAD", &damaged, &[]).status, 500);
    assert!(!util::logged("is damaged").is_empty());
    let server = Server::on(server.stop(), |uploads| uploads);
    assert_eq!(server.offset(&other), 0);
    assert_eq!(server.ask("DELETE", &damaged, &[]).status, 500);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_of_routes() {
    let dir = Dir::new();
    fs::write(dir.path(), "a file").unwrap();
    let error = Uploads::new(dir.path()).routes().unwrap_err();
    assert_eq!(error.kind(), snow::ErrorKind::Io);
    let line = format!("no uploads can be kept in {}", dir.path().display());
    assert_eq!(error.to_string(), line);
    fs::remove_file(dir.path()).unwrap();
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_refused_before_it_sends() {
    let server = Server::start();
    let upload = server.create(5);
    for (offset, status) in [("0", 100), ("1", 409)] {
        let mut client = Client::connect(server.addr());
        let fields = [
            OCTETS,
            ("Upload-Offset", offset),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
        ];
        client.send(tus::head("PATCH", &upload, &fields));
        assert_eq!(client.read().status, status);
    }
}
