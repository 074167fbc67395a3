//! Mixed load: clients that behave, among clients that do not.

use crate::{
    books::{Books, Served},
    client::{Answer, Client},
    random::Random,
};
use socket2::SockRef;
use std::{
    io::Read,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Descriptors of the server: fewer than a burst wants.
const DESCRIPTORS: usize = 256;

/// Connections of a burst, which is more than the server can have.
const BURST: usize = 400;

const GOOD_CLIENTS: u64 = 4;
const BAD_CLIENTS: u64 = 8;

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    faults: AtomicU64,
    bursts: AtomicU64,
    is_done: AtomicBool,
}

impl Tally {
    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }
}

/// Soaks for so many seconds, then compares the books.
pub(crate) fn run(seconds: u64) -> Result<(), String> {
    let served = Served::start(DESCRIPTORS)?;
    let empty = served.books()?;
    println!("empty    {empty}");
    // What is kept for later use is there after a while: the books are opened then.
    let quarter = Duration::from_secs(seconds) / 4;
    let tally = Tally::default();
    load(&served, quarter, 1, &tally)?;
    let start = rest(&served, &empty)?;
    println!("start    {start}");
    load(&served, quarter * 3, 2, &tally)?;
    let end = served.wait_until_back(&start)?;
    println!("end      {end}");
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} answered, {} faults, {} bursts beyond the descriptors",
        count(&tally.answered),
        count(&tally.faults),
        count(&tally.bursts)
    );
    served.stop()
}

/// Waits until all that can go has gone; memory need not, the first time.
fn rest(served: &Served, empty: &Books) -> Result<Books, String> {
    served.wait_until_back(&empty.with_any_memory())
}

fn load(served: &Served, time: Duration, seed: u64, tally: &Tally) -> Result<(), String> {
    let addr = served.addr;
    tally.is_done.store(false, Ordering::Relaxed);
    thread::scope(|scope| {
        let good: Vec<_> = (0..GOOD_CLIENTS)
            .map(|number| {
                scope.spawn(move || behave(addr, Random::new(seed * 1000 + number), tally))
            })
            .collect();
        for number in 0..BAD_CLIENTS {
            let random = Random::new(seed * 2000 + number);
            scope.spawn(move || misbehave(addr, random, tally));
        }
        scope.spawn(move || burst(addr, tally));
        let deadline = Instant::now() + time;
        while Instant::now() < deadline && good.iter().all(|client| !client.is_finished()) {
            thread::sleep(Duration::from_millis(20));
        }
        tally.is_done.store(true, Ordering::Relaxed);
        for client in good {
            client.join().map_err(|_| "a client panicked")??;
        }
        Ok(())
    })
}

/// Requests of every kind, each of which is to be answered properly, however the others behave.
fn behave(addr: SocketAddr, mut random: Random, tally: &Tally) -> Result<(), String> {
    while !tally.is_done() {
        let mut client = Client::connect(addr)?;
        for _ in 0..random.below(20) {
            exchange(&mut client, &mut random)?;
            tally.answered.fetch_add(1, Ordering::Relaxed);
            if tally.is_done() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn exchange(client: &mut Client, random: &mut Random) -> Result<(), String> {
    let content = vec![b'a' + random.below(26) as u8; random.below(50_000)];
    let expect = |answer: Answer, status: u16, content: &[u8]| {
        if answer.status == status && (status != 200 || answer.content == content) {
            return Ok(());
        }
        let text = answer.content[..answer.content.len().min(100)].escape_ascii();
        Err(format!("{} and {} bytes: {text}", answer.status, answer.content.len()))
    };
    match random.below(9) {
        0 => {
            let count = 1 + random.below(40);
            client.send(&b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n".repeat(count));
            for _ in 0..count {
                expect(client.read()?, 200, b"hello")?;
            }
            Ok(())
        }
        1 => {
            let head = "POST /echo HTTP/1.1\r\nHost: soak\r\nContent-Length:";
            client.send(format!("{head} {}\r\n\r\n", content.len()).as_bytes());
            client.send(&content);
            expect(client.read()?, 200, &content)
        }
        2 | 3 => {
            let target = random.pick(&["/echo", "/count"]);
            client.send(
                format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .as_bytes(),
            );
            // Smaller ones make more framing than is allowed.
            for chunk in content.chunks(16 + random.below(9000)) {
                client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
                client.send(chunk);
                client.send(b"\r\n");
            }
            client.send(b"0\r\n\r\n");
            let len = content.len().to_string();
            let expected = if target == "/echo" { &content } else { len.as_bytes() };
            expect(client.read()?, 200, expected)
        }
        4 => {
            client.ask("/large");
            expect(client.read()?, 200, &[b'x'; 1 << 20])
        }
        5 => {
            client.ask("/pieces");
            expect(client.read()?, 200, &[b'x'; 1000])
        }
        6 => {
            client.ask(&format!("/sleep/{}", random.below(20)));
            expect(client.read()?, 200, b"done")
        }
        7 => {
            client.ask(random.pick(&["/panic", "/panic/future"]));
            expect(client.read()?, 500, b"")
        }
        _ => {
            client.ask("/nowhere");
            expect(client.read()?, 404, b"")
        }
    }
}

const REQUESTS: [&[u8]; 9] = [
    b"GET / HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"GET /large HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"GET /endless HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"GET /sleep/60000 HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"GET /park HTTP/1.1\r\nHost: soak\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: soak\r\nContent-Length: 100000\r\n\r\nbegun",
    b"POST /count HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n4\r\n",
    b"POST /swallow HTTP/1.1\r\nHost: soak\r\nContent-Length: 9\r\n\r\nhalf",
    b"POST /swallow HTTP/1.1\r\nHost: soak\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
];

/// Does what no client should, and expects nothing of it but that it ends.
fn misbehave(addr: SocketAddr, mut random: Random, tally: &Tally) {
    while !tally.is_done() {
        let Ok(mut client) = Client::connect(addr) else { continue };
        let request = random.pick(&REQUESTS);
        tally.faults.fetch_add(1, Ordering::Relaxed);
        let pause = Duration::from_millis(random.below(30) as u64);
        match random.below(9) {
            0 => client.send(&request[..random.below(request.len() + 1)]),
            1 => {
                client.send(&request[..random.below(request.len() + 1)]);
                thread::sleep(pause);
                client.reset();
            }
            2 => {
                client.send(request);
                client.half_close();
                thread::sleep(pause);
            }
            3 => {
                let garbage: Vec<_> =
                    (0..random.below(3000)).map(|_| random.next() as u8).collect();
                client.send(&garbage);
                let _ = client.read();
            }
            // Pipelines much, reads nothing.
            4 => {
                let _ = client.stream.set_write_timeout(Some(Duration::from_millis(100)));
                client.send(&REQUESTS[0].repeat(3000));
                thread::sleep(pause);
            }
            // Reads a little, slowly.
            5 => {
                let _ = SockRef::from(&client.stream).set_recv_buffer_size(4096);
                client.send(request);
                let _ = client.stream.set_read_timeout(Some(Duration::from_millis(50)));
                for _ in 0..5 {
                    let _ = client.stream.read(&mut [0; 100]);
                    thread::sleep(pause);
                }
            }
            // Stalls until it is shed.
            6 => {
                client.send(&request[..random.below(request.len())]);
                let _ = client.stream.set_read_timeout(Some(Duration::from_secs(1)));
                let _ = client.stream.read(&mut [0; 100]);
            }
            // Drips.
            7 => {
                for byte in request.iter().take(random.below(40)) {
                    client.send(&[*byte]);
                    thread::sleep(Duration::from_millis(1));
                }
            }
            _ => {
                client.send(request);
                thread::sleep(pause);
                client.reset();
            }
        }
    }
}

/// Takes every descriptor now and then, for a moment.
fn burst(addr: SocketAddr, tally: &Tally) {
    while !tally.is_done() {
        let clients: Vec<_> = (0..BURST).filter_map(|_| Client::connect(addr).ok()).collect();
        thread::sleep(Duration::from_millis(200));
        drop(clients);
        tally.bursts.fetch_add(1, Ordering::Relaxed);
        for _ in 0..100 {
            if !tally.is_done() {
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
