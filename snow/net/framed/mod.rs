//! Messages over a stream of bytes: lines, messages behind their length, or a format of one's own.
//!
//! A stream knows no messages: what was sent at once may come in pieces, and what was sent apart may
//! come at once. A codec says where messages end, [`Decoder`] turns pieces into messages without any
//! stream, and [`Framed`] joins the two.

mod codec;
mod error;
mod length_prefixed;
mod lines;
mod outgoing;
mod queue;

pub use codec::{Decode, Decoded, Decoder, Encode};
pub use error::{FrameError, FrameErrorKind};
pub use length_prefixed::LengthPrefixed;
pub use lines::{Line, Lines};

use super::Scratch;
use crate::rt::Stepper;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use outgoing::Outgoing;
use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Bytes that wait to be written, from which on [`Framed::feed`] waits too: enough for a batch of
/// short messages in one system call.
const WRITE_BUF_BYTES: usize = 64 * 1024;

/// Messages over a stream.
///
/// It reads if the stream is an [`AsyncRead`], and writes if it is an [`AsyncWrite`]: half a stream is
/// enough for half of it. To read and write at the same time, split the stream and frame each half: codecs
/// are cheap to copy.
///
/// What comes is read into the thread's own buffer, and what is left of it kept, so it holds one frame
/// and one read (64 KiB) at most, in memory that grows with what has come to no more than twice that, and
/// next to nothing when it is idle. A peer that always has more to
/// say, or always takes more, does not keep other tasks from their turn, nor what else its own task waits for.
///
/// # Examples
///
/// ```
/// use snow::net::{Framed, Lines, TcpListener, TcpStream};
///
/// snow::block_on(async {
///     let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
///     let addr = listener.local_addr()?;
///     let server = snow::spawn(async move {
///         let (stream, _) = listener.accept().await?;
///         let mut lines = Framed::new(stream, Lines::new(1024));
///         while let Some(line) = lines.next().await {
///             lines.send(&line?).await?;
///         }
///         Ok::<(), snow::Error>(())
///     });
///
///     let mut lines = Framed::new(TcpStream::connect(addr).await?, Lines::new(1024));
///     lines.send("hello").await?;
///     assert_eq!(lines.next().await.unwrap()?.text()?, "hello");
///     drop(lines);
///     server.await
/// })?;
/// # Ok::<(), snow::Error>(())
/// ```
///
/// A peer that stalls is the caller's to time out; nothing is lost when [`next`](Framed::next) is
/// dropped:
///
/// ```
/// use snow::{net::{Framed, Line, LengthPrefixed, TcpStream}, timeout};
/// use std::time::Duration;
///
/// async fn frame(frames: &mut Framed<TcpStream, LengthPrefixed>) -> snow::Result<snow::Bytes> {
///     match timeout(Duration::from_secs(30), frames.next()).await? {
///         Some(frame) => Ok(frame?),
///         None => Err("the peer has left".into()),
///     }
/// }
/// # let _ = frame;
/// ```
pub struct Framed<S, C: Decode> {
    stream: S,
    decoder: Decoder<C>,
    outgoing: Outgoing,
    messages: Stepper,
    reads: Stepper,
}

/// What a [`Framed`] is made of, to go on with the bare stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct FramedParts<S, C> {
    /// The stream, after what has been read and written.
    pub stream: S,
    /// The codec.
    pub codec: C,
    /// Bytes that have been read from the stream and are no messages yet.
    pub rest: Vec<u8>,
    /// Bytes of messages that have been fed and not been written to the stream.
    pub unsent: Vec<u8>,
}

// The stream is pinned where it is `Unpin` itself; nothing else is.
impl<S: Unpin, C: Decode> Unpin for Framed<S, C> {}

impl<S, C: Decode> Framed<S, C> {
    /// Reads and writes the messages of `stream` in the format of `codec`.
    pub fn new(stream: S, codec: C) -> Framed<S, C> {
        Framed {
            stream,
            decoder: Decoder::new(codec),
            outgoing: Outgoing::default(),
            messages: Stepper::default(),
            reads: Stepper::default(),
        }
    }

    /// Goes on in another format, behind the last message that was received and sent: after a
    /// negotiation in lines, for instance. A stream that is over stays so.
    pub fn with_codec<D: Decode>(self, codec: D) -> Framed<S, D> {
        let Framed { stream, decoder, outgoing, messages, reads } = self;
        Framed { stream, decoder: decoder.with_codec(codec), outgoing, messages, reads }
    }

    /// Returns the stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the stream; who reads from it or writes to it comes between the frames.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the decoder, which holds what has been read and not become a message.
    pub fn decoder(&self) -> &Decoder<C> {
        &self.decoder
    }

    /// Returns how many bytes of messages have been fed and not been written.
    pub fn unsent(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes it apart; no byte behind the last message is lost.
    pub fn into_parts(self) -> FramedParts<S, C> {
        let (codec, rest) = self.decoder.into_parts();
        FramedParts { stream: self.stream, codec, rest, unsent: self.outgoing.into_vec() }
    }
}

impl<S: AsyncRead + Unpin, C: Decode> Framed<S, C> {
    /// Waits for the next message; `None` is the end, in between frames.
    ///
    /// The future may be dropped, as by a timeout, and loses nothing: the next call goes on.
    ///
    /// # Errors
    ///
    /// As the codec finds, [`Truncated`](FrameErrorKind::Truncated) when the stream ends within a
    /// frame, [`Io`](FrameErrorKind::Io) when it fails. After an error there are no more messages.
    pub async fn next(&mut self) -> Option<Result<C::Message, FrameError>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<C::Message, FrameError>>> {
        let step = ready!(self.messages.poll_step(cx));
        step.end(self.poll_decode(cx))
    }

    fn poll_decode(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<C::Message, FrameError>>> {
        loop {
            match self.decoder.decode() {
                Ok(None) if self.decoder.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                outcome => return Poll::Ready(outcome.transpose()),
            }
            if let Err(error) = ready!(self.poll_read(cx)) {
                self.decoder.fail();
                return Poll::Ready(Some(Err(error.into())));
            }
        }
    }

    /// Reads once, into the thread's buffer; only what has come is kept.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Framed { stream, decoder, reads, .. } = self;
        let step = ready!(reads.poll_step(cx));
        Scratch::with(|scratch| {
            let input = &mut scratch.input;
            match ready!(step.end(Pin::new(stream).poll_read(cx, input)))? {
                0 => decoder.end(),
                count => decoder.push(&input[..count]),
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncRead + Unpin, C: Decode> Stream for Framed<S, C> {
    type Item = Result<C::Message, FrameError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl<S: AsyncWrite + Unpin, C: Decode> Framed<S, C> {
    /// Sends a message, and all that were fed before it.
    ///
    /// When the future is dropped before its end, the message may be among the
    /// [unsent](Framed::unsent), and goes with the next flush.
    ///
    /// # Errors
    ///
    /// As [`feed`](Framed::feed) and [`flush`](Framed::flush).
    pub async fn send<M: ?Sized>(&mut self, message: &M) -> Result<(), FrameError>
    where
        C: Encode<M>,
    {
        self.feed(message).await?;
        self.flush().await
    }

    /// Adds a message to those that the next [`flush`](Framed::flush) or [`send`](Framed::send) writes
    /// at once. When 64 KiB or more wait already, it waits until the stream has taken enough of them.
    ///
    /// The message is added as the last thing: when the future is dropped before its end, it is not.
    ///
    /// # Errors
    ///
    /// As the codec finds: nothing of the message is sent, and others may follow.
    /// [`Io`](FrameErrorKind::Io) when the stream fails or has failed: nothing can be sent any more.
    pub async fn feed<M: ?Sized>(&mut self, message: &M) -> Result<(), FrameError>
    where
        C: Encode<M>,
    {
        poll_fn(|cx| self.poll_write(WRITE_BUF_BYTES - 1, cx)).await?;
        self.outgoing.push(self.decoder.codec(), message)
    }

    /// Writes all that was fed, and flushes the stream.
    ///
    /// # Errors
    ///
    /// [`Io`](FrameErrorKind::Io) when the stream fails or has failed.
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        poll_fn(|cx| self.poll_write(0, cx)).await?;
        let outcome = poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await;
        self.outgoing.note(outcome)
    }

    /// Writes all that was fed and ends the sending side; messages can still be received.
    ///
    /// # Errors
    ///
    /// [`Io`](FrameErrorKind::Io) when the stream fails or has failed.
    pub async fn close(&mut self) -> Result<(), FrameError> {
        self.flush().await?;
        let outcome = poll_fn(|cx| Pin::new(&mut self.stream).poll_close(cx)).await;
        self.outgoing.note(outcome)
    }

    fn poll_write(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<(), FrameError>> {
        self.outgoing.poll_write(&mut self.stream, most, cx)
    }
}

impl<S: fmt::Debug, C: Decode + fmt::Debug> fmt::Debug for Framed<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("stream", &self.stream)
            .field("decoder", &self.decoder)
            .field("unsent", &self.unsent())
            .finish()
    }
}
