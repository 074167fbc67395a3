//! Messages that say first how long they are.

use super::{
    codec::{Decode, Decoded, Encode},
    error::{FrameError, FrameErrorKind},
};
use bytes::Bytes;

/// Messages behind their length, which is a number of 1, 2, 4 or 8 bytes.
///
/// The length is big-endian and counts the message alone, unless it is said otherwise. A message may
/// be empty. Its memory grows with what comes, never with what the length announces.
///
/// # Examples
///
/// ```
/// use snow::net::{Decoder, Encode, LengthPrefixed};
///
/// let frames = LengthPrefixed::u16(1024);
/// let mut output = Vec::new();
/// frames.encode("snow", &mut output)?;
/// assert_eq!(output, b"\x00\x04snow");
///
/// let mut decoder = Decoder::new(frames);
/// decoder.push(&output);
/// assert_eq!(decoder.decode()?.unwrap(), "snow");
///
/// output.clear();
/// frames.little_endian().length_includes_prefix().encode("snow", &mut output)?;
/// assert_eq!(output, b"\x06\x00snow");
/// # Ok::<(), snow::net::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LengthPrefixed {
    max_len: usize,
    /// Bytes of the prefix.
    width: usize,
    order: Order,
    counts: Counts,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Big,
    Little,
}

/// What the length counts.
#[derive(Clone, Copy, Debug)]
enum Counts {
    Message,
    MessageAndPrefix,
}

impl LengthPrefixed {
    /// A length of one byte, before messages of up to `max_len` bytes, inclusive; the prefix does not
    /// count towards this limit. A longer message is an error as soon as its length has come.
    pub const fn u8(max_len: usize) -> LengthPrefixed {
        LengthPrefixed::with_width(1, max_len)
    }

    /// A length of two bytes; `max_len` as for [`u8`](LengthPrefixed::u8).
    pub const fn u16(max_len: usize) -> LengthPrefixed {
        LengthPrefixed::with_width(2, max_len)
    }

    /// A length of four bytes; `max_len` as for [`u8`](LengthPrefixed::u8).
    pub const fn u32(max_len: usize) -> LengthPrefixed {
        LengthPrefixed::with_width(4, max_len)
    }

    /// A length of eight bytes; `max_len` as for [`u8`](LengthPrefixed::u8).
    pub const fn u64(max_len: usize) -> LengthPrefixed {
        LengthPrefixed::with_width(8, max_len)
    }

    const fn with_width(width: usize, max_len: usize) -> LengthPrefixed {
        LengthPrefixed { max_len, width, order: Order::Big, counts: Counts::Message }
    }

    /// Has the length's least significant byte come first.
    pub const fn little_endian(self) -> LengthPrefixed {
        LengthPrefixed { order: Order::Little, ..self }
    }

    /// Has the length count its own bytes as well: that of an empty message is the prefix's width.
    pub const fn length_includes_prefix(self) -> LengthPrefixed {
        LengthPrefixed { counts: Counts::MessageAndPrefix, ..self }
    }

    /// Returns what the length counts beside the message.
    fn counted_prefix(&self) -> u64 {
        match self.counts {
            Counts::Message => 0,
            Counts::MessageAndPrefix => self.width as u64,
        }
    }

    /// Returns how long a message with this prefix is.
    fn message_len(&self, prefix: &[u8]) -> Result<u64, FrameError> {
        let shift_in = |length: u64, byte: &u8| length << 8 | u64::from(*byte);
        let length = match self.order {
            Order::Big => prefix.iter().fold(0, shift_in),
            Order::Little => prefix.iter().rev().fold(0, shift_in),
        };
        length.checked_sub(self.counted_prefix()).ok_or_else(|| {
            let width = self.width;
            let message = format!("the length {length} does not cover its own {width} bytes");
            FrameError::new(FrameErrorKind::Malformed, message)
        })
    }

    /// Returns the length to be told for a message of `len` bytes.
    fn told_len(&self, len: u64) -> Result<u64, FrameError> {
        let max = u64::MAX >> (64 - 8 * self.width);
        len.checked_add(self.counted_prefix()).filter(|told| *told <= max).ok_or_else(|| {
            let width = self.width;
            let message = format!("a message of {len} bytes is too long for a {width}-byte length");
            FrameError::new(FrameErrorKind::TooLong, message)
        })
    }

    fn check_len(&self, len: u64) -> Result<(), FrameError> {
        if len <= self.max_len as u64 {
            return Ok(());
        }
        let max = self.max_len;
        let message = format!("a message of {len} bytes is longer than the limit of {max}");
        Err(FrameError::new(FrameErrorKind::TooLong, message))
    }
}

impl Decode for LengthPrefixed {
    type Message = Bytes;
    type Progress = ();

    fn decode(&self, _: &mut (), input: &[u8]) -> Result<Decoded<Bytes>, FrameError> {
        let Some((prefix, rest)) = input.split_at_checked(self.width) else {
            return Ok(Decoded::Partial((self.width - input.len()) as u64));
        };
        let len = self.message_len(prefix)?;
        self.check_len(len)?;
        let missing = len.saturating_sub(rest.len() as u64);
        if missing > 0 {
            return Ok(Decoded::Partial(missing));
        }
        // As long as something that is in memory. It is copied, so that a message that is kept does
        // not keep the buffer it came in.
        let message = &rest[..len as usize];
        Ok(Decoded::Message(Bytes::copy_from_slice(message), self.width + message.len()))
    }
}

impl<M: AsRef<[u8]> + ?Sized> Encode<M> for LengthPrefixed {
    /// Writes a message behind its length.
    ///
    /// # Errors
    ///
    /// [`TooLong`](FrameErrorKind::TooLong) over the limit, or over what the prefix can tell.
    fn encode(&self, message: &M, output: &mut Vec<u8>) -> Result<(), FrameError> {
        let message = message.as_ref();
        let len = message.len() as u64;
        self.check_len(len)?;
        let told = self.told_len(len)?;
        match self.order {
            Order::Big => output.extend_from_slice(&told.to_be_bytes()[8 - self.width..]),
            Order::Little => output.extend_from_slice(&told.to_le_bytes()[..self.width]),
        }
        output.extend_from_slice(message);
        Ok(())
    }
}
