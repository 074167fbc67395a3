//! Who is connected: how many connections each address has, and how many files are sent to it.

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

/// Counts connections, and the files that are sent on them, by client; those without an address (Unix
/// sockets) are not bounded.
#[derive(Default)]
pub(crate) struct Clients(HashMap<IpAddr, Descriptors>);

/// What a client has.
#[derive(Default)]
struct Descriptors {
    connections: usize,
    files: usize,
}

impl Clients {
    /// Counts a connection in, unless its client has `most` already, or `most_descriptors` with its files;
    /// returns whether it did.
    pub(crate) fn enter(
        &mut self,
        client: Option<IpAddr>,
        most: usize,
        most_descriptors: usize,
    ) -> bool {
        let Some(client) = client else { return true };
        let Descriptors { connections, files } = self.0.entry(client).or_default();
        let has_room = *connections < most && *connections + *files < most_descriptors;
        *connections += usize::from(has_room);
        has_room
    }

    /// Counts out a connection that was counted in.
    pub(crate) fn leave(&mut self, client: Option<IpAddr>) {
        self.change(client, |descriptors| descriptors.connections -= 1);
    }

    /// Returns whether a client has fewer than `most_descriptors`.
    pub(crate) fn has_descriptor(&self, client: Option<IpAddr>, most_descriptors: usize) -> bool {
        let known = client.and_then(|client| self.0.get(&client));
        known.is_none_or(|known| known.connections + known.files < most_descriptors)
    }

    /// Counts in a file that is sent on a connection.
    pub(crate) fn open(&mut self, client: Option<IpAddr>) {
        self.change(client, |descriptors| descriptors.files += 1);
    }

    /// Counts out a file that was counted in.
    pub(crate) fn close(&mut self, client: Option<IpAddr>) {
        self.change(client, |descriptors| descriptors.files -= 1);
    }

    fn change(&mut self, client: Option<IpAddr>, change: impl FnOnce(&mut Descriptors)) {
        let Some(client) = client else { return };
        let Some(descriptors) = self.0.get_mut(&client) else { return };
        change(descriptors);
        if let Descriptors { connections: 0, files: 0 } = descriptors {
            self.0.remove(&client);
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
            [one, one, one, other].map(|addr| clients.enter(addr, 2, 9)),
            [true, true, false, true]
        );
        clients.leave(one);
        assert!(clients.enter(one, 2, 9));
        [one, one, other].into_iter().for_each(|addr| clients.leave(addr));
        assert!(clients.0.is_empty());
        assert!(clients.enter(None, 0, 0));
        clients.leave(None);
    }

    #[test]
    fn files_take_descriptors_of_their_client() {
        let mut clients = Clients::default();
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|addr| Some(IpAddr::from(addr)));
        assert!(clients.enter(one, 9, 3) && clients.has_descriptor(one, 3));
        clients.open(one);
        assert!(clients.enter(one, 9, 3) && !clients.has_descriptor(one, 3));
        assert!(!clients.enter(one, 9, 3) && clients.enter(other, 9, 3));
        clients.leave(one);
        assert!(clients.has_descriptor(one, 3));
        clients.leave(one);
        clients.leave(other);
        clients.close(one);
        assert!(clients.0.is_empty());
        clients.open(None);
        assert!(clients.has_descriptor(None, 0));
    }
}
