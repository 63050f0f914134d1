//! Tasks of the service, and waiting in them.

use ari_bridge_host::Shared;
use smol::{Executor, Timer};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Where tasks run.
#[derive(Clone)]
pub(crate) struct Tasks {
    /// Not a strong reference: the executor owns the tasks that own this, and ends them with the service.
    executor: Weak<Executor<'static>>,
    shared: Arc<Shared>,
}

impl Tasks {
    pub(crate) fn new(executor: &Arc<Executor<'static>>, shared: Arc<Shared>) -> Self {
        Self { executor: Arc::downgrade(executor), shared }
    }

    /// Runs `task` in the background, until its end or that of the service.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(self.shared.counted(task)).detach();
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

/// What comes of `task`, if it comes in time.
pub(crate) async fn within<T>(limit: Duration, task: impl Future<Output = T>) -> Option<T> {
    smol::future::or(async { Some(task.await) }, async {
        Timer::after(limit).await;
        None
    })
    .await
}
