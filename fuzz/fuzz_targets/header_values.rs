//! Fields, cookies, redirects and trailers that a handler makes of whatever it is given: the answer is
//! well-formed and says nothing else, or it is a 500.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    response::{self, Answer, Asked},
    script::Script,
    syntax,
};
use snow::{Cookie, HeaderName, HeaderValue, Response, Snow, TestClient, get};
use std::cell::RefCell;

thread_local! {
    static GIVEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static CLIENT: RefCell<TestClient> = RefCell::new(
        Snow::new([get("^/$", |_| GIVEN.with_borrow(|given| make(given)))])
            .configure(|config| config.access_log = false)
            .test_client()
            .expect("the table is sound"),
    );
}

/// Fields that the server sets itself.
const SERVERS: [&str; 5] =
    ["content-length", "transfer-encoding", "connection", "date", "keep-alive"];

fuzz_target!(|data: &[u8]| {
    GIVEN.with_borrow_mut(|given| given.splice(.., data.iter().copied()).for_each(drop));
    let output = CLIENT.with_borrow_mut(exchange);
    let asked = Asked { is_head: false, is_http10: false, expects_continue: false };
    let answer = response::read(&output, asked, true).expect("an answer");
    assert!(answer.is_complete && answer.len == output.len(), "one answer and nothing else");
    let head = &output[..output.len() - answer.content.len()];
    assert!(head.iter().all(|&byte| byte >= b' ' && byte != 0x7f || b"\t\r\n".contains(&byte)));
    check(&answer, data);
});

fn exchange(client: &mut TestClient) -> Vec<u8> {
    let mut connection = client.connect();
    connection.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.settle();
    connection.take()
}

/// What is made of the bytes: which of them is what.
struct Parts<'a> {
    kind: u8,
    first: &'a [u8],
    second: &'a [u8],
}

fn parts(data: &[u8]) -> Parts<'_> {
    let mut script = Script(data);
    let kind = script.byte() % 8;
    let len = usize::from(script.byte());
    Parts { kind, first: script.slice(len), second: script.0 }
}

/// Makes an answer of what was given.
fn make(given: &[u8]) -> Response {
    let Parts { kind, first, second } = parts(given);
    let (first_text, second_text) =
        (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    match kind {
        0 => Response::text("a").header(first, second),
        1 => Response::text("a").header(&*first_text, &*second_text),
        2 => Response::redirect(&second_text),
        3 => Response::text("a").cookie(Cookie::new(&first_text, &second_text)),
        4 => Response::text("a").cookie(Cookie::new("a", &first_text).path(&second_text)),
        5 => Response::text("a").cookie(Cookie::new("a", "b").domain(&second_text).secure()),
        6 => Response::text("a").header("content-type", second).header("content-length", first),
        _ => with_trailer(first, second),
    }
}

/// Trailers are made of fields that are valid already.
fn with_trailer(name: &[u8], value: &[u8]) -> Response {
    let field = HeaderName::from_bytes(name).ok().zip(HeaderValue::from_bytes(value).ok());
    let content: Vec<Result<&str, snow::Error>> = vec![Ok("a")];
    Response::stream(Pieces(content.into_iter())).trailers(|| field.into_iter().collect())
}

struct Pieces(std::vec::IntoIter<Result<&'static str, snow::Error>>);

impl futures_core::Stream for Pieces {
    type Item = Result<&'static str, snow::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

/// The answer says what it was made of, or that this could not be said.
fn check(answer: &Answer, data: &[u8]) {
    let Parts { kind, first, second } = parts(data);
    if kind == 7 {
        assert_eq!(answer.status, 200);
        return;
    }
    let is_value =
        |value: &[u8]| value.iter().all(|&byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    if kind == 0 && syntax::is_token(first) && is_value(second) {
        let name = String::from_utf8_lossy(first).to_ascii_lowercase();
        assert_eq!(answer.status, 200);
        let values = syntax::values(&answer.fields, &name);
        let is_there = values.contains(&syntax::trim(second));
        assert!(is_there || SERVERS.contains(&&*name), "a field is lost");
    } else if kind == 0 {
        assert_eq!(answer.status, 500);
    }
    let cookies = syntax::values(&answer.fields, "set-cookie");
    if matches!(kind, 3..=5) && answer.status == 200 {
        assert_eq!(cookies.len(), 1);
        let most = if kind == 3 { 0 } else { 2 };
        assert!(cookies[0].iter().filter(|&&byte| byte == b';').count() <= most);
    }
}
