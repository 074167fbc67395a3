//! Who is measured, and what must be known about each to read its figures.

/// One server.
pub struct Peer {
    pub name: &'static str,
    pub origin: Origin,
    /// The crates whose versions matter.
    pub crates: &'static [&'static str],
    /// What it is, what it leaves out, and what was set for it; what a probe can find (a missing
    /// `Date`, an ignored `Connection: close`) is added by the checks.
    pub note: &'static str,
}

/// Where its program comes from.
#[derive(Clone, Copy, PartialEq)]
pub enum Origin {
    /// The example `bench` of the repository.
    Snow,
    /// The package of its name in `benches/peers`.
    Member,
    /// Debian's nginx, when it is installed.
    Nginx,
}

pub const FLOOR: &str = "floor";
pub const SNOW: &str = "snow";

pub const ALL: &[Peer] = &[
    Peer {
        name: FLOOR,
        origin: Origin::Member,
        crates: &[],
        note: "what the kernel charges: counts blank lines and answers canned bytes; no router, \
               no header is parsed, no limit, no timeout; waits in nanoseconds",
    },
    Peer {
        name: SNOW,
        origin: Origin::Snow,
        crates: &[],
        note: "everything it does by default, the access log switched off; feature `fine-timers`",
    },
    Peer {
        name: "hyper",
        origin: Origin::Member,
        crates: &["hyper", "tokio"],
        note: "no router: paths are compared by hand; no timeouts, for which it needs a timer; one \
               current-thread runtime per worker",
    },
    Peer {
        name: "axum",
        origin: Origin::Member,
        crates: &["axum", "hyper", "tokio"],
        note: "routes are a radix tree, not regexes; no timeouts; one runtime of tokio's with the \
               workers in it",
    },
    Peer {
        name: "actix-web",
        origin: Origin::Member,
        crates: &["actix-web"],
        note: "routes are regexes, tried in turn",
    },
    Peer {
        name: "ntex",
        origin: Origin::Member,
        crates: &["ntex"],
        note: "routes are a tree of patterns",
    },
    Peer {
        name: "xitca-web",
        origin: Origin::Member,
        crates: &["xitca-web"],
        note: "routes are a radix tree, not regexes",
    },
    Peer {
        name: "may_minihttp",
        origin: Origin::Member,
        crates: &["may_minihttp", "may"],
        note: "no router: paths are compared by hand; no timeouts, no chunked bodies",
    },
    Peer {
        name: "tiny_http",
        origin: Origin::Member,
        crates: &["tiny_http"],
        note: "no router: paths are compared by hand; no timeouts; a thread per connection",
    },
    Peer {
        name: "rouille",
        origin: Origin::Member,
        crates: &["rouille", "tiny_http"],
        note: "routes are tried in turn; no timeouts; a thread per connection, a pool for the requests",
    },
    Peer {
        name: "nginx",
        origin: Origin::Nginx,
        crates: &[],
        note: "answers are written in its configuration: /json is a constant string; routes are \
               regexes, tried in turn; access log off",
    },
];
