//! Paths and queries: decoded once, strictly, as a strict reader does; whatever is escaped comes back
//! as it was, and nothing that is not text gets through.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    USUAL_LIMITS,
    request::{self, Verdict},
};
use snow::fuzzing::Codec;

fuzz_target!(|data: &[u8]| {
    as_it_is(data);
    escaped(data);
});

/// Takes the bytes for a target as they are.
fn as_it_is(data: &[u8]) {
    let input = [b"GET /", data, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let mut codec = Codec::new(&USUAL_LIMITS);
    let taken = codec.receive_head(&input);
    match request::read(&input, &USUAL_LIMITS) {
        Verdict::Accepted(head, len) => {
            assert_eq!(taken, Ok(Some(len)));
            let request = codec.request();
            assert_eq!(request.path(), head.path);
            assert_eq!(request.query_string().map(str::as_bytes), head.query.as_deref());
            assert!(request.path().starts_with('/') && !request.path().contains('\0'));
            check_pairs(request);
        }
        Verdict::Refused(_) => assert!(taken.is_err(), "{taken:?}"),
        Verdict::Partial => panic!("there is an end"),
    }
}

/// Names and values of a query are made of its own bytes, in order.
fn check_pairs(request: &snow::Request) {
    let query = request.query_string().unwrap_or_default();
    let pairs: Vec<_> = request.query_pairs().collect();
    assert_eq!(pairs.len(), query.split('&').filter(|pair| !pair.is_empty()).count());
    for (name, _) in &pairs {
        let first = pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        assert_eq!(request.query(name), first);
    }
}

/// Takes the bytes for a path with everything escaped, which is a path if it is text.
fn escaped(data: &[u8]) {
    let escapes: String = data.iter().map(|byte| format!("%{byte:02X}")).collect();
    let input = format!("GET /{escapes}?{escapes}={escapes} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut codec = Codec::new(&USUAL_LIMITS);
    let is_taken = codec.receive_head(input.as_bytes()) == Ok(Some(input.len()));
    match std::str::from_utf8(data) {
        Ok(text) if !text.contains('\0') => {
            assert!(is_taken);
            assert_eq!(&codec.request().path()[1..], text);
            assert_eq!(codec.request().query(text).as_deref(), Some(text));
        }
        _ => assert!(!is_taken),
    }
}
