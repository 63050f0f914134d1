//! Why the service could not be started, or ended badly.

use ari_bridge_core::config::PromptFault;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why the service could not be started.
#[derive(Debug)]
pub enum RunError {
    /// The settings cannot be used; what is wrong with them, in lines.
    Settings(String),
    /// The file that `ARI_CA_FILE` names cannot be read.
    CaFile(String, io::Error),
    /// The certificates of that file cannot be used.
    Tls(String),
    /// The file that this variable names for a prompt cannot be read.
    PromptFile(&'static str, String, io::Error),
    /// That file cannot be used.
    Prompt(PromptFault),
    /// No file can be written in the directory that `CALL_RECORD_DIR` names.
    RecordDir(String, io::Error),
    /// No file can be written in the folder that `CAPTURE_DIR` names.
    CaptureDir(String, io::Error),
    /// The address of `ADMIN_BIND` cannot be bound.
    Admin(SocketAddr, io::Error),
    /// The system gives no thread.
    Threads(io::Error),
    /// The system gives no signals.
    Signals(io::Error),
    /// The service died of a fault of its own.
    Panicked,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => f.write_str(faults),
            Self::CaFile(path, error) => write!(f, "ARI_CA_FILE: cannot read {path}: {error}"),
            Self::Tls(error) => write!(f, "ARI_CA_FILE: {error}"),
            Self::PromptFile(variable, path, error) => write!(f, "{variable}: cannot read {path}: {error}"),
            Self::Prompt(fault) => fault.fmt(f),
            Self::RecordDir(path, error) => {
                write!(f, "CALL_RECORD_DIR: no file can be written in {path}: {error}")
            }
            Self::CaptureDir(path, error) => {
                write!(f, "CAPTURE_DIR: no file can be written in {path}: {error}")
            }
            Self::Admin(address, error) => write!(f, "ADMIN_BIND: cannot listen on {address}: {error}"),
            Self::Threads(error) => write!(f, "the system gives no thread: {error}"),
            Self::Signals(error) => write!(f, "cannot listen for signals: {error}"),
            Self::Panicked => f.write_str("the service died of a fault of its own; see the lines above"),
        }
    }
}

impl std::error::Error for RunError {}
