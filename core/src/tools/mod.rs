//! What people look at a capture with. A tool is shown one step of a replay after the other and knows nothing of files: it
//! writes to whatever it is lent, and holds no more than its output needs. [`scrub`] and [`blank`] make captures of captures,
//! and have machines of their own.

pub mod blank;
pub mod explain;
mod input;
pub mod pcap;
pub mod report;
pub mod scrub;
pub mod show;
pub mod stereo;
pub mod timings;
pub mod verdict;

pub use input::Seen;

#[cfg(test)]
mod tests;
