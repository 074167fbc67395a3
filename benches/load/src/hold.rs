//! Many connections at once: held idle, asleep, or parked until somebody releases them.

use crate::{
    answer::{self, Scan, Shape},
    options::Options,
    outcome::Outcome,
    rate,
    request::Request,
    socket,
};
use rustix::fd::OwnedFd;
use std::{
    io, thread,
    time::{Duration, Instant},
};

const PAUSE: Duration = Duration::from_millis(1000);
/// Sleepers are sent so many each millisecond: 10,000 are all asleep after half of `PAUSE`.
const SLEEPERS_PER_MILLISECOND: usize = 20;
/// How long a server may take to park what it has been sent.
const SETTLE: Duration = Duration::from_millis(300);

/// Holds connections that have had one request each, while others work.
pub fn idle(options: &Options) -> io::Result<()> {
    options.step.reached("start");
    let _held = Herd::open(options)?;
    options.step.reached("held");
    rate::run(options)
}

/// Puts a request to sleep on each connection; `latency` is how late each was answered.
pub fn parked(options: &Options) -> io::Result<()> {
    let request = Request::new("/sleep/1000", None, false).repeated(1);
    let shape = Shape::probe(options.port, &request)?;
    options.step.reached("start");
    let mut herd = Herd::open(options)?;
    options.step.reached("ready");
    let started = Instant::now();
    for (sent, token) in (0..options.held).enumerate() {
        let due = started + Duration::from_millis((sent / SLEEPERS_PER_MILLISECOND) as u64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        herd.ask(token, &request)?;
    }
    options.step.reached("held");
    let outcome = herd.collect(shape, |sent_at| sent_at.elapsed().saturating_sub(PAUSE))?;
    options.step.report(&outcome);
    Ok(())
}

/// Parks a request on each connection, releases all; `latency` counts from the release.
pub fn release(options: &Options) -> io::Result<()> {
    let park = Request::new("/park", None, false).repeated(1);
    let release = Request::new("/release", Some(0), false).repeated(1);
    let shape = probe_parked(options.port, &park, &release)?;
    options.step.reached("start");
    let mut herd = Herd::open(options)?;
    options.step.reached("ready");
    for token in 0..options.held {
        herd.ask(token, &park)?;
    }
    thread::sleep(SETTLE);
    options.step.reached("held");
    let releaser = socket::open(options.port)?;
    let released = Instant::now();
    answer::ask(&releaser, &release)?;
    let outcome = herd.collect(shape, |_| released.elapsed())?;
    options.step.report(&outcome);
    Ok(())
}

/// Returns the shape of the answer that a parked request gets when it is released.
fn probe_parked(port: u16, park: &[u8], release: &[u8]) -> io::Result<Shape> {
    let parked = socket::open(port)?;
    answer::ask(&parked, park)?;
    thread::sleep(SETTLE);
    Shape::probe(port, release)?;
    Shape::read(&parked)
}

struct Herd {
    epoll: OwnedFd,
    members: Vec<Member>,
}

struct Member {
    socket: OwnedFd,
    scan: Scan,
    is_waiting: bool,
    sent_at: Instant,
}

impl Herd {
    /// Opens the connections to be held and has one request answered on each.
    fn open(options: &Options) -> io::Result<Herd> {
        let request = Request::new("/plaintext", None, false).repeated(1);
        let shape = Shape::probe(options.port, &request)?;
        let epoll = socket::new_epoll()?;
        let members = (0..options.held)
            .map(|token| {
                let socket = shape.open(options.port, &request)?;
                socket::register(&epoll, &socket, token)?;
                let (scan, sent_at) = (Scan::default(), Instant::now());
                Ok(Member { socket, scan, is_waiting: false, sent_at })
            })
            .collect::<io::Result<_>>()?;
        Ok(Herd { epoll, members })
    }

    fn ask(&mut self, token: usize, request: &[u8]) -> io::Result<()> {
        let member = &mut self.members[token];
        member.sent_at = Instant::now();
        member.is_waiting = true;
        answer::ask(&member.socket, request)
    }

    /// Waits for every answer that is due; `latency_of` is given when its request was sent.
    fn collect(
        &mut self,
        shape: Shape,
        latency_of: impl Fn(Instant) -> Duration,
    ) -> io::Result<Outcome> {
        let started = Instant::now();
        let mut outcome = Outcome::new();
        let mut waiting = self.members.iter().filter(|member| member.is_waiting).count() as u64;
        let mut buf = [0; 4096];
        let mut events = Vec::with_capacity(1024);
        while waiting > 0 {
            socket::wait(&self.epoll, &mut events)?;
            if events.is_empty() {
                outcome.errors += waiting;
                break;
            }
            for event in &events {
                let member = &mut self.members[event.data.u64() as usize];
                if !member.is_waiting {
                    continue;
                }
                match answer::receive(&member.socket, &mut member.scan, shape.len, &mut buf) {
                    Ok(0) => continue,
                    Ok(_) => {
                        outcome.requests += 1;
                        outcome.latency.record(latency_of(member.sent_at), 1);
                    }
                    Err(_) => outcome.errors += 1,
                }
                member.is_waiting = false;
                waiting -= 1;
            }
        }
        outcome.elapsed = started.elapsed();
        Ok(outcome)
    }
}
