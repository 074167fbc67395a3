//! What the kernel charges: a bare epoll loop that counts blank lines and answers canned bytes.
//!
//! It knows just enough HTTP to be measured: the path of the first request in each read decides the
//! answer to all of them, headers are never parsed, and there is no routing, no check, no limit, no
//! timeout, no `Date`, no chunked body. Nothing that serves strangers may be built like this.
//! It waits in nanoseconds: who answers late wakes less often, and looks cheaper than it is.
//!
//! `floor PORT THREADS`; `BENCH_FILE` names the file behind `GET /file`.

mod answers;
mod worker;

use answers::Answers;
use std::{env, process::ExitCode, thread};
use worker::{Shared, Worker};

fn main() -> ExitCode {
    let arguments: Vec<u16> = env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [port, threads] = arguments[..] else {
        eprintln!("usage: floor PORT THREADS");
        return ExitCode::FAILURE;
    };
    let answers: &'static Answers = Box::leak(Box::new(Answers::new(env::var_os("BENCH_FILE"))));
    let shared: &'static Shared = Box::leak(Box::default());
    let workers: Vec<_> = (0..threads)
        .map(|_| Worker::new(port, answers, shared).expect("the port is free and epoll is there"))
        .map(|worker| thread::spawn(move || worker.run()))
        .collect();
    for worker in workers {
        if let Ok(Err(error)) = worker.join() {
            eprintln!("floor: {error}");
        }
    }
    ExitCode::FAILURE
}
