//! Many runs on every processor.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Makes one run for every item, side by side, and fails with everything that any of them says.
pub(crate) fn each<T: Sync>(items: &[T], run: impl Fn(&T) -> Option<String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(failure) = run(item) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} runs\n{}",
        failures.len(),
        items.len(),
        failures.join("\n")
    );
}

/// At most so many of the items, evenly spread; another `offset` takes others.
pub(crate) fn sample<T>(items: Vec<T>, size: usize, offset: usize) -> Vec<T> {
    // No multiple of 3, which is in how many ways a call is disturbed: so every way is taken.
    let step = items.len().div_ceil(size).max(1);
    let step = if step.is_multiple_of(3) { step + 1 } else { step };
    items.into_iter().skip(offset % step).step_by(step).collect()
}
