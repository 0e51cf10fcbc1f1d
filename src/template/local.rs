//! `Local`: the newest view of a set that one thread has, shared by the streams of that thread.
//!
//! A stream that begins would otherwise count its references in memory that all threads write.

use std::sync::{Arc, Weak};

use super::Index;
use super::followers::Followers;
use super::set::{TemplateSet, View, WeakSet};

/// A set, and its templates when this thread last looked.
pub(crate) struct Local<I> {
    pub(super) set: TemplateSet<I>,
    version: usize,
    /// `None` if another thread was replacing the view.
    view: Option<Arc<View<I>>>,
    /// Apart from the view, because they are written.
    pub(super) followers: Arc<Followers>,
}

/// The views that a thread has used last.
pub(crate) struct Locals<I> {
    /// That of the process's set, which is never freed.
    process: Option<Arc<Local<I>>>,
    /// Those of other sets, the oldest first.
    others: Vec<Other<I>>,
}

/// The view and the followers that a thread has of a set, besides that of the process.
struct Other<I> {
    set: WeakSet<I>,
    /// The view, as long as streams use it.
    local: Weak<Local<I>>,
    followers: Arc<Followers>,
}

/// The number of other sets whose views a thread remembers.
const MOST_OTHERS: usize = 8;

impl<I> Locals<I> {
    pub(crate) const fn new() -> Self {
        Self { process: None, others: Vec::new() }
    }
}

impl<I: Index> Locals<I> {
    fn newest(&mut self, set: &TemplateSet<I>) -> Arc<Local<I>> {
        let Self { process, others } = self;
        let at = others.iter().position(|other| set.is_of(&other.set));
        let other = at.and_then(|at| others.get_mut(at));
        let known = match &other {
            Some(other) => other.local.upgrade(),
            None => process.clone().filter(|local| local.set.is_same(set)),
        };
        if let Some(known) = &known
            && !known.is_outdated()
        {
            return Arc::clone(known);
        }
        let followers = match (&known, &other) {
            (Some(known), _) => Some(&known.followers),
            (None, Some(other)) => Some(&other.followers),
            (None, None) => None,
        }
        .cloned();
        let newest = Local::new(set, followers);
        if set.is_of_process() {
            *process = Some(Arc::clone(&newest));
        } else if let Some(other) = other {
            other.local = Arc::downgrade(&newest);
            other.followers = Arc::clone(&newest.followers);
        } else {
            let mut excess = (others.len() + 1).saturating_sub(MOST_OTHERS);
            others.retain(|other| {
                let is_oldest = excess > 0;
                excess = excess.saturating_sub(1);
                !is_oldest && other.set.strong_count() > 0
            });
            let (set, local) = (set.downgrade(), Arc::downgrade(&newest));
            others.push(Other { set, local, followers: Arc::clone(&newest.followers) });
        }
        newest
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
        let newest = locals.newest(set);
        I::store_locals(locals);
        newest
    }

    fn new(set: &TemplateSet<I>, followers: Option<Arc<Followers>>) -> Arc<Self> {
        let (version, view) = set.view().unzip();
        let templates = view.as_ref().map_or(0, |view| view.len());
        let followers = Followers::of_view(templates, followers);
        let version = version.unwrap_or_default();
        Arc::new(Self { set: set.clone(), version, view, followers })
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
