//! Every limit and timeout: its unit, its default, and the reason for the default.
//!
//! All are on by default. A bound is inclusive: a target of exactly `max_target_bytes` passes. What
//! the peer sees when it is exceeded stands at each.

use crate::{Error, ErrorKind, Result};
use http::HeaderValue;
use std::{fmt, time::Duration};

/// Threads of the blocking pool: enough to keep a disk and a few slow calls busy, few enough that
/// their stacks and the scheduler do not matter.
pub const BLOCKING_THREADS: usize = 64;

/// More fields than a head or a trailer section may ever have: there is room for as many while they are
/// parsed.
pub(crate) const MOST_FIELDS: usize = 128;

/// The limits, timeouts and choices of a server.
///
/// What cannot be used, as a limit of 0 where nothing could be served, is an error of
/// [`Snow::bind`](crate::Snow::bind).
///
/// # Examples
///
/// ```
/// use snow::{Snow, get};
/// use std::time::Duration;
///
/// let app = Snow::new([get("^/$", |_| "hello")]).configure(|config| {
///     config.workers = 1;
///     config.max_body_bytes = 64 << 20;
///     config.keep_alive_timeout = Duration::from_secs(30);
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Loops, each on a thread of its own. Default: one for each core.
    pub workers: usize,

    /// Connections that the kernel holds until they are accepted. Default: 4,096, so that a storm of
    /// connects within one long tick is not refused; the kernel may cap it (`somaxconn`).
    pub backlog: i32,

    /// Whether another process may listen on the same port (for a rolling restart). Default: false,
    /// so that starting a program twice is an error and not a surprise.
    pub share_port: bool,

    /// Whether answers are sent without waiting for more to send (`TCP_NODELAY`). Default: true.
    pub nodelay: bool,

    /// The `Server` field of every response. Default: none; a version helps nobody but an attacker.
    pub server_header: Option<HeaderValue>,

    /// Whether each request is logged at info, under the target `snow::access`. Default: true.
    pub access_log: bool,

    /// Whether SIGINT and SIGTERM stop the server gracefully when it is `run`. Default: true.
    pub handle_signals: bool,

    // What one request may be.
    /// Bytes of the request target. Default: 8,192, what common proxies take. Beyond: 414, close.
    pub max_target_bytes: usize,

    /// Bytes of the request line and all fields. Default: 32,768, room for cookies and tokens. It may be
    /// set to 65,535 at most, else `bind` fails. Beyond: 431, close.
    pub max_head_bytes: usize,

    /// Fields of a request head. Default: 100. It may be set to 128 at most, else `bind` fails. Beyond:
    /// 431, close.
    pub max_headers: usize,

    /// Bytes of a request's content, after chunked framing is taken off. Default: 2 MiB: forms and
    /// JSON fit, and a worker can hold hundreds. A route may set its own. Beyond: 413, close.
    pub max_body_bytes: u64,

    /// Bytes of one chunk-size line with its extensions. Default: 256; nobody uses extensions, and
    /// attackers do. Beyond: 400, close.
    pub max_chunk_line_bytes: usize,

    /// Bytes of framing that a chunked body may have in excess of four times its content. Default:
    /// 16,384: a body in chunks of two bytes passes whatever its length, one that is nothing but
    /// framing does not. Beyond: 400, close.
    pub max_chunk_overhead_bytes: u32,

    /// Bytes of the trailer section. Default: 4,096. Beyond: 431, close.
    pub max_trailer_bytes: usize,

    /// Fields of the trailer section, those that are dropped included, and at most 128. Default: 32. Beyond:
    /// 431, close.
    pub max_trailers: usize,

    /// Bytes of a body that the handler has not read which are read and thrown away to keep the
    /// connection. Default: 256 KiB; beyond, closing is cheaper for both.
    pub max_drain_bytes: u32,

    /// Pipelined requests that are answered before other connections have their turn. Default: 32.
    pub max_pipelined: usize,

    /// Bytes of answers that are collected before they are written, and beyond which nothing more is
    /// read or answered for a peer that does not read. Default: 64 KiB.
    pub max_output_bytes: usize,

    // How long one request may take.
    /// From the accept, or the end of the connection's setting up, to the first byte of the first
    /// request. Default: 15 s. After: a close without an answer, as nothing was asked.
    pub first_byte_timeout: Duration,

    /// From the first byte of a head to its end. Default: 15 s, which any network can do. After:
    /// 408, close.
    pub head_timeout: Duration,

    /// Between two arrivals of body bytes. Default: 15 s. After: 408, close.
    pub body_timeout: Duration,

    /// Bytes a second that a body must arrive with on average, once `body_timeout` has passed since
    /// its start. Default: 256: slower than any modem, and faster than an attack by dripping.
    /// Slower: 408, close.
    pub min_body_rate: u64,

    /// Between the end of an answer and the first byte of the next request. Default: 50 s, below the
    /// minute after which load balancers reuse a connection at their own risk. After: a close.
    pub keep_alive_timeout: Duration,

    /// Between two moments at which the peer takes bytes of the answer. Default: 20 s. After: the
    /// connection is reset.
    pub write_timeout: Duration,

    /// Bytes a second that the peer must take on average, once `write_timeout` has passed since the
    /// answer began to wait for it. Default: 256. Slower: the connection is reset.
    pub min_write_rate: u64,

    /// How long a handler may take to answer. Default: none, as long polls may wait for hours; a
    /// route may set its own. After: 504, and the handler's future is dropped.
    pub handler_timeout: Option<Duration>,

    /// How long a client that has closed its sending side may still wait for its answer. Default:
    /// 5 s; a half-close is legal, and a client that is gone looks the same. After: it is gone.
    pub half_close_grace: Duration,

    /// How long the rest of a request is read and thrown away after a last answer, so that the peer
    /// gets to read that answer before a reset. Default: 2 s.
    pub linger_timeout: Duration,

    // How many of them.
    /// Connections at a time, over all workers. Default: what the limit on descriptors allows, less
    /// a reserve of 64 for files and for connections of the handlers' own; 10,000 where that limit
    /// is unknown. Beyond: new ones wait in the backlog.
    pub max_connections: usize,

    /// Connections at a time from one address, or from one IPv6 network of 64 bits, all of which one
    /// client has to itself. Default: three quarters of what `max_connections` is by default, so that
    /// no one address can have all. Beyond: a new one is closed at once.
    ///
    /// A file that is sent takes a descriptor, too. Of both together one address may have 32 more than this,
    /// or than the default if that is more; beyond, the next file is answered 503, and the next connection
    /// is closed.
    pub max_connections_per_address: usize,

    /// Bytes that the connections of one worker may hold together: requests whose content arrives, answers
    /// that wait. Default: 256 MiB. Beyond: a request that needs more, for its head, its content or an
    /// answer that may have to wait (a stream, or more than 4 KiB of its own), is answered 503.
    pub max_buffered_bytes: usize,

    // The end.
    /// How long a graceful stop waits for what is in flight. Default: 10 s, as most supervisors do.
    pub shutdown_timeout: Duration,

    /// How long a graceful stop waits on an idle connection for a request that is already on its way, and
    /// on one that is answered for content that nobody reads, before it ends that as any that
    /// [lingers](Config::linger_timeout). Default: 500 ms.
    pub shutdown_idle_grace: Duration,
}

impl Default for Config {
    fn default() -> Config {
        let max_connections = default_max_connections();
        Config {
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            backlog: 4096,
            share_port: false,
            nodelay: true,
            server_header: None,
            access_log: true,
            handle_signals: true,
            max_target_bytes: 8192,
            max_head_bytes: 32 * 1024,
            max_headers: 100,
            max_body_bytes: 2 << 20,
            max_chunk_line_bytes: 256,
            max_chunk_overhead_bytes: 16 * 1024,
            max_trailer_bytes: 4096,
            max_trailers: 32,
            max_drain_bytes: 256 * 1024,
            max_pipelined: 32,
            max_output_bytes: 64 * 1024,
            first_byte_timeout: Duration::from_secs(15),
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(15),
            min_body_rate: 256,
            keep_alive_timeout: Duration::from_secs(50),
            write_timeout: Duration::from_secs(20),
            min_write_rate: 256,
            handler_timeout: None,
            half_close_grace: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(2),
            max_connections,
            max_connections_per_address: most_for_one(max_connections),
            max_buffered_bytes: 256 << 20,
            shutdown_timeout: Duration::from_secs(10),
            shutdown_idle_grace: Duration::from_millis(500),
        }
    }
}

impl Config {
    /// Refuses what cannot be used.
    pub(crate) fn check(&self) -> Result<()> {
        let needed = [
            ("workers", self.workers),
            ("max_target_bytes", self.max_target_bytes),
            ("max_head_bytes", self.max_head_bytes),
            ("max_headers", self.max_headers),
            ("max_pipelined", self.max_pipelined),
            ("max_output_bytes", self.max_output_bytes),
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
        ];
        let bounded = [
            ("max_head_bytes", self.max_head_bytes, usize::from(u16::MAX)),
            ("max_headers", self.max_headers, MOST_FIELDS),
            ("max_trailers", self.max_trailers, MOST_FIELDS),
        ];
        let too_few = needed.iter().find(|(_, value)| *value == 0);
        let too_many = bounded.iter().find(|(_, value, most)| value > most);
        let fault = match (too_few, too_many) {
            (Some((name, _)), _) => format!("{name} is 0, and must be at least 1"),
            (None, Some((name, value, most))) => {
                format!("{name} is {value}, and must be at most {most}")
            }
            (None, None) => return Ok(()),
        };
        Err(Error::new(ErrorKind::Config, fault))
    }

    /// Returns how many descriptors one address may take, with its connections and the files that are
    /// sent to it: no one address is to have all, and one with all its connections has some files still.
    pub(crate) fn descriptors_per_address(&self) -> usize {
        let most = self.max_connections_per_address.max(most_for_one(default_max_connections()));
        most.saturating_add(DESCRIPTOR_RESERVE / 2)
    }
}

/// The limits in force, for a person, a group to a line.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "request: target {} B, head {} B, {} fields, content {} B, chunk line {} B, \
             chunk overhead {} B, trailers {} B and {} fields, unread content {} B, {} pipelined",
            self.max_target_bytes,
            self.max_head_bytes,
            self.max_headers,
            self.max_body_bytes,
            self.max_chunk_line_bytes,
            self.max_chunk_overhead_bytes,
            self.max_trailer_bytes,
            self.max_trailers,
            self.max_drain_bytes,
            self.max_pipelined,
        )?;
        writeln!(
            f,
            "time: first byte {:?}, head {:?}, content {:?} and {} B/s, idle {:?}, \
             write {:?} and {} B/s, handler {}, half-closed {:?}, linger {:?}",
            self.first_byte_timeout,
            self.head_timeout,
            self.body_timeout,
            self.min_body_rate,
            self.keep_alive_timeout,
            self.write_timeout,
            self.min_write_rate,
            self.handler_timeout.map_or("unlimited".to_string(), |timeout| format!("{timeout:?}")),
            self.half_close_grace,
            self.linger_timeout,
        )?;
        writeln!(
            f,
            "connections: {} in all, {} from one address, backlog {}; per worker {} B of output \
             a turn, {} B held",
            self.max_connections,
            self.max_connections_per_address,
            self.backlog,
            self.max_output_bytes,
            self.max_buffered_bytes,
        )?;
        write!(f, "stop: within {:?}, idle {:?}", self.shutdown_timeout, self.shutdown_idle_grace)
    }
}

/// Returns how many of `all` one address may have.
fn most_for_one(all: usize) -> usize {
    all / 4 * 3
}

/// Descriptors that are left for files and for the handlers' own connections.
const DESCRIPTOR_RESERVE: usize = 64;

/// Returns how many connections the limit on descriptors allows.
fn default_max_connections() -> usize {
    descriptor_limit().map_or(10_000, |limit| limit.saturating_sub(DESCRIPTOR_RESERVE).max(16))
}

/// Returns the soft limit on open descriptors, where the system tells it in a file.
fn descriptor_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_leave_no_timeout_above_a_minute() {
        let config = Config::default();
        for timeout in [
            config.first_byte_timeout,
            config.head_timeout,
            config.body_timeout,
            config.keep_alive_timeout,
            config.write_timeout,
        ] {
            assert!(timeout < Duration::from_secs(60));
        }
        assert!(config.max_connections_per_address < config.max_connections);
    }
}
