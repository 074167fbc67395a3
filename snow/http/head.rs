//! A request head, and what of it is known again.

use super::{fields::Fields, request::Version, target::Target};
use http::Method;
use std::ops::Range;

/// A place in the text of a head, which is shorter than 64 KiB.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(super) start: u16,
    end: u16,
}

impl Span {
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Span {
        let start = part.as_ptr() as usize - whole.as_ptr() as usize;
        Span::from(start..start + part.len())
    }

    pub(crate) fn range(self) -> Range<usize> {
        usize::from(self.start)..usize::from(self.end)
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start as u16, end: range.end as u16 }
    }
}

/// The head of a request. Its storage is used again for the next one.
///
/// Services that call services, and clients that poll, ask for the same again and again: when a request
/// line, or the [fields](Fields), are byte for byte what this storage held before, all that they say is
/// known.
#[derive(Default, Debug)]
pub(crate) struct Head {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The request line as it was sent, its end included.
    line: Vec<u8>,
    /// Whether the next line is compared with this one.
    is_line_known: bool,
    /// Whether the route of this line has been looked up; set by whoever does that.
    pub(crate) is_routed: bool,
    /// The target, as a place in the line.
    target: Span,
    /// What the target names, as places within it.
    pub(super) named: Target,
    /// The path, when it has escapes; UTF-8.
    pub(super) decoded_path: Option<Vec<u8>>,
    pub(crate) fields: Fields,
}

impl Head {
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Makes this a request of another method than its line says.
    #[cfg(feature = "uploads")]
    pub(crate) fn set_method(&mut self, method: Method) {
        self.method = method;
        // The next request with this line is one of the method that it says.
        self.forget_line();
    }

    pub(crate) fn target(&self) -> &[u8] {
        &self.line[self.target.range()]
    }

    /// Returns whether this is `OPTIONS *` or `CONNECT`: about no path.
    pub(crate) fn is_pathless(&self) -> bool {
        self.named.path.is_none()
    }

    /// Returns the path, decoded; UTF-8.
    pub(crate) fn path(&self) -> &[u8] {
        match (&self.decoded_path, self.named.path) {
            (Some(path), _) => path,
            // Behind an authority (RFC 9110, section 4.2.3).
            (None, Some(path)) if path.is_empty() => b"/",
            (None, Some(path)) => &self.target()[path.range()],
            (None, None) => &[],
        }
    }

    pub(crate) fn query(&self) -> Option<&[u8]> {
        self.named.query.map(|query| &self.target()[query.range()])
    }

    /// Returns the authority of the target, else the value of `Host` (RFC 9112, section 3.2.2).
    pub(crate) fn host(&self) -> Option<&[u8]> {
        match self.named.authority {
            Some(authority) => Some(&self.target()[authority.range()]),
            None => self.fields.host(),
        }
    }

    /// Returns how many bytes it takes to keep this for the next head.
    pub(crate) fn capacity(&self) -> usize {
        self.line.capacity() + self.fields.capacity()
    }

    /// Returns how long the request line at the start of `input` is, if it is the one that is here from the
    /// head before.
    pub(super) fn repeated_line_len(&self, input: &[u8]) -> Option<usize> {
        let is_repeated = self.is_line_known && input.starts_with(&self.line);
        is_repeated.then_some(self.line.len())
    }

    /// Keeps a line that has been parsed, of which `target` is a part.
    pub(super) fn keep_line(&mut self, line: &[u8], target: &[u8]) {
        self.target = Span::of(target, line);
        self.line.clear();
        self.line.extend_from_slice(line);
        // The time of a comparison reveals something of what is compared with. That is no loss for a path,
        // whose lookup reveals as much; a query may hold a secret.
        self.is_line_known = self.named.query.is_none();
    }

    /// Forgets what is cached of the line: the next one is parsed and routed from scratch.
    pub(super) fn forget_line(&mut self) {
        (self.is_line_known, self.is_routed) = (false, false);
    }

    /// Forgets what is cached: the next head is parsed from scratch.
    pub(super) fn forget(&mut self) {
        self.forget_line();
        self.fields.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config,
        http::parse::{Scan, parse_head},
    };

    /// Parses into storage that may have been used before; what comes of it, in words.
    fn parse_into(head: &mut Head, input: &str) -> String {
        let outcome = parse_head(input.as_bytes(), &mut Scan::default(), &Config::default(), head);
        let Ok(Some(len)) = outcome else {
            return format!("{:?}", outcome.map_err(|error| error.kind()));
        };
        let fields: Vec<_> = head.fields.iter().collect();
        let said = (head.fields.content(), head.fields.expects_continue(), head.host());
        let target = (head.target(), head.path(), head.query(), head.is_pathless());
        let is_keep_alive = head.fields.is_keep_alive();
        format!(
            "{len} {} {} {target:?} {fields:?} {said:?} {is_keep_alive}",
            head.method, head.version
        )
    }

    #[test]
    fn what_a_head_says_does_not_depend_on_the_one_before() {
        let lines = [
            "GET / HTTP/1.1",
            "GET / HTTP/1.0",
            "POST /long/path/%41?query HTTP/1.1",
            "GET http://h/ HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "GET / HTTP/1.7",
            "GET /\0 HTTP/1.1",
            "GET",
            "GET / HTTP/1.1\n",
        ];
        let fields = [
            "",
            "Host: a\r\n",
            "Host: b\r\n",
            "Host:\r\n",
            "Host: a\r\nConnection: close\r\n",
            "Host: a\r\nConnection: keep-alive\r\n",
            "Host: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nAuthorization: Basic YQ==\r\n",
            "Host: a\r\nCookie: a=b\r\n",
            "Host: a\r\nHost: a\r\n",
            "Host: a\nX: y\r\n",
            "Host : a\r\n",
        ];
        let heads = lines.map(|line| fields.map(|fields| format!("{line}\r\n{fields}\r\n")));
        let heads: Vec<_> = heads.iter().flatten().collect();
        for before in &heads {
            for after in &heads {
                let mut used = Head::default();
                parse_into(&mut used, before);
                let expected = parse_into(&mut Head::default(), after);
                assert_eq!(parse_into(&mut used, after), expected, "{before:?}, {after:?}");
            }
        }
    }

    #[test]
    fn what_was_there_before_is_known_unless_it_is_nobody_elses_business() {
        const LINE: &str = "GET / HTTP/1.1";
        // Whether the line is, and the fields are, when a head comes after another.
        let is_known = |before: [&str; 2], after: [&str; 2]| {
            let [before, after] =
                [before, after].map(|[line, fields]| format!("{line}\r\n{fields}\r\n\r\n"));
            let mut head = Head::default();
            parse_into(&mut head, &before);
            let line_len = head.repeated_line_len(after.as_bytes());
            let (line, fields) = after.as_bytes().split_at(after.find('\n').unwrap() + 1);
            let version =
                if line.ends_with(b"1.0\r\n") { Version::Http10 } else { Version::Http11 };
            let fields_len = head.fields.repeated_len(fields, version);
            (line_len == Some(line.len()), fields_len == Some(fields.len()))
        };
        for (line, fields) in [
            (LINE, "Host: a"),
            ("POST /path HTTP/1.0", "Host: a\r\nX: y"),
            ("GET http://a/%41 HTTP/1.1", "Host: a"),
        ] {
            assert_eq!(is_known([line, fields], [line, fields]), (true, true), "{line} {fields}");
        }
        for line in ["HEAD / HTTP/1.1", "GET /a HTTP/1.1", "GET / HTTP/1.2"] {
            let after = is_known([LINE, "Host: a"], [line, "Host: a"]);
            assert_eq!(after, (false, true), "{line}");
        }
        let after = is_known([LINE, "Host: a"], ["GET / HTTP/1.0", "Host: a"]);
        assert_eq!(after, (false, false));
        let with_query = ["GET /?a HTTP/1.1", "Host: a"];
        assert_eq!(is_known(with_query, with_query), (false, true));
        for name in ["Authorization", "COOKIE", "Proxy-authorization"] {
            let fields = format!("Host: a\r\n{name}: b");
            assert_eq!(is_known([LINE, &fields], [LINE, &fields]), (true, false), "{name}");
        }
    }

    #[test]
    fn what_was_there_before_can_be_forgotten() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut head = Head::default();
        parse_into(&mut head, text);
        head.is_routed = true;
        head.forget();
        assert_eq!(head.fields.repeated_len(b"Host: a\r\n\r\n", Version::Http11), None);
        parse_into(&mut head, text);
        assert!(!head.is_routed);
    }

    #[test]
    fn a_line_that_is_refused_leaves_nothing_of_the_one_before() {
        for known in ["GET / HTTP/1.1", "POST /%41 HTTP/1.0", "OPTIONS * HTTP/1.1"] {
            let known = format!("{known}\r\nHost: a\r\n\r\n");
            let expected = parse_into(&mut Head::default(), &known);
            for between in
                ["PUT ", "GET / HTTP/2.0\r\n", "GET / HTTP/1.0\r\nX", "GET /a%zz HTTP/1.0\r\n"]
            {
                let mut used = Head::default();
                parse_into(&mut used, &known);
                parse_into(&mut used, between);
                assert_eq!(parse_into(&mut used, &known), expected, "{between:?}");
            }
        }
    }
}
