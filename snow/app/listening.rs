//! A bound server: where it listens, how it is run in the foreground or beside, how it is stopped.

use super::{
    App, banner,
    binding::{self, Bound, cannot_listen},
    census::Counters,
    notify, worker,
};
use crate::{
    Error, ErrorKind, Result,
    net::{Addresses, Endpoint, Place},
    rt::{Signals, StopSignal, Stopping, run_workers, spawn},
};
use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

/// An application bound to its addresses: connections wait in the kernel until it runs.
///
/// # Examples
///
/// ```
/// use snow::{Snow, get};
/// use std::{io::{Read, Write}, net::TcpStream};
///
/// let server = Snow::new([get("^/$", |_| "hello")]).workers(1).bind("127.0.0.1:0")?;
/// let running = server.start()?;
///
/// let mut client = TcpStream::connect(running.local_addr())?;
/// client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.ends_with("\r\n\r\nhello"));
/// running.stop()?;
/// # Ok::<(), snow::Error>(())
/// ```
#[must_use = "a server does nothing until it is run"]
pub struct Server {
    app: Arc<App>,
    places: Places,
    /// For each worker, its listeners.
    listeners: Vec<Vec<Bound>>,
    stop: StopHandle,
}

/// Where a server listens.
#[derive(Clone, Default, Debug)]
struct Places {
    /// All of it.
    endpoints: Vec<Endpoint>,
    /// The addresses among them.
    addrs: Vec<SocketAddr>,
}

impl Places {
    fn add(&mut self, endpoint: Endpoint) {
        if let Place::Addr(addr) = endpoint.0 {
            self.addrs.push(addr);
        }
        self.endpoints.push(endpoint);
    }

    #[track_caller]
    fn first_addr(&self) -> SocketAddr {
        *self.addrs.first().expect("a server on Unix sockets alone has no address")
    }
}

impl Server {
    pub(super) fn new(app: App) -> Server {
        let listeners = (0..app.config.workers).map(|_| Vec::new()).collect();
        Server {
            app: Arc::new(app),
            places: Places::default(),
            listeners,
            stop: StopHandle::default(),
        }
    }

    /// Binds another address, or several, too.
    ///
    /// # Errors
    ///
    /// As [`Snow::bind`](crate::Snow::bind).
    pub fn also(mut self, addrs: impl Addresses) -> Result<Server> {
        let endpoints = addrs.endpoints();
        if endpoints.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there is no address to listen on"));
        }
        for endpoint in endpoints {
            self.listen(endpoint)?;
        }
        Ok(self)
    }

    fn listen(&mut self, endpoint: Endpoint) -> Result<()> {
        let config = &self.app.config;
        match &endpoint.0 {
            Place::Addr(_) | Place::Name(_) => self.listen_tcp(&endpoint),
            Place::Unix(path, mode) => {
                binding::listen_unix(config, path, *mode)
                    .and_then(|bound| binding::deal_out(bound, &mut self.listeners))
                    .map_err(|error| cannot_listen(&endpoint, error))?;
                self.places.add(endpoint);
                Ok(())
            }
            Place::Inherited => {
                for (endpoint, bound) in binding::inherited(config)? {
                    self.places.add(endpoint);
                    binding::deal_out(bound, &mut self.listeners)?;
                }
                Ok(())
            }
        }
    }

    fn listen_tcp(&mut self, endpoint: &Endpoint) -> Result<()> {
        let addrs = endpoint.resolve_now().map_err(|error| binding::no_address(endpoint, error))?;
        let nowhere = format!("cannot listen on {endpoint}: the name stands for no address");
        let mut outcome = Err(Error::new(ErrorKind::Io, nowhere));
        for addr in addrs {
            let known = &self.places.addrs;
            // Two sockets of one port on one machine: `[::]` must leave IPv4 to the other.
            let only_v6 = known.iter().any(|known| known.is_ipv4() && known.port() == addr.port());
            match binding::listen_tcp(&self.app.config, addr, only_v6, &mut self.listeners) {
                Ok(addr) => {
                    self.places.add(addr.into());
                    outcome = Ok(());
                }
                // A name may stand for addresses that this machine does not have: others will do.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    outcome = outcome.or(Err(cannot_listen(&addr.into(), error)));
                }
                Err(error) => return Err(cannot_listen(&addr.into(), error)),
            }
        }
        outcome
    }

    /// Returns the first address, with the port that was taken for port 0.
    ///
    /// # Panics
    ///
    /// When it listens on Unix sockets alone.
    #[track_caller]
    pub fn local_addr(&self) -> SocketAddr {
        self.places.first_addr()
    }

    /// Returns all addresses; Unix sockets have none.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.places.addrs
    }

    /// Returns everything that is listened on, Unix sockets too.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.places.endpoints
    }

    /// Returns a handle that stops the server.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Returns what the server counts.
    pub fn counters(&self) -> Counters {
        Counters(Arc::clone(&self.app))
    }

    /// Serves on this thread, and on others if there are several workers, until the server is told to
    /// stop: by its [`StopHandle`], or by SIGINT or SIGTERM. It then accepts nothing new, answers what
    /// is in flight with `Connection: close`, waits up to
    /// [`shutdown_timeout`](crate::Config::shutdown_timeout) for that, and returns. A second signal
    /// ends the process at once.
    ///
    /// Where `NOTIFY_SOCKET` is set, the service manager is told when the server is ready and when it
    /// stops.
    ///
    /// # Errors
    ///
    /// `Io` when the machine refuses a thread, a poll, or a listener.
    pub fn run(self) -> Result<()> {
        let signals = self.signals()?;
        self.serve(signals)
    }

    /// Listens for signals, if the configuration says so.
    fn signals(&self) -> io::Result<Option<Signals>> {
        let wanted = self.app.config.handle_signals;
        wanted.then(Signals::listen).transpose()
    }

    fn serve(self, signals: Option<Signals>) -> Result<()> {
        let Server { app, places, listeners, stop } = self;
        let count = listeners.len();
        banner::announce(&app, &places.endpoints, count);
        let listeners: Vec<_> = listeners.into_iter().map(|own| Mutex::new(Some(own))).collect();
        let outcome = run_workers(count, &stop.0, |index| {
            let signals = signals.as_ref();
            let own = listeners[index].lock().unwrap_or_else(PoisonError::into_inner).take();
            let (app, stop) = (Arc::clone(&app), stop.0.clone());
            async move {
                if index == 0 {
                    tell_manager(&stop);
                }
                let serving = worker::run(app, own.unwrap_or_default(), stop.clone());
                Signals::during(signals, &stop, serving).await
            }
        });
        report(&app, outcome)
    }

    /// Serves on the loop of this thread, and no other.
    async fn serve_here(self) -> Result<()> {
        let signals = self.signals()?;
        let Server { app, places, listeners, stop } = self;
        banner::announce(&app, &places.endpoints, 1);
        tell_manager(&stop.0);
        let _guard = StopOnDrop(stop.clone());
        let own = listeners.into_iter().flatten().collect();
        let serving = spawn(worker::run(Arc::clone(&app), own, stop.0.clone()));
        report(&app, Signals::during(signals.as_ref(), &stop.0, serving).await)
    }

    /// Serves in the background, until the returned handle stops it or is dropped. Signals are left to
    /// the program.
    ///
    /// # Errors
    ///
    /// `Io` when the machine refuses a thread.
    pub fn start(self) -> Result<Running> {
        let (places, stop, counters) = (self.places.clone(), self.stop.clone(), self.counters());
        let thread = thread::Builder::new().name("snow-0".to_string());
        let thread = thread.spawn(move || self.serve(None))?;
        Ok(Running { places, stop, counters, thread: Some(thread) })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({:?})", self.places.endpoints)
    }
}

impl IntoFuture for Server {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>>>>;

    /// Serves on the loop of this thread, beside whatever else lives there, until the server is told to
    /// stop: as [`run`](Server::run) does, but with one worker, whatever the number that was configured.
    ///
    /// So a program that has sockets of its own can share one loop and one state between them and its
    /// handlers. Dropping the future stops the server and cuts its connections.
    ///
    /// # Errors
    ///
    /// As [`run`](Server::run).
    ///
    /// # Panics
    ///
    /// Awaiting it does outside a loop, as all sockets do.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Snow, get, net::{ReadExt, TcpStream, WriteExt}};
    ///
    /// snow::block_on(async {
    ///     let server = Snow::new([get("^/$", |_| "hello")]).bind("127.0.0.1:0")?;
    ///     let (addr, stop) = (server.local_addr(), server.stop_handle());
    ///     let serving = snow::spawn(server.into_future());
    ///
    ///     let mut client = TcpStream::connect(addr).await?; // on the same loop
    ///     client.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    ///     let mut answer = [0; 15];
    ///     client.read_exact(&mut answer).await?;
    ///     assert_eq!(&answer, b"HTTP/1.1 200 OK");
    ///
    ///     stop.stop();
    ///     serving.await
    /// })?;
    /// # Ok::<(), snow::Error>(())
    /// ```
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.serve_here())
    }
}

/// Stops a server whose future is dropped.
struct StopOnDrop(StopHandle);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop_now();
    }
}

/// Says how a server has ended.
fn report(app: &App, outcome: io::Result<()>) -> Result<()> {
    let (finished, cut) = app.census.outcome();
    log::info!("stopped: {finished} connections finished, {cut} cut");
    outcome.map_err(|error| Error::new(ErrorKind::Io, "the server cannot go on").caused_by(error))
}

/// Tells the service manager that connections are served, and once a stop is asked for.
fn tell_manager(stop: &StopSignal) {
    notify::ready();
    let stop = stop.clone();
    let telling = spawn(async move {
        stop.wait(Stopping::Gracefully).await;
        notify::stopping();
    });
    telling.detach();
}

/// Stops a server, from any thread.
///
/// # Examples
///
/// ```
/// use snow::{Snow, get};
/// use std::thread;
///
/// let server = Snow::new([get("^/$", |_| "hello")]).workers(1).bind("127.0.0.1:0")?;
/// let stop = server.stop_handle();
/// let running = server.start()?;
/// thread::spawn(move || stop.stop());
/// running.wait()?; // returns when the server has stopped
/// # Ok::<(), snow::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct StopHandle(StopSignal);

impl StopHandle {
    /// Asks for a graceful stop, and returns at once. What that is, and how long it may take, is said at
    /// [`Server::run`]. A server that is asked before it runs ends right after it begins.
    pub fn stop(&self) {
        self.0.stop(Stopping::Gracefully);
    }

    /// Asks for a stop that cuts what is in flight, and returns at once.
    pub fn stop_now(&self) {
        self.0.stop(Stopping::Now);
    }
}

impl fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopHandle")
    }
}

/// A server that runs in the background; dropping it stops it gracefully and waits for that.
#[derive(Debug)]
pub struct Running {
    places: Places,
    stop: StopHandle,
    counters: Counters,
    /// `None` once it has been waited for.
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// Returns the first address, with the port that was taken for port 0.
    ///
    /// # Panics
    ///
    /// When it listens on Unix sockets alone.
    #[track_caller]
    pub fn local_addr(&self) -> SocketAddr {
        self.places.first_addr()
    }

    /// Returns all addresses; Unix sockets have none.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.places.addrs
    }

    /// Returns everything that is listened on, Unix sockets too.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.places.endpoints
    }

    /// Returns a handle that stops the server.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Returns what the server counts.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Stops gracefully, and waits until it has.
    ///
    /// # Errors
    ///
    /// What ended the server before.
    ///
    /// # Panics
    ///
    /// When a worker has panicked.
    pub fn stop(mut self) -> Result<()> {
        self.stop.stop();
        self.join()
    }

    /// Waits until the server has stopped.
    ///
    /// # Errors
    ///
    /// What ended the server.
    ///
    /// # Panics
    ///
    /// When a worker has panicked.
    pub fn wait(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.stop.stop();
            if !matches!(thread.join(), Ok(Ok(()))) {
                log::error!("a server in the background has failed");
            }
        }
    }
}
