//! The server of the example `tcp_echo`, on tokio with one thread: the same lines, limits and timeouts.

use futures_util::{SinkExt, StreamExt};
use std::{io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{
    bytes::{Bytes, BytesMut},
    codec::{Decoder, Encoder, Framed},
};

const IDLE: Duration = Duration::from_secs(60);
const LONGEST: usize = 16 * 1024;

/// Lines with whatever ends them; how many bytes have been searched is what it knows of the next one.
#[derive(Default)]
struct Verbatim {
    searched: usize,
}

impl Decoder for Verbatim {
    type Item = Bytes;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let end = input[self.searched..].iter().position(|&byte| byte == b'\n');
        let len = end.map_or(input.len(), |end| self.searched + end + 1);
        if len > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
        }
        self.searched = if end.is_some() { 0 } else { len };
        Ok(end.map(|_| input.split_to(len).freeze()))
    }

    fn decode_eof(&mut self, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
        match self.decode(input)? {
            None if !input.is_empty() => Ok(Some(input.split().freeze())),
            line => Ok(line),
        }
    }
}

impl Encoder<Bytes> for Verbatim {
    type Error = io::Error;

    fn encode(&mut self, line: Bytes, output: &mut BytesMut) -> io::Result<()> {
        output.extend_from_slice(&line);
        Ok(())
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut lines = Framed::new(stream, Verbatim::default());
    while let Some(line) = timeout(IDLE, lines.next()).await? {
        let line = line?;
        match line.trim_ascii() {
            b"quit" => break,
            b"boom" => panic!("boom, as the peer said"),
            _ => timeout(IDLE, lines.send(line)).await??,
        }
    }
    lines.close().await
}

async fn serve(addr: &str) -> io::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    log::info!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                log::info!("{peer}: the connection failed: {error}");
            }
        });
    }
}

fn main() -> io::Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let addr = std::env::args().nth(2).expect("usage: echo-tokio server ADDR");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&addr))
}
