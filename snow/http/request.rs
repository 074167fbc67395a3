//! What handlers read: a request, owned, `Send` and cheap.
//!
//! A request is one pointer. When it is dropped on a thread that serves, its storage serves the next
//! request there, so a warm connection allocates nothing for it.

use super::{
    body_stream::BodyStream,
    fields::Fields,
    head::{Head, Span},
    target,
};
use crate::{Error, ErrorKind, Result};
use http::Method;
use std::{
    any::{Any, TypeId},
    cell::RefCell,
    fmt, mem,
    net::SocketAddr,
    ptr,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The HTTP version of a request; a later 1.x counts as 1.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        })
    }
}

/// Values that the program shares with its handlers, one for each type.
pub(crate) type States = Vec<(TypeId, Box<dyn Any + Send + Sync>)>;

/// What all requests of one worker have in common.
pub(crate) struct Context {
    pub(crate) states: Arc<States>,
    /// The names of each route's groups; those without a name are `None`.
    pub(crate) group_names: Vec<Vec<Option<String>>>,
    /// The [number](number_of) of the thread that keeps the storage of these requests, or [`NOWHERE`].
    home: AtomicUsize,
}

/// The storage of a request.
pub(crate) struct Parts {
    pub(crate) head: Head,
    pub(crate) body: RequestBody,
    pub(crate) trailers: Box<[(http::HeaderName, http::HeaderValue)]>,
    pub(crate) remote: Option<SocketAddr>,
    /// Kept from one request to the next: most are of the same worker, and changing the reference count is
    /// an atomic operation.
    context: Arc<Context>,
    /// The route that was found, if one was, as an index into `Context::group_names`.
    pub(crate) route: Option<u32>,
    /// Where in the path each group of the route matched; the first is the whole match. Empty when
    /// the route is one literal path.
    pub(crate) groups: Vec<Option<Span>>,
}

impl Parts {
    fn new(context: Arc<Context>) -> Parts {
        Parts {
            head: Head::default(),
            body: RequestBody::Empty,
            trailers: Box::default(),
            remote: None,
            context,
            route: None,
            groups: Vec::new(),
        }
    }
}

/// Reads the number of a group, written as numbers are: `1`, and neither `+1` nor `01`.
fn group_number(name: &str) -> Option<usize> {
    let is_plain = name == "0" || name.starts_with(|first: char| matches!(first, '1'..='9'));
    name.parse().ok().filter(|_| is_plain)
}

/// The content of a request.
#[derive(Default)]
pub(crate) enum RequestBody {
    #[default]
    Empty,
    Whole(Vec<u8>),
    Stream(BodyStream),
}

/// Storage kept for the next request of a thread: as many as are at work at once on a fast path.
const KEPT_PARTS: usize = 64;

/// Capacity of a head above which its storage is not kept.
const KEPT_HEAD_BYTES: usize = 4096;

// Boxed, as requests hold them: a box is moved, its content is not.
#[allow(clippy::vec_box, reason = "boxes go in and out")]
type Spare = RefCell<Vec<Box<Parts>>>;

thread_local! {
    /// Storage of requests that have been dropped on this thread.
    static SPARE: Spare = const { RefCell::new(Vec::new()) };
}

/// The home of requests whose storage is not kept.
const NOWHERE: usize = 0;

/// Returns the number of this thread, the address of its `spare`: no other living thread has the same.
fn number_of(spare: &Spare) -> usize {
    ptr::from_ref(spare).addr()
}

/// Makes this thread keep the storage of a worker's requests that are dropped on it, for as long as this
/// lives.
pub(crate) struct PartsKeeper {
    context: Arc<Context>,
}

impl PartsKeeper {
    pub(crate) fn new(states: Arc<States>, group_names: Vec<Vec<Option<String>>>) -> PartsKeeper {
        let home = AtomicUsize::new(SPARE.with(number_of));
        PartsKeeper { context: Arc::new(Context { states, group_names, home }) }
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }
}

impl Drop for PartsKeeper {
    fn drop(&mut self) {
        self.context.home.store(NOWHERE, Ordering::Relaxed);
        // None of these drops the program's state, whose drop may come back here: this holds a share of it
        // until afterwards.
        let _ = SPARE.try_with(|spare| {
            spare.borrow_mut().retain(|parts| !Arc::ptr_eq(&parts.context, &self.context));
        });
    }
}

/// A request, as a handler gets it.
///
/// # Examples
///
/// ```
/// use snow::{Request, Snow, get};
///
/// fn hello(req: Request) -> String {
///     format!("hello, {}", req.param("name").unwrap_or("you"))
/// }
/// let mut client = Snow::new([get(r"^/hello/(?<name>\w+)$", hello)]).test_client().unwrap();
/// assert_eq!(client.get("/hello/snow").send().text(), "hello, snow");
/// ```
pub struct Request {
    /// `None` only while it is dropped.
    parts: Option<Box<Parts>>,
}

impl Request {
    /// Makes a request of a worker, in used storage if there is some.
    pub(crate) fn new(context: &Arc<Context>) -> Request {
        let Some(mut parts) = SPARE.with_borrow_mut(Vec::pop) else {
            return Request { parts: Some(Box::new(Parts::new(Arc::clone(context)))) };
        };
        if !Arc::ptr_eq(&parts.context, context) {
            parts.context = Arc::clone(context);
            // Another server may have other limits.
            parts.head.forget();
        }
        Request { parts: Some(parts) }
    }

    pub(crate) fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("there until dropped")
    }

    pub(crate) fn parts_mut(&mut self) -> &mut Parts {
        self.parts.as_mut().expect("there until dropped")
    }

    /// Returns the method.
    pub fn method(&self) -> &Method {
        self.parts().head.method()
    }

    /// Returns the path, percent-decoded once, without the query. `%2F` is a slash in it, as any other, and
    /// the segments `.` and `..` are as the client sent them.
    pub fn path(&self) -> &str {
        // UTF-8: `target::decode_path` has checked it.
        std::str::from_utf8(self.parts().head.path()).unwrap_or_default()
    }

    /// Returns the request target as it was sent.
    pub fn target(&self) -> &str {
        ascii(self.parts().head.target())
    }

    /// Returns the protocol version.
    pub fn version(&self) -> Version {
        self.parts().head.version
    }

    /// Returns the address of the client; `None` over a Unix socket and from the test client.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.parts().remote
    }

    /// Returns the authority that the request is for: that of the target, if it names one, else `Host`
    /// (RFC 9112, section 3.3).
    pub fn host(&self) -> Option<&str> {
        self.parts().head.host().map(ascii)
    }

    /// Returns what a group of the route's pattern matched, by its name, or by its number in digits (`"0"`
    /// is the whole match); `None` when there is no such group or it took no part. In a mounted table the
    /// whole match begins with the prefix; the groups are numbered as in the pattern.
    ///
    /// A group that ends within a character (`.` without the feature `unicode` is a byte) is `None`
    /// too.
    pub fn param(&self, name: &str) -> Option<&str> {
        let parts = self.parts();
        let names = parts.context.group_names.get(parts.route? as usize)?;
        let group = match names.iter().position(|known| known.as_deref() == Some(name)) {
            Some(group) => group,
            None => group_number(name)?,
        };
        let path = parts.head.path();
        let matched = match parts.groups.get(group) {
            Some(place) => &path[(*place)?.range()],
            None if group == 0 => path,
            None => return None,
        };
        std::str::from_utf8(matched).ok()
    }

    /// Parses what a group matched.
    ///
    /// # Errors
    ///
    /// `BadRequest`, naming the parameter, when it is missing or does not parse.
    pub fn parse_param<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self.param(name).ok_or_else(|| {
            Error::new(ErrorKind::BadRequest, format!("the parameter `{name}` is missing"))
        })?;
        text.parse().map_err(|_| {
            Error::new(ErrorKind::BadRequest, format!("the parameter `{name}` is not valid"))
        })
    }

    /// Returns the query as it was sent, without the question mark.
    pub fn query_string(&self) -> Option<&str> {
        self.parts().head.query().map(ascii)
    }

    /// Returns the first value of `name` in the query, with `+` and percent escapes decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, value) =
            self.raw_query_pairs().find(|(known, _)| target::decode_form(known) == name)?;
        Some(target::decode_form(value).into_owned())
    }

    /// Returns the names and values of the query in order, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.raw_query_pairs().map(|(name, value)| {
            (target::decode_form(name).into_owned(), target::decode_form(value).into_owned())
        })
    }

    fn raw_query_pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.query_string().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Returns the first value of the field `name`, whatever its case, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Returns all fields, in order.
    pub fn headers(&self) -> Headers<'_> {
        Headers { fields: &self.parts().head.fields }
    }

    /// Returns the fields that came behind a chunked body; they are never mixed with the headers.
    ///
    /// Fields that have no business there (framing, routing, authentication) have been dropped. On a route
    /// that is `.streaming()` there are none.
    pub fn trailers(&self) -> &[(http::HeaderName, http::HeaderValue)] {
        &self.parts().trailers
    }

    /// Returns the value of the cookie `name`, as it was sent, without quotes around it, if it is UTF-8.
    /// Other cookies beside it may be anything.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers()
            .get_all("cookie")
            .flat_map(|value| value.split(|&byte| byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| {
                value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
            })
    }

    /// Returns the content; empty on a route that is `.streaming()`.
    pub fn body(&self) -> &[u8] {
        match &self.parts().body {
            RequestBody::Whole(content) => content,
            RequestBody::Empty | RequestBody::Stream(_) => &[],
        }
    }

    /// Takes the content; empty on a route that is `.streaming()`.
    pub fn into_body(mut self) -> Vec<u8> {
        match mem::take(&mut self.parts_mut().body) {
            RequestBody::Whole(content) => content,
            RequestBody::Empty | RequestBody::Stream(_) => Vec::new(),
        }
    }

    /// Takes the content as a stream: as it arrives on a route that is `.streaming()`, all at once
    /// otherwise. A second call gives an empty one.
    pub fn body_stream(&mut self) -> BodyStream {
        match mem::take(&mut self.parts_mut().body) {
            RequestBody::Stream(stream) => stream,
            RequestBody::Whole(content) => BodyStream::whole(content),
            RequestBody::Empty => BodyStream::whole(Vec::new()),
        }
    }

    /// Returns the content as text.
    ///
    /// # Errors
    ///
    /// `BadRequest` when it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(self.body()).map_err(|error| {
            Error::new(ErrorKind::BadRequest, "the content is not UTF-8").caused_by(error)
        })
    }

    /// Parses the content as JSON, whatever `Content-Type` says.
    ///
    /// # Errors
    ///
    /// `BadRequest` with the place of the fault.
    #[cfg(feature = "json")]
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(self.body()).map_err(|error| {
            Error::new(
                ErrorKind::BadRequest,
                format!("the content is not the JSON wanted: {error}"),
            )
        })
    }

    /// Returns the value of type `T` that was given to [`Snow::state`](crate::Snow::state).
    ///
    /// # Panics
    ///
    /// When none was given, which is a mistake in the program: the client sees a 500.
    #[track_caller]
    pub fn state<T: Send + Sync + 'static>(&self) -> &T {
        let mut states = self.parts().context.states.iter();
        let state = states.find(|(id, _)| *id == TypeId::of::<T>());
        match state.and_then(|(_, value)| value.downcast_ref()) {
            Some(state) => state,
            None => panic!("no state of type {}", std::any::type_name::<T>()),
        }
    }
}

/// Returns a part of a target or a host as text; `target` has checked that it is ASCII.
fn ascii(part: &[u8]) -> &str {
    std::str::from_utf8(part).unwrap_or_default()
}

impl Drop for Request {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        // Content and stream end here, whoever uses the storage next.
        if !matches!(parts.body, RequestBody::Empty) {
            parts.body = RequestBody::Empty;
        }
        // Checked by themselves: a handler may have taken the content and left the trailers.
        if !parts.trailers.is_empty() {
            parts.trailers = Box::default();
        }
        // A thread that ends keeps nothing.
        let _ = SPARE.try_with(|spare| {
            // A request may outlive its server, or be dropped where another one serves: then its storage,
            // which holds a share of its server's state, is not kept.
            let is_at_home = parts.context.home.load(Ordering::Relaxed) == number_of(spare);
            let mut spare = spare.borrow_mut();
            if is_at_home && parts.head.capacity() <= KEPT_HEAD_BYTES && spare.len() < KEPT_PARTS {
                spare.push(parts);
            }
        });
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method(), self.target(), self.version())
    }
}

/// The fields of a request head, in the order in which they came.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    fields: &'a Fields,
}

impl<'a> Headers<'a> {
    /// Returns the first value of `name`, whatever its case.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.get_all(name).next()
    }

    /// Returns all values of `name`, whatever its case.
    pub fn get_all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }

    /// Returns names, as they were sent, and values.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.fields.iter()
    }

    /// Returns how many fields there are.
    pub fn len(self) -> usize {
        self.fields.len()
    }

    /// Returns whether there is no field.
    pub fn is_empty(self) -> bool {
        self.fields.len() == 0
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()));
        f.debug_map().entries(fields).finish()
    }
}
