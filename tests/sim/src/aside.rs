//! Running things: one on a paused clock of its own, many side by side.
//!
//! Invariant: a run shares nothing with another; what comes of many does not depend on the threads that ran them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::check::secrets::watched_lines;

/// Blocks the thread until `work` is done, on a paused clock of its own.
pub fn on_own_clock<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let _lines = watched_lines();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    Ok(runtime.block_on(work))
}

/// Takes the items in their order on `threads` threads, until one breaks; what broke first.
pub fn side_by_side<T: Sync, B: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(usize, &T) -> ControlFlow<B> + Sync,
) -> Option<B> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let found: Mutex<Option<B>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { return };
                    if let ControlFlow::Break(broke) = work(i, item) {
                        over.store(true, Ordering::Relaxed);
                        found.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(broke);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What comes of each item, in their order, worked on `threads` threads.
pub fn all_side_by_side<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    side_by_side(items, threads, |i, item| {
        let result = work(item);
        done.lock().unwrap_or_else(PoisonError::into_inner).push((i, result));
        ControlFlow::<()>::Continue(())
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}
