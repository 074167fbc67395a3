//! Request body framing: `Content-Length` and chunked (RFC 9112, sections 6 and 7).
//!
//! A decoder is fed slices and hands out slices of them; it copies nothing but trailers, and nothing
//! is ever allocated from a declared length. What one byte means never depends on how the bytes are
//! cut.

use super::{bad, fields::ContentFraming, target::is_token};
use crate::{Config, Error, ErrorKind, Result};
use http::{HeaderName, HeaderValue, header};

/// Digits of the largest chunk size: sixteen fill 64 bits. More, be they zeros, are an attack.
const MAX_SIZE_DIGITS: u8 = 16;

/// Bytes of framing that each byte of content allows; see [`Config::max_chunk_overhead_bytes`].
const FREE_PER_BYTE: i64 = 4;

/// Fields that make no sense, or do harm, behind the content (RFC 9110, section 6.5.1): what frames the
/// message, routes or authenticates it, or changes what it asks for.
const FORBIDDEN_TRAILERS: [HeaderName; 32] = [
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    HeaderName::from_static("keep-alive"),
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::RANGE,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// Fields of a trailer section.
pub(crate) type Trailers = Vec<(HeaderName, HeaderValue)>;

/// What a decoder made of its input.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Piece<'a> {
    /// A part of the content.
    Data(&'a [u8]),
    /// The input is used up and the content is not complete.
    Incomplete,
    /// The content is complete; what is left of the input is not part of it.
    End,
}

/// Takes the framing off a body.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Box<Chunked>),
}

impl Decoder {
    pub(crate) fn new(framing: ContentFraming) -> Decoder {
        match framing {
            ContentFraming::None => Decoder::Length(0),
            ContentFraming::Length(length) => Decoder::Length(length),
            ContentFraming::Chunked => Decoder::Chunked(Box::default()),
        }
    }

    /// Takes the next piece off `input`.
    ///
    /// # Errors
    ///
    /// `BadRequest` for malformed framing, `HeadTooLarge` for trailers beyond the limits. The
    /// connection cannot be read any further.
    pub(crate) fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
        config: &Config,
    ) -> Result<Piece<'a>> {
        match self {
            Decoder::Length(0) => Ok(Piece::End),
            Decoder::Length(left) => match take(input, *left) {
                [] => Ok(Piece::Incomplete),
                data => {
                    *left -= data.len() as u64;
                    Ok(Piece::Data(data))
                }
            },
            Decoder::Chunked(chunked) => chunked.decode(input, config),
        }
    }

    /// Returns how many bytes are still to come at the least: what is declared so far.
    pub(crate) fn declared(&self) -> u64 {
        match self {
            Decoder::Length(left) => *left,
            Decoder::Chunked(chunked) => match chunked.state {
                ChunkState::Data { left } => left,
                _ => 0,
            },
        }
    }

    /// Takes the trailers, once the content is complete.
    pub(crate) fn take_trailers(&mut self) -> Trailers {
        match self {
            Decoder::Length(_) => Trailers::new(),
            Decoder::Chunked(chunked) => chunked.trailers.take().unwrap_or_default().fields,
        }
    }
}

/// Takes up to `most` bytes off `input`.
fn take<'a>(input: &mut &'a [u8], most: u64) -> &'a [u8] {
    let len = usize::try_from(most).unwrap_or(usize::MAX).min(input.len());
    let (data, rest) = input.split_at(len);
    *input = rest;
    data
}

/// Where in chunked framing the next byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ChunkState {
    /// In the size, after so many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the extensions of a chunk of `size` bytes.
    Extension {
        size: u64,
        at: ExtensionState,
    },
    /// Before the line feed that ends the line of a chunk of `size` bytes.
    SizeEnd {
        size: u64,
    },
    /// In the data, of which so many bytes are to come.
    Data {
        left: u64,
    },
    /// Before the carriage return behind the data.
    DataEnd,
    /// Before the line feed behind the data.
    DataEndLineFeed,
    /// In the trailer section.
    Trailers,
    End,
}

impl ChunkState {
    /// Before the size of the next chunk.
    const BEGIN: ChunkState = ChunkState::Size { size: 0, digits: 0 };

    /// Returns what comes behind the line of a chunk of `size` bytes.
    fn behind_size(size: u64) -> ChunkState {
        match size {
            0 => ChunkState::Trailers,
            left => ChunkState::Data { left },
        }
    }
}

/// Where in a chunk extension (RFC 9112, section 7.1.1) the next byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ExtensionState {
    /// In blanks, behind which only a semicolon may come.
    BeforeSemicolon,
    /// Behind the semicolon.
    BeforeName,
    Name,
    /// In blanks behind a name.
    AfterName,
    /// Behind the equals sign.
    BeforeValue,
    Value,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    /// Behind a quoted string.
    AfterQuoted,
}

/// Takes chunked framing off.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: ChunkState,
    /// Bytes of the current line.
    line_len: usize,
    /// Bytes of framing so far, less those that the content allows.
    excess: i64,
    /// `None` until the trailer section begins to come.
    trailers: Option<Box<TrailerSection>>,
}

/// What comes behind the last chunk.
#[derive(Default, Debug)]
struct TrailerSection {
    /// The section as far as it has come.
    text: Vec<u8>,
    fields: Trailers,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked { state: ChunkState::BEGIN, line_len: 0, excess: 0, trailers: None }
    }
}

impl Chunked {
    fn decode<'a>(&mut self, input: &mut &'a [u8], config: &Config) -> Result<Piece<'a>> {
        loop {
            match self.state {
                ChunkState::End => return Ok(Piece::End),
                ChunkState::Data { left } => {
                    let data = take(input, left);
                    let left = left - data.len() as u64;
                    let allowed = (data.len() as i64).saturating_mul(FREE_PER_BYTE);
                    self.excess = self.excess.saturating_sub(allowed);
                    self.state = match left {
                        0 => ChunkState::DataEnd,
                        _ => ChunkState::Data { left },
                    };
                    return Ok(if data.is_empty() { Piece::Incomplete } else { Piece::Data(data) });
                }
                _ => {}
            }
            let len = match self.plain_step(input, config) {
                Some((state, len)) => {
                    self.excess += len as i64;
                    self.state = state;
                    len
                }
                None => {
                    let Some(&byte) = input.first() else { return Ok(Piece::Incomplete) };
                    self.state = self.step(byte, config)?;
                    1
                }
            };
            *input = &input[len..];
            self.check_overhead(config)?;
        }
    }

    /// Takes at once what most framing consists of, if all of it has come: a size and nothing else, the line
    /// end behind data, an empty trailer section. Returns what is next, and how many bytes it takes.
    fn plain_step(&self, input: &[u8], config: &Config) -> Option<(ChunkState, usize)> {
        match self.state {
            ChunkState::Size { digits: 0, .. } => {
                let digits =
                    input.iter().take(9).take_while(|byte| byte.is_ascii_hexdigit()).count();
                let len = digits + 2;
                let is_plain = (1..=8).contains(&digits)
                    && input[digits..].starts_with(b"\r\n")
                    && len <= config.max_chunk_line_bytes;
                if !is_plain {
                    return None;
                }
                let digit = |byte: &u8| char::from(*byte).to_digit(16).map_or(0, u64::from);
                let size = input[..digits].iter().fold(0, |size, byte| size << 4 | digit(byte));
                Some((ChunkState::behind_size(size), len))
            }
            ChunkState::DataEnd if input.starts_with(b"\r\n") => Some((ChunkState::BEGIN, 2)),
            ChunkState::Trailers
                if self.trailers.is_none()
                    && config.max_trailer_bytes >= 2
                    && input.starts_with(b"\r\n") =>
            {
                Some((ChunkState::End, 2))
            }
            _ => None,
        }
    }

    /// Takes one byte of framing.
    fn step(&mut self, byte: u8, config: &Config) -> Result<ChunkState> {
        self.excess += 1;
        self.line_len += 1;
        if self.line_len > config.max_chunk_line_bytes && self.state != ChunkState::Trailers {
            return Err(bad("a chunk-size line is too long"));
        }
        match self.state {
            ChunkState::Size { size, digits } => in_size(byte, size, digits),
            ChunkState::Extension { size, at } => in_extension(byte, size, at),
            ChunkState::SizeEnd { size } if byte == b'\n' => {
                self.line_len = 0;
                Ok(ChunkState::behind_size(size))
            }
            ChunkState::SizeEnd { .. } => Err(bad("a chunk-size line has a bare carriage return")),
            ChunkState::DataEnd if byte == b'\r' => Ok(ChunkState::DataEndLineFeed),
            ChunkState::DataEndLineFeed if byte == b'\n' => {
                self.line_len = 0;
                Ok(ChunkState::BEGIN)
            }
            ChunkState::DataEnd | ChunkState::DataEndLineFeed => {
                Err(bad("a chunk is not followed by a line end"))
            }
            ChunkState::Trailers => {
                let is_end = self.trailers.get_or_insert_default().take(byte, config)?;
                Ok(if is_end { ChunkState::End } else { ChunkState::Trailers })
            }
            ChunkState::Data { .. } | ChunkState::End => Ok(self.state),
        }
    }

    fn check_overhead(&self, config: &Config) -> Result<()> {
        if self.excess > i64::from(config.max_chunk_overhead_bytes) {
            return Err(bad("a chunked body consists of framing more than of content"));
        }
        Ok(())
    }
}

impl TrailerSection {
    /// Takes one byte of the section; true when that was its end.
    fn take(&mut self, byte: u8, config: &Config) -> Result<bool> {
        if self.text.ends_with(b"\r") && byte != b'\n' {
            return Err(bad("the trailer section has a bare carriage return"));
        }
        self.text.push(byte);
        if self.text.len() > config.max_trailer_bytes {
            return Err(Error::new(ErrorKind::HeadTooLarge, "the trailer section is too large"));
        }
        if byte != b'\n' {
            return Ok(false);
        }
        match &*self.text {
            b"\r\n" => Ok(true),
            [.., b'\r', b'\n', b'\r', b'\n'] => self.parse(config).map(|()| true),
            // A malformed field is refused at its end and not at that of the section.
            [.., b'\r', b'\n'] => self.parse(config).map(|()| false),
            _ => Err(bad("the trailer section has a bare line feed")),
        }
    }

    fn parse(&mut self, config: &Config) -> Result<()> {
        let mut fields = vec![httparse::EMPTY_HEADER; config.max_trailers];
        let fields = match httparse::parse_headers(&self.text, &mut fields) {
            Ok(httparse::Status::Complete((_, fields))) => fields,
            Ok(httparse::Status::Partial) => return Ok(()),
            Err(httparse::Error::TooManyHeaders) => {
                let reason = "the trailer section has too many fields";
                return Err(Error::new(ErrorKind::HeadTooLarge, reason));
            }
            Err(_) => return Err(bad("a trailer field is malformed")),
        };
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let value = HeaderValue::from_bytes(field.value);
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err(bad("a trailer field is malformed"));
            };
            if !FORBIDDEN_TRAILERS.contains(&name) {
                self.fields.push((name, value));
            }
        }
        Ok(())
    }
}

fn in_size(byte: u8, size: u64, digits: u8) -> Result<ChunkState> {
    match (byte, char::from(byte).to_digit(16)) {
        (_, Some(_)) if digits == MAX_SIZE_DIGITS => Err(bad("a chunk size has too many digits")),
        (_, Some(digit)) => {
            Ok(ChunkState::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
        }
        _ if digits == 0 => Err(bad("a chunk size is missing or not hexadecimal")),
        (b'\r', None) => Ok(ChunkState::SizeEnd { size }),
        (b';', None) => Ok(ChunkState::Extension { size, at: ExtensionState::BeforeName }),
        (b' ' | b'\t', None) => {
            Ok(ChunkState::Extension { size, at: ExtensionState::BeforeSemicolon })
        }
        _ => Err(bad("a chunk size is not hexadecimal")),
    }
}

fn in_extension(byte: u8, size: u64, at: ExtensionState) -> Result<ChunkState> {
    use ExtensionState::{
        AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue, Escaped, Name, Quoted,
        Value,
    };
    let at = match (at, byte) {
        (Quoted, b'"') => AfterQuoted,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
        (Name | Value | AfterQuoted, b'\r') => return Ok(ChunkState::SizeEnd { size }),
        (Name | Value | AfterQuoted | AfterName | BeforeSemicolon, b';') => BeforeName,
        (Name | AfterName, b'=') => BeforeValue,
        // Bad whitespace is to be parsed and removed (RFC 9110, section 5.6.3).
        (BeforeName | BeforeValue | BeforeSemicolon | AfterName, b' ' | b'\t') => at,
        (Name, b' ' | b'\t') => AfterName,
        (Value | AfterQuoted, b' ' | b'\t') => BeforeSemicolon,
        (BeforeName | Name, byte) if is_token(byte) => Name,
        (BeforeValue, b'"') => Quoted,
        (BeforeValue | Value, byte) if is_token(byte) => Value,
        _ => return Err(bad("a chunk extension is malformed")),
    };
    Ok(ChunkState::Extension { size, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in slices of `step` bytes: the content, and what is left of the input.
    fn decode(input: &[u8], step: usize) -> Result<Option<(Vec<u8>, Trailers, usize)>, ErrorKind> {
        let mut decoder = Decoder::new(ContentFraming::Chunked);
        let mut content = Vec::new();
        let mut taken = 0;
        let config = Config::default();
        for slice in input.chunks(step) {
            let mut rest = slice;
            loop {
                match decoder.decode(&mut rest, &config) {
                    Ok(Piece::Data(data)) => content.extend_from_slice(data),
                    Ok(Piece::Incomplete) => break,
                    Ok(Piece::End) => {
                        taken += slice.len() - rest.len();
                        return Ok(Some((content, decoder.take_trailers(), input.len() - taken)));
                    }
                    Err(error) => return Err(error.kind()),
                }
            }
            taken += slice.len();
        }
        Ok(None)
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut() {
        let input =
            b"5\r\nhello\r\n6;a;b=c;d=\"e\\\"f\" ; g\r\n world\r\n000\r\nX-Sum: 7\r\n\r\nGET";
        for step in 1..=input.len() {
            let (content, trailers, left) = decode(input, step).unwrap().unwrap();
            assert_eq!(content, b"hello world");
            assert_eq!(trailers.len(), 1);
            assert_eq!((trailers[0].0.as_str(), trailers[0].1.as_bytes()), ("x-sum", &b"7"[..]));
            assert_eq!(left, 3);
        }
    }

    #[test]
    fn the_bound_on_trailers_holds_however_they_are_cut() {
        let config = Config { max_trailer_bytes: 1, ..Config::default() };
        let mut decoder = Decoder::new(ContentFraming::Chunked);
        let error = decoder.decode(&mut &b"0\r\n\r\n"[..], &config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HeadTooLarge);
    }

    #[test]
    fn forbidden_trailers_are_dropped() {
        let input = b"0\r\nContent-Length: 3\r\nHost: b\r\nX: y\r\n\r\n";
        let (_, trailers, _) = decode(input, input.len()).unwrap().unwrap();
        assert_eq!(trailers.len(), 1);
    }

    #[test]
    fn malformed_framing_is_refused_however_it_is_cut() {
        let long_extension = format!("1;{}\r\n", "a".repeat(300));
        let many_trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(33));
        let cases: &[(&[u8], ErrorKind)] = &[
            (b"\r\n", ErrorKind::BadRequest),
            (b"g\r\n", ErrorKind::BadRequest),
            (b"0x5\r\n", ErrorKind::BadRequest),
            (b"-5\r\n", ErrorKind::BadRequest),
            (b"+5\r\n", ErrorKind::BadRequest),
            (b" 5\r\n", ErrorKind::BadRequest),
            (b"5 \r\n", ErrorKind::BadRequest),
            (b"5\nhello", ErrorKind::BadRequest),
            (b"5\r\r\n", ErrorKind::BadRequest),
            (b"5;\r\n", ErrorKind::BadRequest),
            (b"5;a=\r\n", ErrorKind::BadRequest),
            (b"5;a=\"b\r\n", ErrorKind::BadRequest),
            (b"5;a\nhello", ErrorKind::BadRequest),
            (b"5;=a\r\n", ErrorKind::BadRequest),
            (b"00000000000000000\r\n", ErrorKind::BadRequest),
            (b"fffffffffffffffff\r\n", ErrorKind::BadRequest),
            (b"5\r\nhelloX\r\n", ErrorKind::BadRequest),
            (b"5\r\nhello\n", ErrorKind::BadRequest),
            (b"5\r\nhello\rX", ErrorKind::BadRequest),
            (b"0\r\nX y\r\n\r\n", ErrorKind::BadRequest),
            (b"0\r\nX: y\n\r\n", ErrorKind::BadRequest),
            (b"0\r\n X: y\r\n\r\n", ErrorKind::BadRequest),
            (b"0\r\n\rX", ErrorKind::BadRequest),
            (b"0\r\nX: \0\r\n\r\n", ErrorKind::BadRequest),
            (long_extension.as_bytes(), ErrorKind::BadRequest),
            (many_trailers.as_bytes(), ErrorKind::HeadTooLarge),
        ];
        for (input, kind) in cases {
            for step in 1..=input.len() {
                let text = String::from_utf8_lossy(input);
                assert_eq!(decode(input, step).err(), Some(*kind), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn a_body_of_nothing_but_framing_ends_early() {
        let one_byte_chunks = "1\r\na\r\n".repeat(1 << 20);
        assert_eq!(decode(one_byte_chunks.as_bytes(), 4096).err(), Some(ErrorKind::BadRequest));
        let two_byte_chunks = format!("{}0\r\n\r\n", "2\r\nab\r\n".repeat(1 << 18));
        assert!(decode(two_byte_chunks.as_bytes(), 4096).unwrap().is_some());
    }
}
