//! How hosts and names are written into URIs and headers.

use core::fmt::{self, Display, Formatter, Write};

/// A value with all but the unreserved characters percent-encoded (RFC 3986 §2.1, §2.3), so that what somebody
/// else chose stays one segment of a path, or one value of a query.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a>(pub &'a str);

impl Display for Encoded<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    f.write_char(byte.into())?;
                }
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

/// A host as it stands before a port: an IPv6 address in brackets (RFC 3986 §3.2.2).
#[must_use]
pub fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `host:port`.
#[must_use]
pub fn authority(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_for_syntax_is_encoded() {
        assert_eq!(Encoded("a b/ü?&=~x-1").to_string(), "a%20b%2F%C3%BC%3F%26%3D~x-1");
    }

    #[test]
    fn only_an_ipv6_address_has_brackets() {
        assert_eq!(
            (authority("::1", 80), authority("pbx.example", 8088)),
            ("[::1]:80".into(), "pbx.example:8088".into())
        );
    }
}
