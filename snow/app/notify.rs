//! Tells the service manager that the server is ready, or that it stops: systemd's protocol, one
//! datagram to the socket that the environment names.

/// Says that connections are served.
pub(super) fn ready() {
    send("READY=1");
}

/// Says that a stop has begun.
pub(super) fn stopping() {
    send("STOPPING=1");
}

#[cfg(unix)]
fn send(state: &str) {
    use std::{env, os::unix::net::UnixDatagram};

    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let outcome = UnixDatagram::unbound().and_then(|socket| {
        let addr = addr_of(&name)?;
        socket.send_to_addr(state.as_bytes(), &addr)
    });
    if let Err(error) = outcome {
        log::warn!("the service manager cannot be told {state}: {error}");
    }
}

/// Makes an address of a path, or of an abstract name, which begins with an `@`.
#[cfg(unix)]
fn addr_of(name: &std::ffi::OsStr) -> std::io::Result<std::os::unix::net::SocketAddr> {
    #[cfg(target_os = "linux")]
    if let [b'@', rest @ ..] = std::os::unix::ffi::OsStrExt::as_bytes(name) {
        use std::os::linux::net::SocketAddrExt;
        return std::os::unix::net::SocketAddr::from_abstract_name(rest);
    }
    std::os::unix::net::SocketAddr::from_pathname(name)
}

#[cfg(not(unix))]
fn send(_: &str) {}
