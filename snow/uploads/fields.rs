//! What a request asks for, read strictly from its fields.
//!
//! A field that comes twice, or that can be read in two ways, is refused and never guessed at.

use super::{
    base64,
    checksum::Checksum,
    id::UploadId,
    info::{Info, Kind},
    refusal::Refusal,
    store::Limits,
};
use crate::Request;
use http::Method;
use std::collections::HashSet;

/// The type of content that is a part of an upload.
const OFFSET_OCTETS: &str = "application/offset+octet-stream";

/// Returns the one value of a field.
pub(super) fn field<'a>(req: &'a Request, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = req.headers().get_all(name);
    let (first, second) = (values.next(), values.next());
    let text = first.map(std::str::from_utf8).transpose();
    match (text, second) {
        (Ok(text), None) if text.is_none_or(str::is_ascii) => Ok(text),
        _ => Err(Refusal::new(400, format!("{name} is not valid"))),
    }
}

/// Returns the value of a field that is a number of bytes.
pub(super) fn number(req: &Request, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = field(req, name)? else { return Ok(None) };
    match parse_number(text) {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::new(400, format!("{name} is not a number of bytes"))),
    }
}

/// Takes digits and nothing else, up to the longest file there can be.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number)?;
    i64::try_from(number).is_ok().then_some(number)
}

/// Returns the method that the request means.
pub(super) fn method(req: &Request) -> Result<Method, Refusal> {
    let Some(method) = field(req, "X-HTTP-Method-Override")? else {
        return Ok(req.method().clone());
    };
    let invalid = |_| Refusal::new(400, "X-HTTP-Method-Override is not a method");
    Method::from_bytes(method.as_bytes()).map_err(invalid)
}

/// Refuses content of another type.
pub(super) fn check_content_type(req: &Request) -> Result<(), Refusal> {
    match field(req, "Content-Type")? {
        Some(kind) if kind.eq_ignore_ascii_case(OFFSET_OCTETS) => Ok(()),
        _ => Err(Refusal::new(415, format!("the content is not {OFFSET_OCTETS}"))),
    }
}

/// Returns how much content there is: `None` when only its end will tell.
pub(super) fn content_len(req: &Request) -> Option<u64> {
    match req.header("Transfer-Encoding") {
        Some(_) => None,
        None => Some(req.header("Content-Length").and_then(parse_number).unwrap_or(0)),
    }
}

/// Returns what the content must hash to. One that is only to come, in a trailer, would not be looked at.
pub(super) fn checksum(req: &Request) -> Result<Option<Checksum>, Refusal> {
    let names =
        req.headers().get_all("Trailer").flat_map(|value| value.split(|&byte| byte == b','));
    if names.map(<[u8]>::trim_ascii).any(|name| name.eq_ignore_ascii_case(b"Upload-Checksum")) {
        return Err(Refusal::new(400, "a checksum in a trailer is not looked at"));
    }
    field(req, "Upload-Checksum")?.map(Checksum::parse).transpose()
}

/// Returns the upload that a creation asks for.
pub(super) fn creation(req: &Request, limits: &Limits) -> Result<Info, Refusal> {
    let kind = match field(req, "Upload-Concat")? {
        None => Kind::Whole,
        Some("partial") => Kind::Partial,
        Some(text) if text.starts_with("final;") => Kind::Final(text.to_string()),
        Some(_) => return Err(Refusal::new(400, "Upload-Concat is not valid")),
    };
    let metadata = field(req, "Upload-Metadata")?.unwrap_or_default();
    if metadata.len() > limits.max_metadata_bytes {
        return Err(Refusal::new(431, "Upload-Metadata is too long"));
    }
    if parse_metadata(metadata).is_none() {
        return Err(Refusal::new(400, "Upload-Metadata is not valid"));
    }
    let length = match (&kind, number(req, "Upload-Length")?, field(req, "Upload-Defer-Length")?) {
        (Kind::Final(_), None, None) => None,
        (Kind::Final(_), ..) => {
            return Err(Refusal::new(400, "a final upload has the length of its parts"));
        }
        (_, Some(length), None) => Some(length),
        (_, None, Some("1")) => None,
        _ => {
            let reason = "exactly one of Upload-Length and Upload-Defer-Length: 1 is needed";
            return Err(Refusal::new(400, reason));
        }
    };
    if length.is_some_and(|length| length > limits.max_upload_bytes) {
        return Err(Refusal::new(413, "the upload is larger than Tus-Max-Size"));
    }
    Ok(Info { length, kind, metadata: metadata.to_string(), is_finished: false })
}

/// Takes pairs of a key and a value in Base64 apart; `None` when they are malformed.
pub(super) fn parse_metadata(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let (mut pairs, mut known) = (Vec::new(), HashSet::new());
    if text.is_empty() {
        return Some(pairs);
    }
    for pair in text.split(',') {
        // Clients write a blank behind the comma, and one behind a key without a value.
        let pair = pair.strip_prefix(' ').unwrap_or(pair);
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_key || !known.insert(key) {
            return None;
        }
        pairs.push((key.to_string(), base64::decode(value)?));
    }
    Some(pairs)
}

/// Returns the uploads whose URLs stand behind `final;`.
///
/// Only the last segment is looked at: a proxy may have changed what is before it, and a name is valid in
/// one directory only. None comes twice: a short request would make a long upload of it.
pub(super) fn parse_parts(concat: &str) -> Result<Vec<UploadId>, Refusal> {
    let urls = concat.strip_prefix("final;").unwrap_or_default();
    let parts = urls.split(' ').map(|url| UploadId::parse(url.rsplit_once('/')?.1));
    let parts: Option<Vec<UploadId>> = parts.collect();
    let parts = parts.ok_or_else(|| Refusal::new(400, "Upload-Concat does not list uploads"))?;
    let mut known = HashSet::new();
    if !parts.iter().all(|part| known.insert(part)) {
        return Err(Refusal::new(400, "Upload-Concat lists an upload twice"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn numbers_are_digits_up_to_the_longest_file() {
        assert_eq!(parse_number("0"), Some(0));
        assert_eq!(parse_number("9223372036854775807"), Some(i64::MAX as u64));
        for wrong in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "1.0",
            "0x1",
            "9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(parse_number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn metadata_is_a_list_of_distinct_keys_with_values_or_without() {
        let pairs = parse_metadata("filename d29ybGQ=,is_secret, kind ").unwrap();
        let pairs: Vec<_> =
            pairs.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
        assert_eq!(pairs, [("filename", &b"world"[..]), ("is_secret", b""), ("kind", b"")]);
        assert_eq!(parse_metadata(""), Some(Vec::new()));
        for wrong in
            [",", "a,", "a,a", "a Zg==,a Zg==", "a Zg", "a  Zg==", "  a Zg==", "a Zg== ", "é Zg=="]
        {
            assert_eq!(parse_metadata(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn many_keys_are_not_each_compared_with_all_others() {
        let keys: Vec<_> = (0..200_000).map(|key| key.to_string()).collect();
        let began = Instant::now();
        assert_eq!(parse_metadata(&keys.join(",")).unwrap().len(), keys.len());
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn parts_are_found_by_the_end_of_their_urls() {
        let [id, other] = [(); 2].map(|()| UploadId::random().unwrap());
        let list = format!("final;/files/{id} https://example.org/a/b/{other}");
        assert_eq!(parse_parts(&list).unwrap(), [id, other]);
        for wrong in [
            "final;",
            "final; ",
            "final;/files/",
            "final;/files/../x",
            &format!("final;{id}"),
            &format!("{list} /files/{id}"),
        ] {
            assert!(parse_parts(wrong).is_err(), "{wrong}");
        }
    }
}
