//! The test client: runs an application in process, on a clock it owns.
//!
//! The application runs as it does behind a socket, codec and all, but through a pipe in memory. Time
//! stands still until nothing is left to do and then jumps to the next deadline, so that a test of a
//! five-second timeout takes no time and never flakes.

use super::{App, server::Connection, worker::Worker};
use crate::{
    Result,
    net::{Pipe, pipe},
    rt::{Clock, Counts, EventLoop, Hangup, Time},
};
use std::{fmt, future::poll_fn, rc::Rc, sync::Arc, task::Poll, time::Duration};

/// How long, in real time, a response is waited for: a promise that nobody completes would be waited for
/// for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs an application in process, for tests.
///
/// # Examples
///
/// ```
/// use snow::{Snow, TimeoutFuture, get};
/// use std::time::Duration;
///
/// let app = Snow::new([get("^/async/$", |_| TimeoutFuture::new(Duration::from_secs(5)))]);
/// let mut client = app.test_client()?;
///
/// assert_eq!(client.get("/async/").send().status(), 504);
/// assert_eq!(client.elapsed(), Duration::from_secs(5)); // of the application's time
/// # Ok::<(), snow::Error>(())
/// ```
pub struct TestClient {
    // Dropped first: the end of the loop then drops the connections, which share it.
    worker: Rc<Worker>,
    event_loop: EventLoop,
    began: Time,
}

impl TestClient {
    pub(super) fn new(app: App) -> Result<TestClient> {
        let event_loop = EventLoop::new(Clock::stopped())?;
        let _entered = event_loop.enter();
        let worker = Worker::new(Arc::new(app));
        let began = event_loop.handle().now();
        Ok(TestClient { worker, event_loop, began })
    }

    /// Prepares a `GET`.
    pub fn get(&mut self, target: &str) -> ClientRequest<'_> {
        self.request("GET", target)
    }

    /// Prepares a `POST`.
    pub fn post(&mut self, target: &str) -> ClientRequest<'_> {
        self.request("POST", target)
    }

    /// Prepares a request of any method.
    pub fn request(&mut self, method: &str, target: &str) -> ClientRequest<'_> {
        let line = format!("{method} {target} HTTP/1.1\r\n");
        ClientRequest {
            client: self,
            is_head: method == "HEAD",
            line,
            fields: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Returns how much of the application's time has passed.
    pub fn elapsed(&self) -> Duration {
        self.event_loop.handle().now().since(self.began)
    }

    /// Returns how much lives on the application's loop.
    pub fn counts(&self) -> Counts {
        self.event_loop.handle().counts()
    }

    /// Lets `duration` of the application's time pass, and all happen that is due within it.
    pub fn advance(&mut self, duration: Duration) {
        self.run(crate::rt::sleep(duration));
    }

    /// Opens a connection for bytes of the test's own making.
    ///
    /// # Examples
    ///
    /// ```
    /// use snow::{Snow, get};
    ///
    /// let mut client = Snow::new([get("^/$", |_| "hello")]).test_client()?;
    /// let mut connection = client.connect();
    /// connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTT");
    /// client.settle();
    /// assert!(connection.take().ends_with(b"hello"));
    /// connection.write(b"P/9.9\r\n");
    /// client.settle();
    /// assert!(connection.take().starts_with(b"HTTP/1.1 505 "));
    /// assert!(connection.is_closed());
    /// # Ok::<(), snow::Error>(())
    /// ```
    pub fn connect(&mut self) -> TestConnection {
        let (pipe, theirs) = pipe();
        self.worker.enter(None);
        let connection = Connection::new(theirs.into(), None, Rc::clone(&self.worker));
        self.event_loop.handle().spawn_unpin(connection).detach();
        TestConnection { pipe }
    }

    /// Lets the application do all that it can do without time passing.
    pub fn settle(&mut self) {
        // A deadline of now comes after all that is to be done at once.
        self.advance(Duration::ZERO);
    }

    /// Waits for the response to a request that was [started](ClientRequest::start).
    ///
    /// # Panics
    ///
    /// When the server closes without an answer, gives one that is none, or none within 20 s of real time.
    #[track_caller]
    pub fn finish(&mut self, pending: PendingResponse) -> ClientResponse {
        let PendingResponse { connection: TestConnection { pipe }, is_head, mut received } =
            pending;
        let began = std::time::Instant::now();
        let outcome = self.run(poll_fn(|cx| {
            loop {
                match ClientResponse::parse(&received, is_head, false) {
                    Ok(None) => {}
                    Ok(Some(response)) => return Poll::Ready(Ok(response)),
                    Err(error) => return Poll::Ready(Err(format!("no response: {error}"))),
                }
                if began.elapsed() >= PATIENCE {
                    let fault = "no response: is there who completes it?";
                    return Poll::Ready(Err(fault.to_string()));
                }
                match pipe.poll_take(cx) {
                    Poll::Ready(bytes) if bytes.is_empty() => {
                        let response = ClientResponse::parse(&received, is_head, true);
                        let fault = || "the server closed without an answer".to_string();
                        return Poll::Ready(response.ok().flatten().ok_or_else(fault));
                    }
                    Poll::Ready(bytes) => received.extend(bytes),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        // Here and not in the loop: a closure knows nothing of the caller.
        match outcome {
            Ok(response) => response,
            Err(fault) => panic!("{fault}"),
        }
    }

    fn run<F: Future>(&self, future: F) -> F::Output {
        self.event_loop.run(future).expect("the loop's own poll does not fail")
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestClient(after {:?})", self.elapsed())
    }
}

/// A request to be sent.
#[must_use = "a request is sent with `.send()` or `.start()`"]
pub struct ClientRequest<'a> {
    client: &'a mut TestClient,
    is_head: bool,
    line: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl ClientRequest<'_> {
    /// Adds a field, unchecked: tests may send what nobody should. A `Host` takes the place of that which is
    /// sent by default, `test`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_string(), value.to_string()));
        self
    }

    /// Sets the content, and with it `Content-Length`, unless there is that field or `Transfer-Encoding`.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request and waits for the response.
    ///
    /// # Panics
    ///
    /// As [`TestClient::finish`].
    #[track_caller]
    pub fn send(self) -> ClientResponse {
        let (client, pending) = self.begin();
        client.finish(pending)
    }

    /// Sends the request on a connection of its own, and lets the application do what it does at once.
    pub fn start(self) -> PendingResponse {
        let (client, pending) = self.begin();
        client.settle();
        pending
    }
}

impl<'a> ClientRequest<'a> {
    fn begin(self) -> (&'a mut TestClient, PendingResponse) {
        let ClientRequest { client, is_head, line, mut fields, body } = self;
        let has = |wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let (has_host, is_framed) =
            (has("host"), has("content-length") || has("transfer-encoding"));
        if !has_host {
            fields.insert(0, ("Host".to_string(), "test".to_string()));
        }
        if !is_framed && !body.is_empty() {
            fields.push(("Content-Length".to_string(), body.len().to_string()));
        }
        let fields: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let connection = client.connect();
        connection.write(format!("{line}{fields}\r\n").as_bytes());
        connection.write(&body);
        (client, PendingResponse { connection, is_head, received: Vec::new() })
    }
}

/// A connection to an application that runs in process. Dropping it is a reset.
pub struct TestConnection {
    pipe: Pipe,
}

impl TestConnection {
    /// Sends bytes, however many.
    pub fn write(&self, bytes: &[u8]) {
        self.pipe.write(bytes);
    }

    /// Takes what the server has sent since the last time. Until it is taken, 64 KiB fit, as in a socket.
    pub fn take(&mut self) -> Vec<u8> {
        self.pipe.take()
    }

    /// Returns whether the server has ended its side.
    pub fn is_closed(&self) -> bool {
        self.pipe.is_closed()
    }

    /// Ends the sending side, as a client may that still wants its answer.
    pub fn half_close(&self) {
        self.pipe.hang_up(Hangup::Half);
    }

    /// Resets the connection.
    pub fn reset(&self) {
        self.pipe.hang_up(Hangup::Full);
    }
}

impl fmt::Debug for TestConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestConnection(closed: {})", self.is_closed())
    }
}

/// A response to come. Dropping it is a client that goes away.
pub struct PendingResponse {
    connection: TestConnection,
    is_head: bool,
    received: Vec<u8>,
}

impl PendingResponse {
    /// Ends the sending side, as a client may that still wants its answer.
    pub fn half_close(&self) {
        self.connection.half_close();
    }
}

impl fmt::Debug for PendingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingResponse")
    }
}

/// A response, as it came.
#[derive(Clone)]
pub struct ClientResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl ClientResponse {
    /// Parses a final response, once it is all there.
    fn parse(
        input: &[u8],
        is_head: bool,
        is_closed: bool,
    ) -> Result<Option<ClientResponse>, httparse::Error> {
        let head_len = memchr::memmem::find(input, b"\r\n\r\n").map_or(input.len(), |at| at + 4);
        // At least as many as there are fields.
        let lines = memchr::memchr_iter(b'\n', &input[..head_len]).count();
        let mut fields = vec![httparse::EMPTY_HEADER; lines];
        let mut head = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(len) = head.parse(input)? else { return Ok(None) };
        let (status, rest) = (head.code.unwrap_or_default(), &input[len..]);
        if status < 200 {
            return ClientResponse::parse(rest, is_head, is_closed);
        }
        let headers: Vec<_> = head
            .headers
            .iter()
            .map(|field| {
                (field.name.to_string(), String::from_utf8_lossy(field.value).into_owned())
            })
            .collect();
        let mut response = ClientResponse { status, headers, body: Vec::new() };
        let body = match (response.header("content-length"), response.header("transfer-encoding")) {
            _ if is_head || status == 204 || status == 304 => Some(Vec::new()),
            (Some(length), _) => {
                length.parse().ok().and_then(|length| rest.get(..length)).map(<[u8]>::to_vec)
            }
            (None, Some(_)) => dechunk(rest),
            (None, None) => is_closed.then(|| rest.to_vec()),
        };
        Ok(body.map(|body| {
            response.body = body;
            response
        }))
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the first value of the field `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.headers.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the names and values of all fields, in order, those that come more than once too.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the content.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the content as text.
    ///
    /// # Panics
    ///
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the content is not UTF-8")
    }
}

impl fmt::Debug for ClientResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ClientResponse");
        shown.field("status", &self.status).field("headers", &self.headers);
        match std::str::from_utf8(&self.body) {
            Ok(text) => shown.field("body", &text),
            Err(_) => shown.field("body", &self.body),
        };
        shown.finish()
    }
}

/// Takes the chunks apart that the server under test has made; `None` while they are incomplete.
fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            return None;
        };
        let size = usize::try_from(size).ok()?;
        if size == 0 {
            return rest[start..].ends_with(b"\r\n").then_some(body);
        }
        body.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}
