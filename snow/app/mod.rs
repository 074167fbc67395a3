//! What an author meets: `Snow`, its table, and what handlers take and return.

mod banner;
mod binding;
mod census;
mod client;
mod future;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handler;
mod index;
mod listening;
mod notify;
mod pattern;
mod reply;
mod router;
mod runs;
mod server;
mod worker;

pub use census::Counters;
pub use client::{ClientRequest, ClientResponse, PendingResponse, TestClient, TestConnection};
pub use future::{Future, TimeoutFuture};
pub use handler::Handler;
pub use listening::{Running, Server, StopHandle};
#[cfg(feature = "json")]
pub use reply::Json;
pub use reply::{Awaited, IntoReply, IntoResponse, Now, Reply};
pub use router::{Route, delete, get, method, mount, patch, post, put, route};

use crate::{
    Config, Error, Result,
    http::{Response, States},
    net::Addresses,
};
use census::Census;
use handler::{BoxHandler, boxed};
use router::Router;
use std::{any::TypeId, fmt, sync::Arc};

/// A web application: a table of routes, and what holds for all of them.
///
/// # Examples
///
/// ```no_run
/// use snow::{Request, Snow, get};
///
/// fn main() -> snow::Result<()> {
///     Snow::new([
///         get("^/$", |_| "hello"),
///         get(r"^/hello/(?<name>\w+)$", |req: Request| {
///             format!("hello, {}", req.param("name").unwrap_or("you"))
///         }),
///     ])
///     .run("127.0.0.1:9999")
/// }
/// ```
#[must_use = "an application does nothing until it is run"]
pub struct Snow {
    routes: Vec<Route>,
    config: Config,
    states: States,
    not_found: Option<BoxHandler>,
    on_error: Option<OnError>,
    on_shutdown: Option<OnShutdown>,
}

type OnError = Box<dyn Fn(&Error) -> Response + Send + Sync>;
type OnShutdown = Box<dyn Fn() -> Response + Send + Sync>;

/// An application that is ready to serve, shared by its workers.
struct App {
    router: Router,
    config: Config,
    states: Arc<States>,
    not_found: Option<BoxHandler>,
    on_error: Option<OnError>,
    on_shutdown: Option<OnShutdown>,
    census: Census,
    /// How many descriptors one address may take.
    descriptors_per_address: usize,
}

impl Snow {
    /// Makes an application of a table, in which the first route that matches wins.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Snow {
        Snow {
            routes: routes.into_iter().collect(),
            config: Config::default(),
            states: States::new(),
            not_found: None,
            on_error: None,
            on_shutdown: None,
        }
    }

    /// Changes limits, timeouts and choices.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Snow {
        change(&mut self.config);
        self
    }

    /// Sets how many loops there are, each on a thread of its own; by default one for each core.
    pub fn workers(self, workers: usize) -> Snow {
        self.configure(|config| config.workers = workers)
    }

    /// Shares `value` with all handlers, which read it with [`Request::state`](crate::Request::state).
    /// A second value of the same type replaces the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Request, Snow, get};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// struct Hits(AtomicU64);
    ///
    /// fn hit(req: Request) -> String {
    ///     let hits = req.state::<Hits>().0.fetch_add(1, Ordering::Relaxed) + 1;
    ///     format!("{hits} hits")
    /// }
    /// let mut client = Snow::new([get("^/$", hit)]).state(Hits(AtomicU64::new(0))).test_client()?;
    /// client.get("/").send();
    /// assert_eq!(client.get("/").send().text(), "2 hits");
    /// # Ok::<(), snow::Error>(())
    /// ```
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Snow {
        self.states.retain(|(id, _)| *id != TypeId::of::<T>());
        self.states.push((TypeId::of::<T>(), Box::new(value)));
        self
    }

    /// Answers requests for which no pattern matches, in place of the plain 404. The answer's status
    /// is the handler's to choose. It gets no content and no params; where patterns match for other methods,
    /// it is not asked: that is a 405.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Request, Snow, StatusCode, get};
    ///
    /// let app = Snow::new([get("^/$", |_| "hello")])
    ///     .not_found(|req: Request| (StatusCode::NOT_FOUND, format!("no {} here", req.path())));
    /// let response = app.test_client()?.get("/tea").send();
    /// assert_eq!((response.status(), response.text()), (404, "no /tea here"));
    /// # Ok::<(), snow::Error>(())
    /// ```
    pub fn not_found<R: 'static, M: 'static>(mut self, handler: impl Handler<R, M>) -> Snow {
        self.not_found = Some(boxed(handler));
        self
    }

    /// Makes the answer when a handler fails: returns an error, panics, or takes too long.
    ///
    /// The error has been logged. Requests that are refused before a handler is called (malformed,
    /// too large) are answered without asking, and so are those whose [`TimeoutFuture`] runs out: that is
    /// the answer it was made for. An error of the answer's own is logged, and not asked about again.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Error, Response, Snow, get};
    ///
    /// let app = Snow::new([get("^/$", |_| Err::<(), _>("no luck"))])
    ///     .on_error(|error: &Error| Response::html("<h1>Sorry</h1>").status(error.status()));
    /// let response = app.test_client().unwrap().get("/").send();
    /// assert_eq!((response.status(), response.text()), (500, "<h1>Sorry</h1>"));
    /// ```
    pub fn on_error<F, R>(mut self, handler: F) -> Snow
    where
        F: Fn(&Error) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.on_error = Some(Box::new(move |error| handler(error).into_response()));
        self
    }

    /// Makes the answer to requests that wait for a [`Future`] when the server stops gracefully; by default
    /// 503 with `Retry-After`.
    ///
    /// It is for handlers that have returned the `Future`. One that awaits it is at work, as any `async fn`,
    /// and has [`shutdown_timeout`](Config::shutdown_timeout) to end.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Snow, StatusCode, get};
    ///
    /// let app = Snow::new([get("^/$", |_| "hello")])
    ///     .on_shutdown(|| (StatusCode::SERVICE_UNAVAILABLE, "back in a minute\n"));
    /// # let _ = app;
    /// ```
    pub fn on_shutdown<F, R>(mut self, handler: F) -> Snow
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        self.on_shutdown = Some(Box::new(move || handler().into_response()));
        self
    }

    /// Binds `addrs`; port 0 takes any free port. A name with several addresses binds all that this
    /// machine has.
    ///
    /// `unix:` and a path is a Unix socket, whose clients have no
    /// [`remote_addr`](crate::Request::remote_addr) and no limit on connections from one address; its
    /// file goes when the server stops accepting, and one that a program has left behind is taken over.
    /// `systemd:` takes the sockets that a service manager has handed to the process (`LISTEN_FDS`), of
    /// either kind, with the feature `activation`. See [`Endpoint`](crate::net::Endpoint), which sets
    /// permissions too.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use snow::{Snow, get};
    ///
    /// Snow::new([get("^/$", |_| "hello")]).run(["127.0.0.1:9999", "unix:/run/app.sock"])
    /// # .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// `Config` for a pattern, method or limit that cannot be used, and for what is no address; `Io` when
    /// the address cannot be bound. Either says what to do.
    pub fn bind(self, addrs: impl Addresses) -> Result<Server> {
        Server::new(self.build()?).also(addrs)
    }

    /// Binds `addrs` and serves until the process is told to stop; see [`Server::run`].
    ///
    /// # Errors
    ///
    /// As [`bind`](Snow::bind) and [`Server::run`].
    pub fn run(self, addrs: impl Addresses) -> Result<()> {
        self.bind(addrs)?.run()
    }

    /// Runs the application in this process, on a clock of its own, for tests.
    ///
    /// # Errors
    ///
    /// `Config` for a pattern, method or limit that cannot be used.
    pub fn test_client(self) -> Result<TestClient> {
        TestClient::new(self.build()?)
    }

    fn build(self) -> Result<App> {
        self.config.check()?;
        Ok(App {
            router: Router::new(self.routes)?,
            descriptors_per_address: self.config.descriptors_per_address(),
            config: self.config,
            states: Arc::new(self.states),
            not_found: self.not_found,
            on_error: self.on_error,
            on_shutdown: self.on_shutdown,
            census: Census::default(),
        })
    }
}

impl fmt::Debug for Snow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snow")
            .field("routes", &self.routes)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
