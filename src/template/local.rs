//! `Local`: the newest view of a set that one thread has, shared by the streams of that thread.
//!
//! A stream that begins would otherwise count its references in memory that all threads write.

use std::sync::{Arc, Weak};

use super::Index;
use super::set::{TemplateSet, View};

/// A set, and its templates when this thread last looked.
pub(crate) struct Local<I> {
    pub(super) set: TemplateSet<I>,
    version: usize,
    /// `None` if another thread was replacing the view.
    view: Option<Arc<View<I>>>,
}

/// The views that a thread has used last.
pub(crate) struct Locals<I> {
    /// That of the process's set, which is never freed.
    process: Option<Arc<Local<I>>>,
    /// Those of other sets, as long as streams use them, the oldest first.
    others: Vec<Weak<Local<I>>>,
}

/// The number of other sets whose views a thread remembers.
const MOST_OTHERS: usize = 8;

impl<I> Locals<I> {
    pub(crate) const fn new() -> Self {
        Self { process: None, others: Vec::new() }
    }
}

impl<I> Default for Locals<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Index> Local<I> {
    /// Returns the newest view of a set.
    pub(super) fn newest(set: &TemplateSet<I>) -> Arc<Self> {
        let mut locals = I::take_locals();
        let Locals { process, others } = &mut locals;
        let of_set = |local: &Arc<Self>| local.set.is_same(set);
        let known = process.clone().filter(of_set);
        let known = known.or_else(|| others.iter().filter_map(Weak::upgrade).find(of_set));
        let newest = known.filter(|local| !local.is_outdated()).unwrap_or_else(|| {
            let (version, view) = set.view().unzip();
            let local = Self { set: set.clone(), version: version.unwrap_or_default(), view };
            let local = Arc::new(local);
            if set.is_of_process() {
                *process = Some(Arc::clone(&local));
            } else {
                let mut excess = (others.len() + 1).saturating_sub(MOST_OTHERS);
                others.retain(|known| {
                    let is_oldest = excess > 0;
                    excess = excess.saturating_sub(1);
                    !is_oldest && known.upgrade().is_some_and(|known| !of_set(&known))
                });
                others.push(Arc::downgrade(&local));
            }
            local
        });
        I::store_locals(locals);
        newest
    }

    /// Returns the view, if there is one.
    #[inline]
    pub(super) fn view(&self) -> Option<&View<I>> {
        self.view.as_deref()
    }

    /// Returns true if the set may have another view.
    pub(super) fn is_outdated(&self) -> bool {
        self.view.is_none() || self.set.has_changed(self.version)
    }
}
