//! The output buffer that a caller lends to a machine.
//!
//! A machine pushes small, `Copy` actions; the bytes that belong to them lie in one shared arena, so that a
//! step on the media path allocates nothing once the buffer has grown to its working size.

use core::fmt;
use core::ops::Range;

/// Where the bytes of an action lie in the [`Actions`] buffer that it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// How many bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// The actions of one step, in the order in which they are to be performed, and their bytes.
#[derive(Clone, Debug, Hash)]
pub struct Actions<A> {
    list: Vec<A>,
    bytes: Vec<u8>,
}

impl<A> Default for Actions<A> {
    fn default() -> Self {
        Self { list: Vec::new(), bytes: Vec::new() }
    }
}

impl<A: Copy> Actions<A> {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what is in it and keeps the memory. The driver calls it before each step.
    pub fn clear(&mut self) {
        self.list.clear();
        self.bytes.clear();
    }

    /// The actions, first to last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = A> + '_ {
        self.list.iter().copied()
    }

    /// How many actions there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes lie in the arena.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes behind `span`; empty if the span is of another buffer and does not fit this one.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.bytes.get(span.range()).unwrap_or_default()
    }

    /// The text behind `span`; empty if it is not UTF-8, which a machine never writes where text is meant.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        core::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }

    /// Adds an action.
    pub fn push(&mut self, action: A) {
        self.list.push(action);
    }

    /// Lets `write` append bytes to the arena and says where they lie.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let len = self.bytes.len().saturating_sub(start);
        Span { start: start as u32, len: len as u32 }
    }

    /// Copies `bytes` into the arena.
    pub fn put(&mut self, bytes: &[u8]) -> Span {
        self.write(|arena| arena.extend_from_slice(bytes))
    }

    /// Formats into the arena: `out.format(format_args!(…))`.
    pub fn format(&mut self, args: fmt::Arguments<'_>) -> Span {
        self.write(|arena| {
            // Writing to a Vec cannot fail.
            let _ = std::io::Write::write_fmt(arena, args);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_find_their_bytes() {
        let mut out = Actions::<Span>::new();
        let a = out.put(b"one");
        let b = out.format(format_args!("{}-{}", 2, 3));
        out.push(a);
        out.push(b);
        assert_eq!((out.text(a), out.text(b)), ("one", "2-3"));
        out.clear();
        assert!(out.is_empty() && out.bytes(b).is_empty());
    }
}
