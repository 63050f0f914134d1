//! pcm
