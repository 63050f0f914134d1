//! What the tests of ari-bridge share.
//!
//! [`measure`] says how alike two recordings are, and [`speech`] makes the voices that are recorded. Neither
//! uses the bridge's own codecs or resampler: what is measured must not be measured with itself.

pub mod measure;
pub mod speech;
