//! What is tested on a loop of the test's own: sockets without HTTP.

use super::PATIENCE;
use snow::{
    block_on,
    net::{ReadExt, TcpListener, TcpStream},
    timeout,
};
use std::io;

/// Runs a future on a loop, for no longer than a test may take.
#[track_caller]
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    block_on(timeout(PATIENCE, future)).expect("it came to no end")
}

/// Listens on a free port.
#[track_caller]
pub(crate) fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// Two ends of one connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let mut listener = listen();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Reads until the end of the stream.
pub(crate) async fn read_all(stream: &mut (impl ReadExt + ?Sized)) -> io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}
