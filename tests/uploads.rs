//! Uploads that resume: every field and status of the protocol, from a client that trusts nothing.
//!
//! `uploads_broken_off.rs` has what is resumed, `uploads_keeping.rs` what is kept and for how long,
//! `uploads_crash.rs` what outlives the process, `uploads_clients.rs` the clients of others.

mod tus;
mod util;

use snow::{Error, ErrorKind, Response, Snow, mount, uploads::Uploads};
use tus::{Dir, OCTETS, Server, ask, create, head};
use util::{Answer, Client, serve, wait_until};

/// SHA-1 and SHA-256 of "hello world".
const SHA1: &str = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
const SHA256: &str = "sha256 uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";

#[track_caller]
fn expect_fields(answer: &Answer, fields: &[(&str, Option<&str>)]) {
    for (name, value) in fields {
        assert_eq!(answer.field(name), *value, "{name} of {answer:?}");
    }
}

#[test]
fn options_say_what_there_is() {
    let server = Server::with(|uploads| uploads.max_upload_bytes(12_345));
    let upload = server.create(1);
    for target in ["/files", "/files/", &upload, "/files/unknown"] {
        let mut client = Client::connect(server.addr());
        let answer = client.request("OPTIONS", target); // Without `Tus-Resumable`.
        assert_eq!(answer.status, 204);
        expect_fields(
            &answer,
            &[
                ("tus-resumable", Some("1.0.0")),
                ("tus-version", Some("1.0.0")),
                ("tus-max-size", Some("12345")),
                ("tus-checksum-algorithm", Some("sha1,sha256")),
                (
                    "tus-extension",
                    Some(
                        "creation,creation-defer-length,creation-with-upload,expiration,checksum,\
                         termination,concatenation",
                    ),
                ),
            ],
        );
    }
}

#[test]
fn an_upload_is_made_looked_at_filled_and_reported_once() {
    let server = Server::start();
    let metadata = ("Upload-Metadata", "filename aGVsbG8udHh0,is_secret");
    let answer = server.ask("POST", "/files", &[("Upload-Length", "11"), metadata]);
    assert_eq!(answer.status, 201);
    assert!(answer.field("upload-expires").unwrap().ends_with(" GMT"), "{answer:?}");
    let upload = answer.field("location").unwrap();

    let looked = server.ask("HEAD", upload, &[]);
    assert_eq!(looked.status, 200);
    let unchanging = [
        ("upload-length", Some("11")),
        ("upload-metadata", Some(metadata.1)),
        ("upload-defer-length", None),
        ("upload-concat", None),
    ];
    expect_fields(&looked, &unchanging);
    expect_fields(&looked, &[("upload-offset", Some("0"))]);

    let patched = server.patch(upload, 0, b"hello ");
    assert_eq!((patched.status, patched.field("upload-offset")), (204, Some("6")));
    assert!(patched.field("upload-expires").is_some());
    assert_eq!((server.offset(upload), server.completed()), (6, 0));
    let patched = server.patch(upload, 6, b"world");
    assert_eq!((patched.status, patched.field("upload-offset")), (204, Some("11")));
    assert_eq!(patched.field("upload-expires"), None, "what is complete does not expire");

    let looked = server.ask("HEAD", upload, &[]);
    expect_fields(&looked, &unchanging);
    expect_fields(&looked, &[("upload-offset", Some("11")), ("upload-expires", None)]);
    assert_eq!(server.patch(upload, 11, b"").status, 204);
    server.patch(upload, 11, b"!").expect_failure(413);
    assert_eq!(server.stored(upload), b"hello world");
    let complete = server.complete.lock().unwrap();
    assert_eq!(complete.len(), 1);
    assert_eq!(upload, format!("/files/{}", complete[0].id()));
    assert_eq!((complete[0].len(), complete[0].path()), (11, server.file(upload).as_path()));
    assert_eq!(complete[0].metadata("filename"), Some(&b"hello.txt"[..]));
    assert_eq!(complete[0].metadata("is_secret"), Some(&b""[..]));
    assert_eq!(complete[0].metadata("other"), None);
}

#[test]
fn another_version_is_refused_before_anything_is_done() {
    let server = Server::start();
    let upload = server.create(3);
    for version in
        ["", "Tus-Resumable: 0.2.2\r\n", "Tus-Resumable: 1.0.0\r\nTus-Resumable: 1.0.0\r\n"]
    {
        for (method, target) in
            [("POST", "/files"), ("HEAD", &*upload), ("PATCH", &*upload), ("DELETE", &*upload)]
        {
            let mut client = Client::connect(server.addr());
            client.send(format!(
                "{method} {target} HTTP/1.1\r\nHost: a\r\n{version}Upload-Length: 3\r\n\
                 Upload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n\r\n"
            ));
            let answer = client.read_to(method);
            let is_ambiguous = version.len() > 30;
            assert_eq!(answer.status, if is_ambiguous { 400 } else { 412 }, "{method} {version:?}");
            assert_eq!(answer.field("tus-version"), (!is_ambiguous).then_some("1.0.0"));
        }
    }
    assert_eq!((server.offset(&upload), server.dir.names().len()), (0, 2));
}

#[test]
fn a_creation_that_makes_no_sense_makes_nothing() {
    let server = Server::with(|uploads| uploads.max_upload_bytes(100).max_metadata_bytes(20));
    let length = ("Upload-Length", "3");
    let part = server.create(3);
    let one_part = format!("final;{part}");
    let before = server.dir.names();
    let unknown = format!("final;/files/{}", "0".repeat(32));
    let rows: &[(u16, &[(&str, &str)])] = &[
        (400, &[]),
        (400, &[("Upload-Length", "")]),
        (400, &[("Upload-Length", "-1")]),
        (400, &[("Upload-Length", "+1")]),
        (400, &[("Upload-Length", "1.5")]),
        (400, &[("Upload-Length", "0x10")]),
        (400, &[("Upload-Length", "18446744073709551617")]),
        (400, &[length, length]),
        (400, &[length, ("Upload-Defer-Length", "1")]),
        (400, &[("Upload-Defer-Length", "0")]),
        (400, &[("Upload-Defer-Length", "true")]),
        (413, &[("Upload-Length", "101")]),
        (400, &[length, ("Upload-Metadata", ",")]),
        (400, &[length, ("Upload-Metadata", "a Zg")]),
        (400, &[length, ("Upload-Metadata", "a Zg==,a Zg==")]),
        (400, &[length, ("Upload-Metadata", "a Zg=="), ("Upload-Metadata", "b Zg==")]),
        (431, &[length, ("Upload-Metadata", "key1 Zm9v,key2 Zm9vYg==")]),
        (431, &[length, ("Upload-Metadata", ",,,,,,,,,,,,,,,,,,,,,")]), // It is not looked at.
        (400, &[length, ("Upload-Concat", "")]),
        (400, &[length, ("Upload-Concat", "whole")]),
        (400, &[length, ("Upload-Concat", "final;/files/a")]),
        (400, &[("Upload-Concat", "final;")]),
        (400, &[("Upload-Concat", "final;/files/../../etc/passwd")]),
        (404, &[("Upload-Concat", &unknown)]),
        (400, &[("Upload-Concat", &one_part)]), // Which is not a partial upload.
        (400, &[("Upload-Concat", &one_part), ("Upload-Defer-Length", "1")]),
        (400, &[length, ("Upload-Checksum", "sha1")]),
        (400, &[length, ("Upload-Checksum", "md5 XrY7u+Ae7tCTyyK7j1rNww==")]),
    ];
    for (status, fields) in rows {
        let answer = server.ask("POST", "/files", fields);
        assert_eq!(answer.status, *status, "{fields:?}: {answer:?}");
        answer.expect_failure(*status);
    }
    let typed =
        ask(server.addr(), "POST", "/files", &[length, ("Content-Type", "text/plain")], b"abc");
    typed.expect_failure(415);
    assert_eq!(server.dir.names(), before);
    assert_eq!(server.ask("POST", "/files", &[("Upload-Length", "100")]).status, 201);
    let longest = [length, ("Upload-Metadata", "key1 Zm9vZm9vZm9vYg=")];
    assert_eq!(longest[1].1.len(), 20);
    server.ask("POST", "/files", &longest).expect_failure(400);
    let longest = [length, ("Upload-Metadata", "keyed1 Zm9vZm9vYg==")];
    assert_eq!(server.ask("POST", "/files", &longest).status, 201);
}

#[test]
fn a_patch_that_makes_no_sense_changes_nothing() {
    let server = Server::start();
    let upload = server.create(11);
    server.patch(&upload, 0, b"hello");
    let at = ("Upload-Offset", "5");
    let rows: &[(u16, &[(&str, &str)])] = &[
        (400, &[OCTETS]),
        (400, &[OCTETS, ("Upload-Offset", "-5")]),
        (400, &[OCTETS, ("Upload-Offset", "+5")]),
        (400, &[OCTETS, ("Upload-Offset", "five")]),
        (400, &[OCTETS, at, at]),
        (409, &[OCTETS, ("Upload-Offset", "4")]),
        (409, &[OCTETS, ("Upload-Offset", "6")]),
        (409, &[OCTETS, ("Upload-Offset", "9223372036854775807")]),
        (415, &[at]),
        (415, &[at, ("Content-Type", "application/octet-stream")]),
        (415, &[at, ("Content-Type", "application/offset+octet-stream2")]),
        (400, &[OCTETS, at, ("Upload-Length", "12")]),
        (400, &[OCTETS, at, ("Upload-Checksum", "")]),
        (400, &[OCTETS, at, ("Upload-Checksum", "sha1 ")]),
        (400, &[OCTETS, at, ("Upload-Checksum", "sha1 AAAA")]),
        (400, &[OCTETS, at, ("Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu1=")]),
        (400, &[OCTETS, at, ("Upload-Checksum", "crc32 AAAAAA==")]),
        (460, &[OCTETS, at, ("Upload-Checksum", SHA1)]),
        (460, &[OCTETS, at, ("Upload-Checksum", SHA256)]),
    ];
    for (status, fields) in rows {
        let answer = ask(server.addr(), "PATCH", &upload, fields, b"wrong");
        assert_eq!(answer.status, *status, "{fields:?}: {answer:?}");
        answer.expect_failure(*status);
        assert_eq!(server.offset(&upload), 5, "{fields:?}");
    }
    server.patch(&upload, 5, b" world!").expect_failure(413);
    assert_eq!(server.patch(&upload, 5, b" world").status, 204);
    assert_eq!(server.stored(&upload), b"hello world");
}

#[test]
fn a_chunked_patch_that_is_too_long_is_given_up_as_a_whole() {
    let server = Server::start();
    let upload = server.create(5);
    let fields = [OCTETS, ("Upload-Offset", "0"), ("Transfer-Encoding", "chunked")];
    let mut client = Client::connect(server.addr());
    client.send(head("PATCH", &upload, &fields));
    client.send("3\r\nabc\r\n");
    wait_until("a part is written", || server.stored(&upload) == b"abc");
    client.send("3\r\ndef\r\n0\r\n\r\n");
    client.read().expect_failure(413);
    assert_eq!((server.offset(&upload), server.completed()), (0, 0));
    let answer = ask(server.addr(), "PATCH", &upload, &fields, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(answer.status, 204);
    assert_eq!((server.stored(&upload), server.completed()), (b"abcde".to_vec(), 1));
}

#[test]
fn what_is_not_there_is_404_and_other_methods_are_405() {
    let server = Server::start();
    let upload = server.create(3);
    let unknown = "/files/0123456789abcdef0123456789abcdef";
    let upper = upload.to_uppercase().replace("FILES", "files");
    let long = format!("{upload}0");
    let info = format!("{upload}.info");
    let names = [
        "/files/x",
        "/files/..%2f..%2fetc%2fpasswd",
        "/files/%2e%2e",
        unknown,
        &upper,
        &long,
        &info,
    ];
    for target in names {
        for method in ["HEAD", "PATCH", "DELETE"] {
            let answer = ask(server.addr(), method, target, &[OCTETS, ("Upload-Offset", "0")], b"");
            assert_eq!(answer.status, 404, "{method} {target}");
        }
    }
    for (method, target, allowed) in [
        ("GET", "/files", "OPTIONS, POST"),
        ("DELETE", "/files/", "OPTIONS, POST"),
        ("GET", &*upload, "OPTIONS, HEAD, PATCH, DELETE"),
        ("POST", &*upload, "OPTIONS, HEAD, PATCH, DELETE"),
    ] {
        let answer = server.ask(method, target, &[]);
        answer.expect_failure(405);
        assert_eq!(answer.field("allow"), Some(allowed));
    }
    let mut client = Client::connect(server.addr());
    assert_eq!(client.request("HEAD", "/filesx").status, 404);
    assert_eq!(server.dir.names().len(), 2);
}

#[test]
fn the_method_in_a_field_is_the_one_that_counts() {
    let server = Server::start();
    let upload = server.create(5);
    let patch = ("X-HTTP-Method-Override", "PATCH");
    let answer =
        ask(server.addr(), "POST", &upload, &[patch, OCTETS, ("Upload-Offset", "0")], b"hello");
    assert_eq!((answer.status, answer.field("upload-offset")), (204, Some("5")));
    let answer = server.ask("POST", &upload, &[("X-HTTP-Method-Override", "HEAD")]);
    assert_eq!((answer.status, answer.field("upload-offset")), (200, Some("5")));
    let answer = server.ask("POST", &upload, &[("X-HTTP-Method-Override", "DELETE")]);
    assert_eq!(answer.status, 204);
    assert_eq!(server.ask("POST", &upload, &[patch, patch]).status, 400);
    assert!(server.dir.names().is_empty());
}

#[test]
fn the_method_in_a_field_is_that_of_no_other_request() {
    let server = Server::start();
    // On one connection, so that each request has the storage of the one before.
    let mut client = Client::connect(server.addr());
    let mut post = |fields: &[(&str, &str)]| {
        let all = [&[("Upload-Length", "5"), ("Content-Length", "0")], fields].concat();
        client.send(head("POST", "/files", &all));
        client.read_to("POST").status
    };
    for (method, status) in [("OPTIONS", 204), ("HEAD", 405), ("DELETE", 405)] {
        assert_eq!(post(&[("X-HTTP-Method-Override", method)]), status, "{method}");
        assert_eq!(post(&[]), 201, "after {method}");
    }
}

#[test]
fn a_location_goes_with_the_target_that_was_asked() {
    let server = Server::start();
    for (target, start) in [
        ("/files", "/files/"),
        ("/files/", "/files/"),
        ("/files?a=/b", "/files/"),
        ("/%66iles", "/%66iles/"),
        ("http://host:8/files", "http://host:8/files/"),
    ] {
        let answer = server.ask("POST", target, &[("Upload-Length", "1")]);
        let id = answer.field("location").and_then(|location| location.strip_prefix(start));
        assert_eq!(id.map(str::len), Some(32), "{target}: {answer:?}");
    }
}

#[test]
fn an_upload_of_nothing_is_complete_at_once() {
    let server = Server::start();
    let upload = server.create(0);
    assert_eq!((server.offset(&upload), server.completed()), (0, 1));
    assert_eq!(server.patch(&upload, 0, b"").status, 204);
    assert_eq!(server.completed(), 1);
}

#[test]
fn content_may_come_with_the_creation() {
    let server = Server::start();
    let create = |content: &[u8], fields: &[(&str, &str)]| {
        ask(
            server.addr(),
            "POST",
            "/files",
            &[&[OCTETS, ("Upload-Length", "11")], fields].concat(),
            content,
        )
    };
    let answer = create(b"hello ", &[]);
    assert_eq!((answer.status, answer.field("upload-offset")), (201, Some("6")));
    let upload = answer.field("location").unwrap();
    server.patch(upload, 6, b"world");
    assert_eq!(server.stored(upload), b"hello world");
    for sum in [SHA1, SHA256] {
        let answer = create(b"hello world", &[("Upload-Checksum", sum)]);
        assert_eq!((answer.status, answer.field("upload-offset")), (201, Some("11")));
    }
    assert_eq!((server.completed(), server.dir.names().len()), (3, 6));
    create(b"hello there", &[("Upload-Checksum", SHA1)]).expect_failure(460);
    create(b"hello world!", &[]).expect_failure(413);
    let chunked = ("Transfer-Encoding", "chunked");
    create(b"c\r\nhello world!\r\n0\r\n\r\n", &[chunked]).expect_failure(413);
    assert_eq!((server.completed(), server.dir.names().len()), (3, 6));
}

#[test]
fn a_length_may_be_told_later_and_once() {
    let server = Server::with(|uploads| uploads.max_upload_bytes(20));
    let upload = create(server.addr(), &[("Upload-Defer-Length", "1")]);
    server.patch(&upload, 0, b"hello ");
    let looked = server.ask("HEAD", &upload, &[]);
    expect_fields(
        &looked,
        &[
            ("upload-defer-length", Some("1")),
            ("upload-length", None),
            ("upload-offset", Some("6")),
        ],
    );
    server.patch(&upload, 6, &[b'x'; 15]).expect_failure(413);
    let tell = |length, content| {
        let fields = [OCTETS, ("Upload-Offset", "6"), ("Upload-Length", length)];
        ask(server.addr(), "PATCH", &upload, &fields, content)
    };
    tell("21", b"").expect_failure(413);
    tell("5", b"").expect_failure(400);
    assert_eq!(tell("11", b"").status, 204);
    tell("12", b"").expect_failure(400);
    tell("11", b"world!").expect_failure(413);
    assert_eq!((tell("11", b"world").status, server.completed()), (204, 1));
    let looked = server.ask("HEAD", &upload, &[]);
    expect_fields(&looked, &[("upload-defer-length", None), ("upload-length", Some("11"))]);
}

#[test]
fn a_length_told_late_may_be_that_which_is_there() {
    let server = Server::start();
    let upload = create(server.addr(), &[("Upload-Defer-Length", "1")]);
    server.patch(&upload, 0, b"hello");
    let fields = [OCTETS, ("Upload-Offset", "5"), ("Upload-Length", "5")];
    assert_eq!(ask(server.addr(), "PATCH", &upload, &fields, b"").status, 204);
    assert_eq!(server.completed(), 1);
}

#[test]
fn bytes_are_kept_when_their_checksum_is_right() {
    let server = Server::start();
    for sum in [SHA1, SHA256] {
        let upload = server.create(22);
        for offset in ["0", "11"] {
            let fields = [OCTETS, ("Upload-Offset", offset), ("Upload-Checksum", sum)];
            assert_eq!(ask(server.addr(), "PATCH", &upload, &fields, b"hello world").status, 204);
        }
        assert_eq!(server.stored(&upload), b"hello worldhello world");
    }
    assert_eq!(server.dir.names().len(), 4, "no trial is left over");
    // One that is to come behind the content would not be looked at.
    let upload = server.create(11);
    let fields = [
        OCTETS,
        ("Upload-Offset", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "X, upload-checksum"),
    ];
    let content = format!("b\r\nhello world\r\n0\r\nUpload-Checksum: {SHA1}\r\n\r\n");
    ask(server.addr(), "PATCH", &upload, &fields, content.as_bytes()).expect_failure(400);
    assert_eq!(server.offset(&upload), 0);
}

#[test]
fn an_answer_of_on_error_has_the_fields_of_the_protocol() {
    let dir = Dir::new();
    let uploads = Uploads::new(dir.path())
        .authorize(|_| Err(Error::new(ErrorKind::Unauthorized, "who are you?")));
    let app = Snow::new([mount("/files", uploads.routes().unwrap())])
        .on_error(|error: &Error| Response::html("sorry").status(error.status()));
    let running = serve(app);
    // Which looks for them.
    let answer = ask(running.local_addr(), "POST", "/files", &[("Upload-Length", "5")], b"");
    answer.expect(401, "sorry");
}

#[test]
fn the_program_says_who_may() {
    let server = Server::with(|uploads| {
        uploads.authorize(|req| match req.header("authorization") {
            Some("Bearer swordfish") => Ok(()),
            _ => Err(Error::new(ErrorKind::Unauthorized, "who are you?")),
        })
    });
    let key = ("Authorization", "Bearer swordfish");
    let upload = create(server.addr(), &[key, ("Upload-Length", "5")]);
    for (method, target) in [("POST", "/files"), ("HEAD", &upload), ("DELETE", &upload)] {
        let answer = server.ask(method, target, &[("Upload-Length", "5")]);
        assert_eq!(answer.status, 401, "{method}");
    }
    server.patch(&upload, 0, b"hello").expect(401, "who are you?\n");
    assert_eq!(server.ask("OPTIONS", "/files", &[]).status, 204);
    assert_eq!((server.stored(&upload).len(), server.dir.names().len()), (0, 2));
    assert_eq!(server.ask("DELETE", &upload, &[key]).status, 204);
}

#[test]
fn the_program_judges_the_method_that_counts() {
    let server = Server::with(|uploads| {
        uploads.authorize(|req| match req.method().as_str() {
            "DELETE" => Err(Error::new(ErrorKind::Unauthorized, "who are you?")),
            _ => Ok(()),
        })
    });
    let upload = server.create(5);
    for method in ["POST", "PATCH", "DELETE"] {
        let fields = [("X-HTTP-Method-Override", "DELETE")];
        assert_eq!(server.ask(method, &upload, &fields).status, 401, "{method}");
    }
    assert_eq!(server.ask("DELETE", &upload, &[("X-HTTP-Method-Override", "HEAD")]).status, 200);
    server.ask("POST", &upload, &[("X-HTTP-Method-Override", "not one")]).expect_failure(400);
}

#[test]
fn a_length_that_the_content_goes_beyond_is_not_taken_down() {
    let server = Server::start();
    let upload = create(server.addr(), &[("Upload-Defer-Length", "1")]);
    server.patch(&upload, 0, b"hello");
    let fields = [OCTETS, ("Upload-Offset", "5"), ("Upload-Length", "5")];
    ask(server.addr(), "PATCH", &upload, &fields, b"!").expect_failure(413);
    assert_eq!(server.ask("HEAD", &upload, &[]).field("upload-length"), None);
    assert_eq!(server.completed(), 0);
    assert_eq!(ask(server.addr(), "PATCH", &upload, &fields, b"").status, 204);
    assert_eq!(server.completed(), 1);
}
