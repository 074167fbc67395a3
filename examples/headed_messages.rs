//! Requests and answers with a JSON header that says what follows: an application's own protocol.
//!
//! cargo run --example headed_messages -- server 127.0.0.1:65432
//! cargo run --example headed_messages -- client 127.0.0.1:65432 search morpheus
//! cargo run --example headed_messages -- client 127.0.0.1:65432 binary 'any bytes'
//!
//! The client ends with 0 when there is an answer, 1 when something went wrong, 2 when it was called
//! wrongly, and 3 when nothing was found. The format is that of a well-known Python tutorial, whose
//! client and server are understood.

use snow::{
    Result,
    headed::{Content, Headed, Message},
    net::{FrameError, Framed, TcpListener, TcpStream, serve},
    timeout,
};
use std::{collections::BTreeMap, env, io, process::ExitCode, str::FromStr, time::Duration};

const USAGE: &str =
    "usage: headed_messages server ADDR [IDLE_SECONDS] | client ADDR search|binary VALUE";

const FOUND: u8 = 0;
const FAILED: u8 = 1;
const MISUSED: u8 = 2;
const NOT_FOUND: u8 = 3;

/// Messages have up to 64 KiB of content.
const HEADED: Headed = Headed::new(64 * 1024);

/// How long the client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What can be searched for.
const TABLE: [(&str, &str); 3] = [
    ("morpheus", "Follow the white rabbit. 🐰"),
    ("ring", "In the caves beneath the Misty Mountains. 💍"),
    ("🐶", "🐾 Playing ball! 🏐"),
];

/// Makes the answer, in the kind of the request.
fn answer(request: &Message) -> Result<Message, FrameError> {
    match request.content() {
        Content::Json(json) => {
            let text = |key: &str| json[key].as_str().unwrap_or_default();
            Message::json(&BTreeMap::from([("result", act(text("action"), text("value")))]))
        }
        Content::Bytes(bytes) => {
            let beginning = &bytes[..bytes.len().min(10)];
            let answer = [b"First 10 bytes of request: ", beginning].concat();
            Ok(Message::bytes("binary/custom-server-binary-type", answer))
        }
        _ => unreachable!("content is JSON or bytes"),
    }
}

fn act(action: &str, value: &str) -> String {
    if action != "search" {
        return format!("Error: invalid action {action:?}.");
    }
    match TABLE.iter().find(|(key, _)| *key == value) {
        Some((_, found)) => found.to_string(),
        None => format!("No match for {value:?}."),
    }
}

/// Answers one request after the other; what is no message ends the connection, and is logged.
async fn converse(stream: TcpStream, idle: Duration) -> io::Result<()> {
    let mut messages = Framed::new(stream, HEADED);
    while let Some(request) = timeout(idle, messages.next()).await? {
        let answer = answer(&request?)?;
        timeout(idle, messages.send(&answer)).await??;
    }
    Ok(())
}

async fn server(addr: &str, idle: Duration) -> Result<()> {
    let listener = TcpListener::bind(arg(addr)?)?;
    log::info!("listening on {}", listener.local_addr()?);
    let server = serve(listener, move |stream, _| converse(stream, idle));
    Ok(server.handle_signals().await?)
}

fn request(action: &str, value: &str) -> Result<Message, FrameError> {
    match action {
        "binary" => Ok(Message::bytes("binary/custom-client-binary-type", value.to_string())),
        _ => Message::json(&BTreeMap::from([("action", action), ("value", value)])),
    }
}

/// Sends one request, prints the answer, and returns the exit code.
async fn client(addr: &str, action: &str, value: &str) -> Result<u8> {
    let stream = TcpStream::connect(addr).await?;
    let mut messages = Framed::new(stream, HEADED);
    messages.send(&request(action, value)?).await?;
    let answer = messages.next().await.ok_or("the server has left without an answer")??;
    match answer.content() {
        Content::Json(json) => {
            let result = json["result"].as_str().ok_or("the answer has no result")?;
            println!("{result}");
            Ok(if result.starts_with("No match") { NOT_FOUND } else { FOUND })
        }
        Content::Bytes(bytes) => {
            println!("{}: {}", answer.content_type(), bytes.escape_ascii());
            Ok(FOUND)
        }
        _ => Err("the answer is of another kind".into()),
    }
}

fn run(args: &[&str]) -> Result<u8> {
    let serve = |addr: &str, idle| snow::block_on(server(addr, idle)).map(|()| FOUND);
    match *args {
        ["server", addr] => serve(addr, Duration::from_secs(60)),
        ["server", addr, idle] => serve(addr, Duration::from_secs(arg(idle)?)),
        ["client", addr, action @ ("search" | "binary"), value] => {
            snow::block_on(timeout(PATIENCE, client(addr, action, value)))?
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(MISUSED)
        }
    }
}

/// Takes an argument, or says how it is meant.
fn arg<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text:?} cannot be used\n{USAGE}").into())
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let args: Vec<_> = env::args().skip(1).collect();
    let code = run(&args.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or_else(|error| {
        eprintln!("{error:?}");
        FAILED
    });
    code.into()
}
