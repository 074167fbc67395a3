//! What the server is asked for.

pub struct Scenario {
    pub name: &'static str,
    /// The load generator's mode and options.
    pub load: &'static [&'static str],
    /// How many routes come before the last.
    pub routes: usize,
    /// How many requests the shorter of the two runs has: so many that what happens once a second,
    /// or once in a run and not always, is lost among them.
    pub requests: u64,
}

pub const PLAINTEXT: Scenario = scenario("plaintext", &["rate"], 6_400);
pub const PIPELINED: Scenario = scenario("pipelined", &["rate", "--depth", "16"], 10_240);
pub const JSON: Scenario = scenario("json", &["rate", "--path", "/json"], 6_400);
pub const ROUTES: Scenario = scenario("routes", &["rate", "--path", "/user/123"], 6_400);
pub const ROUTES_1000: Scenario = Scenario { name: "routes-1000", routes: 1000, ..ROUTES };
pub const VARIED: Scenario = scenario("varied", &["rate", "--path", "/user/", "--varied"], 6_400);
/// Answers that come a moment later.
pub const WAITING: Scenario = scenario("waiting", &["rate", "--path", "/sleep/1"], 6_400);
pub const ECHO: Scenario = scenario("echo", &["rate", "--path", "/echo", "--post", "16384"], 3_200);
/// A mebibyte each, from disk.
pub const FILE: Scenario = scenario("file", &["rate", "--path", "/file", "--conns", "4"], 400);
pub const FRESH: Scenario = scenario("fresh", &["fresh"], 3_200);

pub const ALL: &[Scenario] =
    &[PLAINTEXT, PIPELINED, JSON, ROUTES, ROUTES_1000, VARIED, WAITING, ECHO, FILE, FRESH];

const fn scenario(name: &'static str, load: &'static [&'static str], requests: u64) -> Scenario {
    Scenario { name, load, routes: 100, requests }
}

pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
