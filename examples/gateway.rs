//! A gateway for devices: they send readings over TCP, find it by a UDP beacon, and a browser sees the
//! latest of each. One loop, one state.
//!
//! cargo run --example gateway -- server 127.0.0.1:8080 127.0.0.1:7777 127.0.0.1:7778
//! cargo run --example gateway -- device 127.0.0.1:7778 kitchen 21.5 21.7    # listens for the beacon
//!
//! printf 'kitchen 21.5\ncellar 12\n' | nc -N localhost 7777
//! curl localhost:8080/           # the latest readings
//! curl localhost:8080/next       # waits for the next one, for 30 seconds at the most

use snow::{
    Future, Request, Response, Result, Snow, get,
    net::{Framed, Lines, TcpListener, TcpStream, UdpSocket, serve},
    sleep, spawn, timeout,
};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    io,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

const USAGE: &str = "usage: gateway server HTTP_ADDR DEVICES_ADDR BEACON_ADDR [IDLE_SECONDS] \
    | device BEACON_ADDR NAME VALUE…";

/// Devices that are connected at a time, and names that are kept.
const MOST_DEVICES: usize = 1000;

/// Bytes of the longest line.
const LONGEST: usize = 256;

/// Time between two beacons.
const BEACON: Duration = Duration::from_secs(1);

/// How long `GET /next` waits, and a device for the gateway.
const PATIENCE: Duration = Duration::from_secs(30);

/// What devices tell and browsers see.
#[derive(Default)]
struct Gateway {
    latest: Mutex<BTreeMap<String, f64>>,
    /// Those who wait for the next reading.
    waiting: Mutex<Vec<Future<String>>>,
}

impl Gateway {
    /// Takes a line of a device: a name and a value.
    fn read(&self, line: &str) -> Result<(), &'static str> {
        let (name, value) = line.split_once(' ').ok_or("a reading is a name and a value")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            return Err("a name is made of letters, digits, `-`, `_` and `.`");
        }
        let value = value.trim().parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or("the value is not a number")?;
        let mut latest = self.latest.lock().unwrap();
        if !latest.contains_key(name) && latest.len() >= MOST_DEVICES {
            return Err("there are too many names");
        }
        latest.insert(name.to_string(), value);
        for next in self.waiting.lock().unwrap().drain(..) {
            // An error says that whoever waited has left.
            let _ = next.set_result(format!("{name} {value}\n"));
        }
        Ok(())
    }
}

fn page(req: Request) -> Response {
    let latest = req.state::<Arc<Gateway>>().latest.lock().unwrap();
    let mut page = String::from("<!doctype html><title>Readings</title><table>\n");
    for (name, value) in &*latest {
        // Names are plain, and numbers are: nothing needs to be escaped.
        let _ = writeln!(page, "<tr><td>{name}<td>{value}");
    }
    Response::html(page + "</table>\n")
}

/// Parked until a device has something to tell.
fn next(req: Request) -> Future<String> {
    let future = Future::new(|reading: String| Response::text(reading)).timeout(PATIENCE);
    let mut waiting = req.state::<Arc<Gateway>>().waiting.lock().unwrap();
    waiting.retain(|other| !other.is_cancelled());
    waiting.push(future.clone());
    future
}

/// Takes the readings of one device until it leaves, is silent for too long, or makes no sense.
async fn listen(stream: TcpStream, gateway: Arc<Gateway>, idle: Duration) -> io::Result<()> {
    let mut lines = Framed::new(stream, Lines::new(LONGEST));
    while let Some(line) = timeout(idle, lines.next()).await? {
        if let Err(reason) = gateway.read(line?.text()?) {
            timeout(idle, lines.send(&format!("error: {reason}"))).await??;
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
    }
    Ok(())
}

/// Tells everyone at `beacon` where devices are to connect, again and again.
async fn announce(mut socket: UdpSocket, beacon: SocketAddr, devices: SocketAddr) {
    loop {
        if let Err(error) = socket.send_to(format!("gateway {devices}").as_bytes(), beacon).await {
            log::debug!("no beacon: {error}");
        }
        sleep(BEACON).await;
    }
}

async fn server(http: &str, devices: &str, beacon: &str, idle: Duration) -> Result<()> {
    let gateway = Arc::new(Gateway::default());
    let app = Snow::new([get("^/$", page), get("^/next$", next)]).state(Arc::clone(&gateway));
    let app = app.bind(http)?;

    let listener = TcpListener::bind(arg(devices)?)?;
    let addr = listener.local_addr()?;
    log::info!("listening for devices on {addr}");
    let socket = UdpSocket::bind(([0; 4], 0).into())?;
    socket.set_broadcast(true)?;
    spawn(announce(socket, arg(beacon)?, addr)).detach();

    let devices = serve(listener, move |stream, _| listen(stream, Arc::clone(&gateway), idle));
    let devices = devices.max_connections(MOST_DEVICES).shutdown_timeout(Duration::ZERO);
    let stop = devices.stop_handle();
    let listening = spawn(devices.into_future());
    app.await?; // until a signal stops it
    stop.stop();
    Ok(listening.await?)
}

/// A device: finds the gateway, and sends it readings.
async fn device(beacon: &str, name: &str, values: &[String]) -> Result<()> {
    let mut socket = UdpSocket::bind(arg(beacon)?)?;
    let mut buf = [0; LONGEST];
    let (datagram, _) = timeout(PATIENCE, socket.recv_from(&mut buf)).await??;
    let word = std::str::from_utf8(&buf[..datagram.whole()?])?;
    let addr = word.strip_prefix("gateway ").ok_or("what was heard is no beacon")?;
    let stream = TcpStream::connect_timeout(addr, PATIENCE).await?;
    let mut lines = Framed::new(stream, Lines::new(LONGEST));
    for value in values {
        lines.feed(&format!("{name} {value}")).await?;
    }
    lines.close().await?;
    // The gateway says nothing, unless something is wrong.
    match timeout(PATIENCE, lines.next()).await? {
        Some(complaint) => Err(complaint?.text()?.to_string().into()),
        None => Ok(()),
    }
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    match &args[..] {
        [command, http, devices, beacon, idle @ ..] if command == "server" && idle.len() <= 1 => {
            let idle = idle.first().map_or(Ok(60), |seconds| arg(seconds))?;
            snow::block_on(server(http, devices, beacon, Duration::from_secs(idle)))
        }
        [command, beacon, name, values @ ..] if command == "device" && !values.is_empty() => {
            snow::block_on(device(beacon, name, values))
        }
        _ => Err(USAGE.into()),
    }
}
