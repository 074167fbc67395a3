//! The grammar that requests, responses and trailers share (RFC 9110, section 5; RFC 3986).

/// A field: its name as it was sent, its value without the blanks around it.
pub type Field = (Vec<u8>, Vec<u8>);

/// `tchar` (RFC 9110, section 5.6.2).
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `token` (RFC 9110, section 5.6.2).
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// Splits at each CRLF; `None` when there is a CR or an LF that is not part of one.
pub fn lines(text: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            (b'\r', Some(b'\n')) => {
                lines.push(&text[start..at]);
                start = at + 2;
                at += 2;
            }
            (b'\r' | b'\n', _) => return None,
            _ => at += 1,
        }
    }
    (start == text.len()).then_some(lines)
}

/// `field-name ":" OWS field-value OWS` (RFC 9112, section 5); `None` when it is malformed.
pub fn field(line: &[u8]) -> Option<Field> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let value = trim(&line[colon + 1..]);
    let is_value = |&byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    (is_token(&line[..colon]) && value.iter().all(is_value))
        .then(|| (line[..colon].to_vec(), value.to_vec()))
}

/// Takes `OWS` off both ends.
pub fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns the values of all fields of a name.
pub fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    let is_it = |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(is_it).map(|field| &*field.1).collect()
}

/// `1*DIGIT` within 64 bits; `None` for anything else.
pub fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| text.parse().ok())?
}

/// `unreserved / sub-delims` (RFC 3986, section 2).
pub fn is_name_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

/// Decodes percent escapes; `None` when one is malformed.
pub fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if text[at] == b'%' {
            let digits = text.get(at + 1..at + 3)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            decoded.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            at += 3;
        } else {
            decoded.push(text[at]);
            at += 1;
        }
    }
    Some(decoded)
}

/// `uri-host [ ":" port ]`, of which an empty one is only for `Host` (RFC 9110, section 7.2).
pub fn is_authority(text: &[u8], needs_port: bool) -> bool {
    let end = match text {
        [b'[', ..] => match text.iter().position(|&byte| byte == b']') {
            Some(end) if is_ipv6(&text[1..end]) => end + 1,
            _ => return false,
        },
        _ => text.iter().position(|&byte| byte == b':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let is_name = host.first() == Some(&b'[') || is_registered_name(host);
    match rest {
        [] => is_name && !needs_port,
        [b':', port @ ..] => {
            is_name && !host.is_empty() && is_port(port) && !(needs_port && port.is_empty())
        }
        _ => false,
    }
}

/// `reg-name`, which takes in `IPv4address` (RFC 3986, section 3.2.2).
fn is_registered_name(host: &[u8]) -> bool {
    let is_char = |&byte: &u8| is_name_char(byte) || byte == b'%';
    host.iter().all(is_char) && unescape(host).is_some()
}

/// `*DIGIT`, in the range of TCP.
fn is_port(digits: &[u8]) -> bool {
    let significant = digits.iter().skip_while(|&&digit| digit == b'0').count();
    digits.iter().all(u8::is_ascii_digit)
        && significant <= 5
        && number(digits).unwrap_or(0) <= 65_535
}

/// `IPv6address` (RFC 3986, section 3.2.2).
fn is_ipv6(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    match text.split_once("::") {
        None => groups(text, true) == Some(8),
        Some((_, after)) if after.contains("::") => false,
        Some((before, after)) => match (side(before, false), side(after, true)) {
            (Some(before), Some(after)) => before + after <= 7,
            _ => false,
        },
    }
}

/// Counts the groups at one side of `::`, where there may be none.
fn side(text: &str, may_end_in_v4: bool) -> Option<usize> {
    if text.is_empty() { Some(0) } else { groups(text, may_end_in_v4) }
}

/// Counts groups of 16 bits; `None` when one is malformed.
fn groups(text: &str, may_end_in_v4: bool) -> Option<usize> {
    let parts: Vec<&str> = text.split(':').collect();
    let mut count = 0;
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        if matches!(part.len(), 1..=4) && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            count += 1;
        } else if is_last && may_end_in_v4 && is_ipv4(part) {
            count += 2;
        } else {
            return None;
        }
    }
    Some(count)
}

/// `IPv4address` (RFC 3986, section 3.2.2).
fn is_ipv4(text: &str) -> bool {
    let octets: Vec<&str> = text.split('.').collect();
    let is_octet = |octet: &&str| {
        let has_form = number(octet.as_bytes()).is_some_and(|value| value <= 255);
        has_form && (octet.len() == 1 || !octet.starts_with('0'))
    };
    octets.len() == 4 && octets.iter().all(is_octet)
}
