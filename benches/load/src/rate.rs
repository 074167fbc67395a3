//! Keep-alive connections, each of which sends again as soon as it is answered.

use crate::{
    answer::{self, Scan, Shape},
    options::{Budget, Options},
    outcome::Outcome,
    slices, socket,
};
use rustix::fd::OwnedFd;
use std::{io, time::Instant};

pub const READ_BUFFER_BYTES: usize = 256 * 1024;

pub fn run(options: &Options) -> io::Result<()> {
    let shape = Shape::probe(options.port, &options.request.repeated(1))?;
    slices::work(options, || Rate::open(options, shape), Rate::work)
}

struct Rate {
    epoll: OwnedFd,
    conns: Vec<Conn>,
    /// What a connection sends at once: one for each, or one for all.
    batches: Vec<Vec<u8>>,
    depth: u64,
    shape: Shape,
    buf: Vec<u8>,
}

struct Conn {
    socket: OwnedFd,
    scan: Scan,
    /// Responses to come; none when the connection rests, or is broken.
    due: u64,
    /// How much of the batch is sent.
    sent: usize,
    sent_at: Instant,
    is_broken: bool,
}

impl Rate {
    fn open(options: &Options, shape: Shape) -> io::Result<Rate> {
        let request = options.request.repeated(1);
        let epoll = socket::new_epoll()?;
        let conns = (0..options.conns)
            .map(|token| {
                let socket = shape.open(options.port, &request)?;
                socket::register(&epoll, &socket, token)?;
                Ok(Conn::new(socket))
            })
            .collect::<io::Result<_>>()?;
        let clients = if options.request.varies() { options.conns } else { 1 };
        let batches = (0..clients).map(|it| options.request.of_client(it, options.depth));
        Ok(Rate {
            epoll,
            conns,
            batches: batches.collect(),
            depth: options.depth as u64,
            shape,
            buf: vec![0; READ_BUFFER_BYTES],
        })
    }

    /// Works until the budget is spent and everything sent is answered.
    fn work(&mut self, budget: Budget) -> io::Result<Outcome> {
        let started = Instant::now();
        let mut outcome = Outcome::new();
        let mut purse = Purse::new(budget, started);
        let mut busy = 0;
        let batches = self.batches.iter().cycle();
        for (conn, batch) in self.conns.iter_mut().zip(batches).filter(|(it, _)| !it.is_broken) {
            if purse.grants(self.depth, started) {
                busy += 1;
                conn.start(batch, self.depth, started, &mut outcome);
            }
        }
        let mut events = Vec::with_capacity(self.conns.len().max(1));
        while busy > 0 {
            socket::wait(&self.epoll, &mut events)?;
            if events.is_empty() {
                outcome.errors += self.conns.iter().map(|conn| conn.due).sum::<u64>();
                break;
            }
            for event in &events {
                let number = event.data.u64() as usize;
                let conn = &mut self.conns[number];
                let batch = &self.batches[number % self.batches.len()];
                if conn.due == 0 {
                    continue;
                }
                conn.advance(batch, self.shape.len, &mut self.buf, &mut outcome);
                if conn.due > 0 {
                    continue;
                }
                let now = Instant::now();
                if conn.is_broken {
                    busy -= 1;
                    continue;
                }
                outcome.requests += self.depth;
                outcome.latency.record(now - conn.sent_at, self.depth);
                if purse.grants(self.depth, now) {
                    conn.start(batch, self.depth, now, &mut outcome);
                } else {
                    busy -= 1;
                }
            }
        }
        outcome.elapsed = started.elapsed();
        Ok(outcome)
    }
}

impl Conn {
    fn new(socket: OwnedFd) -> Conn {
        Conn {
            socket,
            scan: Scan::default(),
            due: 0,
            sent: 0,
            sent_at: Instant::now(),
            is_broken: false,
        }
    }

    fn start(&mut self, batch: &[u8], depth: u64, now: Instant, outcome: &mut Outcome) {
        self.due = depth;
        self.sent = 0;
        self.sent_at = now;
        if self.send(batch).is_err() {
            self.give_up(outcome);
        }
    }

    /// Sends and reads what the socket allows.
    fn advance(&mut self, batch: &[u8], len: usize, buf: &mut [u8], outcome: &mut Outcome) {
        let progress =
            self.send(batch).and_then(|()| answer::receive(&self.socket, &mut self.scan, len, buf));
        match progress {
            Ok(ended) if ended <= self.due => self.due -= ended,
            Ok(_) | Err(_) => self.give_up(outcome),
        }
    }

    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        if self.sent < batch.len() {
            self.sent += socket::send_some(&self.socket, &batch[self.sent..])?;
        }
        Ok(())
    }

    fn give_up(&mut self, outcome: &mut Outcome) {
        outcome.errors += self.due;
        self.due = 0;
        self.is_broken = true;
    }
}

/// What is left of a budget.
pub enum Purse {
    Requests(u64),
    Until(Instant),
}

impl Purse {
    pub fn new(budget: Budget, now: Instant) -> Purse {
        match budget {
            Budget::Requests(count) => Purse::Requests(count),
            Budget::Time(duration) => Purse::Until(now + duration),
        }
    }

    /// Pays for `count` more requests, if there is enough.
    pub fn grants(&mut self, count: u64, now: Instant) -> bool {
        match self {
            Purse::Requests(rest) if *rest >= count => {
                *rest -= count;
                true
            }
            Purse::Requests(_) => false,
            Purse::Until(deadline) => now < *deadline,
        }
    }
}
