//! A server of raw connections: accept, run a handler for each, contain what goes wrong, stop.

use super::{
    accept::{ACCEPTS_PER_TURN, LastLook, Listener},
    clients::{Clients, client_of},
};
use crate::{
    config::Config,
    rt::{
        Signals, StopSignal, Stopping, Task, panic_message, race, sleep, spawn_unpin, timeout,
        yield_now,
    },
};
use slab::Slab;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    io,
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Serves what `listener` accepts: each connection is a task of this loop that runs `handler`.
///
/// The server runs when it is awaited, until it is [stopped](Serve::stop_handle). What a handler
/// returns as an error, and a panic of it, ends its own connection and is logged with the peer's
/// address. When the future is dropped, so are the connections.
///
/// Several servers run on one loop: spawn all but the last.
///
/// What a connection costs while its peer says nothing is the handler's business: it has no time limit
/// but those that it sets, and silent peers can use up
/// [all the connections](Serve::max_connections) there may be. An example is below.
///
/// # Errors
///
/// Awaiting it gives an error when the listener is unusable, which running out of descriptors does not
/// make it: after a graceful stop, so that the connections that are there may end. And when signals are to be
/// handled and the machine refuses a pair of sockets for that.
///
/// # Panics
///
/// Awaiting it does outside a loop, as all sockets do.
///
/// # Examples
///
/// ```
/// use snow::net::{ReadExt, TcpListener, TcpStream, WriteExt, serve};
///
/// snow::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
///     let addr = listener.local_addr()?;
///     let server = serve(listener, |mut stream: TcpStream, _peer| async move {
///         let mut buf = [0; 1024];
///         loop {
///             match stream.read(&mut buf).await? {
///                 0 => return Ok(()),
///                 count => stream.write_all(&buf[..count]).await?,
///             }
///         }
///     });
///     let server = server.max_connections(100);
///     let stop = server.stop_handle();
///     let serving = snow::spawn(server.into_future());
///
///     let mut client = TcpStream::connect(addr).await?;
///     client.write_all(b"hello").await?;
///     let mut echo = [0; 5];
///     client.read_exact(&mut echo).await?;
///     assert_eq!(&echo, b"hello");
///
///     drop(client);
///     stop.stop();
///     serving.await
/// })
/// .unwrap();
/// ```
///
/// A handler that gives a silent peer up:
///
/// ```
/// use snow::{net::{ReadExt, TcpStream, WriteExt}, timeout};
/// use std::{io, net::SocketAddr, time::Duration};
///
/// async fn echo(mut stream: TcpStream, _peer: SocketAddr) -> io::Result<()> {
///     let silence = Duration::from_secs(30);
///     let mut buf = [0; 1024];
///     loop {
///         match timeout(silence, stream.read(&mut buf)).await?? {
///             0 => return Ok(()),
///             count => timeout(silence, stream.write_all(&buf[..count])).await??,
///         }
///     }
/// }
/// # let _ = |listener: snow::net::TcpListener| snow::net::serve(listener, echo);
/// ```
pub fn serve<L, H, F>(listener: L, handler: H) -> Serve<L, H>
where
    L: Listener,
    H: Fn(L::Stream, L::Peer) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let config = Config::default();
    Serve {
        listener,
        handler,
        max_connections: config.max_connections,
        max_connections_per_address: config.max_connections_per_address,
        shutdown_timeout: config.shutdown_timeout,
        handle_signals: false,
        stop: StopSignal::default(),
    }
}

/// A server of raw connections that is not running yet; [`serve`] makes it, `.await` runs it.
#[must_use = "a server does nothing unless awaited"]
pub struct Serve<L, H> {
    listener: L,
    handler: H,
    max_connections: usize,
    max_connections_per_address: usize,
    shutdown_timeout: Duration,
    handle_signals: bool,
    stop: StopSignal,
}

impl<L, H> Serve<L, H> {
    /// Sets how many connections there may be at a time, at least one. Beyond, clients wait in the
    /// kernel's queue. Default: as [`Config::max_connections`].
    pub fn max_connections(mut self, most: usize) -> Serve<L, H> {
        self.max_connections = most.max(1);
        self
    }

    /// Sets how many connections there may be at a time from one address, at least one; of IPv6 from one
    /// network of 64 bits. Beyond, they are closed at once. Without effect on Unix sockets. Default: as
    /// [`Config::max_connections_per_address`], so that one client alone cannot keep all others out; behind
    /// a proxy, whose address all clients share, set it to that of
    /// [`max_connections`](Serve::max_connections).
    pub fn max_connections_per_address(mut self, most: usize) -> Serve<L, H> {
        self.max_connections_per_address = most.max(1);
        self
    }

    /// Sets how long a graceful stop waits for the connections that are there. Default: 10 s, as
    /// [`Config::shutdown_timeout`].
    pub fn shutdown_timeout(mut self, duration: Duration) -> Serve<L, H> {
        self.shutdown_timeout = duration;
        self
    }

    /// Has SIGINT and SIGTERM stop the server gracefully, from when it is awaited; a second signal ends
    /// the process at once, and so does one that comes when the server has ended. Default: signals are
    /// the program's. Without effect where there are no such signals.
    pub fn handle_signals(mut self) -> Serve<L, H> {
        self.handle_signals = true;
        self
    }

    /// Returns a handle that stops the server.
    pub fn stop_handle(&self) -> ServeHandle {
        ServeHandle(self.stop.clone())
    }
}

impl<L, H, F> IntoFuture for Serve<L, H>
where
    L: Listener,
    H: Fn(L::Stream, L::Peer) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

impl<L: fmt::Debug, H> fmt::Debug for Serve<L, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serve({:?})", self.listener)
    }
}

/// Stops a server of raw connections, from any thread.
#[derive(Clone)]
pub struct ServeHandle(StopSignal);

impl ServeHandle {
    /// Asks for a graceful stop and returns at once. Clients that have connected already are still
    /// accepted, if there is room, and no others. The connections have
    /// [`shutdown_timeout`](Serve::shutdown_timeout) to end; what is left then is cut.
    pub fn stop(&self) {
        self.0.stop(Stopping::Gracefully);
    }

    /// Asks for a stop that cuts all connections, and returns at once.
    pub fn stop_now(&self) {
        self.0.stop(Stopping::Now);
    }

    /// Waits until a stop is asked for, or the listener has failed: a connection that never ends by itself can race with this.
    pub async fn stopping(&self) {
        self.0.wait(Stopping::Gracefully).await;
    }
}

impl fmt::Debug for ServeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServeHandle")
    }
}

async fn run<L, H, F>(server: Serve<L, H>) -> io::Result<()>
where
    L: Listener,
    H: Fn(L::Stream, L::Peer) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let Serve { listener, handler, shutdown_timeout, handle_signals, stop, .. } = server;
    let signals = handle_signals.then(Signals::listen).transpose()?;
    let crowd = Crowd::new(server.max_connections, server.max_connections_per_address);
    let crowd = CutOnDrop(Rc::new(crowd));
    let serving = async {
        let mut over = pin!(async {
            stop.wait(Stopping::Gracefully).await;
            race(sleep(shutdown_timeout), stop.wait(Stopping::Now)).await;
        });
        let accepting = async { Some(accept_all(listener, handler, &crowd.0, &stop).await) };
        let cut = async {
            over.as_mut().await;
            None
        };
        let Some(outcome) = race(accepting, cut).await else { return Ok(()) };
        if outcome.is_err() {
            stop.stop(Stopping::Gracefully);
        }
        let all_left = poll_fn(|cx| crowd.0.poll_fewer_than(1, cx));
        let _ = timeout(shutdown_timeout, race(all_left, over)).await;
        outcome
    };
    Signals::during(signals.as_ref(), &stop, serving).await
}

/// A connection, and where it comes from.
type Arrival<L> = (<L as Listener>::Stream, <L as Listener>::Peer);

/// Accepts until it is to stop and the kernel has no more; the listener is closed then.
async fn accept_all<L, H, F>(
    mut listener: L,
    handler: H,
    crowd: &Rc<Crowd>,
    stop: &StopSignal,
) -> io::Result<()>
where
    L: Listener,
    H: Fn(L::Stream, L::Peer) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let mut stopped = pin!(stop.wait(Stopping::Gracefully));
    let mut accepted: usize = 0;
    let mut is_stopping = false;
    let mut last_look = LastLook::default();
    loop {
        let next = poll_fn(|cx| {
            if is_stopping || stopped.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                return crowd.poll_last(&mut listener, cx);
            }
            crowd.poll_next(&mut listener, cx).map_ok(Some)
        });
        let next = next.await?;
        if is_stopping {
            last_look.refuse_arrivals(&mut listener);
        }
        match next {
            Some((stream, peer)) => welcome::<L, _, _>(stream, peer, &handler, crowd),
            None if last_look.is_over(&mut listener).await => return Ok(()),
            None => {}
        }
        accepted += 1;
        if accepted % ACCEPTS_PER_TURN == 0 {
            yield_now().await;
        }
    }
}

/// Runs the handler of a connection, unless its address has too many.
fn welcome<L, H, F>(stream: L::Stream, peer: L::Peer, handler: &H, crowd: &Rc<Crowd>)
where
    L: Listener,
    H: Fn(L::Stream, L::Peer) -> F,
    F: Future<Output = io::Result<()>> + 'static,
{
    let client = L::remote(&peer).map(client_of);
    let Some(seat) = Seat::take(crowd, client) else {
        log::debug!("{peer:?}: refused: too many connections from this address");
        return;
    };
    let name = peer.clone();
    match catch_unwind(AssertUnwindSafe(|| Box::pin(handler(stream, peer)))) {
        Ok(future) => crowd.admit(future, name, seat),
        Err(panic) => log_panic(&name, &*panic),
    }
}

fn log_panic(peer: &impl fmt::Debug, panic: &(dyn Any + Send)) {
    log::error!("{peer:?}: the connection panicked: {}", panic_message(panic));
}

/// One connection. It ends with its handler, however that ends.
///
/// It is a type and not an `async` block, which would keep the handler's future twice.
struct Connection<F, P> {
    future: Pin<Box<F>>,
    peer: P,
    _seat: Seat,
}

// Nothing is pinned in place: the future has a box of its own.
impl<F, P> Unpin for Connection<F, P> {}

impl<F, P> Future for Connection<F, P>
where
    F: Future<Output = io::Result<()>>,
    P: fmt::Debug,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.future.as_mut();
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(()))) => {}
            Ok(Poll::Ready(Err(error))) => {
                log::info!("{:?}: the connection failed: {error}", self.peer);
            }
            Err(panic) => log_panic(&self.peer, &*panic),
        }
        Poll::Ready(())
    }
}

/// The connections of one server.
struct Crowd {
    tasks: RefCell<Slab<Task<()>>>,
    most: usize,
    clients: RefCell<Clients>,
    most_per_address: usize,
    /// Whether it is reported that there are as many as there may be: once an episode.
    is_reported: Cell<bool>,
    /// The server, when it waits for connections to end.
    waiting: RefCell<Option<Waker>>,
}

impl Crowd {
    fn new(most: usize, most_per_address: usize) -> Crowd {
        Crowd {
            tasks: RefCell::default(),
            most,
            clients: RefCell::default(),
            most_per_address,
            is_reported: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    /// Spawns a connection.
    fn admit<F, P>(&self, future: Pin<Box<F>>, peer: P, mut seat: Seat)
    where
        F: Future<Output = io::Result<()>> + 'static,
        P: fmt::Debug + 'static,
    {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        seat.key = Some(entry.key());
        entry.insert(spawn_unpin(Connection { future, peer, _seat: seat }));
    }

    /// Is ready with the next connection, once there is one and room for it.
    fn poll_next<L: Listener>(
        &self,
        listener: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Arrival<L>>> {
        if self.poll_fewer_than(self.most, cx).is_pending() {
            if !self.is_reported.replace(true) {
                log::warn!("cannot accept connections for now: there are {}", self.most);
            }
            return Poll::Pending;
        }
        let next = listener.poll_accept(cx);
        // Nobody is left who waits for room: the episode is over.
        if next.is_pending() && self.is_reported.replace(false) {
            log::info!("accepting connections again");
        }
        next
    }

    /// Is ready with one of the connections that the kernel holds, or with none. They would be reset when
    /// the listener closes.
    fn poll_last<L: Listener>(
        &self,
        listener: &mut L,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Arrival<L>>>> {
        if self.tasks.borrow().len() >= self.most {
            return Poll::Ready(Ok(None));
        }
        listener.look_again();
        match listener.poll_accept(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map(Some)),
            Poll::Pending => Poll::Ready(Ok(None)),
        }
    }

    /// Is ready when there are fewer connections than `count`.
    fn poll_fewer_than(&self, count: usize, cx: &Context<'_>) -> Poll<()> {
        if self.tasks.borrow().len() < count {
            return Poll::Ready(());
        }
        let replaced = self.waiting.replace(Some(cx.waker().clone()));
        drop(replaced);
        Poll::Pending
    }
}

/// A connection's place among those of its server, until it ends.
struct Seat {
    crowd: Rc<Crowd>,
    /// The address that it is counted under.
    client: Option<IpAddr>,
    /// Among the tasks; `None` until it is spawned.
    key: Option<usize>,
}

impl Seat {
    /// Counts a connection in, unless its address has too many.
    fn take(crowd: &Rc<Crowd>, client: Option<IpAddr>) -> Option<Seat> {
        let has_room = crowd.clients.borrow_mut().enter(client, crowd.most_per_address, usize::MAX);
        has_room.then(|| Seat { crowd: Rc::clone(crowd), client, key: None })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.crowd.clients.borrow_mut().leave(self.client);
        // It is not there when the server was dropped.
        let task = self.key.and_then(|key| self.crowd.tasks.borrow_mut().try_remove(key));
        drop(task);
        let waiting = self.crowd.waiting.take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// Cuts the connections that are left when their server ends.
struct CutOnDrop(Rc<Crowd>);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        let tasks = self.0.tasks.take();
        if !tasks.is_empty() {
            log::info!("stopped: {} connections cut", tasks.len());
        }
        tasks.into_iter().for_each(|(_, task)| task.cancel());
    }
}
