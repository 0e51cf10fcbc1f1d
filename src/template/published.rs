//! `Published`: a value that one thread replaces while others read the one before.

#[cfg(loom)]
use loom::sync::atomic::{AtomicUsize, Ordering};
#[cfg(loom)]
use loom::sync::{Arc, Mutex};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(not(loom))]
use std::sync::{Arc, Mutex};

/// A shared value and its version.
///
/// A reader stores the value that it has seen, with its version, and reads that without a lock. It
/// asks for a newer one only when its own doesn't serve it.
pub(crate) struct Published<T> {
    /// A copy of the version in `current`, to look at without the lock.
    version: AtomicUsize,
    /// The number of replacements so far, and the value.
    current: Mutex<(usize, Arc<T>)>,
}

impl<T> Published<T> {
    /// Publishes the first value, whose version is 0.
    pub(crate) fn new(value: T) -> Self {
        Self { version: AtomicUsize::new(0), current: Mutex::new((0, Arc::new(value))) }
    }

    /// Returns the value and its version, or `None` while another thread replaces it.
    pub(crate) fn get(&self) -> Option<(usize, Arc<T>)> {
        let current = self.current.try_lock().ok()?;
        Some((current.0, Arc::clone(&current.1)))
    }

    /// Returns true if the value has another version. Needs no lock.
    pub(crate) fn has_changed(&self, version: usize) -> bool {
        self.version.load(Ordering::Acquire) != version
    }

    /// Replaces the value by that of `change`, if there is one; returns the value before.
    ///
    /// Changes nothing and returns `None` while another thread replaces the value.
    pub(crate) fn replace(&self, change: impl FnOnce(&T) -> Option<T>) -> Option<Arc<T>> {
        let mut current = self.current.try_lock().ok()?;
        let value = change(&current.1)?;
        let version = current.0.wrapping_add(1);
        let (_, before) = core::mem::replace(&mut *current, (version, Arc::new(value)));
        self.version.store(version, Ordering::Release);
        Some(before)
    }
}
