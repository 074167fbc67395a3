//! What handlers may return, what they can read, and what happens when they fail.

mod util;

use futures_core::Stream;
use snow::{
    Bytes, ClientResponse, Cookie, Error, ErrorKind, Future, Handler, HeaderName, HeaderValue,
    IntoResponse, Reply, Request, Response, Result, SameSite, Snow, StatusCode, TimeoutFuture, get,
    post, route,
};
use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    fmt,
    future::{pending, poll_fn},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};
use util::{Client, collect_log, in_every_arrival, logged, serve, wait_until};

/// A type of the program's own.
struct Csv(&'static str);

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        Response::text(self.0).header("content-type", "text/csv")
    }
}

async fn async_fn(req: Request) -> String {
    snow::sleep(Duration::from_millis(1)).await;
    format!("async {}", req.path())
}

fn plain_fn(req: Request) -> String {
    format!("fn {}", req.path())
}

#[test]
fn every_kind_of_answer_is_sent_as_what_it_is() {
    const TEXT: &str = "text/plain";
    const BYTES: &str = "application/octet-stream";
    let captured = "captured".to_string();
    let routes = [
        get("^/response$", |_| Response::text("r").status(StatusCode::CREATED)),
        get("^/html$", |_| Response::html("<p>")),
        get("^/str$", |_| "str"),
        get("^/string$", |_| String::from("string")),
        get("^/cow/borrowed$", |_| Cow::Borrowed("borrowed")),
        get("^/cow/owned$", |_| Cow::<str>::Owned("owned".into())),
        get("^/vec$", |_| vec![1_u8, b'2']),
        get("^/slice$", |_| &b"slice"[..]),
        get("^/array$", |_| b"array"),
        get("^/bytes$", |_| Bytes::from_static(b"bytes")),
        get("^/unit$", |_| ()),
        get("^/status$", |_| StatusCode::IM_A_TEAPOT),
        get("^/status/none$", |_| StatusCode::NO_CONTENT),
        get("^/pair$", |_| (StatusCode::ACCEPTED, "pair")),
        get("^/pair/pair$", |_| (StatusCode::ACCEPTED, (StatusCode::OK, "inner"))),
        get("^/some$", |_| Some("some")),
        get("^/none$", |_| None::<String>),
        get("^/ok$", |_| Ok::<_, Error>("ok")),
        get("^/ok/some$", |_| Ok::<_, io::Error>(Some((StatusCode::OK, "deep")))),
        get("^/own$", |_| Csv("a,b")),
        get("^/fn$", plain_fn),
        get("^/async$", async_fn),
        get("^/async/closure$", async |req: Request| req.path().to_string()),
        get("^/async/block$", |_| async { Some("block") }),
        get("^/async/captured$", move |_| std::future::ready(captured.clone())),
        get("^/future$", |_| {
            let future = Future::new(|number: u8| format!("future {number}"));
            future.set_result(7).expect("nobody has set it");
            future
        }),
        get("^/future/ok$", |_| {
            let future = Future::new(|()| "fine");
            future.set_result(()).expect("nobody has set it");
            Ok::<_, Error>(future)
        }),
        get("^/time$", |_| TimeoutFuture::new(Duration::from_millis(1)).then(|| Csv("late"))),
        get("^/time/ok$", |_| Ok::<_, Error>(TimeoutFuture::new(Duration::from_millis(1)))),
        get("^/time/err$", |_| Err::<TimeoutFuture, _>(Error::new(ErrorKind::Conflict, "busy"))),
        get("^/future/err$", |_| Err::<Future<()>, _>(Error::new(ErrorKind::Forbidden, "no"))),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for (target, status, content_type, body) in [
        ("/response", 201, TEXT, "r"),
        ("/html", 200, "text/html", "<p>"),
        ("/str", 200, TEXT, "str"),
        ("/string", 200, TEXT, "string"),
        ("/cow/borrowed", 200, TEXT, "borrowed"),
        ("/cow/owned", 200, TEXT, "owned"),
        ("/vec", 200, BYTES, "\u{1}2"),
        ("/slice", 200, BYTES, "slice"),
        ("/array", 200, BYTES, "array"),
        ("/bytes", 200, BYTES, "bytes"),
        ("/pair", 202, TEXT, "pair"),
        ("/pair/pair", 202, TEXT, "inner"),
        ("/some", 200, TEXT, "some"),
        ("/ok", 200, TEXT, "ok"),
        ("/ok/some", 200, TEXT, "deep"),
        ("/own", 200, "text/csv", "a,b"),
        ("/fn", 200, TEXT, "fn /fn"),
        ("/async", 200, TEXT, "async /async"),
        ("/async/closure", 200, TEXT, "/async/closure"),
        ("/async/block", 200, TEXT, "block"),
        ("/async/captured", 200, TEXT, "captured"),
        ("/future", 200, TEXT, "future 7"),
        ("/future/ok", 200, TEXT, "fine"),
        ("/time", 200, "text/csv", "late"),
    ] {
        let answer = client.get(target);
        answer.expect(status, body);
        let known = answer.field("content-type").expect("the content has a type");
        assert!(known.starts_with(content_type), "{target}: {known}");
        assert_eq!(answer.field("content-length"), Some(&*body.len().to_string()));
        answer.expect_close(false);
    }
    client.get("/unit").expect(200, "");
    client.get("/status").expect_failure(418);
    client.get("/status/none").expect(204, "");
    client.get("/none").expect_failure(404);
    client.get("/time/ok").expect_failure(504);
    client.get("/time/err").expect(409, "busy\n");
    client.get("/future/err").expect(403, "no\n");
}

#[cfg(feature = "json")]
mod json {
    use super::*;
    use serde::{Deserialize, Serialize, Serializer};
    use snow::{Json, post};

    #[derive(Serialize, Deserialize)]
    struct Point {
        x: i32,
    }

    /// A value that cannot be serialised.
    struct Stubborn;

    impl Serialize for Stubborn {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a secret reason"))
        }
    }

    #[test]
    fn json_goes_both_ways() {
        let routes = [
            get("^/point$", |_| Json(Point { x: 1 })),
            get("^/made$", |_| (StatusCode::CREATED, Json([1, 2]))),
            post("^/point$", |req: Request| -> Result<Json<Point>> {
                let point: Point = req.json()?;
                Ok(Json(Point { x: point.x + 1 }))
            }),
        ];
        let mut client = Snow::new(routes).test_client().unwrap();
        let answer = client.get("/point").send();
        assert_eq!((answer.status(), answer.text()), (200, r#"{"x":1}"#));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let answer = client.get("/made").send();
        assert_eq!((answer.status(), answer.text()), (201, "[1,2]"));
        assert_eq!(client.post("/point").body(r#" {"x": 41}"#).send().text(), r#"{"x":42}"#);
        for content in ["", "{", r#"{"y":1}"#, r#"{"x":1}x"#, r#"{"x":"1"}"#] {
            assert_eq!(client.post("/point").body(content).send().status(), 400, "{content:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_serialised_is_a_500() {
        let routes = [
            get("^/plain$", |_| Json(Stubborn)),
            get("^/pair$", |_| (StatusCode::CREATED, Json(Stubborn))),
        ];
        let mut client = Snow::new(routes).test_client().unwrap();
        for target in ["/plain", "/pair"] {
            let answer = client.get(target).send();
            assert_eq!(answer.status(), 500, "{target}");
            assert!(!answer.text().contains("secret"));
        }
    }
}

#[test]
fn errors_of_the_usual_kinds_become_answers() {
    fn number() -> Result<u8> {
        Ok("secret".parse::<u8>()?)
    }
    fn file() -> Result<String> {
        Ok(std::fs::read_to_string("/secret/file")?)
    }
    fn utf8() -> Result<String> {
        Ok(String::from_utf8(vec![0xff])?)
    }
    fn format() -> Result<()> {
        Err(fmt::Error)?
    }
    fn words() -> Result<()> {
        Err("secret words")?
    }
    fn string() -> Result<()> {
        Err(String::from("secret string"))?
    }
    fn boxed() -> Result<()> {
        let boxed: Box<dyn std::error::Error + Send + Sync> = "secret box".into();
        Err(boxed)?
    }
    fn header() -> Result<()> {
        HeaderValue::from_str("secret\n")?;
        Ok(())
    }
    async fn elapsed() -> Result<()> {
        Ok(snow::timeout(Duration::from_millis(1), pending()).await?)
    }
    let kind = |kind| move |_: Request| Err::<(), _>(Error::new(kind, "a reason"));
    let routes = [
        get("^/500/number$", |_| number().map(|number| number.to_string())),
        get("^/500/file$", |_| file()),
        get("^/500/utf8$", |_| utf8()),
        get("^/500/format$", |_| format()),
        get("^/500/words$", |_| words()),
        get("^/500/string$", |_| string()),
        get("^/500/boxed$", |_| boxed()),
        get("^/500/header$", |_| header()),
        get("^/500/async$", async |_| -> Result<String> { file() }),
        get("^/500/foreign$", |_| Err::<(), _>("secret")),
        get("^/500/handler$", kind(ErrorKind::Handler)),
        get("^/504/elapsed$", |_| elapsed()),
        get("^/400/kind$", kind(ErrorKind::BadRequest)),
        get("^/401/kind$", kind(ErrorKind::Unauthorized)),
        get("^/403/kind$", kind(ErrorKind::Forbidden)),
        get("^/404/kind$", kind(ErrorKind::NotFound)),
        get("^/409/kind$", kind(ErrorKind::Conflict)),
        get("^/413/kind$", kind(ErrorKind::ContentTooLarge)),
        get("^/415/kind$", kind(ErrorKind::UnsupportedMediaType)),
        get("^/422/kind$", kind(ErrorKind::UnprocessableContent)),
        get("^/503/kind$", kind(ErrorKind::Unavailable)),
    ];
    let targets: Vec<_> = routes.iter().map(|route| format!("{route:?}")).collect();
    let targets = targets.iter().map(|text| text.split(['^', '$']).nth(1).unwrap());
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for target in targets {
        let answer = client.get(target);
        let status: u16 = target[1..4].parse().unwrap();
        answer.expect_failure(status);
        // The client reads why it is at fault, and not why the server is.
        assert_eq!(answer.text() == "a reason\n", status < 500, "{target}: {answer:?}");
        assert!(!answer.text().contains("secret"), "{target}: {answer:?}");
    }
}

/// Once when it is called, and once when it is woken.
#[test]
fn a_handler_that_waits_is_asked_when_it_has_something_to_say() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = serve(Snow::new([get("^/$", move |_: Request| {
        let count = Arc::clone(&count);
        let is_woken = Arc::new(AtomicBool::new(false));
        poll_fn(move |cx| {
            count.fetch_add(1, Ordering::SeqCst);
            if is_woken.load(Ordering::SeqCst) {
                return Poll::Ready("woken");
            }
            let (waker, is_woken) = (cx.waker().clone(), Arc::clone(&is_woken));
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                is_woken.store(true, Ordering::SeqCst);
                waker.wake();
            });
            Poll::Pending
        })
    })]));
    let mut client = Client::connect(server.local_addr());
    for answered in 1..=3 {
        client.get("/").expect(200, "woken");
        assert_eq!(asked.load(Ordering::SeqCst), 2 * answered);
    }
}

#[test]
fn state_is_shared_by_type() {
    struct Greeting(&'static str);
    let routes = [
        get("^/count$", |req: Request| {
            req.state::<AtomicUsize>().fetch_add(1, Ordering::Relaxed).to_string()
        }),
        get("^/greet$", |req: Request| req.state::<Greeting>().0),
        get("^/lacking$", |req: Request| req.state::<String>().clone()),
        get("^/later$", async |req: Request| {
            snow::sleep(Duration::from_millis(1)).await;
            req.state::<Greeting>().0
        }),
    ];
    let app = Snow::new(routes).state(AtomicUsize::new(5)).state(Greeting("first"));
    let server = serve(app.state(Greeting("second")).workers(2));
    for count in ["5", "6", "7", "8"] {
        // Connections of their own, so that both workers may have some.
        Client::connect(server.local_addr()).get("/count").expect(200, count);
    }
    let mut client = Client::connect(server.local_addr());
    client.get("/greet").expect(200, "second");
    client.get("/later").expect(200, "second");
    Client::connect(server.local_addr()).get("/lacking").expect_failure(500);
}

#[test]
fn state_ends_with_the_server() {
    let state = Arc::new(());
    let app = Snow::new([get("^/$", |_| "hello")]).state(Arc::clone(&state));
    let mut client = app.test_client().unwrap();
    assert_eq!(client.get("/").send().text(), "hello");
    drop(client);
    // On this thread, which goes on, nothing of a request holds it.
    assert_eq!(Arc::strong_count(&state), 1);
}

#[test]
fn state_ends_with_a_request_that_outlasts_its_server() {
    static KEPT: Mutex<Option<Request>> = Mutex::new(None);
    let keep = |req: Request| *KEPT.lock().unwrap() = Some(req);
    let state = Arc::new(());
    let app = Snow::new([get("^/$", keep)]).state(Arc::clone(&state));
    let mut first = app.test_client().unwrap();
    // Another server of this thread, which goes on and keeps what its own requests leave.
    let mut second = Snow::new([get("^/$", |_| "hello")]).test_client().unwrap();
    first.get("/").send();
    drop(first);
    assert_eq!(Arc::strong_count(&state), 2);
    drop(KEPT.lock().unwrap().take());
    assert_eq!(Arc::strong_count(&state), 1);
    assert_eq!(second.get("/").send().text(), "hello");
}

#[test]
fn state_ends_though_another_server_drops_a_request() {
    static SENT: Mutex<Option<Request>> = Mutex::new(None);
    let send = |req: Request| *SENT.lock().unwrap() = Some(req);
    let take = |_| drop(SENT.lock().unwrap().take());
    let state = Arc::new(());
    let app = Snow::new([get("^/$", send)]).state(Arc::clone(&state));
    let mut first = app.test_client().unwrap();
    first.get("/").send();
    let (taken, is_taken) = mpsc::channel();
    let (end, is_end) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut second = Snow::new([get("^/$", take)]).test_client().unwrap();
            second.get("/").send();
            taken.send(()).unwrap();
            // It goes on, and keeps what its own requests leave.
            is_end.recv_timeout(Duration::from_secs(10)).unwrap();
        });
        is_taken.recv_timeout(Duration::from_secs(10)).unwrap();
        drop(first);
        assert_eq!(Arc::strong_count(&state), 1);
        end.send(()).unwrap();
    });
}

#[test]
fn queries_are_decoded() {
    let show = |req: Request| format!("{:?}", req.query("v"));
    let mut client = Snow::new([get("^/$", show)]).test_client().unwrap();
    for (query, value) in [
        ("", "None"),
        ("?", "None"),
        ("?w=1", "None"),
        ("?vv=1", "None"),
        ("?v", r#"Some("")"#),
        ("?v=", r#"Some("")"#),
        ("?v=a%20b+c", r#"Some("a b c")"#),
        ("?v=a%2Bb", r#"Some("a+b")"#),
        ("?v=%C3%A9", r#"Some("é")"#),
        ("?v=a=b", r#"Some("a=b")"#),
        ("?v=1&v=2", r#"Some("1")"#),
        ("?a=b&v=2", r#"Some("2")"#),
        ("?&&v=1", r#"Some("1")"#),
        ("?%76=1", r#"Some("1")"#),
        ("?v=%26&w", r#"Some("&")"#),
        ("?v=%2526", r#"Some("%26")"#),
        ("?v=a?b", r#"Some("a?b")"#),
        ("?V=1", "None"),
    ] {
        assert_eq!(client.get(&format!("/{query}")).send().text(), value, "{query}");
    }
}

#[test]
fn the_request_tells_what_was_sent() {
    let show = |req: Request| {
        let mut text = format!("{} {} {}", req.method(), req.target(), req.version());
        text += &format!(" host={:?} body={:?}", req.host(), req.text());
        for name in ["x-one", "X-TWO", "x-none", "x-empty"] {
            text += &format!(" {name}={:?}", req.header(name));
        }
        let all: Vec<_> = req.headers().get_all("x-two").map(<[u8]>::to_vec).collect();
        text += &format!(" {}", String::from_utf8(all.join(&b'|')).unwrap());
        text + &format!(" {}", req.remote_addr().is_some_and(|addr| addr.ip().is_loopback()))
    };
    let server = serve(Snow::new([route("^/", show)]).workers(1));
    let script = b"POST /a%20b?c=d HTTP/1.1\r\nHost: h:1\r\nX-One:  padded \t\r\nx-tWO: a\r\n\
                   X-Two: b, c\r\nX-Empty:\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
    in_every_arrival(server.local_addr(), script, |client| {
        client.read().expect(
            200,
            r#"POST /a%20b?c=d HTTP/1.1 host=Some("h:1") body=Ok("hi") x-one=Some("padded") X-TWO=Some("a") x-none=None x-empty=Some("") a|b, c true"#,
        );
        client.expect_end();
    });
}

#[test]
fn cookies_are_read() {
    let show = |req: Request| format!("{:?}", req.cookie("a"));
    let mut client = Snow::new([get("^/$", show)]).test_client().unwrap();
    for (field, value) in [
        ("a=1", r#"Some("1")"#),
        ("b=2; a=1", r#"Some("1")"#),
        ("aa=2; ba=3", "None"),
        ("a=", r#"Some("")"#),
        ("a=x=y", r#"Some("x=y")"#),
        ("a=\"q\"", r#"Some("q")"#),
        ("A=1", "None"),
        ("a", "None"),
        ("", "None"),
        ("b=1;a=2", r#"Some("2")"#),
        ("a=1; a=2", r#"Some("1")"#),
    ] {
        let answer = client.get("/").header("cookie", field).send();
        assert_eq!(answer.text(), value, "{field}");
    }
    let request = client.get("/").header("Cookie", "b=1").header("Cookie", "a=2");
    assert_eq!(request.send().text(), r#"Some("2")"#);
    // One that another site has set may be anything.
    for (field, value) in [
        (&b"b=\xff; a=1"[..], r#"Some("1")"#),
        (b"a=1; b=\"\xe9\"", r#"Some("1")"#),
        (b"a=\xff; b=1", "None"),
    ] {
        let mut connection = client.connect();
        connection.write(&[b"GET / HTTP/1.1\r\nHost: a\r\nCookie: ", field, b"\r\n\r\n"].concat());
        client.settle();
        let answer = String::from_utf8(connection.take()).unwrap();
        assert!(answer.ends_with(&format!("\r\n\r\n{value}")), "{answer}");
    }
}

#[test]
fn cookies_are_set_each_in_its_field() {
    let full = |_: Request| {
        Response::text("").cookie(Cookie::new("plain", "1")).cookie(
            Cookie::new("full", "2")
                .domain("example.org")
                .path("/p")
                .max_age(Duration::from_millis(90_500))
                .secure()
                .http_only()
                .same_site(SameSite::Strict),
        )
    };
    let removal = |_: Request| Response::text("").cookie(Cookie::removal("old").path("/"));
    let server = serve(Snow::new([get("^/full$", full), get("^/gone$", removal)]).workers(1));
    let mut client = Client::connect(server.local_addr());
    let answer = client.get("/full");
    let [plain, full] = answer.all("set-cookie")[..] else { panic!("two cookies: {answer:?}") };
    assert_eq!(plain, "plain=1");
    let mut parts = full.split("; ");
    assert_eq!(parts.next(), Some("full=2"));
    let mut attributes: Vec<_> = parts.collect();
    attributes.sort_unstable();
    let expected =
        ["Domain=example.org", "HttpOnly", "Max-Age=90", "Path=/p", "SameSite=Strict", "Secure"];
    assert_eq!(attributes, expected);
    let answer = client.get("/gone");
    let line = answer.field("set-cookie").unwrap();
    assert!(line.starts_with("old=;") && line.contains("; Max-Age=0"), "{line}");
}

#[test]
fn redirects_name_a_place() {
    let routes = [
        get("^/see$", |_| Response::redirect("/there?a=b")),
        get("^/moved$", |_| Response::redirect("https://example.org/").status(308)),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    let answer = client.get("/see").send();
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/there?a=b")));
    let answer = client.get("/moved").send();
    assert_eq!((answer.status(), answer.header("location")), (308, Some("https://example.org/")));
    let encoded = Response::redirect("/é b\tc%20?d=ü#e");
    assert_eq!(encoded.get_header("location"), Some("/%C3%A9%20b%09c%20?d=%C3%BC#e"));
}

#[test]
fn nothing_can_be_injected_into_a_head() {
    const BAD: &str = "a\r\nX-Evil: yes\r\n\r\nHTTP/1.1 200 OK";
    let ok = || Response::text("fine");
    let routes = [
        get("^/value$", move |_| ok().header("x-v", BAD)),
        get("^/lf$", move |_| ok().header("x-v", "a\nX-Evil: yes")),
        get("^/cr$", move |_| ok().header("x-v", "a\rX-Evil: yes")),
        get("^/nul$", move |_| ok().header("x-v", "a\0X-Evil: yes")),
        get("^/name$", move |_| ok().header(BAD, "v")),
        get("^/name/blank$", move |_| ok().header("x evil", "v")),
        get("^/name/colon$", move |_| ok().header("x-evil: yes", "v")),
        get("^/name/empty$", move |_| ok().header("", "v")),
        get("^/type$", move |_| ok().header("content-type", BAD)),
        get("^/redirect$", |_| Response::redirect(BAD)),
        get("^/cookie/value$", move |_| ok().cookie(Cookie::new("c", BAD))),
        get("^/cookie/semicolon$", move |_| ok().cookie(Cookie::new("c", "1; Domain=evil"))),
        get("^/cookie/name$", move |_| ok().cookie(Cookie::new("c=1; Path", "/"))),
        get("^/cookie/path$", move |_| ok().cookie(Cookie::new("c", "1").path("/; Domain=evil"))),
        get("^/cookie/domain$", move |_| ok().cookie(Cookie::new("c", "1").domain(BAD))),
        get("^/query$", move |req: Request| ok().header("x-v", req.query("v").unwrap())),
        // What comes after the fault does not cover it.
        get("^/then/status$", move |_| ok().header("x-v", BAD).status(201)),
        get("^/then/pair$", move |_| (StatusCode::CREATED, ok().header("x-v", BAD))),
        get("^/then/field$", move |_| ok().header("x-v", BAD).header("x-w", "w")),
        get("^/then/cookie$", move |_| ok().header("x-v", BAD).cookie(Cookie::new("c", "1"))),
        get("^/cookie/then/status$", move |_| ok().cookie(Cookie::new("c", BAD)).status(201)),
        get("^/status$", move |_| ok().status(99)),
        get("^/status/interim$", move |_| ok().status(101)),
    ];
    let targets: Vec<_> = routes.iter().map(|route| format!("{route:?}")).collect();
    let targets = targets.iter().map(|text| text.split(['^', '$']).nth(1).unwrap());
    let server = serve(Snow::new(routes).workers(1));
    let mut wrong = Vec::new();
    let mut client = Client::connect(server.local_addr());
    for target in targets {
        let answer = client.get(&format!("{target}?v=a%0d%0aX-Evil:%20yes"));
        let evil = ["x-evil", "x evil", "x-v"].iter().any(|name| answer.field(name).is_some());
        if answer.status != 500 || evil || answer.text().contains("fine") {
            wrong.push(format!("{target}: {} {:?}", answer.status, answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_cannot_be_sent_is_named_and_not_shown() {
    type Make = fn() -> Response;
    const SECRET: &str = "secret\r\n";
    fn text() -> Response {
        Response::text("fine")
    }
    let line = Arc::new(Mutex::new(String::new()));
    let cases: [(Make, &str); 9] = [
        (|| text().header("X-Token", SECRET), "the value of the field `x-token` is not valid"),
        (|| Response::redirect(SECRET), "the value of the field `location` is not valid"),
        (
            || text().cookie(Cookie::new("sid", SECRET)),
            "the value of the cookie `sid` is not valid",
        ),
        (
            || text().cookie(Cookie::new("s\nid", "secret")),
            "the name of the cookie `s\\nid` is not valid",
        ),
        (
            || text().cookie(Cookie::new("sid", "secret").path(";")),
            "the Path of the cookie `sid` is not valid",
        ),
        (|| text().status(101), "a response cannot have the status 101"),
        (|| text().status(99), "a response has a status that is none, given at tests/handlers.rs:"),
        (
            || text().header("a b", "secret"),
            "a field name is not valid, given at tests/handlers.rs:",
        ),
        (
            || Response::json(&HashMap::from([((1, 2), "secret")])),
            "the JSON of a response cannot be written: key must be a string",
        ),
    ];
    for (response, expected) in cases {
        let seen = Arc::clone(&line);
        let app = Snow::new([get("^/$", move |_| response())]).on_error(move |error: &Error| {
            *seen.lock().unwrap() = format!("{error:?}");
            "sorry"
        });
        assert_eq!(app.test_client().unwrap().get("/").send().text(), "sorry");
        let line = line.lock().unwrap();
        assert!(line.starts_with(expected), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[test]
fn the_fields_that_frame_a_message_are_the_servers() {
    let routes = [
        get("^/length$", |_| Response::text("hello").header("content-length", "3")),
        get("^/coding$", |_| Response::text("hello").header("transfer-encoding", "chunked")),
        get("^/date$", |_| Response::text("hello").header("date", "yesterday")),
        get("^/keep$", |_| Response::text("hello").header("keep-alive", "timeout=9999")),
        get("^/close$", |_| Response::text("hello").header("connection", "close")),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for target in ["/length", "/coding", "/date", "/keep"] {
        // The client's parser has seen to the framing and the date.
        client.get(target).expect(200, "hello");
    }
    let answer = client.get("/close");
    answer.expect(200, "hello");
    answer.expect_close(true);
    client.expect_end();
}

use Step::{Fail, Panic, Piece, Wait};

/// A stream that follows a script.
struct Script(VecDeque<Step>);

#[derive(Clone)]
enum Step {
    Piece(&'static str),
    /// Is not ready at the first look.
    Wait,
    Fail,
    Panic,
}

impl Stream for Script {
    type Item = Result<&'static str>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Piece(piece)) => Poll::Ready(Some(Ok(piece))),
            Some(Fail) => Poll::Ready(Some(Err("the source dried up".into()))),
            Some(Panic) => panic!("a stream panics"),
            Some(Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

fn stream(steps: &[Step]) -> Response {
    Response::stream(Script(steps.iter().cloned().collect()))
}

#[test]
fn a_stream_is_chunked_for_1_1_and_up_to_the_close_for_1_0() {
    let routes = [
        get("^/$", |_| stream(&[Piece("one "), Wait, Piece(""), Piece("two"), Wait, Wait])),
        get("^/empty$", |_| stream(&[])),
        get("^/status$", |_| stream(&[Wait, Piece("x")]).status(404)),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for (target, status, text) in
        [("/", 200, "one two"), ("/empty", 200, ""), ("/status", 404, "x")]
    {
        let answer = client.get(target);
        answer.expect(status, text);
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        let head = client.request("HEAD", target);
        assert_eq!((head.status, head.body.len()), (status, 0));

        let mut old = Client::connect(server.local_addr());
        old.send(format!("GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let answer = old.read();
        answer.expect(status, text);
        answer.expect_close(true);
        assert_eq!(answer.field("transfer-encoding"), None);
        old.expect_end();
    }
}

#[test]
fn a_stream_that_fails_breaks_off_where_it_shows() {
    collect_log();
    let routes = [
        get("^/fail$", |_| stream(&[Piece("begun"), Wait, Fail])),
        get("^/fail/at/once$", |_| stream(&[Fail])),
        get("^/panic$", |_| stream(&[Piece("begun"), Wait, Panic])),
        get("^/length$", |_| stream(&[Piece("begun"), Fail]).header("content-length", "6")),
        get("^/alive$", |_| "alive"),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut neighbour = Client::connect(server.local_addr());
    for target in ["/fail", "/fail/at/once", "/panic", "/length"] {
        for version in ["1.1", "1.0"] {
            let mut client = Client::connect(server.local_addr());
            client.send(format!("GET {target} HTTP/{version}\r\nHost: a\r\n\r\n"));
            let (bytes, is_reset) = client.read_all();
            let text = String::from_utf8(bytes).unwrap();
            if !is_reset {
                // A 500 is right when nothing was sent before.
                let is_whole =
                    text.ends_with("0\r\n\r\n") || version == "1.0" && target != "/length";
                assert!(text.starts_with("HTTP/1.1 500 ") || !is_whole, "{target}: {text:?}");
            }
            neighbour.get("/alive").expect(200, "alive");
        }
    }
    wait_until("the reason is logged", || !logged("the source dried up").is_empty());
    wait_until("the panic is logged", || !logged("a stream panics").is_empty());
}

#[test]
fn a_declared_length_is_kept_or_visibly_broken() {
    let declare = |steps: &[Step], length: &str| stream(steps).header("content-length", length);
    let routes = [
        get("^/kept$", move |_| declare(&[Piece("hel"), Wait, Piece("lo")], "5")),
        get("^/zero$", move |_| declare(&[Wait], "0")),
        get("^/short$", move |_| declare(&[Piece("hel")], "5")),
        get("^/long$", move |_| declare(&[Piece("hel"), Piece("lo!")], "5")),
        get("^/long/later$", move |_| declare(&[Piece("hello"), Wait, Piece("!")], "5")),
    ];
    let server = serve(Snow::new(routes).workers(1));
    for version in ["1.1", "1.0"] {
        let ask = |target: &str| {
            let mut client = Client::connect(server.local_addr());
            let keep = "Connection: keep-alive\r\n\r\n";
            client.send(format!("GET {target} HTTP/{version}\r\nHost: a\r\n{keep}"));
            client
        };
        for (target, text) in [("/kept", "hello"), ("/zero", "")] {
            let mut client = ask(target);
            let answer = client.read();
            answer.expect(200, text);
            assert_eq!(answer.field("content-length"), Some(&*text.len().to_string()));
            answer.expect_close(false);
            client.get("/kept").expect(200, "hello");
        }
        for (target, most) in [("/short", 3), ("/long", 4), ("/long/later", 5)] {
            let (bytes, _) = ask(target).read_all();
            let text = String::from_utf8(bytes).unwrap();
            let (head, content) = text.split_once("\r\n\r\n").expect("there is a head");
            assert!(head.contains("Content-Length: 5"), "{target}: {head}");
            assert!(content.len() <= most && "hello".starts_with(content), "{target}: {content}");
        }
    }
}

#[test]
fn trailers_follow_a_chunked_stream_only() {
    let trailed = |_: Request| {
        stream(&[Piece("content"), Wait]).trailers(|| {
            let name = HeaderName::from_static("x-checksum");
            vec![(name, HeaderValue::from_static("4711"))]
        })
    };
    let server = serve(Snow::new([get("^/$", trailed)]).workers(1));
    let mut client = Client::connect(server.local_addr());
    let answer = client.get("/");
    answer.expect(200, "content");
    let [(name, value)] = &answer.trailers[..] else { panic!("one trailer: {answer:?}") };
    assert!(name.eq_ignore_ascii_case("x-checksum") && value == "4711", "{answer:?}");
    assert_eq!(answer.field("x-checksum"), None);
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.read().expect(200, "content");
    client.expect_end();
}

/// Pieces without end, counted, whose end is noticed.
struct Endless {
    made: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Pieces after which it ends all the same: more than any socket buffers.
const ENOUGH: usize = 4096;

impl Stream for Endless {
    type Item = Result<&'static [u8]>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        Poll::Ready((made < ENOUGH).then_some(Ok(&PIECE[..])))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_stream_is_polled_only_while_the_client_keeps_up_and_dropped_when_it_leaves() {
    let (made, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (ours, theirs) = ((Arc::clone(&made), Arc::clone(&dropped)), (made, dropped));
    let endless = move |_: Request| {
        let (made, dropped) = (Arc::clone(&theirs.0), Arc::clone(&theirs.1));
        Response::stream(Endless { made, dropped })
    };
    let server = serve(Snow::new([get("^/$", endless), get("^/alive$", |_| "alive")]).workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/");
    let mut neighbour = Client::connect(server.local_addr());
    // It has come to a halt when many turns of the loop make nothing more.
    let mut halted_at = usize::MAX;
    wait_until("the stream halts", || {
        let before = ours.0.load(Ordering::SeqCst);
        thread::sleep(Duration::from_millis(50));
        before > 0 && before == ours.0.load(Ordering::SeqCst)
    });
    for _ in 0..100 {
        neighbour.get("/alive").expect(200, "alive");
        halted_at = ours.0.load(Ordering::SeqCst);
    }
    assert!(halted_at < ENOUGH, "{halted_at} pieces were made for a client that does not read");
    assert!(!ours.1.load(Ordering::SeqCst));
    client.reset();
    wait_until("the stream is dropped", || ours.1.load(Ordering::SeqCst));
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("a drop panics");
    }
}

#[test]
fn a_panic_costs_one_connection() {
    collect_log();
    let routes = [
        get("^/now$", |_| -> String { panic!("panics now") }),
        get("^/async$", async |_| -> String {
            snow::sleep(Duration::from_millis(1)).await;
            panic!("panics later")
        }),
        get("^/async/at/once$", async |_| -> String { panic!("panics at once") }),
        get("^/future$", |_| {
            let future = Future::new(|()| -> String { panic!("panics in then") });
            future.set_result(()).unwrap();
            future
        }),
        get("^/time$", |_| {
            TimeoutFuture::new(Duration::from_millis(1)).then(|| -> String { panic!("at tea") })
        }),
        get("^/no/words$", |_| -> String { std::panic::panic_any(7) }),
        get("^/alive$", |_| "alive"),
    ];
    let targets: Vec<_> = routes.iter().map(|route| format!("{route:?}")).collect();
    let targets = targets.iter().map(|text| text.split(['^', '$']).nth(1).unwrap());
    let server = serve(Snow::new(routes).workers(1));
    let mut neighbour = Client::connect(server.local_addr());
    for target in targets.filter(|target| *target != "/alive") {
        let mut client = Client::connect(server.local_addr());
        let answer = client.get(target);
        answer.expect_failure(500);
        assert!(!answer.text().contains("panics"), "{answer:?}");
        neighbour.get("/alive").expect(200, "alive");
        let route = format!("^{target}$");
        let is_logged = || logged(&route).iter().any(|line| line.contains("ERROR"));
        wait_until("the panic is logged with its route", is_logged);
    }
    wait_until("its words are logged", || !logged("panics later").is_empty());
}

#[test]
fn a_drop_that_panics_costs_one_connection() {
    let parked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&parked);
    let park = move |_: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            let _grenade = Grenade;
            pending::<String>().await
        }
    };
    let routes = [
        get("^/park$", park),
        get("^/timed$", async |_| {
            let _grenade = Grenade;
            pending::<String>().await
        })
        .timeout(Duration::from_millis(10)),
        get("^/finished$", async |_| {
            let _grenade = Grenade;
            snow::sleep(Duration::from_millis(1)).await;
            "finished"
        }),
        get("^/alive$", |_| "alive"),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut neighbour = Client::connect(server.local_addr());

    let mut client = Client::connect(server.local_addr());
    client.send("GET /alive HTTP/1.1\r\nHost: a\r\n\r\nGET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until("the request is parked", || parked.load(Ordering::SeqCst) == 1);
    client.reset();
    neighbour.get("/alive").expect(200, "alive");

    Client::connect(server.local_addr()).get("/timed").expect_failure(504);
    neighbour.get("/alive").expect(200, "alive");
    // It panics before its answer is there.
    Client::connect(server.local_addr()).get("/finished").expect_failure(500);
    neighbour.get("/alive").expect(200, "alive");
}

#[test]
fn a_panic_of_what_answers_for_others_is_a_500_too() {
    let routes = [get("^/fail$", |_| Err::<(), _>("no luck")), get("^/alive$", |_| "alive")];
    let app = Snow::new(routes)
        .not_found(|_| -> String { panic!("not found panics") })
        .on_error(|error: &Error| -> String { panic!("on_error panics at {error}") });
    let server = serve(app.workers(1));
    let mut neighbour = Client::connect(server.local_addr());
    for target in ["/nope", "/fail"] {
        Client::connect(server.local_addr()).get(target).expect_failure(500);
        neighbour.get("/alive").expect(200, "alive");
    }
}

#[test]
fn a_test_client_sends_the_fields_it_is_given_and_shows_all_that_come() {
    let routes = [
        get("^/host$", |req: Request| req.host().map(String::from)),
        post("^/len$", |req: Request| req.header("content-length").map(String::from)),
        get("^/many$", |_| (0..300).fold(Response::text("many"), |all, at| all.header("x-at", at))),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    assert_eq!(client.get("/host").send().text(), "test");
    assert_eq!(
        client.get("/host").header("host", "snow.example:80").send().text(),
        "snow.example:80"
    );
    let two = client.get("/host").header("Host", "a").header("host", "b");
    assert_eq!(two.send().status(), 400);
    assert_eq!(client.post("/len").body("abc").send().text(), "3");
    assert_eq!(client.post("/len").header("content-length", "03").body("abc").send().text(), "03");
    let answer = client.get("/many").send();
    let values = answer
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-at"))
        .map(|(_, value)| value);
    let expected: Vec<_> = (0..300).map(|at| at.to_string()).collect();
    assert_eq!(values.collect::<Vec<_>>(), expected);
}

#[test]
fn the_fields_of_a_failure_stay_when_on_error_answers_for_it() {
    fn around<R: 'static, M: 'static>(handler: impl Handler<R, M>) -> impl Fn(Request) -> Reply {
        move |req| handler.answer(req).map(|response| response.header("x-frame-options", "DENY"))
    }
    let who = || Error::new(ErrorKind::Unauthorized, "who?");
    let routes = [
        get("^/who$", move |_| {
            let response = Response::failed(who()).header("www-authenticate", "Basic realm=\"a\"");
            response
                .header("content-type", "text/x-who")
                .header("x-by", "handler")
                .header("x-own", "a")
        }),
        get("^/around$", around(|_| Err::<(), _>("no luck"))),
        get("^/file$", around(|_| Response::file("no such file"))),
    ];
    let app = Snow::new(routes).on_error(|error: &Error| {
        Response::html("sorry").status(error.status()).header("x-own", "b").header("x-own", "c")
    });
    let mut client = app.test_client().unwrap();
    let fields = |answer: &ClientResponse| {
        let fields =
            answer.headers().filter(|(name, _)| !["Date", "Content-Length"].contains(name));
        fields
            .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
            .collect::<Vec<_>>()
    };
    let html = "content-type: text/html; charset=utf-8";
    let answer = client.get("/who").send();
    assert_eq!(answer.status(), 401);
    let own = ["x-own: b", "x-own: c"];
    let [one, two] = own;
    let kept = ["www-authenticate: Basic realm=\"a\"", "x-by: handler"];
    assert_eq!(fields(&answer), [html, one, two, kept[0], kept[1]]);
    let answer = client.get("/around").send();
    assert_eq!(answer.status(), 500);
    assert_eq!(fields(&answer), [html, one, two, "x-frame-options: DENY"]);
    // What was said of the file may be wrong for what comes in its place.
    let answer = client.get("/file").send();
    assert_eq!(answer.status(), 404);
    assert_eq!(fields(&answer), [html, one, two]);
}

#[test]
fn on_error_answers_for_handlers_that_fail_and_for_nothing_else() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let routes = [
        get("^/error$", |_| Err::<(), _>(Error::new(ErrorKind::Conflict, "taken"))),
        get("^/foreign$", |_| Err::<(), _>("no luck")),
        get("^/panic$", |_| -> String { panic!("panics") }),
        get("^/slow$", async |_| pending::<String>().await).timeout(Duration::from_secs(1)),
        get(r"^/(?<id>\w+)/x$", |req: Request| req.parse_param::<u8>("id").map(|_| "fine")),
        get("^/plain/404$", |_| StatusCode::NOT_FOUND),
        get("^/bad/field$", |_| Response::text("").header("x", "\n")),
    ];
    let app = Snow::new(routes).on_error(|error: &Error| {
        SEEN.lock().unwrap().push(format!("{:?}: {error}", error.kind()));
        (error.status(), "sorry\n")
    });
    let mut client = app.test_client().unwrap();
    for (target, status, seen) in [
        ("/error", 409, Some("Conflict: taken")),
        ("/foreign", 500, Some("Handler: ")),
        ("/panic", 500, Some("Handler: ")),
        ("/slow", 504, Some("HandlerTimeout: ")),
        ("/a/x", 400, Some("BadRequest: ")),
        ("/bad/field", 500, Some("Handler: ")),
        ("/plain/404", 404, None),
        ("/nope", 404, None),
        ("/%zz", 400, None),
    ] {
        let answer = client.get(target).send();
        assert_eq!(answer.status(), status, "{target}");
        assert_eq!(answer.text() == "sorry\n", seen.is_some(), "{target}: {answer:?}");
        let known = SEEN.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert_eq!(known.len(), usize::from(seen.is_some()), "{target}: {known:?}");
        assert!(known.iter().all(|it| it.starts_with(seen.unwrap())), "{target}: {known:?}");
    }
    assert_eq!(client.post("/error").send().status(), 405);
    assert!(SEEN.lock().unwrap().is_empty());
}

#[test]
fn a_handler_around_another_changes_what_it_answers_with() {
    fn marked<R, M>(handler: impl Handler<R, M>) -> impl Fn(Request) -> Result<Reply> {
        move |req| match req.query("pass") {
            Some(_) => Ok(handler.answer(req).map(|response| response.header("x-mark", "seen"))),
            None => Err(Error::new(ErrorKind::Forbidden, "not today")),
        }
    }
    let promise = |_: Request| {
        let promise = Future::new(|text: &str| text);
        let given = promise.clone();
        thread::spawn(move || given.set_result("promised"));
        promise
    };
    let routes = [
        get("^/now$", marked(|_| "now")),
        get("^/async$", marked(async_fn)),
        get("^/promise$", marked(promise)),
        get("^/timed$", marked(|_| TimeoutFuture::new(Duration::from_millis(5)).then(|| "timed"))),
        get("^/failed$", marked(|_| Err::<(), _>(Error::new(ErrorKind::NotFound, "nothing")))),
        get("^/plain$", |req| Handler::answer(&|_| "plain", req)),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    for (path, status, text) in [
        ("/now", 200, "now"),
        ("/async", 200, "async /async"),
        ("/promise", 200, "promised"),
        ("/timed", 200, "timed"),
        ("/failed", 404, "nothing\n"),
    ] {
        let answer = client.get(&format!("{path}?pass=1")).send();
        let mark = answer.header("x-mark");
        assert_eq!((answer.status(), answer.text(), mark), (status, text, Some("seen")), "{path}");
        let answer = client.get(path).send();
        assert_eq!((answer.status(), answer.text()), (403, "not today\n"), "{path}");
    }
    assert_eq!(client.get("/plain").send().text(), "plain");
}

/// What a handler says of the connection is heeded, or completed (RFC 9110, section 7.8).
#[test]
fn fields_that_are_for_the_next_hop() {
    let with = |name: &'static str, value: &'static str| {
        move |_: Request| Response::text("hello").header(name, value)
    };
    let server = serve(Snow::new([
        get("^/close$", with("connection", "close")),
        get("^/list$", with("connection", "keep-alive , CLOSE")),
        get("^/other$", with("connection", "closed")),
        get("^/upgrade$", with("upgrade", "h2c")),
        get("^/both$", move |req| with("upgrade", "h2c")(req).header("connection", "close")),
    ]));
    for (path, connection) in [
        ("/close", Some("close")),
        ("/list", Some("close")),
        ("/other", None),
        ("/upgrade", Some("upgrade")),
        ("/both", Some("close, upgrade")),
    ] {
        let mut client = Client::connect(server.local_addr());
        let answer = client.get(path);
        answer.expect(200, "hello");
        assert_eq!(answer.field("connection"), connection, "{path}");
        match connection {
            Some("close" | "close, upgrade") => client.expect_end(),
            _ => client.get(path).expect(200, "hello"),
        }
    }
}

/// Whatever becomes of a request, the access log has its line.
#[test]
fn requests_whose_client_goes_are_in_the_access_log() {
    struct Endless;
    impl Stream for Endless {
        type Item = Result<Bytes>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 1024]))))
        }
    }
    collect_log();
    let (called, is_called) = mpsc::channel();
    let routes = [
        get("^/lost/stream$", |_| Response::stream(Endless)),
        get("^/lost/big$", |_| vec![b'x'; 32 << 20]),
        post("^/lost/content$", |req: Request| req.into_body()),
        get("^/lost/cut$", move |_| {
            called.send(()).unwrap();
            async { pending::<()>().await }
        }),
    ];
    let lines = |words: &str| logged(words).iter().filter(|line| line.contains("B ")).count();
    let server = serve(Snow::new(routes).workers(1));
    for path in ["stream", "big"] {
        let mut client = Client::connect(server.local_addr());
        client.ask("GET", &format!("/lost/{path}"));
        // Some has come, and the rest does not fit into what the kernel buffers.
        assert!(client.stream().peek(&mut [0]).is_ok());
        client.reset();
        let line = format!("GET /lost/{path} 200 ");
        wait_until("it is logged", || lines(&line) == 1);
    }
    let mut client = Client::connect(server.local_addr());
    let head = "POST /lost/content HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";
    client.send(format!("{head}Expect: 100-continue\r\n\r\n"));
    client.reset(); // With the 100 unread.
    wait_until("it is logged", || lines("POST /lost/content 499 ") == 1);
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/lost/cut");
    is_called.recv().unwrap();
    server.stop_handle().stop_now();
    wait_until("it is logged", || lines("GET /lost/cut 499 ") == 1);
}

/// The client would take the next answer for it.
#[test]
fn an_interim_status_is_no_answer() {
    collect_log();
    let interim = |_: Request| Response::new(StatusCode::CONTINUE);
    let routes = [get("^/$", interim), get("^/on_error$", |_| Err::<(), _>("no luck"))];
    let app = Snow::new(routes).on_error(|error: &Error| match error.to_string().as_str() {
        "no luck" => Response::new(StatusCode::PROCESSING),
        _ => Response::failed(Error::other("seen")),
    });
    let server = serve(app);
    let mut client = Client::connect(server.local_addr());
    for path in ["/", "/on_error"] {
        client.get(path).expect(500, "Internal Server Error\n");
    }
    for status in [StatusCode::CONTINUE, StatusCode::PROCESSING] {
        let line = format!("a response cannot have the status {}", status.as_str());
        assert_eq!(logged(&line).len(), 1, "{line}");
    }
}

#[test]
fn an_error_of_on_error_is_not_asked_about_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let app = Snow::new([get("^/$", |_| Err::<(), _>("no luck"))]).on_error(|_: &Error| {
        CALLS.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>(Error::new(ErrorKind::Unavailable, "worse luck"))
    });
    assert_eq!(app.test_client().unwrap().get("/").send().status(), 503);
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
}

#[test]
fn a_response_is_shown_with_its_text() {
    let routes = [get("^/text$", |_| "h\u{e9}\"llo"), get("^/bytes$", |_| vec![0xff, 1])];
    let mut client = Snow::new(routes).test_client().unwrap();
    let (text, bytes) = (client.get("/text").send(), client.get("/bytes").send());
    let (text, bytes) = (format!("{text:?}"), format!("{bytes:?}"));
    assert!(text.ends_with("body: \"h\u{e9}\\\"llo\" }"), "{text}");
    assert!(bytes.ends_with("body: [255, 1] }"), "{bytes}");
}
