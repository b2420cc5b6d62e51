//! Work on many things that waits for memory, not for other work: all processors wait at once.
use std::{
    sync::Mutex,
    thread::{self, Builder},
};

/// How many things a processor takes at once; tests have few.
const PART: usize = if cfg!(test) { 3 } else { 1_024 };

/// Does the work on each of many things, each processor taking some of them, as long as there are any.
pub(crate) fn each<T: Send>(all: &mut [T], work: impl Fn(&mut T) + Sync) {
    let parts = Mutex::new(all.chunks_mut(PART));
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
