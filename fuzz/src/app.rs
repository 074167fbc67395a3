//! The application that connections are made to: handlers of every temper.

use snow::{
    Bytes, Error, Future, HeaderName, HeaderValue, Request, Response, Snow, TimeoutFuture, get,
    post, sleep,
};
use std::{
    cell::RefCell,
    panic,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

thread_local! {
    /// Requests that wait to be told.
    static WAITING: RefCell<Vec<Future<String>>> = const { RefCell::new(Vec::new()) };
    /// Streams that wait to be told.
    static STREAMS: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    static TOLD: RefCell<usize> = const { RefCell::new(0) };
}

/// What handlers here panic with; any other panic is a fault.
#[derive(Debug)]
pub struct Planned;

/// Has planned panics pass in silence and every other one reach the fuzzer, caught or not.
pub fn let_planned_panics_pass() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Planned>() {
            report(info);
        }
    }));
}

fn blow_up() -> ! {
    panic::panic_any(Planned)
}

/// Answers all who wait; what nobody waits for any more is refused, which is as it should be.
pub fn tell() -> usize {
    TOLD.with_borrow_mut(|told| *told += 1);
    let waiting = WAITING.take();
    let told = waiting.iter().filter(|future| future.set_result("news".to_string()).is_ok());
    let count = told.count();
    STREAMS.take().into_iter().for_each(Waker::wake);
    count
}

/// Makes the application.
pub fn application() -> Snow {
    Snow::new([
        get("^/$", |_| "hello"),
        post("^/echo$", |req: Request| Response::bytes(req.into_body())),
        get("^/large$", |_| Response::bytes(vec![b'x'; 70_000])),
        get("^/no-content$", |_| Response::new(snow::StatusCode::NO_CONTENT)),
        get("^/close$", |_| Response::text("bye").header("connection", "close")),
        get("^/late$", |_| TimeoutFuture::new(Duration::from_secs(3)).then(|| "late")),
        get("^/gone$", |_| TimeoutFuture::new(Duration::from_millis(700))),
        get("^/wait$", |_| wait()),
        get("^/poll$", |_| wait().timeout(Duration::from_secs(8))),
        get("^/lost$", |_| Future::new(|text: String| text)),
        get("^/tell$", |_| tell().to_string()),
        get("^/sleep$", nap),
        post("^/nap$", nap),
        get("^/never$", async |_: Request| std::future::pending::<()>().await),
        get("^/too-slow$", async |_: Request| sleep(Duration::from_secs(60)).await)
            .timeout(Duration::from_secs(2)),
        get("^/panic$", |_| -> Response { blow_up() }),
        get("^/panic-later$", panic_later),
        get("^/panic-drop$", |_| PanicOnDrop(TOLD.with_borrow(|told| *told))),
        get("^/error$", |_| Err::<(), _>("no luck")),
        get("^/bad-field$", |_| Response::text("a").header("x", "a\r\nb: c")),
        get("^/stream/(?<plan>[a-z]*)$", stream),
        post("^/upload$", upload).streaming(),
        post("^/abandon$", |_| "unread").streaming(),
        post("^/abandon-late$", |_| wait()).streaming(),
        post("^/lazy$", lazy).streaming(),
        post("^/mirror$", mirror).streaming(),
        post("^/small$", |req: Request| req.into_body()).max_body_bytes(16),
    ])
}

fn wait() -> Future<String> {
    let future = Future::new(|text: String| text);
    WAITING.with_borrow_mut(|waiting| waiting.push(future.clone()));
    future
}

async fn nap(_: Request) -> &'static str {
    sleep(Duration::from_millis(1500)).await;
    "slept"
}

async fn panic_later(_: Request) -> Response {
    sleep(Duration::from_millis(10)).await;
    blow_up()
}

async fn upload(mut req: Request) -> snow::Result<String> {
    let mut body = req.body_stream();
    let mut len = 0;
    while let Some(piece) = body.next().await {
        len += piece?.len();
    }
    Ok(len.to_string())
}

async fn lazy(mut req: Request) -> snow::Result<String> {
    sleep(Duration::from_secs(4)).await;
    let first = req.body_stream().next().await;
    Ok(first.transpose()?.unwrap_or_default().len().to_string())
}

fn mirror(mut req: Request) -> Response {
    Response::stream(req.body_stream())
}

/// An answer that comes when somebody tells, and panics when it is dropped; it holds how often had been
/// told when it was made.
struct PanicOnDrop(usize);

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            blow_up();
        }
    }
}

impl std::future::Future for PanicOnDrop {
    type Output = &'static str;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'static str> {
        STREAMS.with_borrow_mut(|streams| streams.push(cx.waker().clone()));
        match TOLD.with_borrow(|told| *told) == self.0 {
            true => Poll::Pending,
            false => Poll::Ready("told"),
        }
    }
}

/// Content made after a plan: each letter of the path is a step.
struct Planner {
    plan: std::vec::IntoIter<u8>,
    sleep: Option<snow::Sleep>,
    /// How often had been told when the wait began.
    waits_since: Option<usize>,
}

fn stream(req: Request) -> Response {
    let plan = req.param("plan").unwrap_or_default().as_bytes().to_vec();
    let declared = plan.iter().rev().take_while(|&&step| step == b'z').count();
    let planner = Planner { plan: plan.into_iter(), sleep: None, waits_since: None };
    let response = Response::stream(planner)
        .trailers(|| vec![(HeaderName::from_static("x-end"), HeaderValue::from_static("yes"))]);
    match declared {
        0 => response,
        len => response.header("content-length", len.to_string()),
    }
}

impl Planner {
    /// Waits for what a step before has begun.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            if std::future::Future::poll(Pin::new(sleep), cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        if self.waits_since.is_some_and(|since| TOLD.with_borrow(|told| *told) == since) {
            STREAMS.with_borrow_mut(|streams| streams.push(cx.waker().clone()));
            return Poll::Pending;
        }
        self.waits_since = None;
        Poll::Ready(())
    }
}

impl futures_core::Stream for Planner {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            std::task::ready!(self.poll_waits(cx));
            let piece = match self.plan.next() {
                None => return Poll::Ready(None),
                Some(b's') => {
                    self.sleep = Some(sleep(Duration::from_millis(300)));
                    continue;
                }
                Some(b'w') => {
                    self.waits_since = Some(TOLD.with_borrow(|told| *told));
                    continue;
                }
                Some(b'y') => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(b'p') => blow_up(),
                Some(b'f') => return Poll::Ready(Some(Err(Error::other("the plan says so")))),
                Some(b'e') => Bytes::new(),
                Some(b'l') => Bytes::from(vec![b'l'; 40_000]),
                Some(step) => Bytes::from(vec![step]),
            };
            return Poll::Ready(Some(Ok(piece)));
        }
    }
}

/// Returns whether the answer to a target may end before its end, by its handler's doing.
pub fn may_break_off(target: &[u8]) -> bool {
    let breaks = |plan: &[u8]| plan.iter().any(|step| b"pfz".contains(step));
    target.windows(8).any(|part| part == b"/stream/") && breaks(target)
        || target.windows(7).any(|part| part == b"/mirror")
}

/// Returns whether the answer to a target may never come.
pub fn may_wait_for_ever(target: &[u8]) -> bool {
    target.windows(6).any(|part| part == b"/never")
}
