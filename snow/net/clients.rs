//! Who is connected: how many connections each address has.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

/// Returns the address that a client is counted under: for IPv6 that of its network of 64 bits, all of
/// which one client has to itself.
pub(crate) fn client_of(remote: SocketAddr) -> IpAddr {
    const NETWORK: u128 = u128::MAX << 64;
    match remote.ip().to_canonical() {
        IpAddr::V6(addr) => IpAddr::V6(Ipv6Addr::from_bits(addr.to_bits() & NETWORK)),
        v4 => v4,
    }
}

/// Counts connections by client; those without an address (Unix sockets) are not bounded.
#[derive(Default)]
pub(crate) struct Clients(HashMap<IpAddr, usize>);

impl Clients {
    /// Counts a connection in, unless its client has `most` already; returns whether it did.
    pub(crate) fn enter(&mut self, client: Option<IpAddr>, most: usize) -> bool {
        let Some(client) = client else { return true };
        let count = self.0.entry(client).or_default();
        let has_room = *count < most;
        *count += usize::from(has_room);
        has_room
    }

    /// Counts out a connection that was counted in.
    pub(crate) fn leave(&mut self, client: Option<IpAddr>) {
        let Some(client) = client else { return };
        if let Some(count) = self.0.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network() {
        let client = |text: &str| client_of(text.parse().unwrap());
        assert_eq!(client("192.0.2.1:1"), client("192.0.2.1:2"));
        assert_ne!(client("192.0.2.1:1"), client("192.0.2.2:1"));
        assert_eq!(client("[::ffff:192.0.2.1]:1"), client("192.0.2.1:1"));
        assert_ne!(client("[::ffff:192.0.2.1]:1"), client("[::ffff:192.0.2.2]:1"));
        assert_eq!(client("[2001:db8::1]:1"), client("[2001:db8::ffff:0:0:1]:1"));
        assert_ne!(client("[2001:db8::1]:1"), client("[2001:db8:0:1::1]:1"));
    }

    #[test]
    fn a_client_has_so_many_connections_and_leaves_nothing_behind() {
        let mut clients = Clients::default();
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|addr| Some(IpAddr::from(addr)));
        assert_eq!(
            [one, one, one, other].map(|addr| clients.enter(addr, 2)),
            [true, true, false, true]
        );
        clients.leave(one);
        assert!(clients.enter(one, 2));
        [one, one, other].into_iter().for_each(|addr| clients.leave(addr));
        assert!(clients.0.is_empty());
        assert!(clients.enter(None, 0));
        clients.leave(None);
    }
}
