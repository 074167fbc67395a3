//! What the server is asked for.

pub struct Scenario {
    pub name: &'static str,
    /// The load generator's mode and options.
    pub load: &'static [&'static str],
    /// How many requests the shorter of the two runs has: so many that what happens once a second,
    /// or once in a run and not always, is lost among them.
    pub requests: u64,
}

pub const PLAINTEXT: Scenario = Scenario { name: "plaintext", load: &["rate"], requests: 6_400 };
pub const PIPELINED: Scenario =
    Scenario { name: "pipelined", load: &["rate", "--depth", "16"], requests: 10_240 };
pub const JSON: Scenario =
    Scenario { name: "json", load: &["rate", "--path", "/json"], requests: 6_400 };
pub const ROUTES: Scenario =
    Scenario { name: "routes", load: &["rate", "--path", "/user/123"], requests: 6_400 };
pub const VARIED: Scenario =
    Scenario { name: "varied", load: &["rate", "--path", "/user/", "--varied"], requests: 6_400 };
/// Answers that come a moment later.
pub const WAITING: Scenario =
    Scenario { name: "waiting", load: &["rate", "--path", "/sleep/1"], requests: 6_400 };
pub const ECHO: Scenario = Scenario {
    name: "echo",
    load: &["rate", "--path", "/echo", "--post", "16384"],
    requests: 3_200,
};
/// A mebibyte each, from disk.
pub const FILE: Scenario =
    Scenario { name: "file", load: &["rate", "--path", "/file", "--conns", "4"], requests: 400 };
pub const FRESH: Scenario = Scenario { name: "fresh", load: &["fresh"], requests: 3_200 };

pub const ALL: &[Scenario] =
    &[PLAINTEXT, PIPELINED, JSON, ROUTES, VARIED, WAITING, ECHO, FILE, FRESH];

pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
