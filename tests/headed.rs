//! Headed messages: what a header must say, and what becomes of the content.

#![cfg(feature = "json")]

mod util;

use snow::{
    headed::{ByteOrder, Content, Headed, Message},
    net::{Decoder, Encode, FrameError, FrameErrorKind, Framed},
    spawn,
};
use std::{collections::BTreeMap, time::Instant};
use util::{
    Chance, PATIENCE,
    cuts::{decode, decode_however_cut},
    pair, run,
};

const HEADED: Headed = Headed::new(1000);

/// Puts a message together as it is on the wire.
fn frame(header: &str, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap();
    [&len.to_be_bytes()[..], header.as_bytes(), content].concat()
}

/// A header of a type, an encoding, and a length as it is written.
fn header(content_type: &str, content_encoding: &str, content_length: &str) -> String {
    format!(
        r#"{{"byteorder": "little", "content-type": "{content_type}", "content-encoding": "{content_encoding}", "content-length": {content_length}}}"#
    )
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut stream = Vec::new();
    HEADED.encode(message, &mut stream).expect("can be encoded");
    stream
}

#[test]
fn the_bytes_are_those_of_the_python_programs() {
    let request = Message::json(&BTreeMap::from([("action", "search"), ("value", "Zoë €")]));
    // json.dumps(…, ensure_ascii=False).encode("utf-8") for both, struct.pack(">H", …) in front.
    let python = b"\0\x67{\"byteorder\": \"little\", \"content-type\": \"text/json\", \
        \"content-encoding\": \"utf-8\", \"content-length\": 41}\
        {\"action\": \"search\", \"value\": \"Zo\xc3\xab \xe2\x82\xac\"}";
    assert_eq!(encoded(&request.unwrap().ordered(ByteOrder::Little)), python);

    let reply = Message::bytes("binary/custom-client-binary-type", &b"First 10 bytes"[..]);
    let python = b"\0\x7c{\"byteorder\": \"big\", \
        \"content-type\": \"binary/custom-client-binary-type\", \
        \"content-encoding\": \"binary\", \"content-length\": 14}First 10 bytes";
    assert_eq!(encoded(&reply.ordered(ByteOrder::Big)), python);
}

#[test]
fn messages_cut_anywhere_and_glued_together_come_back() {
    let mut chance = Chance::new();
    let any: Vec<u8> = (0..=255).collect();
    for _ in 0..40 {
        let messages: Vec<_> =
            (0..chance.below(4)).map(|_| any_message(&mut chance, &any)).collect();
        let stream: Vec<u8> = messages.iter().flat_map(encoded).collect();
        assert_eq!(decode_however_cut(HEADED, &stream), (messages, None));
    }
}

fn any_message(chance: &mut Chance, any: &[u8]) -> Message {
    let len = chance.pick(&[0, 1, 30]);
    let message = if chance.below(2) == 0 {
        let text: String =
            (0..len).map(|_| chance.pick(&['a', '"', '\\', '\n', '\u{7f}'])).collect();
        let encoding =
            chance.pick(&["utf-8", "ascii", "Latin-1", "utf_16", "utf-16-le", "UTF-16BE"]);
        Message::json(&(text, [Some(1), None], len)).unwrap().encoded(encoding)
    } else {
        Message::bytes("binary", chance.bytes(len, any)).encoded("what I call it")
    };
    let message = message.ordered(chance.pick(&[ByteOrder::Big, ByteOrder::Little]));
    if chance.below(2) == 0 { message.with("ключ", len).with("", "x") } else { message }
}

#[test]
fn unknown_keys_are_kept() {
    let stream = frame(
        r#" {"z": [1, {"a": null}], "content-length": 0, "content-encoding": "none", "a": "ä",
            "content-type": "a/b", "byteorder": "big"} "#,
        b"",
    );
    let (messages, error) = decode_however_cut(HEADED, &stream);
    assert_eq!(error, None);
    let message = &messages[0];
    let keys: Vec<_> = message.others().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["z", "a"]);
    assert_eq!(message.get("a").unwrap(), "ä");
    assert_eq!(message.get("z").unwrap()[0], 1);
    assert_eq!(message.get("byteorder"), None);
    assert_eq!(message.byte_order(), ByteOrder::Big);
    assert_eq!((message.content_type(), message.content_encoding()), ("a/b", "none"));
    assert_eq!(message.as_json(), None);
    // And sent on.
    assert_eq!(decode(HEADED, [&encoded(message)[..]]).0, messages);
}

#[test]
fn json_is_decoded_by_its_encoding() {
    for (encoding, content) in [
        ("utf-8", &b"\"\xc3\xa4\""[..]),
        ("UTF8", b" \"\xc3\xa4\" "),
        ("ascii", b"\"\\u00e4\""),
        ("latin-1", b"\"\xe4\""),
        ("ISO-8859-1", b"\"\xe4\""),
        ("utf-16-le", b"\"\0\xe4\0\"\0"),
        ("utf_16_be", b"\0\"\0\xe4\0\""),
        ("utf-16", b"\xff\xfe\"\0\xe4\0\"\0"),
        ("utf-16", b"\xfe\xff\0\"\0\xe4\0\""),
        // Without a mark, in the order of the header.
        ("utf-16", b"\"\0\xe4\0\"\0"),
    ] {
        let header = header("text/json", encoding, &content.len().to_string());
        let (messages, error) = decode_however_cut(HEADED, &frame(&header, content));
        assert_eq!(error, None, "{encoding}");
        assert_eq!(messages[0].as_json().unwrap(), "ä", "{encoding}");
        assert_eq!(messages[0].parse::<&str>().unwrap(), "ä");
        assert_eq!(messages[0].parse::<char>().unwrap(), 'ä');
        let error = messages[0].parse::<u8>().unwrap_err();
        assert_eq!(error.to_string(), "the content has another shape");
    }
}

#[test]
fn other_content_stays_as_it_is() {
    let content = b"\xff{not json";
    for content_type in ["binary/custom-client-binary-type", "application/json", "TEXT/JSON", ""] {
        let header = header(content_type, "no such encoding", &content.len().to_string());
        let (messages, error) = decode_however_cut(HEADED, &frame(&header, content));
        assert_eq!(error, None);
        assert_eq!(*messages[0].content(), Content::Bytes(content[..].into()));
        let error = messages[0].parse::<u8>().unwrap_err();
        assert_eq!(error.to_string(), "the content is not of the type text/json");
    }
}

/// Expects a good message and then an error with these words.
#[track_caller]
fn refused(stream: &[u8], kind: FrameErrorKind, words: &str) {
    let good = Message::bytes("good", &b"content"[..]);
    let (messages, error) = decode_however_cut(HEADED, &[&encoded(&good), stream].concat());
    assert_eq!(error, Some((kind, words.to_owned())));
    assert_eq!(messages, [good]);
}

#[test]
fn a_bad_header_is_refused_in_words() {
    for (text, words) in [
        ("", "the header is not JSON"),
        ("{", "the header is not JSON"),
        ("{}}", "the header is not JSON"),
        ("\u{feff}{}", "the header is not JSON"),
        ("[]", "the header is not a JSON object"),
        ("\"byteorder\"", "the header is not a JSON object"),
        ("{}", "the header has no `byteorder`"),
        (r#"{"a": 1, "a": 1}"#, "the header has \"a\" twice"),
        (r#"{"byteorder": "little", "byteorder": "big"}"#, "the header has \"byteorder\" twice"),
        (r#"{"byteorder": 1}"#, "`byteorder` is not text"),
        (
            r#"{"byteorder": "middle"}"#,
            r#"`byteorder` is "middle", and neither "little" nor "big""#,
        ),
    ] {
        refused(&frame(text, b""), FrameErrorKind::Malformed, words);
    }
    refused(b"\0\x03\"\xff\"", FrameErrorKind::Malformed, "the header is not JSON");
}

#[test]
fn each_key_must_be_there_and_of_its_type() {
    let good = header("a/b", "binary", "0");
    for (key, name) in [
        (r#""byteorder": "little""#, "byteorder"),
        (r#""content-type": "a/b""#, "content-type"),
        (r#""content-encoding": "binary""#, "content-encoding"),
        (r#""content-length": 0"#, "content-length"),
    ] {
        let words = format!("the header has no `{name}`");
        refused(&frame(&good.replace(key, r#""x": 0"#), b""), FrameErrorKind::Malformed, &words);
        let words = if name == "content-length" {
            format!("`{name}` is not a whole number of bytes")
        } else {
            format!("`{name}` is not text")
        };
        let of_another_type = good.replace(key, &format!(r#""{name}": null"#));
        refused(&frame(&of_another_type, b""), FrameErrorKind::Malformed, &words);
        let twice = good.replace(key, &format!("{key}, {key}"));
        let words = format!("the header has {name:?} twice");
        refused(&frame(&twice, b""), FrameErrorKind::Malformed, &words);
    }
}

#[test]
fn a_length_is_a_whole_number_within_the_limit() {
    let whole = "`content-length` is not a whole number of bytes";
    for length in ["-1", "1.5", "1.0", "1e2", "\"1\"", "true", "[1]", "18446744073709551616"] {
        let header = header("a/b", "binary", length);
        refused(&frame(&header, b""), FrameErrorKind::Malformed, whole);
    }
    for length in ["1001", "9223372036854775808", "18446744073709551615"] {
        let words = format!("content of {length} bytes is longer than the limit of 1000");
        refused(&frame(&header("a/b", "binary", length), b""), FrameErrorKind::TooLong, &words);
    }
    let words = "a header of 65535 bytes is longer than the limit of 4096";
    refused(b"\xff\xff", FrameErrorKind::TooLong, words);
}

#[test]
fn content_that_is_not_what_it_says_is_refused_in_words() {
    for (encoding, content, words) in [
        ("utf-7", &b"1"[..], "the content encoding \"utf-7\" is unknown"),
        ("", b"1", "the content encoding \"\" is unknown"),
        ("utf-8", b"\"\xe4\"", "byte 1 of the content, 0xe4, is not UTF-8"),
        ("ascii", b"\"\xc3\xa4\"", "byte 1 of the content, 0xc3, is not ASCII"),
        ("utf-16-le", b"1\0\0", "the content ends within a unit of UTF-16"),
        ("utf-16-le", b"\"\0\0\xd8\"\0", "the content has 0xd800, half a character of UTF-16"),
        ("utf-16-be", b"1\0", "the content is not JSON"),
        ("utf-8", b"", "the content is not JSON"),
        ("utf-8", b"{", "the content is not JSON"),
        ("utf-8", b"1 2", "the content is not JSON"),
    ] {
        let header = header("text/json", encoding, &content.len().to_string());
        refused(&frame(&header, content), FrameErrorKind::Malformed, words);
    }
    // Deeper than a stack should be asked to follow.
    let deep = "[".repeat(500);
    let header = header("text/json", "utf-8", "500");
    refused(&frame(&header, deep.as_bytes()), FrameErrorKind::Malformed, "the content is not JSON");
}

#[test]
fn what_a_peer_wrote_is_quoted_in_part() {
    let header = header("text/json", &"\\n".repeat(1000), "0");
    let (_, error) = decode(HEADED, [&frame(&header, b"")[..]]);
    let (_, words) = error.unwrap();
    assert!(words.len() < 200 && words.contains("…") && !words.contains('\n'), "{words}");
}

#[test]
fn a_message_that_breaks_off_says_how_much_is_missing() {
    let stream = frame(&header("a/b", "binary", "10"), b"12345");
    let header_len = stream.len() - 7;
    for (len, missing) in [(1, 1), (2, header_len), (5, header_len - 3), (stream.len(), 5)] {
        let words = format!("the stream ended within a frame; bytes missing: at least {missing}");
        refused(&stream[..len], FrameErrorKind::Truncated, &words);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_in_words_and_nothing_is_written() {
    use FrameErrorKind::{Malformed, TooLong};

    let json = || Message::json("ä€").unwrap();
    let bytes = |len| Message::bytes("a/b", vec![0; len]);
    let not_json = "content is JSON if, and only if, it is of the type text/json";
    for (message, kind, words) in [
        (bytes(1001), TooLong, "content of 1001 bytes is longer than the limit of 1000"),
        (bytes(0).encoded("x".repeat(4000)), TooLong, "a header of 4091 bytes"),
        (bytes(0).with("content-length", 1), Malformed, "the header has \"content-length\" twice"),
        (bytes(0).with("a", 1).with("a", 1), Malformed, "the header has \"a\" twice"),
        (Message::bytes("text/json", &b"1"[..]).encoded("utf-8"), Malformed, not_json),
        (json().encoded("ebcdic"), Malformed, "the content encoding \"ebcdic\" is unknown"),
        (json().encoded("ascii"), Malformed, "the content has 'ä', which is not ASCII"),
        (json().encoded("latin-1"), Malformed, "the content has '€', which is not Latin-1"),
    ] {
        let mut output = b"before".to_vec();
        let error = HEADED.max_header(4090).encode(&message, &mut output).unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with(words), "{error}");
        assert_eq!(output, b"before");
    }
    let keys = BTreeMap::from([((1, 2), 3)]);
    assert_eq!(Message::json(&keys).unwrap_err().kind(), Malformed);
    // No limit makes a header longer than its length can tell.
    let long = bytes(0).encoded("x".repeat(70_000));
    let error = HEADED.max_header(usize::MAX).encode(&long, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), TooLong);
}

#[test]
fn content_that_is_only_announced_takes_no_memory() {
    let mut decoder = Decoder::new(Headed::new(usize::MAX));
    let half = usize::MAX / 2 + 1;
    decoder.push(&frame(&header("a/b", "binary", &half.to_string()), b"a few"));
    assert!(decoder.decode().unwrap().is_none());
    assert!(decoder.capacity() < 4096, "{}", decoder.capacity());
}

#[test]
fn content_that_drips_in_costs_linear_time() {
    // To read such a header for each byte of the content would take minutes.
    const LEN: usize = 1 << 19;
    let long = header(&"x".repeat(60_000), "binary", &LEN.to_string());
    let start = Instant::now();
    let mut decoder = Decoder::new(Headed::new(LEN).max_header(usize::MAX));
    decoder.push(&frame(&long, b""));
    for _ in 0..LEN {
        assert!(decoder.decode().unwrap().is_none());
        decoder.push(b"a");
    }
    assert!(decoder.decode().unwrap().is_some());
    assert!(start.elapsed() < 3 * PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn a_client_asks_and_a_server_answers_in_kind() {
    run(async {
        let (client, stream) = pair().await;
        let server = spawn(async move {
            let mut messages = Framed::new(stream, HEADED);
            while let Some(request) = messages.next().await {
                let reply = match request?.into_content() {
                    Content::Json(request) => Message::json(&[&request["value"]])?,
                    Content::Bytes(bytes) => Message::bytes("reply", bytes),
                    _ => unreachable!("there is no third kind"),
                };
                messages.send(&reply).await?;
            }
            Ok::<_, FrameError>(())
        });
        let mut messages = Framed::new(client, HEADED);
        for n in 0..500 {
            messages.feed(&Message::json(&BTreeMap::from([("value", n)])).unwrap()).await.unwrap();
            messages.send(&Message::bytes("request", n.to_string())).await.unwrap();
            let reply = messages.next().await.unwrap().unwrap();
            assert_eq!(reply.parse::<[i32; 1]>().unwrap(), [n]);
            let reply = messages.next().await.unwrap().unwrap();
            assert_eq!(reply.into_content(), Content::Bytes(n.to_string().into()));
        }
        messages.close().await.unwrap();
        server.await.unwrap();
    });
}
