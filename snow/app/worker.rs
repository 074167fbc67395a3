//! What the connections of one loop share, and how they are accepted, counted and stopped.

use super::{
    App,
    binding::Bound,
    handler::BoxHandler,
    router::{Caches, Missed, RouteNumber},
    server::Connection,
};
use crate::{
    Error, ErrorKind,
    http::{Context, PartsKeeper, Preface, Request, Response, reason_text},
    net::{ACCEPTS_PER_TURN, LastLook, Listener, TcpListener, Transport, client_of},
    rt::{Handle, StopSignal, Stopping, Time, panic_message, race, spawn, timeout, yield_now},
};
use http::{StatusCode, header};
use std::{
    cell::{Cell, Ref, RefCell},
    future::poll_fn,
    io, mem,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

/// The log target of the access lines.
pub(super) const ACCESS: &str = "snow::access";

/// How long a worker waits for a connection of another worker to end, when there are too many.
const FULL_REST: Duration = Duration::from_millis(20);

/// Seconds after which a client may try again that was turned away by a stop.
const RETRY_AFTER: &str = "1";

/// One loop's share of the server.
pub(super) struct Worker {
    pub(super) app: Arc<App>,
    pub(super) handle: Handle,
    /// One for each worker, so that cores do not share the reference count of the context; dropped on the
    /// worker's thread, with its last connection.
    parts_keeper: PartsKeeper,
    caches: RefCell<Caches>,
    preface: RefCell<Preface>,
    /// Until when its date is true.
    preface_until: Cell<Time>,
    /// Since when it is to stop.
    stopping: Cell<Option<Time>>,
    connections: Cell<usize>,
    /// Tasks that wait for a connection to end.
    waiting: RefCell<Vec<Waker>>,
    /// Bytes that connections hold.
    held: Cell<usize>,
    /// Whether the connections that are left end now.
    is_over: Cell<bool>,
}

impl Worker {
    pub(super) fn new(app: Arc<App>) -> Rc<Worker> {
        let handle = Handle::current();
        let names = app.router.entries().iter().map(|entry| entry.pattern.group_names());
        Rc::new(Worker {
            preface: RefCell::new(Preface::new(app.config.server_header.as_ref())),
            preface_until: Cell::new(handle.now()),
            handle,
            parts_keeper: PartsKeeper::new(Arc::clone(&app.states), names.collect()),
            caches: RefCell::default(),
            stopping: Cell::new(None),
            connections: Cell::new(0),
            waiting: RefCell::default(),
            held: Cell::new(0),
            is_over: Cell::new(false),
            app,
        })
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        self.parts_keeper.context()
    }

    /// Finds the route of a request, and leaves it and its groups in `parts`.
    pub(super) fn find(&self, parts: &mut crate::http::Parts) -> Option<RouteNumber> {
        if !parts.head.is_routed {
            self.find_anew(parts);
        }
        parts.route
    }

    // Out of line: the walk of the index then has the registers to itself.
    #[inline(never)]
    fn find_anew(&self, parts: &mut crate::http::Parts) {
        let head = &mut parts.head;
        parts.route = None;
        if !head.is_pathless() {
            let caches = &mut self.caches.borrow_mut();
            parts.route =
                self.app.router.find(head.method(), head.path(), caches, &mut parts.groups);
        }
        head.is_routed = true;
    }

    /// Says why a request has no route.
    pub(super) fn explain(&self, request: &Request) -> Missed {
        let head = &request.parts().head;
        match head.is_pathless() {
            true => self.app.router.explain_pathless(head.method()),
            false => {
                let caches = &mut self.caches.borrow_mut();
                self.app.router.explain(head.method(), head.path(), caches)
            }
        }
    }

    /// Returns the handler of a route, or the one for what was not found.
    pub(super) fn handler(&self, route: Option<RouteNumber>) -> &BoxHandler {
        match (route, &self.app.not_found) {
            (Some(route), _) => &self.app.router.entry(route).handler,
            (None, Some(handler)) => handler,
            (None, None) => unreachable!("called for a route, or when there is such a handler"),
        }
    }

    /// Returns how long that handler may take.
    pub(super) fn handler_timeout(&self, route: Option<RouteNumber>) -> Option<Duration> {
        let own = route.and_then(|route| self.app.router.entry(route).options.timeout);
        own.or(self.app.config.handler_timeout)
    }

    pub(super) fn route_name(&self, route: Option<RouteNumber>) -> &str {
        route.map_or("-", |route| self.app.router.entry(route).pattern.as_str())
    }

    /// Returns whether the access log is on.
    pub(super) fn wants_records(&self) -> bool {
        self.app.config.access_log && log::log_enabled!(target: ACCESS, log::Level::Info)
    }

    /// Logs the error that a response stands for, and lets `on_error` choose another response.
    pub(super) fn review(&self, response: &mut Response, route: Option<RouteNumber>) {
        let Some(error) = response.error.take() else { return };
        if response.status.is_server_error() {
            log::error!("{}: {}", self.route_name(route), error.chain());
        } else {
            log::debug!("{}: {}", self.route_name(route), error.chain());
        }
        if self.app.on_error.is_some() {
            let fields = mem::take(&mut response.headers);
            *response = self.answer_error(error);
            response.inherit(fields);
        }
    }

    /// Makes the answer to a failure that is logged already.
    pub(super) fn answer_error(&self, error: Error) -> Response {
        match &self.app.on_error {
            Some(on_error) => contain(|| on_error(&error)),
            None => Response::failed(error).without_error(),
        }
    }

    /// Makes the answer to a request that waits when the server stops.
    pub(super) fn answer_shutdown(&self) -> Response {
        match &self.app.on_shutdown {
            Some(on_shutdown) => contain(on_shutdown),
            None => Response::text(reason_text(StatusCode::SERVICE_UNAVAILABLE))
                .status(StatusCode::SERVICE_UNAVAILABLE)
                .header(header::RETRY_AFTER, RETRY_AFTER),
        }
    }

    /// Returns what every response begins with.
    pub(super) fn preface(&self) -> Ref<'_, Preface> {
        if self.handle.now() >= self.preface_until.get() {
            self.renew_preface();
        }
        self.preface.borrow()
    }

    #[cold]
    fn renew_preface(&self) {
        let left = self.preface.borrow_mut().set_date(self.handle.wall());
        self.preface_until.set(self.handle.now() + left);
    }

    /// Returns whether the server has ended, on a loop that may go on.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Waits until the connections that are left are cut, and returns true. It keeps no waker, as every
    /// task is woken then.
    async fn cut(&self) -> bool {
        poll_fn(|_| if self.is_over() { Poll::Ready(true) } else { Poll::Pending }).await
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }

    /// Returns until when an idle connection is kept when the server stops.
    pub(super) fn idle_until(&self) -> Option<Time> {
        self.stopping.get().map(|since| since + self.app.config.shutdown_idle_grace)
    }

    /// Counts bytes that a connection holds.
    pub(super) fn hold(self: &Rc<Worker>, bytes: usize) -> Held {
        self.count(bytes);
        Held { worker: Rc::clone(self), bytes }
    }

    /// Counts bytes that a connection holds, which it [releases](Worker::release) by itself.
    pub(super) fn count(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.set(self.held.get() - bytes);
    }

    /// Returns whether the connections together hold more than they may.
    pub(super) fn is_overfull(&self) -> bool {
        self.held.get() > self.app.config.max_buffered_bytes
    }

    /// Counts a connection in, unless its address has too many.
    pub(super) fn enter(&self, remote: Option<SocketAddr>) -> bool {
        let address = remote.map(client_of);
        let most = self.app.config.max_connections_per_address;
        let is_welcome = self.app.census.enter(address, most, self.app.descriptors_per_address);
        if is_welcome {
            self.connections.set(self.connections.get() + 1);
        }
        is_welcome
    }

    /// Counts a connection out.
    pub(super) fn leave(&self, remote: Option<SocketAddr>) {
        self.app.census.leave(remote.map(client_of));
        self.connections.set(self.connections.get() - 1);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Returns whether a file may be opened for an address: it takes a descriptor, as a connection does.
    pub(super) fn has_descriptor(&self, remote: Option<SocketAddr>) -> bool {
        let most = self.app.descriptors_per_address;
        self.app.census.has_descriptor(remote.map(client_of), most)
    }

    /// Counts a file that is sent to an address, for as long as the answer is kept.
    pub(super) fn take_descriptor(self: &Rc<Worker>, remote: Option<SocketAddr>) -> Descriptor {
        let client = remote.map(client_of);
        self.app.census.open(client);
        Descriptor { worker: Rc::clone(self), client }
    }

    /// Returns whether there are as many connections as there may be.
    fn is_full(&self) -> bool {
        !self.is_stopping() && self.app.census.is_full(self.app.config.max_connections)
    }

    /// Waits until a connection of this worker has ended.
    async fn one_left(&self) {
        let before = self.connections.get();
        poll_fn(|cx| {
            if self.connections.get() < before {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Calls the program's `on_error` or `on_shutdown`; the answer is a plain 500 when that panics. An error of the
/// answer's own is logged, and `on_error` is not asked about it.
fn contain(answer: impl FnOnce() -> Response) -> Response {
    let mut response = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|panic| {
        let words = panic_message(&*panic);
        Response::failed(Error::new(ErrorKind::Handler, format!("it panicked: {words}")))
    });
    if let Some(error) = response.error.take() {
        log::error!("what answers for others failed: {}", error.chain());
    }
    response
}

/// Bytes that a connection holds, counted until this is dropped.
pub(super) struct Held {
    worker: Rc<Worker>,
    bytes: usize,
}

impl Held {
    /// Counts anew; false when the connections of this worker now hold too much together.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        self.worker.release(self.bytes);
        self.worker.count(bytes);
        self.bytes = bytes;
        !self.worker.is_overfull()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A file that is sent to a client, counted until this is dropped.
pub(super) struct Descriptor {
    worker: Rc<Worker>,
    client: Option<IpAddr>,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.worker.app.census.close(self.client);
    }
}

/// What one loop does: accept and serve until it is to stop, then finish what is in flight, and cut the
/// rest: the loop may go on.
///
/// # Errors
///
/// When a listener is unusable.
pub(super) async fn run(app: Arc<App>, listeners: Vec<Bound>, stop: StopSignal) -> io::Result<()> {
    let worker = Worker::new(app);
    let outcome = serve(&worker, listeners, stop).await;
    worker.is_over.set(true);
    worker.handle.wake_all();
    outcome
}

async fn serve(worker: &Rc<Worker>, listeners: Vec<Bound>, stop: StopSignal) -> io::Result<()> {
    let accepting = listeners.into_iter().map(|listener| {
        let (worker, stop) = (Rc::clone(worker), stop.clone());
        spawn(async move {
            let outcome = accept_from(listener, worker).await;
            if let Err(error) = &outcome {
                log::error!("a listener is unusable, so the server stops: {error}");
                stop.stop(Stopping::Gracefully);
            }
            outcome
        })
    });
    let accepting: Vec<_> = accepting.collect();
    stop.wait(Stopping::Gracefully).await;
    worker.stopping.set(Some(worker.handle.now()));
    let before = worker.connections.get();
    // Acceptors take what the kernel holds already, and end.
    worker.handle.wake_all();
    let (mut outcome, mut in_flight) = (Ok(()), before);
    let all_left = async {
        for task in accepting {
            // One that fails ends no connection.
            let its = task.await;
            if outcome.is_ok() {
                outcome = its;
            }
        }
        in_flight = worker.connections.get().max(before);
        while worker.connections.get() > 0 {
            worker.one_left().await;
        }
    };
    let deadline = worker.app.config.shutdown_timeout;
    let _ = timeout(deadline, race(all_left, stop.wait(Stopping::Now))).await;
    let cut = worker.connections.get();
    worker.app.census.stopped(in_flight.saturating_sub(cut), cut);
    outcome
}

/// What comes of waiting for a connection.
enum Next<S> {
    Connection(S, Option<SocketAddr>),
    /// There are as many as there may be.
    Full,
    /// The worker is to stop, and the kernel has none.
    End,
}

/// Takes a listener to this loop and accepts connections from it.
async fn accept_from(listener: Bound, worker: Rc<Worker>) -> io::Result<()> {
    match listener {
        Bound::Tcp { listener, is_inherited } => {
            accept(TcpListener::from_bound(listener, is_inherited)?, worker).await
        }
        #[cfg(unix)]
        Bound::Unix(listener, file) => {
            accept(crate::net::UnixListener::from_parts(listener, file)?, worker).await
        }
    }
}

/// Accepts connections until the worker is to stop and the kernel has no more.
async fn accept<L>(mut listener: L, worker: Rc<Worker>) -> io::Result<()>
where
    L: Listener<Stream: Into<Transport>>,
{
    let mut accepted = 0;
    let mut is_reported = false;
    let mut last_look = LastLook::default();
    loop {
        if worker.is_over() {
            return Ok(());
        }
        if worker.is_stopping() {
            last_look.refuse_arrivals(&mut listener);
        }
        let next = poll_fn(|cx| poll_next(&mut listener, &worker, &mut is_reported, cx));
        match next.await? {
            Next::Connection(stream, remote) => welcome(stream.into(), remote, &worker),
            Next::Full => {
                if !mem::replace(&mut is_reported, true) {
                    worker.app.census.starved(1);
                    let most = worker.app.config.max_connections;
                    log::warn!("cannot accept connections for now: there are {most}");
                }
                let _ = timeout(FULL_REST, worker.one_left()).await;
            }
            Next::End if race(last_look.is_over(&mut listener), worker.cut()).await => {
                return Ok(());
            }
            Next::End => {}
        }
        accepted += 1;
        if accepted % ACCEPTS_PER_TURN == 0 {
            yield_now().await;
        }
    }
}

fn poll_next<L: Listener>(
    listener: &mut L,
    worker: &Worker,
    is_reported: &mut bool,
    cx: &mut std::task::Context<'_>,
) -> Poll<io::Result<Next<L::Stream>>> {
    if worker.is_full() {
        return Poll::Ready(Ok(Next::Full));
    }
    let before = listener.starved();
    let mut next = listener.poll_accept(cx);
    worker.app.census.starved(listener.starved() - before);
    if next.is_pending() && worker.is_stopping() {
        // What the kernel holds would be reset with the listener.
        listener.look_again();
        next = listener.poll_accept(cx);
        if next.is_pending() {
            return Poll::Ready(Ok(Next::End));
        }
    }
    // Nobody is left who waits for room: the episode is over.
    if next.is_pending() && mem::take(is_reported) {
        log::info!("accepting connections again");
    }
    next.map_ok(|(stream, peer)| Next::Connection(stream, L::remote(&peer)))
}

fn welcome(stream: Transport, remote: Option<SocketAddr>, worker: &Rc<Worker>) {
    if worker.enter(remote) {
        // Its request is usually there. While it is answered, the next client arrives: that one is accepted
        // with no wait, and no look that finds nobody, in between.
        let connection = Connection::new(stream, remote, Rc::clone(worker));
        worker.handle.spawn_begun(connection).detach();
    } else if let Some(remote) = remote {
        log::debug!("{remote}: refused: too many connections from this address");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::{Snow, get, rt::block_on};
    use std::{
        io::{Read, Write},
        net::Shutdown,
        sync::mpsc,
        thread,
    };

    #[test]
    fn a_listener_that_becomes_unusable_ends_no_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (addr, copy) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
        let (called, is_called) = mpsc::channel();
        let handler = move |_| {
            called.send(()).unwrap();
            async {
                crate::sleep(Duration::from_millis(300)).await;
                "answered"
            }
        };
        let app = Arc::new(Snow::new([get("^/$", handler)]).build().unwrap());
        let bound = Bound::Tcp { listener, is_inherited: false };
        let server = thread::spawn(move || block_on(run(app, vec![bound], StopSignal::default())));
        let mut client = std::net::TcpStream::connect(addr).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        is_called.recv().unwrap();
        socket2::SockRef::from(&copy).shutdown(Shutdown::Read).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("answered"), "{answer:?}");
        assert_eq!(server.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
