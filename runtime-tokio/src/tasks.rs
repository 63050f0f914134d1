//! Tasks of the service, and waiting in them.

use ari_bridge_host::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{EnterGuard, Handle};

/// Where tasks run.
#[derive(Clone)]
pub(crate) struct Tasks {
    /// It does not keep the runtime, which ends its tasks with the service.
    runtime: Handle,
    shared: Arc<Shared>,
}

impl Tasks {
    pub(crate) const fn new(runtime: Handle, shared: Arc<Shared>) -> Self {
        Self { runtime, shared }
    }

    /// Runs `task` in the background, until its end or that of the service.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(self.shared.counted(task)));
    }

    /// What is started while this is held is started among them.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// What comes of `task`, if it comes in time.
pub(crate) async fn within<T>(limit: Duration, task: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, task).await.ok()
}
