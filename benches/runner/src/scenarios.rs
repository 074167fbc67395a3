//! What is measured, and what a server must have answered before it is.

use crate::load::Phase;

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    /// The load generator's mode and options.
    pub load: &'static [&'static str],
    pub check: Check,
    /// How many routes come before the one that is asked for.
    pub routes: usize,
    /// Processor time counts from this phase to the end.
    pub cpu_from: Phase,
    pub holds: Holds,
}

/// The answer that is asked for before anything is measured.
#[derive(Clone, Copy)]
pub enum Check {
    Text { path: &'static str, body: &'static str },
    Json,
    Echo,
    Big,
    File,
    Sleep,
    Park,
}

/// Whether the run holds connections, so that their memory can be seen.
#[derive(Clone, Copy, PartialEq)]
pub enum Holds {
    Nothing,
    Connections(u64),
}

/// What servers have unless asked for more.
const ROUTES: usize = 100;
const PLAINTEXT: Check = Check::Text { path: "/plaintext", body: "Hello, World!" };
const USER: Check = Check::Text { path: "/user/123", body: "123" };

pub const ALL: &[Scenario] = &[
    rate("plaintext", "plaintext over 64 keep-alive connections", &["rate"], PLAINTEXT),
    rate("pipelined", "the same, pipelined 16 deep", &["rate", "--depth", "16"], PLAINTEXT),
    rate("json", "JSON, serialised for each request", &["rate", "--path", "/json"], Check::Json),
    rate("routes", "/user/123 behind a hundred routes", &["rate", "--path", "/user/123"], USER),
    Scenario {
        routes: 1000,
        ..rate("routes-1000", "the same behind a thousand", &["rate", "--path", "/user/123"], USER)
    },
    rate(
        "varied",
        "a user of its own, and a field, for each connection, behind a hundred routes",
        &["rate", "--path", "/user/", "--varied"],
        Check::Text { path: "/user/100001", body: "100001" },
    ),
    rate("echo", "echo of 16 KiB", &["rate", "--path", "/echo", "--post", "16384"], Check::Echo),
    rate(
        "big",
        "1 MiB from memory over 16 connections",
        &["rate", "--path", "/big", "--conns", "16"],
        Check::Big,
    ),
    rate(
        "file",
        "1 MiB from disk over 16 connections",
        &["rate", "--path", "/file", "--conns", "16"],
        Check::File,
    ),
    rate("fresh", "a new connection for each request", &["fresh"], PLAINTEXT),
    held(
        "parked",
        "10,000 requests parked on /sleep/1000 (p50 and p99 are lateness)",
        &["parked"],
        Check::Sleep,
    ),
    held(
        "idle",
        "10,000 idle connections held, while 64 others ask for plaintext",
        &["idle"],
        PLAINTEXT,
    ),
    Scenario {
        cpu_from: Phase::Held,
        ..held(
            "release",
            "10,000 parked requests completed at once from another thread",
            &["release"],
            Check::Park,
        )
    },
];

const fn rate(
    name: &'static str,
    title: &'static str,
    load: &'static [&'static str],
    check: Check,
) -> Scenario {
    Scenario {
        name,
        title,
        load,
        check,
        routes: ROUTES,
        cpu_from: Phase::Ready,
        holds: Holds::Nothing,
    }
}

const fn held(
    name: &'static str,
    title: &'static str,
    load: &'static [&'static str],
    check: Check,
) -> Scenario {
    Scenario { holds: Holds::Connections(10_000), ..rate(name, title, load, check) }
}
