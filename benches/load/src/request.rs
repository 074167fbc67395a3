//! The bytes of a request, built once.

/// What ends a request line.
const LINE_END: &str = " HTTP/1.1\r\n";

/// One request, ready to be sent.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where the end of the request line is, if each client asks for something of its own.
    varied_at: Option<usize>,
}

impl Request {
    /// Returns a `GET`, or a `POST` of `post` bytes.
    pub fn new(path: &str, post: Option<usize>, is_last: bool) -> Request {
        let method = if post.is_some() { "POST" } else { "GET" };
        let mut head = format!("{method} {path}{LINE_END}Host: 127.0.0.1\r\n");
        if is_last {
            head.push_str("Connection: close\r\n");
        }
        if let Some(len) = post {
            head.push_str(&format!("Content-Length: {len}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + post.unwrap_or(0), b'e');
        Request { bytes, varied_at: None }
    }

    /// Gives each client a number behind the path, and a field, that no other has.
    pub fn varied(mut self) -> Request {
        self.varied_at =
            self.bytes.windows(LINE_END.len()).position(|it| it == LINE_END.as_bytes());
        self
    }

    /// Returns whether what one client sends is not what another does.
    pub fn varies(&self) -> bool {
        self.varied_at.is_some()
    }

    /// Returns the request `depth` times over, to be sent in one piece.
    pub fn repeated(&self, depth: usize) -> Vec<u8> {
        self.of_client(0, depth)
    }

    /// Returns what one of several clients sends in one piece.
    pub fn of_client(&self, client: usize, depth: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(at) = self.varied_at {
            // As long for each, so that the answers are.
            let number = 100_000 + client;
            let end = format!("{number}{LINE_END}X-Client: {number}\r\n");
            bytes.splice(at..at + LINE_END.len(), end.into_bytes());
        }
        bytes.repeat(depth)
    }
}
