//! The simulated worlds.

/// Bytes as everything that happens: once to a call that is alone in a small world, and once to all of a bridge. Twice the
/// same each, whatever it is.
pub fn world(bytes: &[u8]) {
    let first = crate::world::run(bytes);
    let again = crate::world::run(bytes);
    assert_eq!((first.digest, first.steps), (again.digest, again.steps), "the same bytes, another call");
    crate::simulation::run(bytes);
}
