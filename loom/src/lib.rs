//! Checks `src/template/published.rs` in every order in which threads can run its steps.
#![allow(dead_code, reason = "the file is used by tests alone")]

#[path = "../../src/template/published.rs"]
mod published;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::published::Published;
    use loom::sync::Arc;
    use loom::thread;

    /// Replaces the value by the next number; returns true if no other thread was at it.
    fn add_one(published: &Published<u32>) -> bool {
        published.replace(|value| Some(value + 1)).is_some()
    }

    /// Of two threads that replace the value each one does so, or finds the other at it.
    #[test]
    fn no_replacement_is_lost() {
        loom::model(|| {
            let published = Arc::new(Published::new(0));
            let other = Arc::clone(&published);
            let other = thread::spawn(move || add_one(&other));
            let mine = add_one(&published);
            let theirs = other.join().unwrap();
            assert!(mine || theirs);
            let (version, value) = published.get().unwrap();
            assert_eq!(version, usize::from(mine) + usize::from(theirs));
            assert_eq!(*value as usize, version);
        });
    }

    /// A reader never gets a value with the version of another, nor an older one than it had.
    #[test]
    fn a_reader_sees_versions_in_their_order() {
        loom::model(|| {
            let published = Arc::new(Published::new(0));
            let writer = Arc::clone(&published);
            let writer = thread::spawn(move || {
                add_one(&writer);
                add_one(&writer);
            });
            let mut last = 0;
            for _ in 0..2 {
                if published.has_changed(last)
                    && let Some((version, value)) = published.get()
                {
                    assert_eq!(*value as usize, version);
                    assert!(version >= last);
                    last = version;
                }
            }
            writer.join().unwrap();
            // Once the writer has ended, a reader with an old version is told of the new one.
            let (version, _) = published.get().unwrap();
            assert_eq!(published.has_changed(last), version != last);
        });
    }
}
