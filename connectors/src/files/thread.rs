//! Reading that blocks, on a thread for that.

use millrace_model::{Code, Fault, Result};

/// What `work` comes to.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::fatal(Code::Internal, "reading a file panicked").because(error))
}

/// The same of what is to be done with a clone of `on`.
pub(super) async fn blocking<S: Clone + Send + 'static, T: Send + 'static>(
    on: &S,
    work: impl FnOnce(&S) -> Result<T> + Send + 'static,
) -> Result<T> {
    let on = on.clone();
    on_thread(move || work(&on)).await?
}
