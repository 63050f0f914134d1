//! What both runtimes of ari-bridge share and what touches the machine: threads that block, files, TLS, the command
//! line, the stand-ins. It has no executor, no reactor and no timers; who needs to wait is a future that a runtime
//! polls.

pub mod clock;
