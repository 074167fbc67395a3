//! Messages over streams: lines, messages behind their length, and what becomes of them under way.

mod util;

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use snow::{
    Error, ErrorKind,
    net::{
        Decode, Decoded, Decoder, Encode, FrameError, FrameErrorKind, Framed, LengthPrefixed, Line,
        Lines,
    },
    race, spawn, timeout,
};
use std::{
    collections::VecDeque,
    error::Error as _,
    fmt::Debug,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Instant,
};
use util::{
    Chance, PATIENCE,
    cuts::{decode, decode_however_cut},
    millis, pair, run,
};

/// Every kind of length prefix.
fn length_prefixes(max_len: usize) -> Vec<LengthPrefixed> {
    let widths =
        [LengthPrefixed::u8, LengthPrefixed::u16, LengthPrefixed::u32, LengthPrefixed::u64];
    let plain = widths.map(|width| width(max_len));
    let codecs = plain.iter().flat_map(|codec| [*codec, codec.little_endian()]);
    codecs.flat_map(|codec| [codec, codec.length_includes_prefix()]).collect()
}

fn encode<C: Encode<[u8]>>(codec: &C, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    for message in messages {
        codec.encode(&message[..], &mut stream).expect("can be encoded");
    }
    stream
}

#[track_caller]
fn comes_back<C>(codec: C, messages: &[Vec<u8>])
where
    C: Encode<[u8]> + Decode<Message: AsRef<[u8]> + PartialEq + Debug> + Clone + Debug,
{
    let (decoded, error) = decode_however_cut(codec.clone(), &encode(&codec, messages));
    assert_eq!(error, None, "{codec:?}");
    let decoded: Vec<&[u8]> = decoded.iter().map(AsRef::as_ref).collect();
    assert_eq!(decoded, messages, "{codec:?}");
}

#[test]
fn messages_cut_anywhere_and_glued_together_come_back() {
    let mut chance = Chance::new();
    let any: Vec<u8> = (0..=255).collect();
    let no_lf: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    for _ in 0..20 {
        let count = chance.below(6);
        let lens: Vec<usize> = (0..count).map(|_| chance.pick(&[0, 1, 2, 7, 40])).collect();
        let messages: Vec<_> = lens.iter().map(|len| chance.bytes(*len, &any)).collect();
        for codec in length_prefixes(40) {
            comes_back(codec, &messages);
        }
        let mut lines: Vec<_> = lens.iter().map(|len| chance.bytes(*len, &no_lf)).collect();
        lines.retain(|line| !line.ends_with(b"\r"));
        comes_back(Lines::new(40), &lines);
        comes_back(Lines::new(40).crlf(), &lines);
    }
}

#[test]
fn any_bytes_decode_to_the_same_however_they_are_cut() {
    let mut chance = Chance::new();
    for _ in 0..200 {
        let len = chance.below(40);
        let text = chance.bytes(len, b"a\r\n");
        decode_however_cut(Lines::new(3), &text);
        let lengths = chance.bytes(len, &[0, 0, 0, 1, 2, 8, 9, 255]);
        for codec in length_prefixes(9) {
            decode_however_cut(codec, &lengths);
        }
    }
}

#[test]
fn lines_end_with_lf_or_crlf_and_the_last_one_with_the_stream() {
    for (stream, expected) in [
        (&b""[..], &[][..]),
        (b"\n", &[""]),
        (b"\r\n", &[""]),
        (b"a", &["a"]),
        (b"a\nb", &["a", "b"]),
        (b"a\r\nb\n", &["a", "b"]),
        (b"a\r\r\n", &["a\r"]),
        (b"a\rb\n", &["a\rb"]),
        (b"\n\na\n", &["", "", "a"]),
        // A CR is taken off only where an LF stands behind it.
        (b"a\r", &["a\r"]),
        (b"1234\r\n1234\n1234", &["1234", "1234", "1234"]),
    ] {
        let (lines, error) = decode_however_cut(Lines::new(4), stream);
        let lines: Vec<_> = lines.iter().map(|line| line.text().unwrap()).collect();
        assert_eq!((&lines[..], error), (expected, None), "{stream:?}");
    }
}

#[test]
fn a_line_that_is_no_text_names_the_byte() {
    let line = Line::from(&b"ok \xff"[..]);
    let error = line.text().unwrap_err();
    assert_eq!(error.kind(), FrameErrorKind::Malformed);
    assert_eq!(error.to_string(), "byte 3 of a line, 0xff, is not UTF-8");
    assert!(error.source().is_some());
    assert_eq!(line.into_bytes(), &b"ok \xff"[..]);
}

/// Expects messages and then an error with these words.
#[track_caller]
fn refused<C>(codec: C, stream: &[u8], messages: usize, kind: FrameErrorKind, words: &str)
where
    C: Decode<Message: PartialEq + Debug> + Clone,
{
    let (decoded, error) = decode_however_cut(codec, stream);
    assert_eq!(error, Some((kind, words.to_owned())));
    assert_eq!(decoded.len(), messages);
}

#[test]
fn what_is_no_message_is_refused_in_words() {
    use FrameErrorKind::{Malformed, TooLong, Truncated};

    let too_long = "a line is longer than the limit of 4 bytes";
    refused(Lines::new(4), b"12345", 0, TooLong, too_long);
    refused(Lines::new(4), b"a\n12345\nb\n", 1, TooLong, too_long);
    refused(Lines::new(4), b"1234\r", 0, TooLong, too_long);
    refused(Lines::new(4), b"1234\r5\n", 0, TooLong, too_long);

    let u16 = LengthPrefixed::u16(4);
    let over = "a message of 5 bytes is longer than the limit of 4";
    refused(u16, b"\0\x05", 0, TooLong, over);
    refused(u16, b"\0\x01a\0\x05bcdef", 1, TooLong, over);
    refused(u16.length_includes_prefix(), b"\0\x07", 0, TooLong, over);
    let uncovered = "the length 1 does not cover its own 2 bytes";
    refused(u16.little_endian().length_includes_prefix(), b"\x01\0", 0, Malformed, uncovered);
    let huge = "a message of 18446744073709551615 bytes is longer than the limit of 4";
    refused(LengthPrefixed::u64(4), &[255; 8], 0, TooLong, huge);

    for (stream, missing) in [(&b"\0"[..], 1), (b"\0\x04", 4), (b"\0\x04abc", 1)] {
        let words = format!("the stream ended within a frame; bytes missing: at least {missing}");
        refused(u16, stream, 0, Truncated, &words);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_in_words_and_nothing_is_written() {
    use FrameErrorKind::{Malformed, TooLong};

    #[track_caller]
    fn refused<C: Encode<[u8]>>(codec: C, message: &[u8], kind: FrameErrorKind, words: &str) {
        let mut output = b"before".to_vec();
        let error = codec.encode(message, &mut output).unwrap_err();
        assert_eq!((error.kind(), &*error.to_string()), (kind, words));
        assert_eq!(output, b"before");
    }

    refused(Lines::new(2), b"abc", TooLong, "a line is longer than the limit of 2 bytes");
    let line_feed = "a line cannot contain a line feed, as this one does at byte 1";
    refused(Lines::new(9), b"a\nb", Malformed, line_feed);
    let carriage_return = "a line cannot end with a carriage return";
    refused(Lines::new(9), b"a\r", Malformed, carriage_return);

    let over = "a message of 3 bytes is longer than the limit of 2";
    refused(LengthPrefixed::u32(2), b"abc", TooLong, over);
    let u8 = LengthPrefixed::u8(1000);
    let words = "a message of 256 bytes is too long for a 1-byte length";
    refused(u8, &[0; 256], TooLong, words);
    let words = "a message of 255 bytes is too long for a 1-byte length";
    refused(u8.length_includes_prefix(), &[0; 255], TooLong, words);
    assert_eq!(encode(&u8, &[vec![7; 255]]).len(), 256);
    assert_eq!(encode(&u8.length_includes_prefix(), &[vec![7; 254]])[..2], [255, 7]);
}

#[test]
fn a_length_that_is_only_announced_takes_no_memory() {
    let most = usize::MAX as u64;
    for (codec, prefix) in [
        (LengthPrefixed::u64(usize::MAX), &(most / 2 + 1).to_be_bytes()[..]),
        (LengthPrefixed::u64(usize::MAX), &most.to_be_bytes()),
        (LengthPrefixed::u64(usize::MAX).length_includes_prefix(), &most.to_be_bytes()),
        (LengthPrefixed::u32(usize::MAX), &u32::MAX.to_be_bytes()),
    ] {
        let mut decoder = Decoder::new(codec);
        decoder.push(prefix);
        assert!(decoder.decode().unwrap().is_none());
        decoder.push(&[0; 1000]);
        assert!(decoder.decode().unwrap().is_none());
        assert!(decoder.capacity() < 4096, "{}", decoder.capacity());
    }
}

#[test]
fn memory_is_given_back_when_a_frame_is_done() {
    let mut decoder = Decoder::new(LengthPrefixed::u32(1 << 20));
    let frame = encode(decoder.codec(), &[vec![7; 1 << 20]]);
    decoder.push(&frame);
    decoder.push(b"\xff\xff");
    assert_eq!(decoder.decode().unwrap().unwrap().len(), 1 << 20);
    assert_eq!(decoder.rest(), b"\xff\xff");
    assert!(decoder.capacity() < 1024);
    // Nor does what is behind an error pile up.
    decoder.push(&[255; 2]);
    assert!(decoder.decode().is_err());
    decoder.push(&frame);
    assert!(decoder.decode().unwrap().is_none());
    assert!(decoder.capacity() < 1024 && decoder.is_over());
}

#[test]
fn a_message_that_drips_in_costs_linear_time() {
    // A search from the start for each byte would look at two million million of them.
    const LEN: usize = 2 << 20;
    let start = Instant::now();
    let mut lines = Decoder::new(Lines::new(LEN));
    let mut frames = Decoder::new(LengthPrefixed::u32(LEN));
    frames.push(&(LEN as u32).to_be_bytes());
    for _ in 0..LEN {
        assert!(lines.decode().unwrap().is_none() && frames.decode().unwrap().is_none());
        lines.push(b"a");
        frames.push(b"a");
    }
    lines.push(b"\n");
    assert_eq!(lines.decode().unwrap().unwrap().len(), LEN);
    assert_eq!(frames.decode().unwrap().unwrap().len(), LEN);
    assert!(start.elapsed() < 3 * PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn errors_tell_what_they_are_in_every_house() {
    for (kind, io_kind) in [
        (FrameErrorKind::TooLong, io::ErrorKind::InvalidData),
        (FrameErrorKind::Malformed, io::ErrorKind::InvalidData),
        (FrameErrorKind::Truncated, io::ErrorKind::UnexpectedEof),
    ] {
        let error = io::Error::from(FrameError::new(kind, "what was wrong"));
        assert_eq!((error.kind(), &*error.to_string()), (io_kind, "what was wrong"));
        let error = Error::from(FrameError::new(kind, "what was wrong"));
        // Not the fault of an HTTP client.
        assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::Handler, 500));
        assert_eq!(error.to_string(), "what was wrong");
    }
    let reset = || FrameError::from(io::Error::from(io::ErrorKind::ConnectionReset));
    assert_eq!(reset().kind(), FrameErrorKind::Io);
    assert!(reset().source().unwrap().is::<io::Error>());
    assert_eq!(io::Error::from(reset()).kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(Error::from(reset()).kind(), ErrorKind::Io);
    assert_eq!(format!("{:?}", reset()), "the stream failed: connection reset");
}

/// A stream whose reads are scripted and whose writes are kept.
#[derive(Default)]
struct Scripted {
    reads: VecDeque<io::Result<&'static [u8]>>,
    /// Read again and again once the script is over.
    forever: &'static [u8],
    writes: Vec<Vec<u8>>,
    /// Bytes that it takes before it takes no more; `None` when it takes all.
    room: Option<usize>,
    /// What comes of writes, if they do not work.
    refuses: Option<fn() -> io::Result<usize>>,
}

impl Scripted {
    fn reading(reads: impl IntoIterator<Item = &'static [u8]>) -> Scripted {
        Scripted { reads: reads.into_iter().map(Ok).collect(), ..Scripted::default() }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = self.reads.pop_front().unwrap_or(Ok(self.forever))?;
        buf[..read.len()].copy_from_slice(read);
        Poll::Ready(Ok(read.len()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(refuse) = self.refuses {
            return Poll::Ready(refuse());
        }
        let count = buf.len().min(self.room.unwrap_or(buf.len()));
        if count == 0 {
            return Poll::Pending;
        }
        self.room = self.room.map(|room| room - count);
        self.writes.push(buf[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls a future once.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn bytes_behind_the_last_message_are_kept() {
    let stream = Scripted::reading([&b"hello\nanother\n\0"[..], b"\x03abcrest"]);
    let mut lines = Framed::new(stream, Lines::new(80));
    run(async {
        assert_eq!(lines.next().await.unwrap().unwrap().text().unwrap(), "hello");
        assert_eq!(lines.next().await.unwrap().unwrap().text().unwrap(), "another");
        lines.feed("fed").await.unwrap();
        let mut frames = lines.with_codec(LengthPrefixed::u16(80));
        assert_eq!(frames.next().await.unwrap().unwrap(), "abc");
        frames.feed("too").await.unwrap();
        let parts = frames.into_parts();
        assert_eq!((&parts.rest[..], &parts.unsent[..]), (&b"rest"[..], &b"fed\n\0\x03too"[..]));
        assert!(parts.stream.reads.is_empty() && parts.stream.writes.is_empty());
    });
}

#[test]
fn after_an_error_there_are_no_messages() {
    let mut lines = Framed::new(Scripted::reading([&b"a\nlong\nb\n"[..]]), Lines::new(3));
    let broken: Vec<_> =
        vec![Ok(&b"a\nb"[..]), Err(io::ErrorKind::ConnectionReset.into()), Ok(b"c\n")];
    let broken = Scripted { reads: broken.into(), ..Scripted::default() };
    let mut broken = Framed::new(broken, Lines::new(3));
    run(async {
        assert_eq!(&lines.next().await.unwrap().unwrap()[..], b"a");
        assert_eq!(lines.next().await.unwrap().unwrap_err().kind(), FrameErrorKind::TooLong);
        assert!(lines.next().await.is_none());

        assert_eq!(&broken.next().await.unwrap().unwrap()[..], b"a");
        let error = broken.next().await.unwrap().unwrap_err();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionReset);
        assert!(broken.next().await.is_none());
        assert_eq!(broken.into_parts().rest, b"b");
    });
}

#[test]
fn it_is_a_stream() {
    let mut lines = Framed::new(Scripted::reading([&b"a\nb"[..]]), Lines::new(3));
    let mut next = async || poll_fn(|cx| Pin::new(&mut lines).poll_next(cx)).await;
    run(async {
        assert_eq!(next().await.unwrap().unwrap(), Line::from("a"));
        assert_eq!(next().await.unwrap().unwrap(), Line::from("b"));
        assert!(next().await.is_none());
    });
}

#[test]
fn small_messages_that_are_fed_go_out_in_one_write() {
    let mut lines = Framed::new(Scripted::default(), Lines::new(80));
    run(async {
        for n in 0..100 {
            lines.feed(&n.to_string()).await.unwrap();
        }
        assert_eq!(lines.get_ref().writes.len(), 0);
        lines.send("end").await.unwrap();
    });
    let writes = &lines.get_ref().writes;
    assert_eq!(writes.len(), 1);
    assert!(writes[0].starts_with(b"0\n1\n") && writes[0].ends_with(b"99\nend\n"));
    assert_eq!(lines.unsent(), 0);
}

#[test]
fn a_message_that_cannot_be_sent_leaves_the_others() {
    let mut lines = Framed::new(Scripted::default(), Lines::new(3));
    run(async {
        lines.feed("a").await.unwrap();
        assert_eq!(lines.send("long").await.unwrap_err().kind(), FrameErrorKind::TooLong);
        lines.send("b").await.unwrap();
    });
    assert_eq!(lines.get_ref().writes, [b"a\nb\n"]);
}

#[test]
fn a_feed_waits_for_room() {
    let stream = Scripted { room: Some(0), ..Scripted::default() };
    let mut frames = Framed::new(stream, LengthPrefixed::u32(1000));
    let mut fed = 0;
    while poll_once(frames.feed(&[7; 1000])).is_ready() {
        fed += 1;
        assert!(fed < 1000, "it never waits");
    }
    assert_eq!(frames.unsent(), fed * 1004);
    assert!((64 * 1024..66 * 1024).contains(&frames.unsent()));
    // What waited was not taken, and there is room again when the stream takes some.
    frames.get_mut().room = Some(2000);
    assert!(poll_once(frames.feed(&[8; 1000])).is_ready());
    frames.get_mut().room = None;
    assert!(poll_once(frames.flush()).is_ready());
    let mut decoder = Decoder::new(*frames.decoder().codec());
    frames.get_ref().writes.iter().for_each(|write| decoder.push(write));
    for n in 0..=fed {
        let expected = if n == fed { 8 } else { 7 };
        assert_eq!(decoder.decode().unwrap().unwrap(), vec![expected; 1000]);
    }
    assert!(decoder.rest().is_empty());
}

#[test]
fn what_is_unsent_does_not_pile_up_behind_a_slow_peer() {
    let mut frames = Framed::new(Scripted::default(), LengthPrefixed::u32(1000));
    for _ in 0..10_000 {
        frames.get_mut().room = Some(1004);
        frames.get_mut().writes.clear();
        let _ = poll_once(frames.feed(&[7; 1000]));
        let _ = poll_once(frames.flush());
        assert!(frames.unsent() < 66 * 1024);
    }
}

#[test]
fn a_stream_that_failed_is_not_written_again() {
    let refuses: fn() -> _ = || Err(io::ErrorKind::ConnectionReset.into());
    let failing = Scripted { refuses: Some(refuses), ..Scripted::default() };
    let mut lines = Framed::new(failing, Lines::new(80));
    run(async {
        lines.feed("a").await.unwrap();
        let error = lines.flush().await.unwrap_err();
        assert_eq!(error.kind(), FrameErrorKind::Io);
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionReset);
        lines.get_mut().refuses = None;
        for error in [
            lines.flush().await.unwrap_err(),
            lines.feed("b").await.unwrap_err(),
            lines.close().await.unwrap_err(),
        ] {
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::BrokenPipe);
        }
        assert!(lines.get_ref().writes.is_empty());
    });
}

#[test]
fn a_stream_that_takes_no_more_has_failed() {
    let full = Scripted { refuses: Some(|| Ok(0)), ..Scripted::default() };
    let mut lines = Framed::new(full, Lines::new(80));
    let error = run(lines.send("hello")).unwrap_err();
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::WriteZero);
    assert_eq!(lines.into_parts().unsent, b"hello\n");
}

#[test]
fn a_peer_that_never_pauses_leaves_others_their_turn() {
    let endless = Scripted { forever: b"on and on\n", ..Scripted::default() };
    run(async {
        let mut lines = Framed::new(endless, Lines::new(80));
        let busy = async {
            loop {
                let line = lines.next().await.unwrap().unwrap();
                lines.get_mut().writes.clear();
                lines.send(&line).await.unwrap();
            }
        };
        assert!(timeout(millis(20), busy).await.is_err());
    });
    // Nor one whose message has no end in sight.
    let endless = Scripted { forever: &[b'a'; 1000], ..Scripted::default() };
    run(async {
        let mut lines = Framed::new(endless, Lines::new(usize::MAX));
        assert!(timeout(millis(20), lines.next()).await.is_err());
    });
}

#[test]
fn a_peer_that_never_pauses_leaves_others_of_the_same_task_their_turn() {
    let endless = Scripted { forever: b"on and on\n", ..Scripted::default() };
    let mut endless = Framed::new(endless, Lines::new(80));
    // In pieces: each is a read, and so a turn.
    let script: [&[u8]; 4] = [b"o", b"ne\ntw", b"o\n", b""];
    let mut quiet = Framed::new(Scripted::reading(script), Lines::new(80));
    run(async {
        let busy = async {
            loop {
                endless.next().await.unwrap().unwrap();
            }
        };
        let answers = async {
            while let Some(line) = quiet.next().await {
                quiet.send(&line.unwrap()).await.unwrap();
            }
        };
        timeout(PATIENCE, race(busy, answers)).await.expect("it had its turns");
    });
    assert_eq!(quiet.get_ref().writes.concat(), b"one\ntwo\n");
}

#[test]
fn a_client_and_a_server_exchange_a_thousand_messages() {
    run(async {
        let (client, server) = pair().await;
        let codec = LengthPrefixed::u32(1 << 20).little_endian();
        let echo = spawn(async move {
            let mut frames = Framed::new(server, codec);
            let mut count = 0;
            while let Some(frame) = frames.next().await {
                frames.send(&frame?).await?;
                count += 1;
            }
            frames.close().await?;
            Ok::<_, FrameError>(count)
        });
        let mut frames = Framed::new(client, codec);
        let mut chance = Chance::new();
        for n in 0..1000 {
            let len = chance.pick(&[0, 1, 100, 5000, 70_000]);
            let message = vec![n as u8; len];
            frames.send(&message).await.unwrap();
            assert_eq!(frames.next().await.unwrap().unwrap(), message);
        }
        frames.close().await.unwrap();
        assert!(frames.next().await.is_none());
        assert_eq!(echo.await.unwrap(), 1000);
        assert!(frames.decoder().capacity() < 1024);
    });
}

#[test]
fn a_stream_that_ends_within_a_frame_is_told_from_one_that_ends() {
    run(async {
        for (sent, expected) in [(&b"\0\x01a"[..], None), (b"\0\x01a\0\x05bc", Some(3))] {
            let (client, server) = pair().await;
            let mut raw = Framed::new(client, Lines::new(0));
            poll_fn(|cx| Pin::new(raw.get_mut()).poll_write(cx, sent)).await.unwrap();
            drop(raw);
            let mut frames = Framed::new(server, LengthPrefixed::u16(80));
            assert_eq!(frames.next().await.unwrap().unwrap(), "a");
            match (frames.next().await, expected) {
                (None, None) => {}
                (Some(Err(error)), Some(missing)) => {
                    assert_eq!(error.kind(), FrameErrorKind::Truncated);
                    assert!(error.to_string().ends_with(&format!("at least {missing}")), "{error}");
                }
                (next, _) => panic!("{next:?}"),
            }
            assert!(frames.next().await.is_none());
        }
    });
}

#[test]
fn a_peer_that_stalls_within_a_frame_costs_its_own_task_only() {
    run(async {
        let (mut stalling, server) = pair().await;
        poll_fn(|cx| Pin::new(&mut stalling).poll_write(cx, b"half a li")).await.unwrap();
        let stalled = spawn(async move {
            let mut lines = Framed::new(server, Lines::new(80));
            let outcome = timeout(millis(100), lines.next()).await;
            (outcome.map(|_| ()), lines)
        });
        // Others are served meanwhile.
        let (client, server) = pair().await;
        let (mut client, mut server) =
            (Framed::new(client, Lines::new(80)), Framed::new(server, Lines::new(80)));
        for _ in 0..100 {
            client.send("hello").await.unwrap();
            assert_eq!(&server.next().await.unwrap().unwrap()[..], b"hello");
        }
        let (outcome, mut lines) = stalled.await;
        assert!(outcome.is_err());
        // And the half that came is not lost with the future that waited.
        poll_fn(|cx| Pin::new(&mut stalling).poll_write(cx, b"ne\n")).await.unwrap();
        assert_eq!(&lines.next().await.unwrap().unwrap()[..], b"half a line");
    });
}

#[test]
fn a_format_of_ones_own_is_two_traits() {
    /// A number of one digit.
    #[derive(Clone, Debug)]
    struct Digits;

    impl Decode for Digits {
        type Message = u8;
        type Progress = ();

        fn decode(&self, _: &mut (), input: &[u8]) -> Result<Decoded<u8>, FrameError> {
            match input.first() {
                Some(digit @ b'0'..=b'9') => Ok(Decoded::Message(digit - b'0', 1)),
                Some(_) => Err(FrameError::new(FrameErrorKind::Malformed, "no digit")),
                None => Ok(Decoded::Partial(1)),
            }
        }
    }

    impl Encode<u8> for Digits {
        /// Writes before it fails, which it should not.
        fn encode(&self, digit: &u8, output: &mut Vec<u8>) -> Result<(), FrameError> {
            output.push(b'0' + digit);
            let error = || FrameError::new(FrameErrorKind::TooLong, "more than a digit");
            if *digit < 10 { Ok(()) } else { Err(error()) }
        }
    }

    assert_eq!(decode(Digits, [&b"12"[..], b"3x4"]).0, [1, 2, 3]);
    let mut digits = Framed::new(Scripted::default(), Digits);
    run(async {
        digits.feed(&7).await.unwrap();
        digits.feed(&10).await.unwrap_err();
        digits.send(&8).await.unwrap();
    });
    assert_eq!(digits.get_ref().writes, [b"78"]);
}
