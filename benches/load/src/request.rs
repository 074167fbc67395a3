//! The bytes of a request, built once.

/// One request, ready to be sent.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Returns a `GET`, or a `POST` of `post` bytes.
    pub fn new(path: &str, post: Option<usize>, is_last: bool) -> Request {
        let method = if post.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        if is_last {
            head.push_str("Connection: close\r\n");
        }
        if let Some(len) = post {
            head.push_str(&format!("Content-Length: {len}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + post.unwrap_or(0), b'e');
        Request { bytes }
    }

    /// Returns the request `depth` times over, to be sent in one piece.
    pub fn repeated(&self, depth: usize) -> Vec<u8> {
        self.bytes.repeat(depth)
    }
}
