//! What travels: frames behind a length of four bytes, each with a tag of one byte first.
//!
//! ```text
//! client to server  0 run      the program and its arguments, a NUL between any two
//! server to client  1 stdout   a piece of the command's output
//!                   2 stderr   a piece of its errors
//!                   3 exited   one byte: its status
//!                   4 killed   one byte: the signal that ended it
//!                   5 late     why it was ended: its time was over
//!                   6 failed   why it was not run, or not to its end
//! ```
//!
//! A connection runs one command: one frame there, any number of pieces back, and one of the last four.

use snow::{
    Bytes,
    net::{Decode, Decoded, Encode, FrameError, FrameErrorKind, LengthPrefixed},
};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

/// The longest piece of output in one frame.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;

/// Frames of up to 64 KiB: a piece of output, or a command with many arguments.
const FRAMES: LengthPrefixed = LengthPrefixed::u32(64 * 1024);

/// One frame.
#[derive(Debug)]
pub(crate) enum Frame {
    Run(Vec<OsString>),
    Stdout(Bytes),
    Stderr(Bytes),
    Exited(u8),
    Killed(u8),
    Late(String),
    Failed(String),
}

impl Frame {
    fn parse(mut bytes: Bytes) -> Result<Frame, FrameError> {
        let malformed = |what| FrameError::new(FrameErrorKind::Malformed, what);
        if bytes.is_empty() {
            return Err(malformed("a frame has no tag"));
        }
        let tag = bytes.split_to(1)[0];
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match (tag, &bytes[..]) {
            (0, fields) => Ok(Frame::Run(parse_fields(fields))),
            (1, _) => Ok(Frame::Stdout(bytes)),
            (2, _) => Ok(Frame::Stderr(bytes)),
            (3, &[status]) => Ok(Frame::Exited(status)),
            (4, &[signal]) => Ok(Frame::Killed(signal)),
            (5, _) => Ok(Frame::Late(text())),
            (6, _) => Ok(Frame::Failed(text())),
            (3 | 4, _) => Err(malformed("a status is not one byte")),
            _ => Err(malformed("a frame has an unknown tag")),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let tagged = |tag, content: &[u8]| [&[tag], content].concat();
        match self {
            Frame::Run(fields) => tagged(0, fields.join(OsStr::new("\0")).as_bytes()),
            Frame::Stdout(piece) => tagged(1, piece),
            Frame::Stderr(piece) => tagged(2, piece),
            Frame::Exited(status) => tagged(3, &[*status]),
            Frame::Killed(signal) => tagged(4, &[*signal]),
            Frame::Late(why) => tagged(5, why.as_bytes()),
            Frame::Failed(why) => tagged(6, why.as_bytes()),
        }
    }
}

/// Takes the fields of a command apart: what the system hands to a program can hold no NUL, so nothing
/// needs quoting.
fn parse_fields(fields: &[u8]) -> Vec<OsString> {
    fields.split(|&byte| byte == 0).map(|field| OsStr::from_bytes(field).into()).collect()
}

/// The format of [`Frame`]s.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frames;

impl Decode for Frames {
    type Message = Frame;
    type Progress = ();

    fn decode(&self, progress: &mut (), input: &[u8]) -> Result<Decoded<Frame>, FrameError> {
        Ok(match FRAMES.decode(progress, input)? {
            Decoded::Message(bytes, len) => Decoded::Message(Frame::parse(bytes)?, len),
            Decoded::Partial(missing) => Decoded::Partial(missing),
        })
    }
}

impl Encode<Frame> for Frames {
    fn encode(&self, frame: &Frame, output: &mut Vec<u8>) -> Result<(), FrameError> {
        FRAMES.encode(&frame.to_bytes(), output)
    }
}
