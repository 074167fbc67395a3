//! A new connection for each request, which asks the server to close it.
//!
//! Waits for the server's end of stream, so that the server is the one that keeps the closed
//! connection for a minute and the ports here never run out. A server that does not close (the
//! first response shows it) has its connections reset instead.

use crate::{
    answer::{Scan, Shape},
    options::{Budget, Options},
    outcome::Outcome,
    rate::{Purse, READ_BUFFER_BYTES},
    slices,
    socket::{self, Input},
};
use rustix::{fd::OwnedFd, net::sockopt};
use std::{
    io,
    time::{Duration, Instant},
};

pub fn run(options: &Options) -> io::Result<()> {
    let request = options.request.repeated(1);
    let shape = Shape::probe(options.port, &request)?;
    let open = || {
        Ok(Fresh {
            epoll: socket::new_epoll()?,
            port: options.port,
            request: request.clone(),
            shape,
            slots: (0..options.conns).map(|_| None).collect(),
            buf: vec![0; READ_BUFFER_BYTES],
        })
    };
    slices::work(options, open, Fresh::work)
}

struct Fresh {
    epoll: OwnedFd,
    port: u16,
    request: Vec<u8>,
    shape: Shape,
    slots: Vec<Option<Exchange>>,
    buf: Vec<u8>,
}

/// One connection and its only request.
struct Exchange {
    socket: OwnedFd,
    scan: Scan,
    is_answered: bool,
    started: Instant,
}

impl Fresh {
    fn work(&mut self, budget: Budget) -> io::Result<Outcome> {
        let started = Instant::now();
        let mut outcome = Outcome::new();
        let mut purse = Purse::new(budget, started);
        let mut busy = 0;
        for token in 0..self.slots.len() {
            if purse.grants(1, started) {
                self.open(token)?;
                busy += 1;
            }
        }
        let mut events = Vec::with_capacity(self.slots.len().max(1));
        while busy > 0 {
            socket::wait(&self.epoll, &mut events)?;
            if events.is_empty() {
                outcome.errors += busy;
                self.slots.fill_with(|| None);
                break;
            }
            for event in &events {
                let token = event.data.u64() as usize;
                let Some(exchange) = &mut self.slots[token] else { continue };
                let ended = exchange.advance(self.shape, &mut self.buf);
                let now = Instant::now();
                match ended {
                    Ok(false) => continue,
                    Ok(true) => {
                        outcome.requests += 1;
                        outcome.latency.record(now - exchange.started, 1);
                    }
                    Err(_) => outcome.errors += 1,
                }
                self.slots[token] = None;
                if purse.grants(1, now) {
                    self.open(token)?;
                } else {
                    busy -= 1;
                }
            }
        }
        outcome.elapsed = started.elapsed();
        Ok(outcome)
    }

    fn open(&mut self, token: usize) -> io::Result<()> {
        let started = Instant::now();
        let socket = socket::open(self.port)?;
        if !self.shape.closes {
            sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        socket::send_some(&socket, &self.request)?;
        socket::register(&self.epoll, &socket, token)?;
        self.slots[token] =
            Some(Exchange { socket, scan: Scan::default(), is_answered: false, started });
        Ok(())
    }
}

impl Exchange {
    /// Reads what has arrived; returns whether the exchange is over.
    fn advance(&mut self, shape: Shape, buf: &mut [u8]) -> io::Result<bool> {
        loop {
            match socket::receive(&self.socket, buf)? {
                Input::Nothing => return Ok(false),
                Input::End if self.is_answered => return Ok(true),
                Input::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Input::Bytes(count) => match self.scan.take(&buf[..count], shape.len) {
                    Some(1) if !self.is_answered => self.is_answered = true,
                    Some(0) if !self.is_answered => {}
                    Some(_) | None => return Err(io::Error::other("not one response")),
                },
            }
            if self.is_answered && !shape.closes {
                return Ok(true);
            }
        }
    }
}
