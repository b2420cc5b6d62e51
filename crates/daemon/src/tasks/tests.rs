//! The three steps of a drain, on paused time.
use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_that_listens_finishes_in_time() {
    let tasks = Tasks::new();
    let drain = tasks.drain().clone();
    tasks.spawn(async move { drain.stopping().await });
    assert_eq!(tasks.running(), 1);
    assert_eq!(tasks.finish(Duration::from_secs(5)).await, Finished { cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_is_cut_at_the_deadline() {
    let tasks = Tasks::new();
    tasks.spawn(std::future::pending());
    assert_eq!(tasks.finish(Duration::from_secs(5)).await, Finished { cut: 1 });
    assert_eq!(tasks.running(), 0);
}
