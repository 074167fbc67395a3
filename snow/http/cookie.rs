//! Cookies that a response sets (RFC 6265, section 4.1).

use std::{fmt::Write, time::Duration};

/// Bytes that most cookies stay below, with what is said about them.
const USUAL_BYTES: usize = 128;

/// A cookie to set, with its attributes.
///
/// # Examples
///
/// ```
/// use snow::{Cookie, Response, SameSite};
/// use std::time::Duration;
///
/// let cookie = Cookie::new("session", "4711")
///     .path("/")
///     .max_age(Duration::from_secs(3600))
///     .secure()
///     .http_only()
///     .same_site(SameSite::Lax);
/// let response = Response::text("welcome").cookie(cookie);
/// assert_eq!(
///     response.get_header("set-cookie").unwrap(),
///     "session=4711; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax",
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Cookie {
    line: String,
    /// The first part that cannot stand in a field.
    fault: Option<&'static str>,
}

/// Whether a cookie goes along with requests that other sites cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameSite {
    /// Only with requests from the site itself.
    Strict,
    /// Also when a link leads here.
    Lax,
    /// Always; browsers want `secure` too.
    None,
}

impl Cookie {
    /// Makes a cookie that lasts as long as the browser's session.
    ///
    /// A name that is no token, or a value with blanks, quotes, commas, semicolons, backslashes or
    /// control characters, makes the response that carries it a 500: encode such values first.
    pub fn new(name: &str, value: &str) -> Cookie {
        let is_name = !name.is_empty() && name.bytes().all(super::target::is_token);
        let is_value = value.bytes().all(
            |byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e),
        );
        let fault = match (is_name, is_value) {
            (false, _) => Some("name"),
            (true, false) => Some("value"),
            (true, true) => None,
        };
        let mut line = String::with_capacity(USUAL_BYTES);
        line.extend([name, "=", value]);
        Cookie { line, fault }
    }

    /// Makes a cookie that takes back the one of this name (and path and domain).
    pub fn removal(name: &str) -> Cookie {
        Cookie::new(name, "").max_age(Duration::ZERO)
    }

    /// Limits the cookie to paths below `path`.
    pub fn path(self, path: &str) -> Cookie {
        self.attribute("Path", path)
    }

    /// Extends the cookie to the hosts below `domain`.
    pub fn domain(self, domain: &str) -> Cookie {
        self.attribute("Domain", domain)
    }

    /// Keeps the cookie for `age`, in whole seconds.
    pub fn max_age(mut self, age: Duration) -> Cookie {
        // Writing to a string does not fail.
        let _ = write!(self.line, "; Max-Age={}", age.as_secs());
        self
    }

    /// Sends the cookie over TLS only.
    pub fn secure(mut self) -> Cookie {
        self.line.push_str("; Secure");
        self
    }

    /// Hides the cookie from scripts.
    pub fn http_only(mut self) -> Cookie {
        self.line.push_str("; HttpOnly");
        self
    }

    /// Says whether the cookie goes along with requests that other sites cause.
    pub fn same_site(mut self, same_site: SameSite) -> Cookie {
        self.line.push_str(match same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
        });
        self
    }

    fn attribute(mut self, name: &'static str, value: &str) -> Cookie {
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';') {
            self.fault = self.fault.or(Some(name));
        }
        self.line.extend(["; ", name, "=", value]);
        self
    }

    /// Returns the field value.
    ///
    /// # Errors
    ///
    /// What to say of a part that cannot stand in one, without the value: it may be a secret.
    pub(crate) fn into_line(self) -> Result<String, String> {
        let Some(fault) = self.fault else { return Ok(self.line) };
        let name = self.line.split('=').next().unwrap_or_default().escape_debug();
        Err(format!("the {fault} of the cookie `{name}` is not valid"))
    }
}
