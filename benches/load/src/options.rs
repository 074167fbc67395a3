//! The command line.

use crate::{request::Request, step::Step};
use harness::Arguments;
use std::time::Duration;

const USAGE: &str = "usage: load MODE --port PORT [options]
modes:
  rate      keep-alive connections, each sends again as soon as it is answered
  fresh     a new connection for each request, closed by the server
  idle      opens --held connections, one request each; then `rate` while they are held
  parked    one request on each of --held connections, all answered a second later
  release   one request on each of --held connections, all answered after POST /release
options:
  --path PATH        what is asked for (/plaintext)
  --post BYTES       as a POST with a body of so many bytes
  --varied           with a number behind the path, and a field, of each connection's own, for rate
  --conns N          connections that work at once (64)
  --depth N          requests sent together on each connection (1)
  --held N           connections held by idle, parked and release (10000)
  --requests N       stop after so many requests
  --seconds S        stop after so long (1, when --requests is not given)
  --warm S           the same for so long before, not counted (0.2)
  --slices N         rate and fresh: the same so many times over, each reported (1)
  --step             print a word at each phase and wait for a line on standard input";

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Rate,
    Fresh,
    Idle,
    Parked,
    Release,
}

/// When a run ends.
#[derive(Clone, Copy)]
pub enum Budget {
    Requests(u64),
    Time(Duration),
}

pub struct Options {
    pub mode: Mode,
    pub port: u16,
    pub request: Request,
    pub conns: usize,
    pub depth: usize,
    pub held: usize,
    pub budget: Budget,
    pub warm: Duration,
    pub slices: usize,
    pub step: Step,
}

impl Options {
    pub fn from_arguments(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut arguments = Arguments::new(words, USAGE);
        let mode = match arguments.word().as_deref() {
            Some("rate") => Mode::Rate,
            Some("fresh") => Mode::Fresh,
            Some("idle") => Mode::Idle,
            Some("parked") => Mode::Parked,
            Some("release") => Mode::Release,
            _ => return Err(arguments.usage()),
        };
        let mut path = "/plaintext".to_owned();
        let mut post = None;
        let mut varies = false;
        let mut port = None;
        let mut options = Options {
            mode,
            port: 0,
            request: Request::default(),
            conns: 64,
            depth: 1,
            held: 10_000,
            budget: Budget::Time(Duration::from_secs(1)),
            warm: Duration::from_millis(200),
            slices: 1,
            step: Step::Through,
        };
        while let Some(name) = arguments.word() {
            match name.as_str() {
                "--port" => port = Some(arguments.value()?),
                "--path" => path = arguments.value()?,
                "--post" => post = Some(arguments.value()?),
                "--varied" => varies = true,
                "--conns" => options.conns = arguments.value()?,
                "--depth" => options.depth = arguments.value()?,
                "--held" => options.held = arguments.value()?,
                "--requests" => options.budget = Budget::Requests(arguments.value()?),
                "--seconds" => options.budget = Budget::Time(seconds(&mut arguments)?),
                "--slices" => options.slices = arguments.value()?,
                "--warm" => options.warm = seconds(&mut arguments)?,
                "--step" => options.step = Step::Pausing,
                _ => return Err(arguments.unknown(&name)),
            }
        }
        options.port = port.ok_or_else(|| arguments.usage())?;
        options.request = Request::new(&path, post, mode == Mode::Fresh);
        if varies {
            options.request = options.request.varied();
        }
        Ok(options)
    }
}

fn seconds(arguments: &mut Arguments) -> Result<Duration, String> {
    Duration::try_from_secs_f64(arguments.value()?).map_err(|error| error.to_string())
}
