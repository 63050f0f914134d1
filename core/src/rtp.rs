//! rtp
/// The longest datagram that is looked at, in bytes.
pub const MAX_DATAGRAM_BYTES: usize = 2048;
