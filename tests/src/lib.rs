//! What the tests of ari-bridge share.
//!
//! [`world`] drives one call by arbitrary bytes, which [`choices`] reads, or through its phases, in each of which it
//! hears the [`samples`] of what a server says. [`scene`] is the whole bridge between the stand-ins, in virtual time. In
//! both an oracle holds every step of every call against what holds of all calls. A [`simulation`] is a scene in which bytes
//! decide everything, and in which any of the [`faults`] may happen. What else tests feed their subjects is read from bytes
//! by [`generators`].
//! [`measure`] says how alike two recordings are, and [`speech`] makes the voices that are recorded; neither uses
//! the bridge's own codecs or resampler, because what is measured must not be measured with itself. [`wire`] does,
//! for what needs packets and deltas only. Every machine in a scene, and some in a world, are [`taped`], and live twice.
//! [`json_schema`] holds what is written for others against its schema, and [`process`] is the bridge as a program that
//! a test starts. [`fuzz`] is what the fuzz targets do, so that their corpus is replayed without them.

pub mod board;
pub mod choices;
pub mod faults;
pub mod fuzz;
pub mod generators;
pub mod json_schema;
pub mod measure;
pub mod odometer;
mod oracle;
pub mod process;
pub mod samples;
pub mod scene;
pub mod simulation;
pub mod speech;
pub mod taped;
pub mod wire;
pub mod world;
