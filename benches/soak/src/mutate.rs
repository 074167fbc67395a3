//! Mutated requests: each on a connection of its own, whatever comes of it.
//!
//! After each the client ends its sending side, so that nothing but the server's answer is waited for. A
//! hang is an answer that does not come in time; a crash is a server that is gone; a double answer is
//! more answers than there can be requests, or one after the last.

use crate::{books::Served, client::Client, random::Random};
use socket2::{Domain, Socket, Type};
use std::{
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

const THREADS: u64 = 4;

const DESCRIPTORS: usize = 1024;

const SEEDS: [&[u8]; 10] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET http://a/pieces?x=%41 HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\nX: y\r\n\r\n",
    b"POST /count HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
    b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /sleep/0 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
];

/// What is put into a request, beside single bytes.
const PIECES: [&[u8]; 20] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"Host: b\r\n",
    b"Content-Length: 4\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"%00",
    b"%2f..%2f",
    b"HTTP/1.1",
    b"ffffffffffffffff",
    b"0\r\n\r\n",
    b"\xff\xfe",
];

/// Changes a few things about a request, or two behind each other.
fn mutate(random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(&SEEDS).to_vec();
    if random.below(4) == 0 {
        bytes.extend_from_slice(random.pick(&SEEDS));
    }
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len().max(1)).min(bytes.len());
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(7) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, random.pick(&PIECES).iter().copied())),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => bytes.truncate(at),
            _ => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

/// Returns how many answers there can be at the most: a request has the end of a head, and there may
/// be a refusal of what follows.
fn most_answers(bytes: &[u8]) -> usize {
    1 + bytes.windows(4).filter(|window| window == b"\r\n\r\n").count()
}

/// Connects from one of many addresses of this machine: each has only so many ports in a minute.
fn connect(number: u64, addr: SocketAddr) -> Result<Client, String> {
    let own = [127, 1 + (number >> 8) as u8 % 200, number as u8, 1];
    let make = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((own, 0)).into())?;
        socket.connect(&addr.into())?;
        std::io::Result::Ok(TcpStream::from(socket))
    };
    Client::new(make().map_err(|error| format!("cannot connect: {error}"))?)
}

/// Sends one and checks what comes back.
fn check(number: u64, addr: SocketAddr, bytes: &[u8], cut: usize) -> Result<usize, String> {
    let mut client = connect(number, addr)?;
    // In one piece or in two.
    client.send(&bytes[..cut]);
    client.send(&bytes[cut..]);
    client.half_close();
    let is_head = bytes.windows(5).any(|window| window == b"HEAD ");
    let answers = match client.read_to_end() {
        Ok(answers) => answers,
        // The answer to HEAD announces content that does not come.
        Err(fault) if is_head && !fault.starts_with("nothing comes") => return Ok(1),
        Err(fault) => return Err(fault),
    };
    let finals: Vec<_> = answers.iter().filter(|answer| answer.status >= 200).collect();
    if finals.len() > most_answers(bytes) {
        return Err(format!("{} answers", finals.len()));
    }
    if finals.iter().rev().skip(1).any(|answer| answer.is_last) {
        return Err("an answer after the last".to_string());
    }
    Ok(finals.len())
}

/// Sends so many mutated requests.
pub(crate) fn run(count: u64, seed: u64) -> Result<(), String> {
    let served = Served::start(DESCRIPTORS)?;
    let empty = served.books()?;
    println!("start    {empty}");
    let (addr, answered, is_failed) = (served.addr, AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (answered, is_failed) = (&answered, &is_failed);
        let work = move |thread: u64| {
            for number in (thread..count).step_by(THREADS as usize) {
                if is_failed.load(Ordering::Relaxed) {
                    break;
                }
                // Each can be made again from its number alone.
                let mut random = Random::new(seed.wrapping_mul(1 << 32) + number);
                let bytes = mutate(&mut random);
                let cut = random.below(bytes.len() + 1);
                match check(number, addr, &bytes, cut) {
                    Ok(answers) => answered.fetch_add(answers as u64, Ordering::Relaxed),
                    Err(fault) => {
                        is_failed.store(true, Ordering::Relaxed);
                        let text = bytes.escape_ascii();
                        return Err(format!("number {number}, cut at {cut}: {fault}\n  {text}"));
                    }
                };
            }
            Ok(())
        };
        let threads: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a panic")?)
    })?;
    let end = served.wait_until_back(&empty)?;
    println!("end      {end}");
    println!("{count} mutated requests, {} answers", answered.load(Ordering::Relaxed));
    served.stop()
}
