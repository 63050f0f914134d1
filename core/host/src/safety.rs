//! A name for a caller that is nobody's: the same for the same number, and no way back to it without the key.

use ari_bridge_core::config::Secret;
use ring::hmac;

/// HMAC-SHA-256 of `caller` with `key` (RFC 2104). A plain hash would not hide a number: there are so few that
/// all of them can be tried.
#[must_use]
pub fn tag(key: &Secret, caller: &str) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
    let tag = hmac::sign(&key, caller.as_bytes());
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let tag = tag(&Secret::new("Jefe"), "what do ya want for nothing?");
        let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn another_caller_or_another_key_has_another_tag() {
        let (key, other) = (Secret::new("0123456789abcdef"), Secret::new("fedcba9876543210"));
        assert_eq!(tag(&key, "+4930123456"), tag(&key, "+4930123456"));
        assert_ne!(tag(&key, "+4930123456"), tag(&key, "+4930123457"));
        assert_ne!(tag(&key, "+4930123456"), tag(&other, "+4930123456"));
    }
}
