//! Headed messages: however the bytes are cut they decode to the same, within the limits; and what came
//! out can be sent and comes out again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oracle::{
    frames::{decode, decode_however_cut},
    script::Script,
};
use serde_json::Value;
use snow::{
    headed::{Content, Headed, Message},
    net::Encode,
};

/// Limits that a short input can exceed.
const HEADED: Headed = Headed::new(64).max_header(200);

/// Limits within which all fits that came in: what is sent has blanks and escapes that it had not.
const ROOMY: Headed = Headed::new(4096).max_header(4096);

/// Bytes of the shortest message that there is.
const SHORTEST: usize = 80;

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let cut = usize::from(script.byte()).max(1);
    let (mut messages, _) = decode_however_cut(HEADED, script.0, cut);
    assert!(messages.len() <= script.0.len() / SHORTEST);
    messages.retain(|message| !has_fractions(message));
    let mut stream = Vec::new();
    for message in &messages {
        if let Content::Bytes(bytes) = message.content() {
            assert!(bytes.len() <= 64);
        }
        ROOMY.encode(message, &mut stream).expect("what came can be sent");
    }
    assert_eq!(decode(ROOMY, &stream, stream.len().max(1)), (messages, None));
});

/// Returns whether a message has numbers that are rounded when they are read.
fn has_fractions(message: &Message) -> bool {
    fn is_fraction(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_f64(),
            Value::Array(values) => values.iter().any(is_fraction),
            Value::Object(values) => values.values().any(is_fraction),
            Value::Null | Value::Bool(_) | Value::String(_) => false,
        }
    }
    message.as_json().is_some_and(is_fraction)
        || message.others().iter().any(|(_, value)| is_fraction(value))
}
