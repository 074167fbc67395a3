//! The server: one command for each connection, if it is on the list and there is room.

use crate::{
    command::Running,
    protocol::{Frame, Frames},
};
use snow::{
    net::{Framed, ReadHalf, ServeHandle, TcpListener, TcpStream, UnixStream, WriteHalf},
    net::{ReadExt, serve},
    race, timeout,
};
use std::{
    ffi::{OsStr, OsString},
    io,
    net::SocketAddr,
    os::unix::net::UnixStream as StdUnixStream,
    rc::Rc,
    time::Duration,
};

/// How long a client may take to say what it wants, and to take the last frame.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at a time; most of those beyond the commands are told that there are too many.
const MOST_CONNECTIONS: usize = 256;

/// A connection, in two halves: while one sends output, the other is listened to.
struct Client {
    peer: SocketAddr,
    requests: Framed<ReadHalf<TcpStream>, Frames>,
    replies: Framed<WriteHalf<TcpStream>, Frames>,
}

/// What may be run, and how.
pub(crate) struct Shell {
    /// Programs by the words that ask for them: names to be looked up in `PATH`, or whole paths.
    pub(crate) allowed: Vec<OsString>,
    /// How long a command may take, its client's taking of the output included.
    pub(crate) limit: Duration,
    /// Commands at a time.
    pub(crate) at_once: usize,
    /// Shared by each command that runs, which counts them.
    pub(crate) commands: Rc<()>,
}

/// Serves until SIGTERM or SIGINT, which end the commands too.
pub(crate) async fn run(addr: SocketAddr, shell: Shell) -> io::Result<()> {
    let listener = TcpListener::bind(addr)?;
    log::info!("listening on {}", listener.local_addr()?);
    let shell = Rc::new(shell);
    let server = serve(listener, move |stream, peer| converse(Rc::clone(&shell), stream, peer));
    let server = server.max_connections(MOST_CONNECTIONS);
    snow::spawn(stop_when_told(server.stop_handle())?).detach();
    server.await
}

/// Returns what stops the server at a signal: whose handler writes a byte, for the loop to read.
fn stop_when_told(server: ServeHandle) -> io::Result<impl Future<Output = ()>> {
    let (ours, theirs) = StdUnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    let mut told = UnixStream::from_std(ours)?;
    Ok(async move {
        let _ = told.read(&mut [0]).await;
        server.stop_now();
    })
}

async fn converse(shell: Rc<Shell>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let (requests, replies) = (Framed::new(reader, Frames), Framed::new(writer, Frames));
    let mut client = Client { peer, requests, replies };
    let last = match timeout(PATIENCE, client.requests.next()).await {
        Ok(None) => return Ok(()),
        Ok(Some(Ok(Frame::Run(fields)))) => shell.run(&mut client, fields).await?,
        Ok(Some(Ok(_))) => Frame::Failed("only commands are taken".into()),
        Ok(Some(Err(error))) => Frame::Failed(error.to_string()),
        Err(_) => Frame::Failed("no command came in time".into()),
    };
    log::info!("{peer}: {last:?}");
    timeout(PATIENCE, client.finish(&last)).await.map_err(|_| stalled())?
}

impl Client {
    /// Sends the last frame and waits until the client has left. What it has sent and nobody has read
    /// would turn the end into a reset, which takes what is on its way along.
    async fn finish(mut self, last: &Frame) -> io::Result<()> {
        self.replies.send(last).await?;
        self.replies.close().await?;
        let mut rest = self.requests.into_parts().stream;
        let mut buf = [0; 1024];
        while rest.read(&mut buf).await? > 0 {}
        Ok(())
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")
}

impl Shell {
    /// Runs a command, and returns the frame that tells how it ended.
    async fn run(&self, client: &mut Client, mut fields: Vec<OsString>) -> io::Result<Frame> {
        let program = fields.remove(0); // there is one at least, though it may be empty
        if !self.allowed.contains(&program) {
            let list = self.allowed.join(OsStr::new(", "));
            return Ok(Frame::Failed(format!(
                "not on the list of programs: {}",
                list.to_string_lossy()
            )));
        }
        let this_one = Rc::clone(&self.commands);
        if Rc::strong_count(&this_one) - 1 > self.at_once {
            return Ok(Frame::Failed(format!("busy: there are {} commands", self.at_once)));
        }
        let arguments = fields.len();
        let running = match Running::start(program.clone(), fields).await {
            Ok(running) => running,
            Err(error) => return Ok(Frame::Failed(format!("cannot run {program:?}: {error}"))),
        };
        let Client { peer, requests, replies } = client;
        log::info!("{peer}: {program:?}, {arguments} arguments: process {}", running.pid());
        let work = async {
            let in_time = timeout(self.limit, relay(running, replies)).await;
            in_time.unwrap_or_else(|_| Ok(Frame::Late(format!("killed after {:?}", self.limit))))
        };
        // There is nothing more for a client to say but that it leaves.
        let departure = async {
            let _ = requests.next().await;
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client left, or said more"))
        };
        let outcome = race(work, departure).await;
        drop(this_one);
        outcome
    }
}

/// Sends the output as it comes. Nothing more is read of a command while its client takes nothing.
async fn relay(
    mut running: Running,
    replies: &mut Framed<WriteHalf<TcpStream>, Frames>,
) -> io::Result<Frame> {
    while let Some(piece) = running.next().await {
        replies.send(&piece).await?;
    }
    running.end().await
}
