//! ari
/// The longest reply body that is looked at, in bytes.
pub const MAX_REPLY_BYTES: usize = 256 * 1024;
