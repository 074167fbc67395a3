//! Datagrams in, datagrams out: no connections, nothing in order, and some are lost.
//!
//! cargo run --example udp_echo -- server 127.0.0.1:7777
//! cargo run --example udp_echo -- server 127.0.0.1:7777 3        # loses every third, as networks do
//! cargo run --example udp_echo -- client 127.0.0.1:7777 10 100   # 10 clients, 100 datagrams each
//!
//! echo hello | nc -u -w1 localhost 7777

use snow::{
    Result,
    net::{Datagram, UdpSocket},
    timeout,
};
use std::{
    env, io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

const USAGE: &str = "usage: udp_echo server ADDR [LOSE_EVERY] | client ADDR CLIENTS DATAGRAMS";

/// Bytes of the longest datagram that is echoed: what an Ethernet frame has room for.
const LONGEST: usize = 1472;

/// How often a datagram is sent before it is given up.
const ATTEMPTS: u32 = 8;

/// How long an echo may take before its datagram counts as lost.
const PATIENCE: Duration = Duration::from_millis(200);

async fn server(addr: &str, lose_every: u64) -> Result<()> {
    let mut socket = UdpSocket::bind(arg(addr)?)?;
    log::info!("listening on {}", socket.local_addr()?);
    let mut buf = [0; LONGEST];
    for count in 1_u64.. {
        match socket.recv_from(&mut buf).await? {
            (_, peer) if lose_every > 0 && count % lose_every == 0 => {
                log::debug!("{peer}: lost on purpose");
            }
            (Datagram::Whole(len), peer) => {
                // One peer that cannot be reached is no reason to leave the others.
                if let Err(error) = socket.send_to(&buf[..len], peer).await {
                    log::warn!("{peer}: {error}");
                }
            }
            (Datagram::Truncated, peer) => {
                log::warn!(
                    "{peer}: a datagram of more than {LONGEST} bytes was cut, and is dropped"
                );
            }
        }
    }
    Ok(())
}

async fn client(addr: &str, clients: u32, datagrams: u32) -> Result<()> {
    let addr: SocketAddr = arg(addr)?;
    let talks = (1..=clients).map(|number| snow::spawn(talk(addr, number, datagrams)));
    let mut again = 0;
    for talk in talks.collect::<Vec<_>>() {
        again += talk.await?;
    }
    println!(
        "{clients} clients, {datagrams} datagrams each: all came back, {again} were sent again"
    );
    Ok(())
}

/// One client: returns how often it had to send again.
async fn talk(addr: SocketAddr, number: u32, datagrams: u32) -> Result<u32> {
    let any = if addr.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0_u16; 8]) };
    let mut socket = UdpSocket::bind((any, 0).into())?;
    socket.connect(addr).await?; // others are not heard
    let mut again = 0;
    for datagram in 1..=datagrams {
        let sent = format!("client {number}, datagram {datagram}");
        again += ask(&mut socket, sent.as_bytes()).await? - 1;
    }
    Ok(again)
}

/// Sends `datagram` until it comes back, a bounded number of times, and returns how many that were.
async fn ask(socket: &mut UdpSocket, datagram: &[u8]) -> Result<u32> {
    for attempt in 1..=ATTEMPTS {
        socket.send(datagram).await?;
        if let Ok(heard) = timeout(PATIENCE, echo_of(socket, datagram)).await {
            heard?;
            return Ok(attempt);
        }
    }
    Err(format!("no answer after {ATTEMPTS} attempts").into())
}

/// Waits for the echo of `datagram`, and passes over late echoes of what was sent before.
async fn echo_of(socket: &mut UdpSocket, datagram: &[u8]) -> io::Result<()> {
    let mut buf = [0; LONGEST];
    loop {
        let len = socket.recv(&mut buf).await?.whole()?;
        if buf[..len] == *datagram {
            return Ok(());
        }
    }
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", addr] => snow::block_on(server(addr, 0)),
        ["server", addr, lose_every] => snow::block_on(server(addr, arg(lose_every)?)),
        ["client", addr, clients, datagrams] => {
            snow::block_on(client(addr, arg(clients)?, arg(datagrams)?))
        }
        _ => Err(USAGE.into()),
    }
}
