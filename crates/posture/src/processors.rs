//! Work that waits for memory and not for other work: all processors wait at once. What comes out does not depend on how many
//! there are. The only place of the engines that has threads.
use std::{
    sync::Mutex,
    thread::{self, Builder},
};

/// Does the work on each of many things, each processor taking some of them at once, as long as there are any.
pub(crate) fn each<T: Send>(all: &mut [T], at_once: usize, work: impl Fn(&mut T) + Sync) {
    let parts = Mutex::new(all.chunks_mut(at_once));
    let take = || parts.lock().ok()?.next();
    let run = || std::iter::from_fn(take).for_each(|part| part.iter_mut().for_each(&work));
    thread::scope(|scope| {
        for _ in 1..thread::available_parallelism().map_or(1, usize::from) {
            // Where no thread is to be had, this one does it all.
            let _beside = Builder::new().spawn_scoped(scope, run);
        }
        run();
    });
}

/// Works out both.
pub(crate) fn both<A: Send, B>(beside: impl Fn() -> A + Sync, here: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let begun = Builder::new().spawn_scoped(scope, &beside).ok();
        let here = here();
        let panicked = |panic| std::panic::resume_unwind(panic);
        (begun.map_or_else(&beside, |begun| begun.join().unwrap_or_else(panicked)), here)
    })
}
