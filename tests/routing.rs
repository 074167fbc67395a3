//! Which route a request reaches, and what it is told when it reaches none.

mod util;

use snow::{
    ErrorKind, Request, Response, Route, Snow, StatusCode, TestClient, delete, get, method, mount,
    patch, post, put, route,
};
use std::collections::HashSet;
use util::{Chance, Client, collect_log, logged, serve};

fn client(routes: impl IntoIterator<Item = Route>) -> TestClient {
    Snow::new(routes).test_client().expect("the table is sound")
}

#[test]
fn patterns_begin_at_the_start_and_end_where_they_say() {
    let cases = [
        ("/req/", "/req/", true),
        ("/req/", "/req/7", true),
        ("^/req/", "/req/7", true),
        ("^/req/$", "/req/", true),
        ("^/req/$", "/req/7", false),
        ("/req/$", "/req/7", false),
        ("/req/", "/a/req/", false),
        ("req", "/req", false),
        ("", "/whatever", true),
        ("^", "/whatever", true),
        ("^/$", "/", true),
        ("^/$", "//", false),
        ("^/x$", "/x/", false),
        ("^/Req$", "/req", false),
        ("(?i)^/Req$", "/rEQ", true),
        ("(?i)/req", "/REQ/1", true),
        ("^/a|^/b", "/b/c", true),
        ("/a|/b", "/b/c", true),
        ("/a|/b", "/c/b", false),
        ("^/(?:a|b)$", "/b", true),
        ("^/a.c$", "/abc", true),
        (r"^/a\.c$", "/abc", false),
        (r"^/a\.c$", "/a.c", true),
        (r"^/\d+$", "/12", true),
        (r"^/\d+$", "/1x", false),
        (r"^/\d+", "/1x", true),
        (r"^/\w+$", "/snow_7", true),
        (r"^/\w+$", "/snow-7", false),
        (r"^/v\b", "/v/1", true),
        (r"^/v\b", "/v1", false),
        ("^/[^/]+$", "/%C3%A9", true),
        ("^/[^/]+$", "/a/b", false),
        ("^/a?/b$", "//b", true),
        ("^/x{2,3}$", "/xx", true),
        ("^/x{2,3}$", "/xxxx", false),
        ("^/é$", "/%C3%A9", true),
        (r"^/\w$", "/%C3%A9", cfg!(feature = "unicode")),
        ("^/.$", "/%C3%A9", cfg!(feature = "unicode")),
        (r"^/\d$", "/%D9%A3", cfg!(feature = "unicode")),
    ];
    for (pattern, path, matches) in cases {
        let status = client([get(pattern, |_| "found")]).get(path).send().status();
        assert_eq!(status, if matches { 200 } else { 404 }, "{pattern} on {path}");
    }
}

#[test]
fn the_first_match_wins_whatever_its_kind() {
    let cases: [(&[&str], &str, usize); 14] = [
        (&["^/a$", "^/a$"], "/a", 0),
        (&["^/a$", r"^/\w$", "/"], "/a", 0),
        (&[r"^/\w$", "^/a$", "/"], "/a", 0),
        (&["/", "^/a$", r"^/\w$"], "/a", 0),
        (&["/a/b", "/a", "^/a/b$"], "/a/b", 0),
        (&["/a", "/a/b", "^/a/b$"], "/a/b", 0),
        (&["^/b$", "/a/", r"^/(\w+)/b$", "^/a/b$"], "/a/b", 1),
        (&["^/b$", r"^/(\d+)/b$", r"^/(\w+)/b$", "/a/"], "/a/b", 2),
        (&["^/a/c$", "^/a/d$", "^/a/b$", "/a/b"], "/a/b", 2),
        (&["^/abc$", "/ab$", "/a", "/ab"], "/abcd", 2),
        (&["^/x", "(?i)^/A/B$", "^/a/b$"], "/a/b", 1),
        (&["^/z|^/y", "^/(?<one>/x)?", "^/a"], "/a", 1),
        (&["^/user/new$", r"^/user/(?<id>\w+)$"], "/user/new", 0),
        (&["^/user/new$", r"^/user/(?<id>\w+)$"], "/user/newer", 1),
    ];
    for (patterns, path, winner) in cases {
        let routes = patterns.iter().enumerate().map(|(n, p)| get(p, move |_| n.to_string()));
        let answer = client(routes).get(path).send();
        assert_eq!(answer.text(), winner.to_string(), "{patterns:?} on {path}");
    }
}

#[test]
fn a_route_for_another_method_is_passed_over() {
    let mut client = client([
        post("^/a$", |_| "post"),
        get("/a", |_| "get"),
        delete(r"^/(\w)$", |_| "delete"),
        put("^/a$", |_| "put"),
        patch("^/a$", |_| "patch"),
        route("^/a$", |req: Request| format!("any: {}", req.method())),
    ]);
    for (method, answer) in [
        ("GET", "get"),
        ("POST", "post"),
        ("PUT", "put"),
        ("PATCH", "patch"),
        ("DELETE", "delete"),
        ("OPTIONS", "any: OPTIONS"),
        ("TRACE", "any: TRACE"),
        ("BREW", "any: BREW"),
    ] {
        assert_eq!(client.request(method, "/a").send().text(), answer);
    }
}

#[test]
fn captures_are_named_and_numbered() {
    let show = |req: Request| {
        ["0", "1", "2", "3", "id", "rest"].map(|name| req.param(name).unwrap_or("-")).join(" ")
    };
    let cases = [
        (r"^/user/(?<id>\d+)$", "/user/42", "/user/42 42 - - 42 -"),
        (r"^/(\w+)/(?<id>\d+)", "/a/7/rest", "/a/7 a 7 - 7 -"),
        (r"^/(?:x)(\d)", "/x1", "/x1 1 - - - -"),
        ("^/(a)?(b)?$", "/b", "/b - b - - -"),
        ("^/(?P<id>a|b)(?<rest>.*)$", "/b/c/d", "/b/c/d b /c/d - b /c/d"),
        (r"^/(a+)(a+)$", "/aaa", "/aaa aa a - - -"),
        (r"^/(a+?)(a+)$", "/aaa", "/aaa a aa - - -"),
        ("^/x$", "/x", "/x - - - - -"),
        ("/x", "/xyz", "/x - - - - -"),
        ("^/(?<id>[^/]+)$", "/a%2Bb%20c", "/a+b c a+b c - - a+b c -"),
        ("^/(?<id>[^/]+)$", "/%E2%82%AC", "/€ € - - € -"),
    ];
    for (pattern, path, shown) in cases {
        assert_eq!(client([get(pattern, show)]).get(path).send().text(), shown, "{pattern}");
    }
}

#[test]
fn captures_are_those_of_the_route_that_won() {
    let mut client = client([
        get(r"^/(?<late>\d+)/x$", |_| "not this one"),
        get("^/(?<a>[^/]+)/(?<b>y)$", |req: Request| {
            format!("{:?} {:?} {:?}", req.param("a"), req.param("b"), req.param("late"))
        }),
        get("/", |req: Request| format!("{:?} {:?}", req.param("0"), req.param("1"))),
    ]);
    assert_eq!(client.get("/7/y").send().text(), r#"Some("7") Some("y") None"#);
    assert_eq!(client.get("/7/z").send().text(), r#"Some("/") None"#);
    let numbered = get("^/(a)$", |req: Request| {
        ["0", "1", "2", "+1", "01", "-1", "", " 1"]
            .map(|name| req.param(name).unwrap_or("-"))
            .join(" ")
    });
    let mut client = self::client([numbered]);
    assert_eq!(client.get("/a").send().text(), "/a a - - - - - -");
}

#[test]
fn what_is_asked_for_again_is_found_again_and_nothing_else_is() {
    let show = |name: &'static str| {
        move |req: Request| format!("{name} {} {:?}", req.param("0").unwrap(), req.param("id"))
    };
    let tables = [
        [
            get("^/a$", show("literal")),
            route(r"^/(?<id>\w+)$", show("group")),
            get("/b/", show("b")),
        ],
        [
            route(r"^/(?<id>\w)$", show("group")),
            get("/a", show("prefix")),
            get("^/b/c$", show("b")),
        ],
    ];
    let cases = [
        ("GET", "/a", ["literal /a None", "group /a Some(\"a\")"]),
        ("POST", "/a", ["group /a Some(\"a\")", "group /a Some(\"a\")"]),
        ("GET", "/ab", ["group /ab Some(\"ab\")", "prefix /a None"]),
        ("GET", "/a?b", ["literal /a None", "group /a Some(\"a\")"]),
        ("GET", "/%61", ["literal /a None", "group /a Some(\"a\")"]),
        ("GET", "/b/c", ["b /b/ None", "b /b/c None"]),
        ("GET", "/b/cd", ["b /b/ None", "not found"]),
        ("POST", "/b/c", ["method not allowed", "method not allowed"]),
        ("GET", "/", ["not found", "not found"]),
        ("OPTIONS", "*", ["", ""]),
    ];
    // On one thread, where what one of them has left is there for the other.
    let mut clients = tables.map(client);
    let indexes = || (0..2).flat_map(|table| (0..cases.len()).map(move |case| (table, case)));
    for before in indexes() {
        for after in indexes() {
            for (table, case) in [before, after, after] {
                let (method, target, answers) = cases[case];
                let answer = clients[table].request(method, target).send();
                assert_eq!(answer.text().trim_end(), answers[table], "{method} {target}");
            }
        }
    }
}

#[test]
fn a_request_line_that_came_before_its_fields_is_routed_when_they_are_there() {
    let server = serve(Snow::new([get("^/a$", |_| "a"), get("^/b$", |_| "b")]).workers(1));
    let mut client = Client::connect(server.local_addr());
    assert_eq!(client.get("/a").text(), "a");
    client.send("GET /b HTTP/1.1\r\n");
    // Another is answered meanwhile, in whatever storage there is.
    let mut other = Client::connect(server.local_addr());
    for (target, answer) in [("/b", "b"), ("/a", "a"), ("/b", "b")] {
        assert_eq!(other.get(target).text(), answer);
    }
    client.send("Host: test\r\n\r\n");
    assert_eq!(client.read().text(), "b");
}

#[test]
fn a_parameter_that_does_not_parse_is_a_400_that_names_it() {
    fn user(req: Request) -> snow::Result<String> {
        let id: u64 = req.parse_param("id")?;
        Ok(format!("user {id}"))
    }
    let mut client = client([get(r"^/user/(?<id>\d+)$", user), get("^/none$", user)]);
    assert_eq!(client.get("/user/42").send().text(), "user 42");
    for target in ["/user/99999999999999999999999", "/none"] {
        let answer = client.get(target).send();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains("id") && answer.text().ends_with('\n'), "{answer:?}");
    }
    assert_eq!(client.get("/user/x").send().status(), 404);
}

#[test]
fn the_path_is_decoded_once_and_the_query_never_reaches_the_pattern() {
    let show = |req: Request| format!("{} {:?}", req.path(), req.query_string());
    let mut client = client([get("^/only$", |_| "only"), get("^/", show)]);
    for (target, shown) in [
        ("/only?x=1", "only"),
        ("/only?", "only"),
        ("/%6fnly?/only", "only"),
        ("/%6Fnly", "only"),
        ("/a%2Fb", "/a/b None"),
        ("/a%3Fb?c%3Fd", r#"/a?b Some("c%3Fd")"#),
        ("/a%20b+c", "/a b+c None"),
        ("/caf%C3%A9", "/café None"),
        ("/%2541", "/%41 None"),
        ("/a?b?c", r#"/a Some("b?c")"#),
        ("/a?", r#"/a Some("")"#),
        ("/..%2F..", "/../.. None"),
        ("http://test/only", "only"),
        ("http://test?q", r#"/ Some("q")"#),
    ] {
        let answer = client.get(target).send();
        assert_eq!((answer.status(), answer.text()), (200, shown), "{target}");
    }
    for target in ["/%", "/%4", "/%zz", "/%00", "/%ff", "/%C3"] {
        assert_eq!(client.get(target).send().status(), 400, "{target}");
    }
}

#[test]
fn a_mounted_table_is_matched_behind_its_prefix() {
    let inner = [get("^/deep/(?<id>.+)$", |req: Request| req.param("id").unwrap().to_string())];
    let mut client = client([
        mount(
            "/api",
            [
                get("^/users$", |_| "users"),
                get("open", |_| "open"),
                get("^/a$|^/b$", |_| "a or b"),
                get(r"^/(?<id>\d+)$", |req: Request| format!("id {}", req.param("id").unwrap())),
                post("^/users$", |_| "made"),
                mount("/in.ner", inner),
                get("^$", |_| "root"),
            ],
        ),
        get("^/users$", |_| "outer"),
        get("^/api/late$", |_| "late"),
    ]);
    for (path, answer) in [
        ("/api/users", Some("users")),
        ("/users", Some("outer")),
        ("/apiopen/and/more", Some("open")),
        ("/api/a", Some("a or b")),
        ("/api/b", Some("a or b")),
        ("/b", None),
        ("/api/17", Some("id 17")),
        ("/17", None),
        ("/api", Some("root")),
        ("/api/", None),
        ("/api/in.ner/deep/x/y", Some("x/y")),
        ("/api/inxner/deep/x", None),
        ("/in.ner/deep/x", None),
        ("/x/api/users", None),
        ("/api/late", Some("late")),
    ] {
        let response = client.get(path).send();
        match answer {
            Some(answer) => assert_eq!(response.text(), answer, "{path}"),
            None => assert_eq!(response.status(), 404, "{path}"),
        }
    }
    assert_eq!(client.post("/api/users").send().text(), "made");
}

#[test]
fn what_nobody_takes_is_404_405_or_501() {
    let routes = [
        get("^/both$", |_| "get"),
        post("^/both$", |_| "post"),
        post("^/stop/$", |_| "stopped"),
        method("PURGE", "^/cache$", |_| "purged"),
        post("/both", |_| "again"),
        put(r"^/bo(\w+)$", |_| "put"),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());

    for (method, target) in [("GET", "/nope"), ("OPTIONS", "/nope"), ("TRACE", "/nope")] {
        client.request(method, target).expect_failure(404);
    }
    for (method, target, allow) in [
        ("GET", "/stop/", "POST, OPTIONS"),
        ("HEAD", "/stop/", "POST, OPTIONS"),
        ("DELETE", "/both", "GET, HEAD, POST, PUT, OPTIONS"),
        ("PURGE", "/both", "GET, HEAD, POST, PUT, OPTIONS"),
        ("GET", "/cache", "PURGE, OPTIONS"),
        ("TRACE", "/cache", "PURGE, OPTIONS"),
    ] {
        let answer = client.request(method, target);
        let allow: HashSet<_> = allow.split(", ").collect();
        assert_eq!((answer.status, answer.list("allow")), (405, allow), "{method} {target}");
        answer.expect_close(false);
    }
    // Case decides: `get` is a method that nobody knows.
    for method in ["BREW", "get", "purge", "M!#$%&'*+-.^_`|~"] {
        client.request(method, "/both").expect_failure(501);
        client.request(method, "/nope").expect_failure(501);
    }
    client.request("PURGE", "/cache").expect(200, "purged");
}

#[test]
fn options_tells_the_methods_without_content() {
    let routes = [get("^/a$", |_| "a"), post("^/b$", |_| "b")];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for (target, allow) in
        [("/a", "GET, HEAD, OPTIONS"), ("/b", "POST, OPTIONS"), ("*", "GET, HEAD, POST, OPTIONS")]
    {
        let answer = client.request("OPTIONS", target);
        answer.expect(204, "");
        assert_eq!(answer.list("allow"), allow.split(", ").collect(), "{target}");
    }
}

#[test]
fn head_is_answered_as_get_without_the_content() {
    let routes = [
        get("^/$", |_| "hello"),
        get("^/big$", |_| vec![b'x'; 100_000]),
        get("^/none$", |_| None::<String>),
        method("HEAD", "^/own$", |_| Response::text("").header("x-own", "head")),
        get("^/own$", |_| "get"),
    ];
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    for target in ["/", "/big", "/none", "/nope"] {
        let (mut get, mut head) = (client.get(target), client.request("HEAD", target));
        assert!(head.body.is_empty());
        // A second may pass between the two.
        for answer in [&mut get, &mut head] {
            answer.body.clear();
            answer.fields.retain(|(name, _)| name != "Date");
        }
        assert_eq!(get, head, "{target}");
        assert!(head.field("content-length").is_some());
    }
    assert_eq!(client.request("HEAD", "/own").field("x-own"), Some("head"));
    client.get("/own").expect(200, "get");
}

#[test]
fn not_found_is_the_programs_to_answer_and_405_is_not() {
    let app = Snow::new([get("^/a$", |_| "a")])
        .not_found(|req: Request| (StatusCode::GONE, format!("no {}", req.path())));
    let mut client = app.test_client().unwrap();
    let answer = client.get("/gone?x").send();
    assert_eq!((answer.status(), answer.text()), (410, "no /gone"));
    assert_eq!(client.post("/gone").body("content").send().status(), 410);
    assert_eq!(client.post("/a").send().status(), 405);
    assert_eq!(client.get("/a").send().status(), 200);
}

#[test]
fn not_found_may_answer_later() {
    let app = Snow::new([]).not_found(async |req: Request| {
        snow::sleep(std::time::Duration::from_secs(1)).await;
        format!("late: {}", req.path())
    });
    let mut client = app.test_client().unwrap();
    assert_eq!(client.get("/x").send().text(), "late: /x");
    assert_eq!(client.elapsed().as_secs(), 1);
}

/// Returns what refuses a table.
#[track_caller]
fn refusal(routes: Vec<Route>) -> String {
    let error = Snow::new(routes).bind("127.0.0.1:0").expect_err("the table is refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

#[test]
fn a_bad_pattern_is_shown_with_a_caret_and_its_place() {
    for (pattern, column) in [
        (r"^/user/(?<id>\d+$", 7),
        ("^/[a-z$", 2),
        (r"^/x\q$", 3),
        ("^/(?=x)", 2),
        ("^/é(", 3),
        ("^/a)", 3),
        (r"^/(.)\1$", 5),
    ] {
        let (fine, line) = (get("^/fine$", |_| ""), line!() + 1);
        let text = refusal(vec![fine, get(pattern, |_| "")]);
        let lines: Vec<_> = text.lines().collect();
        let shown = lines.iter().position(|line| line.trim_start() == pattern);
        let shown = shown.unwrap_or_else(|| panic!("the pattern is not shown: {text}"));
        let indent = lines[shown].len() - pattern.len();
        let caret = lines[shown + 1].chars().position(|c| c == '^');
        assert_eq!(caret, Some(indent + column), "{text}");
        assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    }
}

#[test]
fn a_pattern_that_takes_the_tables_of_unicode_names_the_feature() {
    let line = match cfg!(feature = "unicode") {
        true => "",
        false => "the pattern is not valid: this takes the feature `unicode` of snow-web",
    };
    for pattern in [r"^/(\p{L}+)$", "^/[éè]$", r"(?u)^/\w$", "(?iu)^/é$"] {
        let error = Snow::new([get(pattern, |_| "")]).test_client().err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error.lines().next().unwrap_or_default(), line, "{pattern}");
    }
}

#[test]
fn a_pattern_that_is_too_large_is_said_to_be() {
    let text = refusal(vec![get("^/(a{1000}){1000}$", |_| "")]);
    let line = "the pattern \"^/(a{1000}){1000}$\" cannot be compiled: it is too large\n";
    assert!(text.starts_with(line), "{text}");
}

#[test]
fn a_bad_pattern_in_a_mounted_table_is_shown_as_it_was_written() {
    let text = refusal(vec![mount("/api", [get("^/x(", |_| "")])]);
    assert!(text.lines().any(|line| line.trim_start() == "^/x("), "{text}");
    assert!(text.contains(file!()), "{text}");
}

#[test]
fn a_name_that_is_no_method_is_refused() {
    for name in ["", "TWO WORDS", "GET\r\nX: y", "GÉT"] {
        let text = refusal(vec![method(name, "^/$", |_| "")]);
        assert!(text.contains(file!()), "{text}");
    }
}

#[test]
fn a_route_that_is_never_reached_is_warned_about() {
    collect_log();
    let cases: [(&str, [Route; 2], bool); 11] = [
        ("same", [get("^/same$", |_| ""), get("^/same$", |_| "")], true),
        ("any", [route("^/any$", |_| ""), post("^/any$", |_| "")], true),
        ("pre", [get("^/pre/", |_| ""), get(r"^/pre/(\d+)$", |_| "")], true),
        ("word", [get(r"^/wor\w+$", |_| ""), get("^/word$", |_| "")], true),
        ("rex", [get(r"^/rex/\d$", |_| ""), get(r"^/rex/\d$", |_| "")], true),
        ("mount", [get("^/mou", |_| ""), mount("/mount", [get("^/x$", |_| "")])], true),
        ("other", [get("^/other$", |_| ""), post("^/other$", |_| "")], false),
        ("wider", [get("^/wider$", |_| ""), route("^/wider$", |_| "")], false),
        ("narrow", [get("^/narrow/a$", |_| ""), get("^/narrow/", |_| "")], false),
        ("case", [get("^/CASE$", |_| ""), get("^/case$", |_| "")], false),
        ("apart", [get(r"^/apart/\d$", |_| ""), get("^/apart/x$", |_| "")], false),
    ];
    for (name, routes, is_shadowed) in cases {
        let _ = client(routes);
        assert_eq!(is_warned_about(name), is_shadowed, "{name}");
    }
}

#[test]
fn a_head_route_behind_a_get_route_is_warned_about() {
    collect_log();
    // `GET` routes take `HEAD`.
    let _ = client([get("^/headless$", |_| ""), method("HEAD", "^/headless$", |_| "")]);
    assert!(is_warned_about("headless"));
}

#[test]
fn patterns_that_cannot_mean_what_they_say_are_warned_about() {
    collect_log();
    for (route, words) in [
        (get("slashless", |_| ""), "route 1 (slashless)"),
        (mount("bare", [get("^/routes$", |_| "")]), "a path begins with `/`"),
        (get("/colon/:id/x", |_| ""), "a capture is `(?<id>[^/]+)`"),
        (mount("/tenant/:tenant", [get("^/routes$", |_| "")]), "a capture is `(?<tenant>[^/]+)`"),
    ] {
        let _ = client([route]);
        let lines = logged(words);
        assert!(
            lines.iter().any(|line| line.contains("WARN") && line.contains(file!())),
            "{words}"
        );
    }
    let _ = client([get(r"^/fine/(?:a|b)/:\d$", |_| ""), get("^/(fine:a|b)$", |_| "")]);
    assert_eq!(logged("fine").iter().filter(|line| line.contains("WARN")).count(), 0);
}

/// Returns whether a warning names the pattern and this file.
fn is_warned_about(name: &str) -> bool {
    let mut lines = logged(&format!("/{name}")).into_iter().chain(logged(&format!("^/{name}")));
    lines.any(|line| line.contains("WARN") && line.contains(file!()))
}

/// What patterns of the property test are made of, simple enough to match them by hand.
#[derive(Clone, Debug)]
enum Part {
    Literal(&'static str),
    Optional(&'static str),
    Either(&'static str, &'static str),
    /// A group of one or more of these.
    Group(fn(u8) -> bool, &'static str),
}

struct Reference {
    parts: Vec<Part>,
    is_anchored: bool,
    ignores_case: bool,
    method: &'static str,
}

impl Reference {
    fn pattern(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.to_string(),
            Part::Optional(text) => format!("(?:{text})?"),
            Part::Either(one, other) => format!("(?:{one}|{other})"),
            Part::Group(_, class) => format!("({class}+)"),
        });
        let flags = if self.ignores_case { "(?i)" } else { "" };
        let end = if self.is_anchored { "$" } else { "" };
        format!("{flags}^/{}{end}", parts.collect::<String>())
    }

    /// Returns what the groups hold, if the path matches: greedy, and back again.
    fn matches(&self, path: &str) -> Option<Vec<String>> {
        let mut groups = Vec::new();
        let rest = path.strip_prefix('/')?;
        self.matches_parts(&self.parts, rest, &mut groups).then_some(groups)
    }

    fn strip<'a>(&self, rest: &'a str, text: &str) -> Option<&'a str> {
        let start = rest.get(..text.len())?;
        let is_same = start == text || self.ignores_case && start.eq_ignore_ascii_case(text);
        is_same.then(|| &rest[text.len()..])
    }

    fn matches_parts(&self, parts: &[Part], rest: &str, groups: &mut Vec<String>) -> bool {
        let Some((part, parts)) = parts.split_first() else {
            return rest.is_empty() || !self.is_anchored;
        };
        let mut go_on =
            |rest: Option<&str>| rest.is_some_and(|rest| self.matches_parts(parts, rest, groups));
        match part {
            Part::Literal(text) => go_on(self.strip(rest, text)),
            Part::Optional(text) => go_on(self.strip(rest, text)) || go_on(Some(rest)),
            Part::Either(one, other) => {
                go_on(self.strip(rest, one)) || go_on(self.strip(rest, other))
            }
            Part::Group(takes, _) => {
                let most = rest.bytes().take_while(|&byte| takes(byte)).count();
                (1..=most).rev().any(|len| {
                    groups.push(rest[..len].to_string());
                    let matches = self.matches_parts(parts, &rest[len..], groups);
                    if !matches {
                        groups.pop();
                    }
                    matches
                })
            }
        }
    }
}

impl Chance {
    fn reference(&mut self, min_parts: usize) -> Reference {
        const TEXTS: [&str; 8] = ["a", "b", "ab", "a/", "/", "1", "abba/", "b1"];
        let parts = (0..min_parts + self.below(4)).map(|_| match self.below(8) {
            0..4 => Part::Literal(self.pick(&TEXTS)),
            4 => Part::Optional(self.pick(&TEXTS)),
            5 => Part::Either(self.pick(&TEXTS), self.pick(&TEXTS)),
            6 => Part::Group(|byte| byte.is_ascii_digit(), "[0-9]"),
            _ => Part::Group(|byte| byte != b'/', "[^/]"),
        });
        Reference {
            parts: parts.collect(),
            is_anchored: self.below(3 + 10 * min_parts) > 0,
            ignores_case: self.below(8) == 0,
            method: self.pick(&["GET", "GET", "POST", "ANY"]),
        }
    }

    fn path(&mut self) -> String {
        let len = self.below(10);
        let rest: String = (0..len).map(|_| self.pick(&["a", "b", "A", "/", "1"])).collect();
        format!("/{rest}")
    }
}

/// Asks a random table and the reference the same questions; returns how many routes have won.
fn compare(seed: u64, routes: usize, min_parts: usize, questions: usize) -> usize {
    let mut chance = Chance::seeded(seed);
    let references: Vec<_> = (0..routes).map(|_| chance.reference(min_parts)).collect();
    let table = references.iter().enumerate().map(|(number, reference)| {
        let count = reference.parts.iter().filter(|part| matches!(part, Part::Group(..))).count();
        let handler = move |req: Request| {
            let groups =
                (1..=count).map(|group| req.param(&group.to_string()).unwrap().to_string());
            format!("{number} {:?}", groups.collect::<Vec<_>>())
        };
        match reference.method {
            "ANY" => route(&reference.pattern(), handler),
            name => method(name, &reference.pattern(), handler),
        }
    });
    let mut client = client(table);
    let mut winners = HashSet::new();
    for _ in 0..questions {
        let (path, method) = (chance.path(), chance.pick(&["GET", "GET", "POST"]));
        let found: Vec<_> = references
            .iter()
            .enumerate()
            .filter_map(|(number, it)| Some((number, it.method, it.matches(&path)?)))
            .collect();
        let first = found.iter().find(|(_, known, _)| *known == method || *known == "ANY");
        let context = || {
            let patterns = references.iter().map(|it| format!("{} {}", it.method, it.pattern()));
            format!("{method} {path} (seed {seed}, {:?})", patterns.take(20).collect::<Vec<_>>())
        };
        // The second time the request line is known.
        for _ in 0..2 {
            let answer = client.request(method, &path).send();
            match first {
                Some((number, _, groups)) => {
                    assert_eq!(answer.text(), format!("{number} {groups:?}"), "{}", context());
                    winners.insert(*number);
                }
                None => {
                    let status = if found.is_empty() { 404 } else { 405 };
                    assert_eq!(answer.status(), status, "{}", context());
                }
            }
        }
    }
    winners.len()
}

#[test]
fn small_random_tables_agree_with_a_linear_search() {
    let winners: usize =
        (1..=150_u64).map(|n| compare(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), 12, 0, 25)).sum();
    assert!(winners > 300, "the tables are too easy: {winners}");
}

#[test]
fn a_thousand_random_routes_agree_with_a_linear_search() {
    let winners = compare(0x5eed, 1000, 3, 1000);
    assert!(winners > 80, "the table is too easy: {winners}");
}
