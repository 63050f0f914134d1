//! One call, from `StasisStart` to the last request answered.

mod io;

pub use io::*;
