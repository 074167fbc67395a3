//! The fields of a head, and what they say about the content and the connection (RFC 9112, sections 5, 6
//! and 9).
//!
//! They go through `httparse`. What it lets through and the RFCs do not (bare LF, `Host`, framing) is
//! checked around it.
//!
//! Facts are gathered first and judged together, so that contradictions are found whatever their order.

use super::{
    bad,
    head::Span,
    request::Version,
    target::{self, Port},
};
use crate::{Config, Error, ErrorKind, Result, config::MOST_FIELDS};
use std::str;

/// Fields that most heads stay below, those of browsers behind a proxy, too; more take a second look.
const USUAL_FIELDS: usize = 24;

/// How the content of a request is delimited (RFC 9112, section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ContentFraming {
    /// There is none.
    #[default]
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A field, as places in the text of all.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
}

/// The fields of a head, and what they say about the connection.
///
/// Services that call services, and clients that poll, send the same fields with each of their requests:
/// when they are byte for byte those that this storage held before, what they say is known.
#[derive(Default, Debug)]
pub(crate) struct Fields {
    /// As they were sent, the empty line behind them included.
    text: Vec<u8>,
    places: Vec<Field>,
    /// The version that they were parsed for; `None` when the next fields are not to be compared with
    /// these.
    known_in: Option<Version>,
    host: Option<Span>,
    content: ContentFraming,
    is_keep_alive: bool,
    expects_continue: bool,
}

impl Fields {
    /// Returns the value of `Host`.
    pub(crate) fn host(&self) -> Option<&[u8]> {
        self.host.map(|host| &self.text[host.range()])
    }

    /// Returns how the content is delimited.
    pub(crate) fn content(&self) -> ContentFraming {
        self.content
    }

    /// Returns whether the connection may go on after this request, as far as the client is concerned.
    pub(crate) fn is_keep_alive(&self) -> bool {
        self.is_keep_alive
    }

    /// Returns whether the client waits for a 100 before it sends the content.
    pub(crate) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Returns names, as they were sent, and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places.iter().map(|field| {
            // Names are tokens, and so ASCII: `httparse` has checked them.
            let name = str::from_utf8(&self.text[field.name.range()]).unwrap_or_default();
            (name, &self.text[field.value.range()])
        })
    }

    /// Returns the values of `name`, whatever its case.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let places = self.places.iter().filter(move |field| {
            self.text[field.name.range()].eq_ignore_ascii_case(name.as_bytes())
        });
        places.map(|field| &self.text[field.value.range()])
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.text.capacity() + self.places.capacity() * size_of::<Field>()
    }

    /// Returns how many bytes the fields at the start of `input` take, if they are the ones that are here
    /// from the head before.
    pub(super) fn repeated_len(&self, input: &[u8], version: Version) -> Option<usize> {
        // They end with the empty line, so no longer section begins with them.
        let is_repeated = self.known_in == Some(version) && input.starts_with(&self.text);
        is_repeated.then_some(self.text.len())
    }

    /// Forgets what is cached: the next fields are parsed from scratch.
    pub(super) fn forget(&mut self) {
        self.known_in = None;
    }

    /// Takes the fields that begin at `start` of what has come of a head, and returns how many bytes they
    /// take, the empty line included; `None` when they are not all there.
    ///
    /// # Errors
    ///
    /// What the client is told.
    // Out of line: its array of fields takes room on the stack.
    #[inline(never)]
    pub(super) fn parse(
        &mut self,
        input: &[u8],
        start: usize,
        version: Version,
        config: &Config,
    ) -> Result<Option<usize>> {
        let most = config.max_headers.min(MOST_FIELDS);
        if most < USUAL_FIELDS {
            return self.parse_many(input, start, version, most);
        }
        let mut usual = [httparse::EMPTY_HEADER; USUAL_FIELDS];
        match httparse::parse_headers(&input[start..], &mut usual) {
            Ok(httparse::Status::Complete((len, fields))) => {
                self.take(&input[..start + len], start, fields, version).map(|()| Some(len))
            }
            Err(httparse::Error::TooManyHeaders) => self.parse_many(input, start, version, most),
            outcome => no_fields(input, most, outcome),
        }
    }

    /// Takes up to `most` fields, whatever is usual.
    #[inline(never)]
    fn parse_many(
        &mut self,
        input: &[u8],
        start: usize,
        version: Version,
        most: usize,
    ) -> Result<Option<usize>> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        match httparse::parse_headers(&input[start..], &mut fields[..most]) {
            Ok(httparse::Status::Complete((len, fields))) => {
                self.take(&input[..start + len], start, fields, version).map(|()| Some(len))
            }
            outcome => no_fields(input, most, outcome),
        }
    }

    /// Keeps the fields of a whole head, which begin at `start`, and heeds those that are about the
    /// connection.
    ///
    /// # Errors
    ///
    /// What the client is told; there are no fields then.
    fn take(
        &mut self,
        head: &[u8],
        start: usize,
        fields: &[httparse::Header<'_>],
        version: Version,
    ) -> Result<()> {
        self.known_in = None;
        self.text.clear();
        self.places.clear();
        self.places.reserve_exact(fields.len());
        let text = &head[start..];
        // Before anything is heeded, so that a fault is the same however the head is cut.
        for field in fields {
            check_line_end(head, start + usize::from(Span::of(field.name.as_bytes(), text).start))?;
        }
        check_line_end(head, head.len() - 2)?;
        check_line_end(head, head.len())?;
        let mut facts = Facts::default();
        for field in fields {
            let (name, value) =
                (Span::of(field.name.as_bytes(), text), Span::of(field.value, text));
            self.places.push(Field { name, value });
            facts.heed(field.name, field.value, value, version)?;
        }
        self.judge(&facts, version)?;
        self.text.extend_from_slice(text);
        // The time of a comparison reveals something of what is compared with, which may be another
        // client's.
        self.known_in = (!facts.has_credentials).then_some(version);
        Ok(())
    }

    /// Decides what the fields together mean, or that they contradict each other.
    fn judge(&mut self, facts: &Facts, version: Version) -> Result<()> {
        let is_http11 = version == Version::Http11;
        if is_http11 && facts.host.is_none() {
            return Err(bad("the Host field is missing"));
        }
        if facts.is_chunked && !is_http11 {
            return Err(bad("a transfer coding has no place in HTTP/1.0"));
        }
        self.host = facts.host;
        self.content = match (facts.is_chunked, facts.content_length) {
            (true, Some(_)) => return Err(bad("Content-Length and Transfer-Encoding contradict")),
            (true, None) => ContentFraming::Chunked,
            (false, Some(0) | None) => ContentFraming::None,
            (false, Some(length)) => ContentFraming::Length(length),
        };
        self.expects_continue = facts.expects_continue && self.content != ContentFraming::None;
        self.is_keep_alive = !facts.closes && (is_http11 || facts.keeps_alive);
        Ok(())
    }
}

/// Says whether a head of at most `most` fields is not all there or at fault.
#[cold]
fn no_fields<T>(input: &[u8], most: usize, outcome: httparse::Result<T>) -> Result<Option<usize>> {
    // A bare line feed, which `httparse` takes for a line's end, is the fault that comes first, unless
    // it is behind the field that is one too many, or behind the head.
    let line_feeds = memchr::memchr_iter(b'\n', input).take(most + 2);
    let mut of_head = line_feeds.take_while(|&at| !input[..at].ends_with(b"\r\n\r"));
    let bare = of_head.find(|&at| !input[..at].ends_with(b"\r"));
    match (bare, outcome) {
        (Some(at), _) => Err(bare_line_feed(at)),
        (None, Err(error)) => Err(field_error(error)),
        (None, Ok(_)) => Ok(None),
    }
}

fn field_error(error: httparse::Error) -> Error {
    match error {
        httparse::Error::TooManyHeaders => {
            Error::new(ErrorKind::HeadTooLarge, "the head of the request has too many fields")
        }
        httparse::Error::HeaderName => bad("a field name has a byte that cannot stand there"),
        httparse::Error::HeaderValue => bad("a field value has a byte that cannot stand there"),
        _ => bad("a field line is malformed"),
    }
}

/// Checks that the line before `at` ends with CR LF: `httparse` takes a bare LF too.
fn check_line_end(head: &[u8], at: usize) -> Result<()> {
    match head[at - 2] {
        b'\r' => Ok(()),
        _ => Err(bare_line_feed(at - 1)),
    }
}

/// What the fields say about framing and the connection, gathered before it is judged.
#[derive(Default)]
struct Facts {
    host: Option<Span>,
    content_length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
    expects_continue: bool,
    has_credentials: bool,
}

impl Facts {
    /// Heeds one field, if it is one that the server itself reads.
    fn heed(&mut self, name: &str, value: &[u8], place: Span, version: Version) -> Result<()> {
        // Most fields are none of these, and their length alone says so.
        match name.len() {
            // The usual spelling first: one comparison.
            4 if name == "Host" || name.eq_ignore_ascii_case("host") => {
                if self.host.replace(place).is_some() {
                    return Err(bad("the Host field is there twice"));
                }
                if !value.is_empty() {
                    target::check_authority(value, Port::Optional)?;
                }
            }
            6 if name.eq_ignore_ascii_case("expect") && version == Version::Http11 => {
                let expectations = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
                for expectation in expectations.filter(|one| !one.is_empty()) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Error::new(
                            ErrorKind::ExpectationFailed,
                            "the only expectation this server meets is 100-continue",
                        ));
                    }
                    self.expects_continue = true;
                }
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    self.closes |= option.eq_ignore_ascii_case(b"close");
                    self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = parse_length(value)?;
                if self.content_length.replace(length).is_some() {
                    return Err(bad("the Content-Length field is there twice"));
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if self.is_chunked {
                    return Err(bad("the Transfer-Encoding field is there twice"));
                }
                check_coding(value)?;
                self.is_chunked = true;
            }
            6 | 13 | 19 => {
                let names = ["cookie", "authorization", "proxy-authorization"];
                self.has_credentials |= names.iter().any(|known| name.eq_ignore_ascii_case(known));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Parses `1*DIGIT`, and nothing else: no sign, no list, no blank.
fn parse_length(value: &[u8]) -> Result<u64> {
    if value.is_empty() {
        return Err(bad("the Content-Length field is empty"));
    }
    value
        .iter()
        .try_fold(0_u64, |length, &digit| {
            let digit = digit.is_ascii_digit().then_some(u64::from(digit.wrapping_sub(b'0')))?;
            length.checked_mul(10)?.checked_add(digit)
        })
        .ok_or_else(|| bad("the Content-Length field is not a number of bytes"))
}

/// Takes `chunked` and nothing else (RFC 9112, section 6.1).
fn check_coding(value: &[u8]) -> Result<()> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    if codings.any(|coding| coding.is_empty() || !coding.iter().all(|&b| target::is_token(b))) {
        return Err(bad("the Transfer-Encoding field is malformed"));
    }
    // Without chunked at the end nobody knows where the content ends (RFC 9112, section 6.3).
    let codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let chunked = codings.map(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    match (chunked.clone().next_back(), chunked.filter(|is_chunked| *is_chunked).count()) {
        (Some(true), 1) => {
            Err(Error::new(ErrorKind::NotImplemented, "the only transfer coding is chunked"))
        }
        (Some(true), _) => Err(bad("the content is chunked more than once")),
        _ => Err(bad("the last transfer coding is not chunked")),
    }
}

fn bare_line_feed(at: usize) -> Error {
    bad(format!("byte {at} is a line feed without a carriage return"))
}
