//! Many connections from one loop, none of which waits for another: each sends two messages and
//! checks what comes back.
//!
//! cargo run --example tcp_echo -- server 127.0.0.1:7777      # or any other echo server
//! cargo run --example multi_client -- 127.0.0.1:7777 50

use snow::{
    Result,
    net::{ReadExt, TcpStream, WriteExt},
    timeout,
};
use std::{env, str::FromStr, time::Duration};

const USAGE: &str = "usage: multi_client ADDR CONNECTIONS";

const MESSAGES: [&str; 2] = ["Message 1 from client.\n", "Message 2 from client.\n"];

/// How long one connection may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects, sends both messages, and reads until as much has come back.
async fn converse(addr: String) -> Result<()> {
    let mut stream = TcpStream::connect(addr).await?;
    for message in MESSAGES {
        stream.write_all(message.as_bytes()).await?;
    }
    let expected = MESSAGES.concat();
    // A stream knows no messages: they may come together, in pieces, or not at all.
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).await?;
    if received != expected.as_bytes() {
        return Err(format!("received {:?}", String::from_utf8_lossy(&received)).into());
    }
    stream.close().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err("received more than was sent".into()),
    }
}

/// Starts all connections at once, and says of each how it went.
async fn run(addr: &str, connections: usize) -> Result<()> {
    let start = |_| snow::spawn(timeout(PATIENCE, converse(addr.to_string())));
    let tasks: Vec<_> = (0..connections).map(start).collect();
    let mut failures = 0;
    for (number, task) in (1..).zip(tasks) {
        match task.await.map_err(Into::into).and_then(|outcome| outcome) {
            Ok(()) => log::debug!("connection {number}: all came back"),
            Err(error) => {
                failures += 1;
                log::error!("connection {number}: {error:?}");
            }
        }
    }
    println!("{connections} connections, {failures} failures");
    if failures == 0 { Ok(()) } else { Err("not all messages came back".into()) }
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    match &args[..] {
        [addr, connections] => snow::block_on(run(addr, arg(connections)?)),
        _ => Err(USAGE.into()),
    }
}
