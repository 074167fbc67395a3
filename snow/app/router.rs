//! The table: patterns to handlers and captures; 404, 405, `HEAD` and `OPTIONS`.
//!
//! The cost of a request does not grow with the table. Patterns are filed under the literal they begin
//! with, which for many is all of them, so that a path meets only the few whose beginning it shares, and
//! only those are run. First match wins.

use super::{
    handler::{BoxHandler, Handler, boxed},
    index::{Index, Reach},
    pattern::{Pattern, Shape},
};
use crate::{Error, ErrorKind, Result, http::Span};
use http::Method;
use regex_automata::{meta::Cache, util::primitives::NonMaxUsize};
use std::{fmt, panic::Location, time::Duration};

/// A row of the table: a method, a pattern, a handler and what is special about it; or a whole
/// table under a prefix.
///
/// Made by [`route`], [`get`], [`post`], [`put`], [`patch`], [`delete`], [`method`] and [`mount`].
pub struct Route(Row);

enum Row {
    One(Box<One>),
    Mount { prefix: String, routes: Vec<Route>, options: RouteOptions },
}

struct One {
    method: Option<Result<Method>>,
    pattern: String,
    written_at: &'static Location<'static>,
    handler: BoxHandler,
    options: RouteOptions,
}

/// What is special about a route.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RouteOptions {
    pub(crate) is_streaming: bool,
    pub(crate) max_body_bytes: Option<u64>,
    pub(crate) timeout: Option<Duration>,
}

impl RouteOptions {
    /// Adds what is set for the table that the route is in, and not for the route itself.
    fn within(self, table: RouteOptions) -> RouteOptions {
        RouteOptions {
            is_streaming: self.is_streaming || table.is_streaming,
            max_body_bytes: self.max_body_bytes.or(table.max_body_bytes),
            timeout: self.timeout.or(table.timeout),
        }
    }
}

impl Route {
    #[track_caller]
    fn new<R: 'static, M: 'static>(
        method: Option<Result<Method>>,
        pattern: &str,
        handler: impl Handler<R, M>,
    ) -> Route {
        Route(Row::One(Box::new(One {
            method,
            pattern: pattern.to_string(),
            written_at: Location::caller(),
            handler: boxed(handler),
            options: RouteOptions::default(),
        })))
    }

    /// Calls the handler when the head has arrived, and lets it read the content
    /// [as it arrives](crate::Request::body_stream).
    ///
    /// The limit on the content still holds; what the handler does not read is thrown away.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Request, Result, Snow, post};
    ///
    /// async fn count(mut req: Request) -> Result<String> {
    ///     let mut body = req.body_stream();
    ///     let mut len = 0;
    ///     while let Some(piece) = body.next().await {
    ///         len += piece?.len();
    ///     }
    ///     Ok(format!("{len} bytes"))
    /// }
    /// let route = post("^/count$", count).streaming().max_body_bytes(1 << 30);
    /// let mut client = Snow::new([route]).test_client()?;
    /// assert_eq!(client.post("/count").body("hello").send().text(), "5 bytes");
    /// # Ok::<(), snow::Error>(())
    /// ```
    #[must_use = "this returns the changed route"]
    pub fn streaming(mut self) -> Route {
        self.options().is_streaming = true;
        self
    }

    /// Sets how many bytes of content this route takes, inclusive; beyond that the answer is 413. Default:
    /// [`Config::max_body_bytes`](crate::Config::max_body_bytes), 2 MiB. For a mounted table: how many those of
    /// its routes take that have no such bound of their own.
    #[must_use = "this returns the changed route"]
    pub fn max_body_bytes(mut self, bytes: u64) -> Route {
        self.options().max_body_bytes = Some(bytes);
        self
    }

    /// Sets how long the handler may take; after that the answer is 504 and its future is dropped. Default:
    /// [`Config::handler_timeout`](crate::Config::handler_timeout), none. For a mounted table: how long
    /// those of its handlers may take that have no such bound of their own.
    ///
    /// The time is counted from the call of the handler to its answer, for `async fn`,
    /// [`Future`](crate::Future) and [`TimeoutFuture`](crate::TimeoutFuture) alike. A handler that blocks
    /// is not interrupted. The content of an answer is not covered, be it a
    /// [stream](crate::Response::stream) or a file.
    #[must_use = "this returns the changed route"]
    pub fn timeout(mut self, duration: Duration) -> Route {
        self.options().timeout = Some(duration);
        self
    }

    fn options(&mut self) -> &mut RouteOptions {
        match &mut self.0 {
            Row::One(one) => &mut one.options,
            Row::Mount { options, .. } => options,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Row::One(one) => write!(f, "Route({:?})", one.pattern),
            Row::Mount { prefix, routes, .. } => write!(f, "Mount({prefix:?}, {routes:?})"),
        }
    }
}

/// Routes requests of any method whose path matches `pattern`.
///
/// The pattern is a regular expression, matched from the start of the percent-decoded path, in which `%2F` is a
/// slash: `/req/` also matches `/req/7`, `^/req/$` does not. Case decides, and of several routes the first wins.
/// An invalid pattern is an error when the server is bound.
///
/// Without the feature `unicode`, `\w`, `\d`, `\s` and `\b` know ASCII only, and `.` and `[^x]` match one
/// byte: a repeated one (`[^/]+`) takes any characters, a single one takes only a part of one beyond ASCII.
#[track_caller]
pub fn route<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(None, pattern, handler)
}

/// Routes `GET` requests, and `HEAD` ones, which are answered without the content.
#[track_caller]
pub fn get<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(Some(Ok(Method::GET)), pattern, handler)
}

/// Routes `POST` requests.
#[track_caller]
pub fn post<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(Some(Ok(Method::POST)), pattern, handler)
}

/// Routes `PUT` requests.
#[track_caller]
pub fn put<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(Some(Ok(Method::PUT)), pattern, handler)
}

/// Routes `PATCH` requests.
#[track_caller]
pub fn patch<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(Some(Ok(Method::PATCH)), pattern, handler)
}

/// Routes `DELETE` requests.
#[track_caller]
pub fn delete<R: 'static, M: 'static>(pattern: &str, handler: impl Handler<R, M>) -> Route {
    Route::new(Some(Ok(Method::DELETE)), pattern, handler)
}

/// Routes requests of the method `name`, registered or not; it is case-sensitive.
///
/// A name that is no token is an error when the server is bound.
#[track_caller]
pub fn method<R: 'static, M: 'static>(
    name: &str,
    pattern: &str,
    handler: impl Handler<R, M>,
) -> Route {
    let method = Method::from_bytes(name.as_bytes()).map_err(|error| {
        Error::new(ErrorKind::Config, format!("`{name}` is not a method")).caused_by(error)
    });
    Route::new(Some(method), pattern, handler)
}

/// Puts a table under a literal prefix: the patterns are matched from where the prefix ends, which is what
/// `^` means in them. Their groups are what they would be without it, but for the whole match,
/// `req.param("0")`, which begins with the prefix; `req.path()` is the whole path.
///
/// # Examples
///
/// ```
/// use snow::{Snow, get, mount};
///
/// let api = [get("^/users$", |_| "all users")];
/// let mut client = Snow::new([mount("/api", api)]).test_client().unwrap();
/// assert_eq!(client.get("/api/users").send().text(), "all users");
/// ```
pub fn mount(prefix: &str, routes: impl IntoIterator<Item = Route>) -> Route {
    Route(Row::Mount {
        prefix: prefix.to_string(),
        routes: routes.into_iter().collect(),
        options: RouteOptions::default(),
    })
}

/// A route that is ready to be matched.
pub(crate) struct Entry {
    pub(crate) method: Option<Method>,
    pub(crate) pattern: Pattern,
    pub(crate) handler: BoxHandler,
    pub(crate) options: RouteOptions,
}

impl Entry {
    /// Returns whether the route takes `method`; `GET` routes take `HEAD`.
    fn takes(&self, method: &Method) -> bool {
        match &self.method {
            None => true,
            Some(own) => own == method || (own == Method::GET && method == Method::HEAD),
        }
    }
}

/// Returns the name behind `/:`, which captures a segment elsewhere and is plain text here.
fn named_segment(pattern: &str) -> Option<&str> {
    let rest = pattern.split_once("/:")?.1;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// The place of a route in the table; small, as every connection that waits remembers one.
pub(crate) type RouteNumber = u32;

/// Why a request has no route.
#[derive(Debug)]
pub(crate) enum Missed {
    /// `OPTIONS`, which no route here takes itself: the methods that are allowed.
    Options(String),
    /// There are routes for this path, for these other methods.
    MethodNotAllowed(String),
    /// No route of the whole table takes this method, and it is no usual one.
    UnknownMethod,
    /// No route at all.
    Nothing,
}

/// The whole table.
#[derive(Default)]
pub(crate) struct Router {
    entries: Vec<Entry>,
    index: Index,
    /// The methods that the table names, each once.
    methods: Vec<Method>,
}

impl Router {
    /// Compiles the table.
    ///
    /// # Errors
    ///
    /// `Config` for the first pattern or method that is none, with the place it was written at.
    pub(crate) fn new(routes: Vec<Route>) -> Result<Router> {
        let mut router = Router::default();
        router.add_all("", RouteOptions::default(), routes, &mut Caches::default())?;
        Ok(router)
    }

    fn add_all(
        &mut self,
        prefix: &str,
        table: RouteOptions,
        routes: Vec<Route>,
        caches: &mut Caches,
    ) -> Result<()> {
        for Route(row) in routes {
            match row {
                Row::One(one) => self.add(prefix, table, *one, caches)?,
                Row::Mount { prefix: inner, routes, options } => {
                    let prefix = format!("{prefix}{inner}");
                    self.add_all(&prefix, options.within(table), routes, caches)?;
                }
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        prefix: &str,
        table: RouteOptions,
        one: One,
        caches: &mut Caches,
    ) -> Result<()> {
        let One { method, pattern, written_at, handler, options } = one;
        let at_place = |error: Error| {
            let place = format!("{error}\n  written at {written_at}");
            Error::new(ErrorKind::Config, place)
        };
        let method = method.transpose().map_err(at_place)?;
        let pattern = Pattern::new(prefix, &pattern).map_err(at_place)?;
        let number = self.entries.len();
        let entry = Entry { method, pattern, handler, options: options.within(table) };
        let warn = |words: fmt::Arguments<'_>| {
            let pattern = &entry.pattern;
            log::warn!("route {} ({pattern}), written at {written_at}, {words}", number + 1);
        };
        if let Some(earlier) = self.shadow_of(&entry, caches) {
            let pattern = &self.entry(earlier).pattern;
            warn(format_args!("is never reached: route {} ({pattern}) comes first", earlier + 1));
        }
        if entry.pattern.literal().first().is_some_and(|first| *first != b'/') {
            warn(format_args!("is never reached: a path begins with `/`"));
        }
        if let Some(name) = named_segment(entry.pattern.as_str()) {
            warn(format_args!("has `:{name}` as plain text: a capture is `(?<{name}>[^/]+)`"));
        }
        let reach = match entry.pattern.shape() {
            Shape::Exact => Reach::Exact,
            Shape::Prefix | Shape::Runs(_) | Shape::Regex(_) => Reach::Start,
        };
        self.index.insert(entry.pattern.literal(), reach, number as RouteNumber);
        self.methods.extend(entry.method.clone().filter(|method| !self.methods.contains(method)));
        self.entries.push(entry);
        Ok(())
    }

    /// Returns an earlier route that takes all that `entry` would, where that can be told.
    fn shadow_of(&self, entry: &Entry, caches: &mut Caches) -> Option<RouteNumber> {
        let literal = entry.pattern.literal();
        let shadows = |&number: &RouteNumber| {
            let earlier = self.entry(number);
            let takes_method = match &entry.method {
                Some(method) => earlier.takes(method),
                None => earlier.method.is_none(),
            };
            takes_method
                && match (earlier.pattern.shape(), entry.pattern.shape()) {
                    (Shape::Prefix, _) => true,
                    // One path: the earlier pattern matches it or not.
                    (_, Shape::Exact) => earlier.pattern.matches(number, literal, caches),
                    _ => earlier.pattern.as_str() == entry.pattern.as_str(),
                }
        };
        self.index.candidates(literal).flatten().copied().filter(shadows).min()
    }

    pub(crate) fn entry(&self, route: RouteNumber) -> &Entry {
        &self.entries[route as usize]
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Finds the route for a request, and where its groups matched.
    pub(crate) fn find(
        &self,
        method: &Method,
        path: &[u8],
        caches: &mut Caches,
        groups: &mut Vec<Option<Span>>,
    ) -> Option<RouteNumber> {
        let mut best = None;
        groups.clear();
        for candidates in self.index.candidates(path) {
            // Ascending, so the first match is the best of these.
            for &number in candidates {
                if best.is_some_and(|best| best < number) {
                    break;
                }
                let entry = self.entry(number);
                if entry.takes(method) && entry.pattern.matches_into(number, path, caches, groups) {
                    best = Some(number);
                    break;
                }
            }
        }
        best
    }

    /// Says why a path has no route.
    pub(crate) fn explain(&self, method: &Method, path: &[u8], caches: &mut Caches) -> Missed {
        let mut allowed = Vec::new();
        for &number in self.index.candidates(path).flatten() {
            let entry = self.entry(number);
            if let Some(method) = &entry.method {
                if !allowed.contains(method) && entry.pattern.matches(number, path, caches) {
                    allowed.push(method.clone());
                }
            }
        }
        if !is_usual(method) && !self.methods.contains(method) {
            return Missed::UnknownMethod;
        }
        match (allowed.is_empty(), method) {
            (true, _) => Missed::Nothing,
            (false, &Method::OPTIONS) => Missed::Options(list(allowed)),
            (false, _) => Missed::MethodNotAllowed(list(allowed)),
        }
    }

    /// Says why a request that names no path has no route: `OPTIONS *` and `CONNECT`.
    pub(crate) fn explain_pathless(&self, method: &Method) -> Missed {
        if method == Method::OPTIONS {
            return Missed::Options(list(self.methods.clone()));
        }
        Missed::UnknownMethod
    }
}

/// Returns whether every server knows `method`, whatever its table says.
fn is_usual(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ]
    .contains(method)
}

/// Makes the value of `Allow`.
fn list(mut methods: Vec<Method>) -> String {
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    if !methods.contains(&Method::OPTIONS) {
        methods.push(Method::OPTIONS);
    }
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}

/// What matching needs besides the table: one for each worker.
#[derive(Default)]
pub(crate) struct Caches {
    /// By the number of the route, made when it is first run.
    caches: Vec<Option<Cache>>,
    slots: Vec<Option<NonMaxUsize>>,
}

impl Caches {
    /// Returns the cache for a route, and `count` slots.
    pub(crate) fn get(
        &mut self,
        number: RouteNumber,
        count: usize,
        make: impl FnOnce() -> Cache,
    ) -> (&mut Cache, &mut [Option<NonMaxUsize>]) {
        let number = number as usize;
        if self.caches.len() <= number {
            self.caches.resize_with(number + 1, || None);
        }
        self.slots.clear();
        self.slots.resize(count, None);
        (self.caches[number].get_or_insert_with(make), &mut self.slots)
    }
}
