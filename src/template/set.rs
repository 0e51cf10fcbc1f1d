//! `TemplateSet`: the templates that decoders share, and the candidates that one of them has seen.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use smallvec::SmallVec;

use super::Index;
use super::published::Published;
use super::template::Template;
use super::tree::Tree;
use super::tuning::{
    MOST_ALIKE, MOST_CANDIDATES, MOST_HELD, MOST_HELD_CANDIDATES, MOST_RETIRED, MOST_TEMPLATES,
};
use crate::slice::items_in;

/// A set of templates. A clone is the same set.
pub(crate) struct TemplateSet<I>(Arc<Shared<I>>);

impl<I> Clone for TemplateSet<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A reference to a set, which doesn't keep its templates.
pub(super) type WeakSet<I> = Weak<Shared<I>>;

pub(super) struct Shared<I> {
    /// True for the set of the process, which is never freed.
    is_of_process: bool,
    published: Published<View<I>>,
    candidates: Mutex<Candidates<I>>,
    /// Earlier views that streams use. A stream that publishes frees those that none uses any more.
    ///
    /// Otherwise the last stream that uses a view frees it, with the templates of other streams.
    retired: Mutex<Vec<Arc<View<I>>>>,
}

/// The published templates at one time.
pub(super) struct View<I> {
    templates: Vec<Arc<Template<I>>>,
    /// The paths of the templates.
    tree: Tree,
    /// The structure of each template, with its position, in order.
    structures: Vec<(u64, u32)>,
    /// The bytes of all templates.
    held: usize,
}

/// The events that a stream has read and that may be like one of another stream.
struct Candidates<I> {
    list: VecDeque<(u64, Arc<Template<I>>)>,
    /// The bytes of all of them.
    held: usize,
}

/// A few templates of one structure.
pub(super) type Alike<I> = SmallVec<[Arc<Template<I>>; MOST_ALIKE]>;

impl<I> TemplateSet<I> {
    pub(super) fn view(&self) -> Option<(usize, Arc<View<I>>)> {
        self.0.published.get()
    }

    pub(super) fn has_changed(&self, version: usize) -> bool {
        self.0.published.has_changed(version)
    }

    pub(super) fn is_of_process(&self) -> bool {
        self.0.is_of_process
    }

    pub(super) fn downgrade(&self) -> WeakSet<I> {
        Arc::downgrade(&self.0)
    }

    /// Returns true if the reference is to this set.
    pub(super) fn is_of(&self, other: &WeakSet<I>) -> bool {
        Weak::as_ptr(other) == Arc::as_ptr(&self.0)
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<I: Index> TemplateSet<I> {
    /// Creates an empty set: that of the process, or another one.
    pub(crate) fn new(is_of_process: bool) -> Self {
        let candidates = Candidates { list: VecDeque::new(), held: 0 };
        Self(Arc::new(Shared {
            is_of_process,
            published: Published::new(View::of(Vec::new())),
            candidates: Mutex::new(candidates),
            retired: Mutex::new(Vec::new()),
        }))
    }

    /// Returns the number of published templates, or `None` while one is being published.
    pub(crate) fn len(&self) -> Option<usize> {
        self.0.published.get().map(|(_, view)| view.templates.len())
    }

    /// Publishes a template that two events have matched, in place of the one with the id `before`.
    ///
    /// Publishes nothing while another thread does so, or if a template has the same path.
    pub(super) fn publish(&self, template: &Arc<Template<I>>, before: u64) {
        let replaced = self.0.published.replace(|view| view.with(template, before));
        if let (Some(view), Ok(mut retired)) = (replaced, self.0.retired.try_lock()) {
            retired.retain(|view| Arc::strong_count(view) > 1);
            if retired.len() < MOST_RETIRED {
                retired.push(view);
            }
        }
        if let Ok(mut candidates) = self.0.candidates.try_lock() {
            candidates.remove(before);
        }
    }

    /// Returns the latest events of a structure that streams have read.
    pub(super) fn candidates(&self, structure: u64) -> Alike<I> {
        let Ok(candidates) = self.0.candidates.try_lock() else { return Alike::new() };
        let found = candidates.list.iter().rev().filter(|(known, _)| *known == structure);
        found.take(MOST_ALIKE).map(|(_, candidate)| Arc::clone(candidate)).collect()
    }

    /// Stores an event that a stream has read, in place of the oldest ones.
    pub(super) fn offer(&self, template: &Arc<Template<I>>) {
        if let Ok(mut candidates) = self.0.candidates.try_lock() {
            candidates.add(template);
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
impl<I: Index> TemplateSet<I> {
    /// Returns the bytes of the templates.
    pub(crate) fn held(&self) -> usize {
        let (_, view) = self.0.published.get().expect("no other thread");
        let held = view.templates.iter().map(|template| template.held()).sum();
        assert_eq!(view.held, held, "the sum is kept");
        held
    }

    /// Returns all that the set stores of events: those of its templates, its tree, its candidates.
    pub(crate) fn stored(&self) -> String {
        let (_, view) = self.0.published.get().expect("no other thread");
        let candidates = self.0.candidates.lock().expect("no other thread");
        let templates = view.templates.iter().chain(candidates.list.iter().map(|(_, it)| it));
        let templates: String = templates.map(|template| template.stored()).collect();
        format!("{templates}\n{}", view.tree.stored())
    }
}

impl<I: Index> Candidates<I> {
    fn add(&mut self, template: &Arc<Template<I>>) {
        while self.list.len() >= MOST_CANDIDATES
            || self.held + template.held() > MOST_HELD_CANDIDATES
        {
            let Some((_, oldest)) = self.list.pop_front() else { return };
            self.held -= oldest.held();
        }
        self.held += template.held();
        self.list.push_back((template.structure, Arc::clone(template)));
    }

    fn remove(&mut self, id: u64) {
        let at = self.list.iter().position(|(_, candidate)| candidate.id == id);
        if let Some((_, candidate)) = at.and_then(|at| self.list.remove(at)) {
            self.held -= candidate.held();
        }
    }
}

impl<I: Index> View<I> {
    /// Makes the view of templates with different paths.
    fn of(templates: Vec<Arc<Template<I>>>) -> Self {
        let numbered = || (0_u32..).zip(&templates);
        let mut tree = Tree::default();
        for (number, template) in numbered() {
            let path: Vec<_> = template.literals().collect();
            // A wider template may have the path of another one; the first stays.
            tree = tree.with(&path, number).ok().filter(|more| !more.is_too_high()).unwrap_or(tree);
        }
        let mut structures: Vec<_> =
            numbered().map(|(number, template)| (template.structure, number)).collect();
        structures.sort_unstable();
        let held = templates.iter().map(|template| template.held()).sum();
        Self { templates, tree, structures, held }
    }

    /// Returns the view with a template in place of the one with the id `before`, or as another one.
    ///
    /// Returns `None` if a template has the same path.
    fn with(&self, template: &Arc<Template<I>>, before: u64) -> Option<Self> {
        let at = self.templates.iter().position(|known| known.id == before);
        let replaced = at.and_then(|at| self.templates.get(at));
        if replaced.is_some_and(|replaced| replaced.id == template.id) {
            return None;
        }
        let held = self.held + template.held() - replaced.map_or(0, |replaced| replaced.held());
        let is_full = replaced.is_none() && self.templates.len() >= MOST_TEMPLATES;
        if is_full || held > MOST_HELD {
            return Some(self.thinned(template, before));
        }
        let number = u32::try_from(at.unwrap_or(self.templates.len())).ok()?;
        let path: Vec<_> = template.literals().collect();
        // A template with other bound leaves has the path of the one before.
        let tree = match self.tree.with(&path, number) {
            Ok(tree) => match replaced {
                Some(replaced) => tree.without(&replaced.literals().collect::<Vec<_>>())?,
                None => tree,
            },
            Err(known) if at.is_some() && known == number => self.tree.clone(),
            Err(_) => return None,
        };
        if tree.is_too_high() {
            return Some(self.thinned(template, before));
        }
        let (is_known, entry) = (replaced.is_some(), (template.structure, number));
        let templates =
            with_element(&self.templates, number as usize, is_known, Arc::clone(template));
        // The template that is replaced has the same structure and number.
        let place = self.structures.partition_point(|other| *other < entry);
        let structures = with_element(&self.structures, place, is_known, entry);
        debug_assert_eq!(templates.len(), structures.len(), "each template has a structure");
        Some(Self { templates, tree, structures, held })
    }

    /// Returns the view with a template, without those that no stream uses.
    fn thinned(&self, template: &Arc<Template<I>>, before: u64) -> Self {
        let mut templates = self.used();
        templates.retain(|known| known.id != before);
        templates.push(Arc::clone(template));
        Self::of(templates)
    }

    /// Returns the templates that streams have begun to use since the last call.
    ///
    /// They are at most half of those that a set may have.
    fn used(&self) -> Vec<Arc<Template<I>>> {
        let mut held = 0;
        let used = self.templates.iter().filter(|template| template.is_used());
        let used = used.take(MOST_TEMPLATES / 2).take_while(|template| {
            held += template.held();
            held <= MOST_HELD / 2
        });
        let used: Vec<_> = used.map(Arc::clone).collect();
        self.templates.iter().for_each(|template| template.set_unused());
        used
    }

    /// Returns the number of templates.
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Template<I>> {
        self.templates.get(number as usize).map(|template| &**template)
    }

    /// Returns the number of the template whose literals are those of an event.
    ///
    /// Fails with the position up to which some template is like the event.
    pub(super) fn find(&self, input: &[u8]) -> Result<u32, usize> {
        self.tree.find(input)
    }

    pub(super) fn position_of(&self, id: u64) -> Option<u32> {
        let at = self.templates.iter().position(|template| template.id == id)?;
        u32::try_from(at).ok()
    }

    /// Returns a few templates of a structure.
    pub(super) fn of_structure(&self, structure: u64) -> Alike<I> {
        let first = self.structures.partition_point(|(known, _)| *known < structure);
        let known = self.structures.get(first..).unwrap_or_default().iter();
        let known = known.take_while(|(known, _)| *known == structure).take(MOST_ALIKE);
        known
            .filter_map(|(_, number)| self.templates.get(*number as usize))
            .map(Arc::clone)
            .collect()
    }
}

/// Returns a copy of a list with an element at a position, in place of the one there or before it.
///
/// The position is at most the length. A clone that grows would copy the list twice.
fn with_element<T: Clone>(list: &[T], at: usize, replaces: bool, element: T) -> Vec<T> {
    let (front, behind) = (items_in(list, ..at), items_in(list, at..));
    let mut with = Vec::with_capacity(list.len() + 1);
    with.extend_from_slice(front);
    with.push(element);
    with.extend_from_slice(items_in(behind, usize::from(replaces)..));
    with
}
