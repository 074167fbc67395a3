//! The bytes of a request, built once.

/// One request, ready to be sent.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where a field of the client's own goes, if there is to be one.
    own_field: Option<usize>,
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
        Request { bytes, own_field: None }
    }

    /// Gives each client a field that no other has.
    pub fn varied(mut self) -> Request {
        let line_len = self.bytes.iter().position(|&byte| byte == b'\n').map(|end| end + 1);
        self.own_field = line_len;
        self
    }

    /// Returns whether what one client sends is not what another does.
    pub fn varies(&self) -> bool {
        self.own_field.is_some()
    }

    /// Returns the request `depth` times over, to be sent in one piece.
    pub fn repeated(&self, depth: usize) -> Vec<u8> {
        self.of_client(0, depth)
    }

    /// Returns what one of several clients sends in one piece.
    pub fn of_client(&self, client: usize, depth: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(place) = self.own_field {
            bytes.splice(place..place, format!("X-Client: {client:06}\r\n").into_bytes());
        }
        bytes.repeat(depth)
    }
}
