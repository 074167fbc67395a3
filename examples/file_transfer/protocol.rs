//! What travels: frames behind a length of four bytes, each with a tag of one byte first.
//!
//! One file goes over one connection. Whoever has it sends, whoever wants it receives; which of the two is
//! the client is told by the first message, and makes no difference from there on.
//!
//! ```text
//! client    0 put     the name it will send                    or  1 get  the name it wants
//! sender    2 offer   the size
//! receiver  3 have    how much of it is there from last time, and the SHA-256 of that
//! sender    4 start   the same offset if its own file begins so, else 0
//! sender    5 data    a piece, again and again
//! sender    6 end     the SHA-256 of the whole
//! receiver  7 done    the file is under its name, on the disk
//! either    8 working there is nothing to say yet: a digest or a disk takes long
//!           9 failed  why nothing will come of it
//! ```

use sha2::digest::Output;
use snow::{
    Bytes,
    net::{
        Decode, Decoded, Encode, FrameError, FrameErrorKind, Framed, LengthPrefixed, ReadExt,
        ReadHalf, TcpStream, WriteHalf,
    },
    race, timeout,
};
use std::{future::pending, io, pin::pin, time::Duration};

/// The longest piece of a file in one message.
pub(crate) const PIECE_BYTES: usize = 128 * 1024;

/// A piece with its tag, and nothing longer.
const FRAMES: LengthPrefixed = LengthPrefixed::u32(1 + PIECE_BYTES);

/// How much is taken of the words in which a peer complains.
const WORDS_CHARS: usize = 500;

/// How often a peer that waits is told that there is work, and how long a farewell may take.
const WORKING: Duration = Duration::from_secs(5);

/// A SHA-256.
pub(crate) type Digest = Output<sha2::Sha256>;

/// One message.
#[derive(Debug)]
pub(crate) enum Message {
    Put(String),
    Get(String),
    Offer { size: u64 },
    Have { offset: u64, digest: Digest },
    Start { offset: u64 },
    Data(Bytes),
    End { digest: Digest },
    Done,
    Working,
    Failed(String),
}

impl Message {
    fn parse(mut bytes: Bytes) -> Result<Message, FrameError> {
        let malformed = |what| FrameError::new(FrameErrorKind::Malformed, what);
        if bytes.is_empty() {
            return Err(malformed("a message has no tag"));
        }
        let tag = bytes.split_to(1)[0];
        let name = |bytes: Bytes| {
            String::from_utf8(bytes.to_vec()).map_err(|_| malformed("a name is not UTF-8"))
        };
        let message = match tag {
            0 => Some(Message::Put(name(bytes)?)),
            1 => Some(Message::Get(name(bytes)?)),
            2 => number(&bytes).map(|size| Message::Offer { size }),
            3 => bytes.split_at_checked(8).and_then(|(offset, digest)| {
                let digest = digest.try_into().ok()?;
                Some(Message::Have { offset: number(offset)?, digest })
            }),
            4 => number(&bytes).map(|offset| Message::Start { offset }),
            5 => (!bytes.is_empty()).then_some(Message::Data(bytes)),
            6 => bytes[..].try_into().ok().map(|digest| Message::End { digest }),
            7 => bytes.is_empty().then_some(Message::Done),
            8 => bytes.is_empty().then_some(Message::Working),
            9 => Some(Message::Failed(words(&bytes))),
            _ => return Err(malformed("a message has an unknown tag")),
        };
        message.ok_or_else(|| malformed("a message has not the length of its kind"))
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Message::Put(name) => [&[0], name.as_bytes()].concat(),
            Message::Get(name) => [&[1], name.as_bytes()].concat(),
            Message::Offer { size } => [&[2], &size.to_be_bytes()[..]].concat(),
            Message::Have { offset, digest } => [&[3], &offset.to_be_bytes()[..], digest].concat(),
            Message::Start { offset } => [&[4], &offset.to_be_bytes()[..]].concat(),
            Message::Data(piece) => [&[5], &piece[..]].concat(),
            Message::End { digest } => [&[6], &digest[..]].concat(),
            Message::Done => vec![7],
            Message::Working => vec![8],
            Message::Failed(why) => [&[9], why.as_bytes()].concat(),
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

/// Returns what a peer says, in one line that no terminal takes for commands.
fn words(bytes: &[u8]) -> String {
    let printable = |char: char| if char.is_control() { ' ' } else { char };
    String::from_utf8_lossy(bytes).chars().take(WORDS_CHARS).map(printable).collect()
}

/// The format of [`Message`]s.
#[derive(Clone, Copy, Debug)]
struct Messages;

impl Decode for Messages {
    type Message = Message;
    type Progress = ();

    fn decode(&self, progress: &mut (), input: &[u8]) -> Result<Decoded<Message>, FrameError> {
        Ok(match FRAMES.decode(progress, input)? {
            Decoded::Message(bytes, len) => Decoded::Message(Message::parse(bytes)?, len),
            Decoded::Partial(missing) => Decoded::Partial(missing),
        })
    }
}

impl Encode<Message> for Messages {
    fn encode(&self, message: &Message, output: &mut Vec<u8>) -> Result<(), FrameError> {
        FRAMES.encode(&message.to_bytes(), output)
    }
}

/// The other end of a connection.
pub(crate) struct Peer {
    incoming: Framed<ReadHalf<TcpStream>, Messages>,
    outgoing: Framed<WriteHalf<TcpStream>, Messages>,
    /// What it said before it was its turn.
    early: Option<Message>,
    /// How long it may take with one message, in either direction.
    stall: Duration,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, stall: Duration) -> Peer {
        let (reader, writer) = stream.into_split();
        let (incoming, outgoing) = (Framed::new(reader, Messages), Framed::new(writer, Messages));
        Peer { incoming, outgoing, early: None, stall }
    }

    /// Waits for the next message that says something.
    pub(crate) async fn next(&mut self) -> io::Result<Message> {
        if let Some(message) = self.early.take() {
            return Ok(message);
        }
        loop {
            let message = timeout(self.stall, self.incoming.next()).await;
            match message.map_err(|_| stalled("says"))?.ok_or_else(left)?? {
                Message::Working => {}
                Message::Failed(why) => return Err(io::Error::other(why)),
                message => return Ok(message),
            }
        }
    }

    /// Sends a message, unless the peer says meanwhile that nothing will come of it.
    pub(crate) async fn send(&mut self, message: &Message) -> io::Result<()> {
        let Peer { incoming, outgoing, early, stall } = self;
        let complaint = async {
            while early.is_none() {
                match incoming.next().await.ok_or_else(left)?? {
                    Message::Working => {}
                    Message::Failed(why) => return Err(io::Error::other(why)),
                    message => *early = Some(message),
                }
            }
            pending().await
        };
        let sending = async {
            let sent = timeout(*stall, outgoing.send(message)).await;
            Ok(sent.map_err(|_| stalled("takes"))??)
        };
        race(complaint, sending).await
    }

    /// Does what may take long, and tells the peer now and then that it is being done.
    pub(crate) async fn while_working<T>(
        &mut self,
        work: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut work = pin!(work);
        loop {
            match timeout(WORKING.min(self.stall / 4), &mut work).await {
                Ok(outcome) => return outcome,
                Err(_) => self.send(&Message::Working).await?,
            }
        }
    }

    /// Says why nothing will come of it, and gives the peer a while to hear that: what it has sent and
    /// nobody has read would turn the end into a reset, which takes the words along.
    pub(crate) async fn fail(mut self, why: &io::Error) {
        let farewell = async {
            self.outgoing.send(&Message::Failed(why.to_string())).await?;
            self.outgoing.close().await?;
            let mut rest = self.incoming.into_parts().stream;
            let mut buf = vec![0; PIECE_BYTES];
            while rest.read(&mut buf).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that has left has heard all it wanted to.
        let _ = timeout(WORKING, farewell).await;
    }
}

fn left() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the peer left before the end")
}

fn stalled(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the peer {what} nothing any more"))
}

/// The error of a message that does not belong where it came.
pub(crate) fn unexpected(message: &Message) -> io::Error {
    let kind = match message {
        Message::Put(_) | Message::Get(_) => "a request",
        Message::Offer { .. } => "an offer",
        Message::Have { .. } | Message::Start { .. } => "an offset",
        Message::Data(_) => "data",
        Message::End { .. } | Message::Done => "the end",
        Message::Working | Message::Failed(_) => "a notice",
    };
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer sent {kind} out of turn"))
}
