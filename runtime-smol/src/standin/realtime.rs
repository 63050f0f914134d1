//! Placeholder until merged.
use std::io;
/// x
#[derive(Debug)]
pub struct RealtimeServer(super::Server);
/// x
pub struct RealtimeSeen;
/// x
pub fn serve_realtime(_: ()) -> io::Result<RealtimeServer> {
    Ok(RealtimeServer(super::Server::start("x", Default::default(), |_| async { Ok(()) })?))
}
impl RealtimeServer {
    /// x
    pub fn url(&self) -> String {
        format!("ws://{}/v1/realtime", self.0.address)
    }
}
