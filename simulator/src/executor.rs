//! A single-threaded executor for `!Send` futures that polls ready tasks in an order drawn from a seed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::LocalBoxFuture;

/// Names one task of one executor. Ids are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// Tasks and the ones among them that can go on.
///
/// The executor has no clock and no reactor: who owns it wakes its tasks, and decides when none is ready what happens
/// next.
#[derive(Default)]
pub struct Executor {
    next: u64,
    tasks: BTreeMap<TaskId, LocalBoxFuture<'static, ()>>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Ready(Mutex<BTreeSet<TaskId>>);

impl Ready {
    fn set(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        // The set stays whole when a thread dies while it holds the lock: every use is one insertion or one removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    task: TaskId,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.set().insert(self.task);
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Executor")
            .field("tasks", &self.tasks.len())
            .field("ready", &*self.ready.set())
            .finish()
    }
}

impl Executor {
    /// An executor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task; it is polled for the first time when [`Executor::run_one`] draws it.
    pub fn spawn<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let id = TaskId(self.next);
        self.next += 1;
        let shared = Rc::new(RefCell::new(Shared {
            state: State::Running,
            waker: None,
        }));
        let end = TaskEnd(Rc::clone(&shared));
        self.tasks.insert(
            id,
            Box::pin(async move {
                let output = future.await;
                end.finish(output);
            }),
        );
        self.ready.set().insert(id);
        JoinHandle { id, shared }
    }

    /// Drops a task where it stands, as a process that dies. False when it was over already.
    pub fn cancel(&mut self, task: TaskId) -> bool {
        self.ready.set().remove(&task);
        self.tasks.remove(&task).is_some()
    }

    /// The ready task that the seed chooses, if any is ready. It is not ready any more until it is woken again.
    pub fn draw(&mut self, rng: &mut fastrand::Rng) -> Option<TaskId> {
        let mut ready = self.ready.set();
        ready.retain(|task| self.tasks.contains_key(task));
        let index = (!ready.is_empty()).then(|| rng.usize(..ready.len()))?;
        let task = ready.iter().nth(index).copied()?;
        ready.remove(&task);
        Some(task)
    }

    /// Polls one task once. A task that is over is removed.
    pub fn poll(&mut self, task: TaskId) {
        let Some(mut future) = self.tasks.remove(&task) else {
            return;
        };
        let waker = Waker::from(Arc::new(TaskWaker {
            task,
            ready: Arc::clone(&self.ready),
        }));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.tasks.insert(task, future);
        }
    }

    /// Draws one ready task and polls it. False when none was ready.
    pub fn run_one(&mut self, rng: &mut fastrand::Rng) -> bool {
        self.draw(rng).map(|task| self.poll(task)).is_some()
    }

    /// How many tasks are not over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}

/// Why a task gave no output: it was cancelled before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task was cancelled before its end")]
pub struct Cancelled;

enum State<T> {
    Running,
    Over(T),
    Cancelled,
    Taken,
}

struct Shared<T> {
    state: State<T>,
    waker: Option<Waker>,
}

/// Lives inside the task: when it is dropped without an output, the task was cancelled.
struct TaskEnd<T>(Rc<RefCell<Shared<T>>>);

impl<T> TaskEnd<T> {
    fn finish(self, output: T) {
        self.0.borrow_mut().state = State::Over(output);
    }
}

impl<T> Drop for TaskEnd<T> {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        if matches!(shared.state, State::Running) {
            shared.state = State::Cancelled;
        }
        if let Some(waker) = shared.waker.take() {
            waker.wake();
        }
    }
}

/// The output of a task, when it has one. Dropping the handle lets the task go on.
pub struct JoinHandle<T> {
    id: TaskId,
    shared: Rc<RefCell<Shared<T>>>,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("JoinHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl<T> JoinHandle<T> {
    /// The task behind this handle, for [`Executor::cancel`].
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The output, once: `None` while the task runs and after the output was taken.
    #[must_use]
    pub fn try_take(&self) -> Option<Result<T, Cancelled>> {
        let mut shared = self.shared.borrow_mut();
        match std::mem::replace(&mut shared.state, State::Taken) {
            State::Running => {
                shared.state = State::Running;
                None
            }
            State::Over(output) => Some(Ok(output)),
            State::Cancelled => Some(Err(Cancelled)),
            State::Taken => None,
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(output) = self.try_take() {
            return Poll::Ready(output);
        }
        self.shared.borrow_mut().waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ready at the second poll, so that tasks interleave.
    struct Yield(bool);

    impl Future for Yield {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if self.0 {
                return Poll::Ready(());
            }
            self.0 = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    fn history(seed: u64) -> Vec<(u32, u32)> {
        let mut executor = Executor::new();
        let mut rng = fastrand::Rng::with_seed(seed);
        let history = Rc::new(RefCell::new(Vec::new()));
        for task in 0..4 {
            let history = Rc::clone(&history);
            executor.spawn(async move {
                for step in 0..4 {
                    history.borrow_mut().push((task, step));
                    Yield(false).await;
                }
            });
        }
        while executor.run_one(&mut rng) {}
        assert!(executor.is_empty());
        history.take()
    }

    #[test]
    fn the_seed_decides_every_interleaving() {
        assert_eq!(history(1), history(1));
        let different: BTreeSet<Vec<(u32, u32)>> = (0..20).map(history).collect();
        assert!(
            different.len() > 10,
            "20 seeds gave only {} interleavings",
            different.len()
        );
    }

    #[test]
    fn every_task_keeps_its_own_order() {
        let steps: Vec<u32> = history(3)
            .into_iter()
            .filter(|(task, _)| *task == 2)
            .map(|(_, step)| step)
            .collect();
        assert_eq!(steps, [0, 1, 2, 3]);
    }

    #[test]
    fn a_cancelled_task_never_runs_on_and_says_so() {
        let mut executor = Executor::new();
        let mut rng = fastrand::Rng::with_seed(1);
        let reached = Rc::new(RefCell::new(false));
        let flag = Rc::clone(&reached);
        let handle = executor.spawn(async move {
            Yield(false).await;
            *flag.borrow_mut() = true;
        });
        assert!(executor.run_one(&mut rng));
        assert!(executor.cancel(handle.id()));
        assert!(!executor.run_one(&mut rng));
        assert_eq!(handle.try_take(), Some(Err(Cancelled)));
        assert!(!*reached.borrow());
    }

    #[test]
    fn a_task_can_wait_for_another() {
        let mut executor = Executor::new();
        let mut rng = fastrand::Rng::with_seed(5);
        let inner = executor.spawn(async {
            Yield(false).await;
            42
        });
        let outer = executor.spawn(async move { inner.await.map(|answer| answer + 1) });
        while executor.run_one(&mut rng) {}
        assert_eq!(outer.try_take(), Some(Ok(Ok(43))));
    }
}
