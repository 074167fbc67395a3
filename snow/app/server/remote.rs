//! Where a connection comes from, in half the room.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// An `Option<SocketAddr>` in 16 bytes instead of 32; IPv6 addresses are boxed.
pub(super) enum Remote {
    /// The stream's other end has no address.
    Nowhere,
    V4(SocketAddrV4),
    V6(Box<SocketAddrV6>),
}

impl Remote {
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        match self {
            Remote::Nowhere => None,
            Remote::V4(addr) => Some(SocketAddr::V4(*addr)),
            Remote::V6(addr) => Some(SocketAddr::V6(**addr)),
        }
    }
}

impl From<Option<SocketAddr>> for Remote {
    fn from(addr: Option<SocketAddr>) -> Remote {
        match addr {
            None => Remote::Nowhere,
            Some(SocketAddr::V4(addr)) => Remote::V4(addr),
            Some(SocketAddr::V6(addr)) => Remote::V6(Box::new(addr)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        let six = SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 7, 3);
        for addr in [None, Some("192.0.2.1:65535".parse().unwrap()), Some(six.into())] {
            assert_eq!(Remote::from(addr).addr(), addr);
        }
    }
}
