//! Connections whose work blocks: it is done on a bounded pool of threads, and the loop goes on.
//!
//! cargo run --example blocking -- server 127.0.0.1:7777
//! cargo run --example blocking -- client 127.0.0.1:7777 200 100    # 200 jobs at once, of 100 ms each
//!
//! printf 'work 500\n' | nc -N localhost 7777    # done, after half a second of blocking
//! printf 'ping\n' | nc -N localhost 7777        # pong, at once, however busy the pool is
//!
//! The pool has 64 threads, so that of 200 jobs 136 wait; behind 1,024 that wait, whoever wants to add
//! one waits for a place. A job that is not done in time is given up, and its client told.

use snow::{
    BLOCKING_THREADS, Result,
    net::{Framed, Lines, TcpListener, TcpStream, serve},
    spawn, timeout, unblock,
};
use std::{
    env, io,
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

const USAGE: &str =
    "usage: blocking server ADDR [PATIENCE_SECONDS] | client ADDR JOBS MILLISECONDS";

/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(60);

/// What a library does that knows nothing of loops: it stops its thread until it is done.
fn work(duration: Duration) -> &'static str {
    thread::sleep(duration);
    "done"
}

async fn answer(line: &str, patience: Duration) -> &'static str {
    match line.split_once(' ').map(|(word, number)| (word, number.parse())) {
        Some(("work", Ok(millis @ 0..=10_000))) => {
            let job = unblock(move || work(Duration::from_millis(millis)));
            // Too late, the job is dropped: one that no thread has begun will never be.
            timeout(patience, job).await.unwrap_or("busy")
        }
        None if line == "ping" => "pong",
        _ => "error: `work MILLISECONDS`, up to 10000, or `ping`",
    }
}

async fn converse(stream: TcpStream, patience: Duration) -> io::Result<()> {
    let mut lines = Framed::new(stream, Lines::new(80));
    while let Some(line) = timeout(IDLE, lines.next()).await? {
        let answer = answer(line?.text()?, patience).await;
        timeout(IDLE, lines.send(answer)).await??;
    }
    Ok(())
}

async fn server(addr: &str, patience: Duration) -> Result<()> {
    let listener = TcpListener::bind(arg(addr)?)?;
    log::info!("listening on {}, {BLOCKING_THREADS} threads", listener.local_addr()?);
    let server = serve(listener, move |stream, _| converse(stream, patience));
    Ok(server.handle_signals().await?)
}

async fn ask(addr: String, line: String) -> Result<String> {
    let mut lines = Framed::new(TcpStream::connect(addr).await?, Lines::new(80));
    lines.send(&line).await?;
    let answer = lines.next().await.ok_or("the server has left")??;
    Ok(answer.text()?.to_string())
}

/// Has many jobs done at once, and looks meanwhile whether the server still answers.
async fn client(addr: &str, jobs: usize, millis: u64) -> Result<()> {
    let begun = Instant::now();
    let start = |_| spawn(ask(addr.to_string(), format!("work {millis}")));
    let jobs: Vec<_> = (0..jobs).map(start).collect();
    let (mut pings, mut slowest) = (0, Duration::ZERO);
    while !jobs.iter().all(|job| job.is_finished()) {
        let asked = Instant::now();
        ask(addr.to_string(), "ping".to_string()).await?;
        (pings, slowest) = (pings + 1, slowest.max(asked.elapsed()));
        snow::sleep(Duration::from_millis(10)).await;
    }
    let (mut done, mut busy) = (0, 0);
    for job in jobs {
        match job.await?.as_str() {
            "done" => done += 1,
            "busy" => busy += 1,
            other => return Err(other.to_string().into()),
        }
    }
    println!("{done} jobs done, {busy} given up, in {:.1?}", begun.elapsed());
    println!("{pings} pings meanwhile, the slowest took {slowest:.1?}");
    Ok(())
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", addr] => snow::block_on(server(addr, Duration::from_secs(30))),
        ["server", addr, patience] => {
            snow::block_on(server(addr, Duration::from_secs(arg(patience)?)))
        }
        ["client", addr, jobs, millis] => snow::block_on(client(addr, arg(jobs)?, arg(millis)?)),
        _ => Err(USAGE.into()),
    }
}
