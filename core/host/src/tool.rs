//! Functions that the model calls, performed by the program around the bridge.

use ari_bridge_core::call::{IoFault, ToolAsk};
use ari_bridge_core::id::{CallId, ToolId};
use std::time::Duration;

use crate::call::Letter;
use crate::mailbox::Post;

/// What the model wants.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// In which call.
    pub call: CallId,
    /// A function, or the permission for a tool of an MCP server.
    pub asks: ToolAsk,
    /// The name of the function; for a permission, the server's label, a slash, and the tool's name.
    pub name: String,
    /// A JSON object that fits the function's parameters. It is what a model wrote: untrusted input.
    pub arguments: String,
    /// How long the call waits for the answer.
    pub timeout: Duration,
}

/// Where the answer goes. One that is dropped without an answer tells the model that the function failed.
pub struct ToolAnswer {
    post: Post<Letter>,
    id: ToolId,
    is_given: bool,
}

impl ToolAnswer {
    pub(crate) const fn new(post: Post<Letter>, id: ToolId) -> Self {
        Self { post, id, is_given: false }
    }

    /// It was done, or is permitted. The model is told `output`, mostly JSON; at most its first 32 KiB.
    pub fn done(mut self, output: impl Into<Vec<u8>>) {
        self.give(Ok((200, output.into())));
    }

    /// It was not done, or is not permitted; `status` is an HTTP status that says why.
    pub fn refused(mut self, status: u16) {
        self.give(Ok((status, Vec::new())));
    }

    /// What fails the function unless it is answered before.
    pub(crate) fn late(&self) -> impl FnOnce() + Send + use<> {
        let (post, id) = (self.post.clone(), self.id);
        move || post.send(Letter::Tool(id, Err(IoFault::TimedOut)))
    }

    fn give(&mut self, reply: crate::requests::Reply) {
        self.is_given = true;
        self.post.send(Letter::Tool(self.id, reply));
    }
}

impl Drop for ToolAnswer {
    fn drop(&mut self) {
        if !self.is_given {
            self.give(Err(IoFault::Other));
        }
    }
}
