//! Two futures, of which one is enough.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Waits for whichever is ready first, `one` if both are, and drops the other.
///
/// What the other has begun is lost with it: give it only what may stop at any `.await`.
///
/// # Examples
///
/// ```
/// use std::{future::pending, time::Duration};
///
/// let slow = async {
///     snow::sleep(Duration::from_secs(60)).await;
///     "slow"
/// };
/// let first = snow::block_on(snow::race(slow, async { "quick" }));
/// assert_eq!(first, "quick");
/// assert_eq!(snow::block_on(snow::race(pending(), async { 7 })), 7);
/// assert_eq!(snow::block_on(snow::race(async { 1 }, async { 2 })), 1);
/// ```
pub async fn race<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await
}
