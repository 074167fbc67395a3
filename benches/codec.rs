//! The codec alone, to be counted: `codec CASE TIMES` parses, encodes or routes so often, `codec` names the cases.
//!
//! `benches/micro/run codec` builds it with `--cfg fuzzing`, which lets it at the codec, and runs it.

#[cfg(fuzzing)]
mod cases {
    use snow::{
        Config, Method, Response, Result, Route, StatusCode,
        fuzzing::{Codec, Encoder, Table},
        get,
    };
    use std::hint::black_box;

    type Case = fn(u64) -> Result<()>;

    pub(crate) const ALL: &[(&str, Case)] = &[
        ("parse-short", |times| parse(&[SHORT, OTHER_SHORT], times)),
        ("parse-browser", |times| parse(&[BROWSERS, OTHER_BROWSERS], times)),
        ("parse-again", |times| parse(&[SHORT], times)),
        ("encode-text", |times| encode(&Response::text("Hello, World!"), "", times)),
        ("encode-five-fields", |times| encode(&five_fields(), FIVE_FIELDS, times)),
        ("route-literal", |times| route(numbered(100), "/about", 0, times)),
        ("route-first", |times| route(numbered(100), "/r0/123", 1, times)),
        ("route-100th", |times| route(numbered(100), "/r99/123", 100, times)),
        ("route-1000th", |times| route(numbered(1000), "/r999/123", 1000, times)),
        ("route-by-engine", |times| route(engines(), "/r9/photo.png", 9, times)),
    ];

    const SHORT: &str = "GET /user/100001 HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";
    const OTHER_SHORT: &str = "GET /user/200002 HTTP/1.1\r\nHost: localhost:8081\r\n\r\n";

    const BROWSERS: &str = "GET /articles/2026/snow?from=index&page=2 HTTP/1.1\r\n\
        Host: www.example.org\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
        Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
        Accept-Encoding: gzip, deflate, br, zstd\r\n\
        Referer: https://www.example.org/articles/\r\n\
        Cookie: session=bHVuY2h0aW1lIGlzIGFuIGlsbHVzaW9u; theme=dark; seen=17\r\n\
        Upgrade-Insecure-Requests: 1\r\n\
        Sec-Fetch-Dest: document\r\n\
        Sec-Fetch-Mode: navigate\r\n\
        Sec-Fetch-Site: same-origin\r\n\
        Connection: keep-alive\r\n\r\n";
    /// Another browser's, whose every field has another value, and mostly another length.
    const OTHER_BROWSERS: &str = "GET /shop/7/basket?voucher=none HTTP/1.1\r\n\
        Host: shop.example.com\r\n\
        User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0\r\n\
        Accept: text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.7\r\n\
        Accept-Language: fr-CH,fr;q=0.9\r\n\
        Accept-Encoding: gzip, deflate, br\r\n\
        Referer: https://shop.example.com/shop/7\r\n\
        Cookie: id=9f86d081884c7d659a2feaa0c55ad015; basket=3\r\n\
        Upgrade-Insecure-Requests: 2\r\n\
        Sec-Fetch-Dest: iframe\r\n\
        Sec-Fetch-Mode: no-cors\r\n\
        Sec-Fetch-Site: cross-site\r\n\
        Connection: Keep-Alive\r\n\r\n";

    /// Receives the heads in turn, each on a connection of its own, with storage that others have left.
    fn parse(heads: &[&str], times: u64) -> Result<()> {
        let config = Config::default();
        for n in 0..times {
            let head = black_box(heads[n as usize % heads.len()].as_bytes());
            let mut codec = Codec::new(&config);
            assert_eq!(codec.receive_head(head), Ok(Some(head.len())));
            black_box(&codec);
        }
        Ok(())
    }

    /// Writes the head of a text with these `fields` besides the usual.
    fn encode(response: &Response, fields: &str, times: u64) -> Result<()> {
        let encoder = Encoder::new(&Config::default());
        let mut out = Vec::with_capacity(1024);
        for _ in 0..times {
            out.clear();
            encoder.write_head(&mut out, black_box(response));
            black_box(&out);
        }
        let expected = format!(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 13{fields}\r\n\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
        Ok(())
    }

    const FIVE_FIELDS: &str = "\r\nCache-Control: public, max-age=60\r\nEtag: \"9f86d081\"\r\n\
        Vary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: 3e29-77";

    fn five_fields() -> Response {
        Response::text("Hello, World!")
            .header("Cache-Control", "public, max-age=60")
            .header("ETag", "\"9f86d081\"")
            .header("Vary", "Accept-Encoding")
            .header("X-Content-Type-Options", "nosniff")
            .header("X-Request-Id", "3e29-77")
    }

    /// Finds the route of `path`, which is that with this number.
    fn route(routes: Vec<Route>, path: &str, number: usize, times: u64) -> Result<()> {
        let mut table = Table::new(routes)?;
        for _ in 0..times {
            assert_eq!(table.find(black_box(&Method::GET), black_box(path)), Some(number));
        }
        Ok(())
    }

    /// Routes as those of `examples/bench.rs`, behind a literal one.
    fn numbered(count: usize) -> Vec<Route> {
        let numbered = (0..count).map(|n| get(&format!(r"^/r{n}/(?<id>\d+)$"), |_| StatusCode::OK));
        std::iter::once(get("^/about$", |_| StatusCode::OK)).chain(numbered).collect()
    }

    /// Patterns that nothing but an engine can match.
    fn engines() -> Vec<Route> {
        let patterns = (0..10).map(|n| format!(r"^/r{n}/(?<name>.+)\.(?<type>png|jpe?g)$"));
        patterns.map(|pattern| get(&pattern, |_| StatusCode::OK)).collect()
    }
}

#[cfg(fuzzing)]
fn main() -> snow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [] => {
            cases::ALL.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        [name, times] => {
            let case = cases::ALL.iter().find(|(known, _)| known == name);
            let (_, case) = case.ok_or_else(|| format!("there is no case {name}"))?;
            case(times.parse()?)
        }
        _ => Err("usage: codec [CASE TIMES]".into()),
    }
}

#[cfg(not(fuzzing))]
fn main() {
    println!("the codec is private: `benches/micro/run codec` builds this with `--cfg fuzzing`");
}
