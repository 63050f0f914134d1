//! Asterisk, a caller and a Realtime server as sans-I/O machines.
