//! What can be connected to and listened on: addresses, names that stand for some, paths.
//!
//! `ToSocketAddrs` cannot be used for this: it resolves names where it is called, which would stop the
//! loop, and it knows of no Unix sockets.

use crate::rt::unblock;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs},
    path::{Path, PathBuf},
};

/// What a Unix socket's path has before it in a string.
const UNIX: &str = "unix:";

/// The string for sockets that were handed to the process.
const INHERITED: &str = "systemd:";

/// One place to connect to or to listen on.
///
/// A string is an address (`127.0.0.1:80`, `[::1]:80`), a name with a port (`localhost:80`), `unix:` and
/// a path (`unix:/run/app.sock`; `unix:@name` for an abstract name, which only Linux has), or `systemd:`
/// for the sockets that a service manager has handed to the process: those of them that listen for streams,
/// and the others are left alone, with a line in the log. A host that is called `unix` is
/// written `("unix", 80)`.
///
/// # Examples
///
/// ```
/// use snow::net::Endpoint;
///
/// assert_eq!(Endpoint::from("[::1]:80").to_string(), "[::1]:80");
/// assert_eq!(Endpoint::from("unix:/run/app.sock"), Endpoint::unix("/run/app.sock"));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint(pub(crate) Place);

/// What an endpoint is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Addr(SocketAddr),
    /// A host's name and a port, to be resolved.
    Name(String),
    /// The path of a socket, and the permissions to give it.
    Unix(PathBuf, Option<u32>),
    /// The sockets that were handed to the process.
    Inherited,
}

impl Endpoint {
    /// The Unix socket at `path`.
    pub fn unix(path: impl AsRef<Path>) -> Endpoint {
        Endpoint(Place::Unix(path.as_ref().to_path_buf(), None))
    }

    /// Sets the permissions that the file of a Unix socket gets when it is listened on, as in
    /// `0o660`; by default what the process's umask leaves. Without effect on anything else.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use snow::{Snow, get, net::Endpoint};
    ///
    /// Snow::new([get("^/$", |_| "hello")]).run(Endpoint::unix("/run/app.sock").mode(0o660))
    /// # .unwrap();
    /// ```
    pub fn mode(mut self, permissions: u32) -> Endpoint {
        if let Place::Unix(_, mode) = &mut self.0 {
            *mode = Some(permissions);
        }
        self
    }

    /// Returns whether this is a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.0, Place::Unix(..))
    }

    /// Returns the addresses that this stands for; a name is looked up on the blocking pool.
    pub(super) async fn resolve(self) -> io::Result<Vec<SocketAddr>> {
        match self.0 {
            Place::Name(_) => unblock(move || self.resolve_now()).await,
            _ => self.resolve_now(),
        }
    }

    /// Returns the addresses that this stands for, and blocks while a name is looked up.
    pub(crate) fn resolve_now(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.0 {
            Place::Addr(addr) => Ok(vec![*addr]),
            Place::Name(name) => {
                check_name(name)?;
                Ok(name.to_socket_addrs()?.collect())
            }
            Place::Unix(..) | Place::Inherited => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{self} is no address of an IP socket"),
            )),
        }
    }

    fn of_host(host: &str, port: u16) -> Endpoint {
        match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).into(),
            Err(_) => Endpoint(Place::Name(format!("{host}:{port}"))),
        }
    }
}

/// Checks that a name has a host and a port.
///
/// # Errors
///
/// `InvalidInput`, with the name and what is wrong with it.
fn check_name(name: &str) -> io::Result<()> {
    let parts = name.rsplit_once(':').filter(|_| !name.ends_with(']'));
    let (host, port) = parts.unwrap_or((name, ""));
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let (fault, better) = match (host, port) {
        ("", "") => ("a host and a port are missing", "localhost:8080".to_string()),
        (port, "") if is_number(port) => ("a host is missing", format!("localhost:{port}")),
        (host, "") => ("a port is missing", format!("{host}:8080")),
        (_, port) if !is_number(port) => {
            ("the port is no number up to 65535", "localhost:8080".to_string())
        }
        ("", port) => ("a host is missing", format!("localhost:{port}")),
        _ => return Ok(()),
    };
    let fault = format!("{name:?} is no address: {fault}, as in {better:?}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, fault))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Addr(addr) => addr.fmt(f),
            Place::Name(name) => f.write_str(name),
            Place::Unix(path, _) => match path.to_string_lossy().strip_prefix('\0') {
                Some(name) => write!(f, "{UNIX}@{name}"),
                None => write!(f, "{UNIX}{}", path.display()),
            },
            Place::Inherited => f.write_str(INHERITED),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Endpoint {
        Endpoint(Place::Addr(addr))
    }
}

impl From<&str> for Endpoint {
    fn from(text: &str) -> Endpoint {
        if text == INHERITED {
            return Endpoint(Place::Inherited);
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return match path.strip_prefix('@') {
                Some(name) => Endpoint::unix(format!("\0{name}")),
                None => Endpoint::unix(path),
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(addr) => addr.into(),
            Err(_) => Endpoint(Place::Name(text.to_string())),
        }
    }
}

/// What names one [`Endpoint`] or several: whatever implements `ToSocketAddrs` in the standard library,
/// strings that name a Unix socket, and arrays, slices and vectors of these.
///
/// # Examples
///
/// ```
/// use snow::net::Addresses;
///
/// assert_eq!("localhost:80".endpoints().len(), 1);
/// assert_eq!(("::1", 80).endpoints(), "[::1]:80".endpoints());
/// assert_eq!(["127.0.0.1:80", "unix:/run/app.sock"].endpoints().len(), 2);
/// ```
pub trait Addresses {
    /// Returns the endpoints, in the order in which they are tried.
    fn endpoints(&self) -> Vec<Endpoint>;
}

impl Addresses for Endpoint {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![self.clone()]
    }
}

impl Addresses for str {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![self.into()]
    }
}

impl Addresses for String {
    fn endpoints(&self) -> Vec<Endpoint> {
        self.as_str().endpoints()
    }
}

impl Addresses for SocketAddr {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![(*self).into()]
    }
}

impl Addresses for SocketAddrV4 {
    fn endpoints(&self) -> Vec<Endpoint> {
        SocketAddr::from(*self).endpoints()
    }
}

impl Addresses for SocketAddrV6 {
    fn endpoints(&self) -> Vec<Endpoint> {
        SocketAddr::from(*self).endpoints()
    }
}

impl Addresses for (IpAddr, u16) {
    fn endpoints(&self) -> Vec<Endpoint> {
        SocketAddr::from(*self).endpoints()
    }
}

impl Addresses for (Ipv4Addr, u16) {
    fn endpoints(&self) -> Vec<Endpoint> {
        SocketAddr::from(*self).endpoints()
    }
}

impl Addresses for (Ipv6Addr, u16) {
    fn endpoints(&self) -> Vec<Endpoint> {
        SocketAddr::from(*self).endpoints()
    }
}

impl Addresses for (&str, u16) {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![Endpoint::of_host(self.0, self.1)]
    }
}

impl Addresses for (String, u16) {
    fn endpoints(&self) -> Vec<Endpoint> {
        vec![Endpoint::of_host(&self.0, self.1)]
    }
}

impl<T: Addresses> Addresses for [T] {
    fn endpoints(&self) -> Vec<Endpoint> {
        self.iter().flat_map(Addresses::endpoints).collect()
    }
}

impl<T: Addresses, const N: usize> Addresses for [T; N] {
    fn endpoints(&self) -> Vec<Endpoint> {
        self.as_slice().endpoints()
    }
}

impl<T: Addresses> Addresses for Vec<T> {
    fn endpoints(&self) -> Vec<Endpoint> {
        self.as_slice().endpoints()
    }
}

/// Tries `attempt` with one after the other of `addrs`, and returns the first success. It is passed how
/// many attempts are left, this one included, as far as is known. Names are looked up on the blocking pool.
///
/// # Errors
///
/// The last failure.
pub(super) async fn first_of<T>(
    addrs: impl Addresses,
    mut attempt: impl AsyncFnMut(SocketAddr, usize) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
    let mut endpoints = addrs.endpoints().into_iter();
    while let Some(endpoint) = endpoints.next() {
        let resolved = match endpoint.resolve().await {
            Ok(resolved) => resolved,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        let after = endpoints.len();
        for (at, addr) in resolved.iter().enumerate() {
            match attempt(*addr, resolved.len() - at + after).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

impl<T: Addresses + ?Sized> Addresses for &T {
    fn endpoints(&self) -> Vec<Endpoint> {
        (**self).endpoints()
    }
}
