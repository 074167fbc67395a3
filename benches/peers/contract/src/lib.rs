//! What every Rust peer shares: the command line, the fixed answers, and nothing that takes time.

use std::{env, path::PathBuf, process};

pub const HELLO: &str = "Hello, World!";

/// How many routes come before the last where nothing else is asked for.
const ROUTES: usize = 100;

/// The command line of a peer: `NAME PORT THREADS`.
#[derive(Clone, Copy)]
pub struct Arguments {
    pub port: u16,
    pub threads: usize,
}

impl Arguments {
    /// Reads the command line; ends the process when it is not `PORT THREADS`.
    pub fn read() -> Arguments {
        let words: Vec<String> = env::args().skip(1).collect();
        if let [port, threads] = &words[..]
            && let (Ok(port), Ok(threads)) = (port.parse(), threads.parse())
        {
            return Arguments { port, threads };
        }
        eprintln!("usage: NAME PORT THREADS");
        process::exit(2);
    }

    /// Where to listen: the loopback and nowhere else.
    pub fn address(&self) -> (&'static str, u16) {
        ("127.0.0.1", self.port)
    }
}

/// The body of `GET /json`, serialised anew for each request.
#[derive(serde::Serialize)]
pub struct Message {
    pub message: &'static str,
}

pub const MESSAGE: Message = Message { message: HELLO };

/// The body of `GET /big`: one mebibyte that lives as long as the process.
pub fn big() -> &'static [u8] {
    vec![b'x'; 1 << 20].leak()
}

/// The file behind `GET /file`.
pub fn file() -> PathBuf {
    env::var_os("BENCH_FILE").map_or_else(|| "BENCH_FILE-is-not-set".into(), PathBuf::from)
}

/// The patterns `/r0/PARAMETER` to `/r99/PARAMETER`, or as many as `BENCH_ROUTES` says, in the peer's way
/// to write a parameter.
pub fn routes(parameter: &str) -> impl Iterator<Item = String> {
    let count = env::var("BENCH_ROUTES")
        .map_or(ROUTES, |count| count.parse().expect("BENCH_ROUTES is a number"));
    (0..count).map(move |n| format!("/r{n}/{parameter}"))
}
