//! A room to talk in, over TCP and over HTTP.
//!
//! cargo run --example chat -- server 127.0.0.1:7777 127.0.0.1:8080
//! cargo run --example chat -- join 127.0.0.1:7777 ann           # types lines, and reads the others'
//!
//! nc localhost 7777                                             # the first line is your name
//! curl 'localhost:8080/messages?after=0'                        # what was said; waits for the next
//! curl 'localhost:8080/messages?name=bob' -d 'hello, ann'       # says something
//!
//! The room remembers its last messages, by number, and everyone reads on from where they were: nobody
//! has a queue. Who falls further behind than the room remembers is told how many messages they missed.

use snow::{
    Error, ErrorKind, Future, Request, Response, Result, Snow, StatusCode, get,
    net::{Framed, Lines, TcpListener, TcpStream, serve},
    post, race, spawn, timeout, unblock,
};
use std::{
    collections::VecDeque,
    env, io,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

const USAGE: &str = "usage: chat server TCP_ADDR HTTP_ADDR [IDLE_SECONDS] | join TCP_ADDR NAME";

/// Messages that the room remembers.
const REMEMBERED: usize = 100;

/// Bytes of the longest message, and of the longest name.
const LONGEST: usize = 500;
const LONGEST_NAME: usize = 20;

/// How long an HTTP client waits for news: less than what most clients and proxies wait.
const POLL: Duration = Duration::from_secs(25);

/// How long a TCP client may take to read what it is sent.
const STALLED: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Room(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    /// The last messages, and how many there have been.
    messages: VecDeque<String>,
    count: u64,
    /// Those who wait for the next.
    waiting: Vec<Future<()>>,
}

impl Room {
    fn say(&self, message: String) {
        let mut memory = self.0.lock().unwrap();
        if memory.messages.len() == REMEMBERED {
            memory.messages.pop_front();
        }
        memory.messages.push_back(message);
        memory.count += 1;
        for waiter in memory.waiting.drain(..) {
            let _ = waiter.set_result(()); // an error says that nobody waits any more
        }
    }

    /// Waits for messages behind the first `seen`, and returns them with how many there have been.
    async fn after(&self, seen: u64) -> Result<(Vec<String>, u64)> {
        loop {
            let news = {
                let mut memory = self.0.lock().unwrap();
                if seen < memory.count {
                    return Ok(memory.since(seen));
                }
                let news = Future::promise();
                memory.forget_the_gone();
                memory.waiting.push(news.clone());
                news
            };
            news.await?;
        }
    }

    fn count(&self) -> u64 {
        self.0.lock().unwrap().count
    }
}

impl Memory {
    /// Makes room among those who wait; only when there is none, so that it costs little.
    fn forget_the_gone(&mut self) {
        if self.waiting.len() == self.waiting.capacity() {
            self.waiting.retain(|waiter| !waiter.is_cancelled());
        }
    }

    fn since(&self, seen: u64) -> (Vec<String>, u64) {
        let forgotten = self.count - self.messages.len() as u64;
        let missed = forgotten.saturating_sub(seen);
        let note = (missed > 0).then(|| format!("* {missed} messages are forgotten"));
        let skipped = seen.saturating_sub(forgotten) as usize;
        (note.into_iter().chain(self.messages.iter().skip(skipped).cloned()).collect(), self.count)
    }
}

/// Someone who came over TCP; the room is told when they leave, however that happens.
struct Member {
    room: Arc<Room>,
    name: String,
}

impl Member {
    fn join(room: Arc<Room>, name: String) -> Member {
        room.say(format!("* {name} has joined"));
        Member { room, name }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.say(format!("* {} has left", self.name));
    }
}

/// Checks what others will see in their terminals.
fn checked(text: &str, longest: usize) -> Result<&str> {
    let is_good = !text.is_empty() && text.len() <= longest && !text.contains(char::is_control);
    let bad = || Error::new(ErrorKind::BadRequest, "empty, too long, or with control characters");
    is_good.then_some(text).ok_or_else(bad)
}

/// Serves someone over TCP, who speaks and hears at the same time, until they leave or do not read.
async fn attend(mut stream: TcpStream, room: Arc<Room>, idle: Duration) -> Result<()> {
    let (reader, writer) = stream.split();
    let mut heard = Framed::new(reader, Lines::new(LONGEST));
    let mut told = Framed::new(writer, Lines::new(2 * LONGEST));
    let Some(name) = timeout(idle, heard.next()).await? else { return Ok(()) };
    let name = checked(name?.text()?, LONGEST_NAME)?.to_string();
    let mut seen = room.count();
    let member = Member::join(Arc::clone(&room), name);
    let hear = async {
        while let Some(line) = timeout(idle, heard.next()).await? {
            room.say(format!("{}: {}", member.name, checked(line?.text()?, LONGEST)?));
        }
        Ok(())
    };
    let tell = async {
        loop {
            let (messages, count) = room.after(seen).await?;
            let sending = async {
                for message in &messages {
                    told.feed(message).await?;
                }
                told.flush().await
            };
            timeout(STALLED, sending).await??;
            seen = count;
        }
    };
    race(hear, tell).await
}

/// Answers with what was said after message `after`, as soon as there is something; the number to ask
/// with next is in `Seen`.
async fn messages(req: Request) -> Result<Response> {
    let room = req.state::<Arc<Room>>();
    let seen = match req.query("after") {
        Some(after) => after.parse().map_err(|_| bad("`after` is not a number"))?,
        None => room.count(),
    };
    let Ok(news) = timeout(POLL, room.after(seen)).await else {
        return Ok(Response::text("").status(StatusCode::NO_CONTENT));
    };
    let (messages, count) = news?;
    Ok(Response::text(messages.join("\n") + "\n").header("Seen", count.to_string()))
}

fn say(req: Request) -> Result<StatusCode> {
    let name = req.query("name").ok_or_else(|| bad("`name` is missing"))?;
    let (name, text) = (checked(&name, LONGEST_NAME)?, checked(req.text()?, LONGEST)?);
    req.state::<Arc<Room>>().say(format!("{name}: {text}"));
    Ok(StatusCode::NO_CONTENT)
}

fn bad(reason: &'static str) -> Error {
    Error::new(ErrorKind::BadRequest, reason)
}

async fn server(tcp: &str, http: &str, idle: Duration) -> Result<()> {
    let room = Arc::new(Room::default());
    let routes = [get("^/messages$", messages), post("^/messages$", say)];
    let app = Snow::new(routes).state(Arc::clone(&room)).bind(http)?;
    let listener = TcpListener::bind(arg(tcp)?)?;
    log::info!("listening on {}", listener.local_addr()?);
    let members = serve(listener, move |stream, _| {
        let room = Arc::clone(&room);
        async move { attend(stream, room, idle).await.map_err(io::Error::other) }
    });
    let members = members.shutdown_timeout(Duration::ZERO);
    let stop = members.stop_handle();
    let attending = spawn(members.into_future());
    app.await?; // until a signal stops it
    stop.stop();
    Ok(attending.await?)
}

/// Sends what is typed, and prints what is said.
async fn join(addr: &str, name: &str) -> Result<()> {
    let (reader, writer) = TcpStream::connect(addr).await?.into_split();
    let mut typed = Framed::new(writer, Lines::new(LONGEST));
    typed.send(name).await?;
    let typing = spawn(async move {
        while let Some(Ok(line)) = unblock(|| io::stdin().lines().next()).await {
            typed.send(&line).await?;
        }
        typed.close().await // end of input: the server says goodbye
    });
    let mut said = Framed::new(reader, Lines::new(2 * LONGEST));
    while let Some(message) = said.next().await {
        println!("{}", message?.text()?);
    }
    typing.cancel();
    Ok(())
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["server", tcp, http] => snow::block_on(server(tcp, http, Duration::from_secs(600))),
        ["server", tcp, http, idle] => {
            snow::block_on(server(tcp, http, Duration::from_secs(arg(idle)?)))
        }
        ["join", addr, name] => snow::block_on(join(addr, name)),
        _ => Err(USAGE.into()),
    }
}
