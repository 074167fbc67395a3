//! Compares echo servers in turns: the CPU that they use for the same messages, and the memory that a
//! connection takes which is idle. The client checks every byte.

use std::{
    env, error, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

type Result<T> = std::result::Result<T, Box<dyn error::Error>>;

const SERVERS: [&str; 2] = ["echo-snow", "echo-tokio"];

/// What a server has had of the machine.
struct Server {
    child: Child,
    addr: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Result<Server> {
        let mut command = Command::new(program(name)?);
        command.args(["server", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut log = BufReader::new(child.stderr.take().ok_or("no log")?);
        let mut line = String::new();
        log.read_line(&mut line)?;
        let addr = line.trim_end().rsplit(' ').next().ok_or("no address")?.parse()?;
        // Whatever else it says is read, so that it never waits for that.
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Ok(Server { child, addr })
    }

    /// Seconds of CPU that all its threads have used.
    fn cpu(&self) -> Result<f64> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let used = fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += used.split(' ').next().ok_or("no time")?.parse::<u64>()?;
        }
        Ok(nanos as f64 / 1e9)
    }

    /// Bytes of memory that are its own and of no file.
    fn memory(&self) -> Result<f64> {
        let map = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = map.lines().find(|line| line.starts_with("Anonymous:")).ok_or("no memory")?;
        Ok(line.split_whitespace().nth(1).ok_or("no number")?.parse::<f64>()? * 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(name: &str) -> Result<PathBuf> {
    Ok(env::current_exe()?.with_file_name(name))
}

/// Returns the messages that a server echoes in a second of its CPU.
fn throughput(name: &str, clients: usize, messages: usize) -> Result<f64> {
    let server = Server::start(name)?;
    let before = server.cpu()?;
    let mut client = Command::new(program("echo-snow")?);
    client.args(["client", &server.addr.to_string()]);
    let outcome = client.args([clients.to_string(), messages.to_string()]).output()?;
    if !outcome.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&outcome.stderr)).into());
    }
    Ok((clients * messages) as f64 / (server.cpu()? - before))
}

/// Returns the bytes that a connection takes which has been used and is idle.
fn idle_memory(name: &str, clients: usize) -> Result<f64> {
    let server = Server::start(name)?;
    let speak = || -> Result<TcpStream> {
        let mut stream = TcpStream::connect(server.addr)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"hello\n")?;
        stream.read_exact(&mut [0; 6])?;
        Ok(stream)
    };
    let _warm = speak()?;
    let before = server.memory()?;
    let streams = (0..clients).map(|_| speak()).collect::<Result<Vec<_>>>()?;
    Ok((server.memory()? - before) / streams.len() as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<()> {
    let mut numbers = [10_000, 100, 5];
    for (number, arg) in numbers.iter_mut().zip(env::args().skip(1)) {
        *number = arg.parse()?;
    }
    let [clients, messages, rounds] = numbers;
    println!("{clients} clients, {messages} messages each, {rounds} rounds\n");
    println!("| round | snow, messages/CPU s | tokio, messages/CPU s | ratio |");
    println!("| --- | --- | --- | --- |");
    let mut ratios = Vec::new();
    for round in 0..rounds {
        // Who goes first changes, since the first has the machine as the round before left it.
        let mut rates = [0.0; 2];
        for which in [round % 2, 1 - round % 2] {
            rates[which] = throughput(SERVERS[which], clients, messages)?;
        }
        let [snow, tokio] = rates;
        println!("| {} | {snow:.0} | {tokio:.0} | {:.2} |", round + 1, snow / tokio);
        ratios.push(snow / tokio);
    }
    println!("\nratio, median: {:.2}", median(ratios));
    for name in SERVERS {
        println!("{name}: {:.0} bytes for an idle connection", idle_memory(name, clients)?);
    }
    Ok(())
}
