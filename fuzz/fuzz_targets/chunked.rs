//! Chunked content: Snow and a strict reader take the same framing off, refuse the same, and neither
//! cares how the bytes are cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    SMALL_LIMITS,
    chunked::{self, Verdict},
    script::Script,
};
use snow::{
    ErrorKind,
    fuzzing::{Codec, Content},
};

/// A request whose content is to come.
const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Ends that could complete what has been refused before it was complete.
const ENDS: [&[u8]; 10] = [
    b"0\r\n\r\n",
    b"\r\n0\r\n\r\n",
    b"\n0\r\n\r\n",
    b"\r\n\r\n",
    b"\n\r\n",
    b"\n",
    b"a\r\n\r\n",
    b"\"\r\n\r\n",
    b":\r\n\r\n",
    b"=a\r\n\r\n",
];

/// What becomes of content.
type Outcome = Result<Option<Taken>, ErrorKind>;

/// Content, the fields behind it, and how many bytes both took.
type Taken = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize);

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let cut = usize::from(script.byte()).max(1);
    let data = script.0;
    let whole = decode(data, data.len().max(1));
    assert_eq!(decode(data, 1), whole, "whole, and byte by byte");
    assert_eq!(decode(data, cut), whole, "whole, and in pieces of {cut} bytes");
    match (chunked::read(data, &SMALL_LIMITS), whole) {
        (Verdict::Complete(content, fields, len), Ok(Some(taken))) => {
            let fields = fields.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
            assert_eq!(taken, (content, fields.collect(), len));
        }
        (Verdict::Refused(_), Err(_)) | (Verdict::Partial, Ok(None)) => {}
        // A trailer is looked at when its line has ended.
        (Verdict::Refused(_), Ok(None)) => {
            let ended = [data, b"\r\n\r\n"].concat();
            assert!(decode(&ended, ended.len()).is_err(), "not refused in the end either");
        }
        (Verdict::Partial, Err(kind)) => assert_hopeless(data, kind),
        (verdict, whole) => panic!("{verdict:?}, but Snow {whole:?}"),
    }
});

/// Decodes what comes in pieces of so many bytes.
fn decode(data: &[u8], step: usize) -> Outcome {
    let mut codec = Codec::new(&SMALL_LIMITS);
    assert_eq!(codec.receive_head(HEAD), Ok(Some(HEAD.len())));
    let (mut content, mut taken) = (Vec::new(), 0);
    for piece in data.chunks(step) {
        let mut rest = piece;
        loop {
            match codec.receive_content(&mut rest)? {
                Content::Data(data) => content.extend(data),
                Content::Incomplete => break,
                Content::End(fields) => {
                    taken += piece.len() - rest.len();
                    let plain = |(name, value): (snow::HeaderName, snow::HeaderValue)| {
                        (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
                    };
                    return Ok(Some((content, fields.into_iter().map(plain).collect(), taken)));
                }
            }
        }
        assert!(rest.is_empty(), "input is left over, and no content is complete");
        taken += piece.len();
    }
    Ok(None)
}

/// What is refused early is nothing that could still become content.
fn assert_hopeless(data: &[u8], kind: ErrorKind) {
    for end in ENDS {
        let verdict = chunked::read(&[data, end].concat(), &SMALL_LIMITS);
        assert!(!matches!(verdict, Verdict::Complete(..)), "{kind:?} too early: {verdict:?}");
    }
}
