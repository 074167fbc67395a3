//! Request heads: Snow and a strict reader agree on what is a request and on what it says, and Snow
//! comes to the same end however the bytes arrive and whatever request came before.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    SMALL_LIMITS,
    request::{self, Head, Verdict},
};
use snow::{
    ErrorKind, Version,
    fuzzing::{Codec, Framing},
};

/// Ends that could make a request of what has been refused before it was complete.
const ENDS: [&[u8]; 12] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"0 HTTP/1.1\r\nHost: a\r\n\r\n",
    b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HTTP/1.1\r\nHost: a\r\n\r\n",
    b"1\r\nHost: a\r\n\r\n",
    b"\r\nHost: a\r\n\r\n",
    b"\nHost: a\r\n\r\n",
    b": a\r\nHost: a\r\n\r\n",
    b"\r\n\r\n",
    b"\n",
];

fuzz_target!(|data: &[u8]| {
    let mut codec = Codec::new(&SMALL_LIMITS);
    let whole = codec.receive_head(data);
    let verdict = request::read(data, &SMALL_LIMITS);
    let by_bytes = by_bytes(data);
    // What has not come in full is not looked at with every byte.
    let is_early = verdict == Verdict::Partial && by_bytes == Ok(None);
    assert!(by_bytes == whole || is_early, "byte by byte {by_bytes:?}, whole {whole:?}");
    match (verdict, whole) {
        (Verdict::Accepted(head, len), Ok(Some(taken))) => {
            assert_eq!(len, taken);
            compare(&codec, &head);
            drop(codec);
            receive_again(data);
        }
        (Verdict::Refused(_), Err(_)) | (Verdict::Partial, Ok(None)) => {}
        (Verdict::Partial, Err(kind)) => assert_hopeless(data, kind),
        (verdict, whole) => panic!("{verdict:?}, but Snow {whole:?}"),
    }
});

/// Request lines before the fields of another head.
const LINES: [&[u8]; 4] = [
    b"GET /again HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"HEAD http://h/ HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
];

/// Receives the fields of what was received last behind other request lines, and then the same twice: in
/// storage where those fields, and at last the line, are known.
fn receive_again(data: &[u8]) {
    let lead = if data.starts_with(b"\r\n") { 2 } else { 0 };
    let end = data[lead..].windows(2).position(|two| two == b"\r\n").expect("a request line");
    let fields = &data[lead + end + 2..];
    for again in
        LINES.map(|line| [line, fields].concat()).iter().map(Vec::as_slice).chain([data, data])
    {
        let mut codec = Codec::new(&SMALL_LIMITS);
        match (request::read(again, &SMALL_LIMITS), codec.receive_head(again)) {
            (Verdict::Accepted(head, len), Ok(Some(taken))) => {
                assert_eq!(len, taken);
                compare(&codec, &head);
            }
            (Verdict::Refused(_), Err(_)) | (Verdict::Partial, Ok(None)) => {}
            (verdict, other) => panic!("{verdict:?}, but Snow {other:?}"),
        }
    }
}

/// Receives what comes byte by byte.
fn by_bytes(data: &[u8]) -> Result<Option<usize>, ErrorKind> {
    let mut codec = Codec::new(&SMALL_LIMITS);
    let outcomes = (1..=data.len()).map(|end| codec.receive_head(&data[..end]));
    outcomes.into_iter().find(|outcome| !matches!(outcome, Ok(None))).unwrap_or(Ok(None))
}

/// What is refused early is nothing that could still become a request.
fn assert_hopeless(data: &[u8], kind: ErrorKind) {
    for end in ENDS {
        let verdict = request::read(&[data, end].concat(), &SMALL_LIMITS);
        assert!(!matches!(verdict, Verdict::Accepted(..)), "{kind:?} too early: {verdict:?}");
    }
}

fn compare(codec: &Codec<'_>, head: &Head) {
    let request = codec.request();
    assert_eq!(request.method().as_str().as_bytes(), head.method);
    assert_eq!(request.target().as_bytes(), head.target);
    assert_eq!(request.version() == Version::Http10, head.is_http10);
    assert_eq!(request.query_string().map(str::as_bytes), head.query.as_deref());
    assert_eq!(request.host().map(str::as_bytes), head.host.as_deref());
    assert_eq!(request.path(), head.path);
    let fields = request.headers().iter();
    assert!(
        fields.eq(head
            .fields
            .iter()
            .map(|(name, value)| { (std::str::from_utf8(name).expect("a token"), &**value) }))
    );
    let framing = match head.framing {
        request::Framing::Length(length) => Framing::Length(length),
        request::Framing::Chunked => Framing::Chunked,
    };
    assert_eq!(codec.framing(), framing);
    assert_eq!(codec.is_keep_alive(), head.is_keep_alive);
    assert_eq!(codec.expects_continue(), head.expects_continue);
}
