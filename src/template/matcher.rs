//! `Matcher`: one stream's view of a set of templates, and the match of its current event.

use std::sync::Arc;

use super::bound::{Bound, EventBefore, EventBound};
use super::ids::next_id;
use super::learning::LearningBudget;
use super::local::Local;
use super::set::{Alike, TemplateSet};
use super::slot::Slot;
use super::surroundings::surroundings;
use super::template::{Fit, MatchedEvent, Sample, Template, Values, shared_len, structure};
use super::tuning::{
    FEW_HITS, FIRST_GUESSES, LARGEST_EVENT, MOST_BINDINGS, MOST_GUESSES, MOST_NODES, MOST_OFFERED,
    MOST_PUBLISHED, MOST_ROWS,
};
use super::{Buffers, Index};
use crate::json::{Document, Patches, ValuePlace};
use crate::limits::Limits;
use crate::slice::bytes_in;
use crate::sse::Event;

/// The templates that a stream matches its events with.
#[repr(C)] // The fields that a match touches are the last ones, and adjacent.
pub(crate) struct Matcher<I> {
    /// A template that no other stream has matched.
    own: Option<Arc<Template<I>>>,
    /// Identifies the values in `bound` in the process; 0 before the first one.
    binding: u64,
    /// The bounds of the decoder for a document, in values and levels.
    most_nodes: u16,
    most_depth: u16,
    /// The number of heads in a row that few events had in common.
    bindings: u8,
    /// The number of templates that the stream has published, up to [`MOST_PUBLISHED`].
    published: u8,
    /// The number of events that the stream has offered and not published, up to [`MOST_OFFERED`].
    offered: u8,
    /// The wrong guesses that the stream may still make about the next template.
    guesses: u8,
    /// True if `own` has slots for values that other streams bind.
    is_private: bool,
    /// The values that are the same in all events of the stream.
    bound: Bound,
    /// The values of the leaves in the current event that its template has no value of.
    patches: Patches,
    /// The set, with its templates when the stream last looked; `None` without a set.
    local: Option<Arc<Local<I>>>,
    /// The template that was matched last, by its number in the view; else [`OWN`] or [`NONE`].
    ///
    /// The patches are those of this template: `patches.template == template.id`.
    latest: u32,
    /// The length of the head, with which `bound` begins: `head_len <= bound.len()`.
    head_len: u32,
    /// The number of events in a row with the same bound values.
    hits: u32,
    learning: LearningBudget,
}

/// The number of the stream's own template.
const OWN: u32 = u32::MAX;
/// The number of no template.
pub(super) const NONE: u32 = u32::MAX - 1;

/// An event that matches a template.
#[derive(Clone, Copy)]
pub(crate) struct TemplateMatch {
    template: u32,
    /// The length of the event in bytes.
    pub(crate) len: usize,
}

/// Returns the template with a number.
#[inline]
fn select<'t, I: Index>(
    local: Option<&'t Arc<Local<I>>>,
    own: Option<&'t Arc<Template<I>>>,
    number: u32,
) -> Option<&'t Template<I>> {
    if number == OWN { own.map(|own| &**own) } else { local?.view()?.get(number) }
}

impl<I: Index> Matcher<I> {
    /// Creates a matcher without a view. Allocates nothing.
    pub(crate) fn new(set: Option<&TemplateSet<I>>, limits: &Limits) -> Self {
        let most = |limit: usize| u16::try_from(limit).unwrap_or(u16::MAX);
        Self {
            own: None,
            binding: 0,
            most_nodes: most(limits.max_json_values),
            most_depth: most(limits.max_json_depth),
            bindings: 0,
            published: 0,
            offered: 0,
            guesses: FIRST_GUESSES,
            is_private: false,
            bound: Bound::new(),
            patches: Patches::default(),
            local: set.map(Local::newest),
            latest: NONE,
            head_len: 0,
            hits: 0,
            learning: LearningBudget::default(),
        }
    }

    /// Replaces the set, and forgets the stream so far.
    pub(crate) fn set_templates(&mut self, set: Option<&TemplateSet<I>>) {
        self.reset();
        self.local = set.map(Local::newest);
    }

    /// Forgets all that belongs to one stream; the buffers stay. Keeps no old view of the set.
    pub(crate) fn reset(&mut self) {
        let Self { learning, latest, hits, patches, bound, binding, own, is_private, .. } = self;
        (*learning, *latest, *hits) = (LearningBudget::default(), NONE, 0);
        patches.clear();
        bound.clear();
        (*binding, *own, *is_private) = (0, None, false);
        (self.bindings, self.published, self.offered, self.head_len) = (0, 0, 0, 0);
        self.guesses = FIRST_GUESSES;
        self.refresh();
    }

    /// Returns the match of the event `raw`, if it has one.
    #[inline(never)]
    pub(crate) fn match_exact(&mut self, raw: &[u8]) -> Option<TemplateMatch> {
        if raw.len() > LARGEST_EVENT {
            None
        } else {
            self.match_prefix(raw).filter(|matched| matched.len == raw.len())
        }
    }

    /// Returns the match of the event at the front of `input`, if all of it is in `input`.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 3 % of an event")]
    #[inline(always)]
    pub(crate) fn match_prefix(&mut self, input: &[u8]) -> Option<TemplateMatch> {
        let input = input.get(..LARGEST_EVENT).unwrap_or(input);
        let Self { local, own, latest, bound, patches, learning, head_len, .. } = self;
        if let Some(template) = select(local.as_ref(), own.as_ref(), *latest)
            && let Some(len) = template.compare(input, bound, *head_len as usize, patches)
        {
            learning.credit_hit(len);
            self.hits = self.hits.wrapping_add(1);
            return Some(TemplateMatch { template: *latest, len });
        }
        self.match_other(input)
    }

    /// Returns the match of an event that doesn't match as the last one did.
    #[inline(never)]
    fn match_other(&mut self, input: &[u8]) -> Option<TemplateMatch> {
        // A template begins with `data` or `event`; comments and blank lines don't. The payload
        // `[DONE]` matches none, because each is an object.
        let may_match = matches!(input, [b'd' | b'e', ..]) && !input.starts_with(b"data: [");
        if !may_match || self.local.is_none() || self.learning.is_paused() {
            return None;
        }
        if memchr::memchr(b'\n', input).is_none() {
            self.learning.debit(LearningBudget::cost(0));
            return None;
        }
        let matched = self
            .search(input)
            .or_else(|reach| if self.refresh() { self.search(input) } else { Err(reach) });
        match matched {
            Ok(len) => {
                self.learning.credit_hit(len);
                Some(TemplateMatch { template: self.latest, len })
            }
            Err(reach) => {
                self.learning.debit(LearningBudget::cost(reach));
                None
            }
        }
    }

    /// Searches all templates for one that the event matches; returns the length of the event.
    ///
    /// Fails with the position up to which the event is like one of them.
    fn search(&mut self, input: &[u8]) -> Result<usize, usize> {
        if self.own.is_some()
            && let Some(len) = self.adopt(OWN, input)
        {
            if !self.is_private {
                self.publish_own(input);
            }
            return Ok(len);
        }
        self.search_expected(input).map_or_else(|| self.search_view(input), Ok)
    }

    /// Compares an event with the templates that are likely to be its own; returns its length.
    ///
    /// An event with another head may have other bound values. Any other event likely matches a
    /// template that has followed the latest one before. A wrong guess costs as much as a walk, so a
    /// stream whose templates follow no order makes few.
    fn search_expected(&mut self, input: &[u8]) -> Option<usize> {
        let before = self.latest;
        let head = bytes_in(&self.bound, ..self.head_len as usize);
        if before < NONE
            && !input.starts_with(head)
            && let Some(len) = self.adopt(before, input)
        {
            return Some(len);
        }
        let guesses = self.guesses.checked_sub(1)?;
        let expected = self.local.as_ref()?.followers.of(before);
        let found = expected.into_iter().find_map(|number| self.adopt(number, input));
        self.guesses = if found.is_some() { (guesses + 2).min(MOST_GUESSES) } else { guesses };
        found
    }

    /// Searches the templates of the view, as [`search`](Self::search) does.
    fn search_view(&mut self, input: &[u8]) -> Result<usize, usize> {
        let view = self.local.as_ref().and_then(|local| local.view());
        let number = view.ok_or(0_usize)?.find(input)?;
        let before = self.latest;
        let len = self.adopt(number, input).ok_or(LARGEST_EVENT)?;
        if let Some(local) = &self.local {
            if local.followers.of(before).contains(&number) {
                self.guesses = self.guesses.max(1);
            } else {
                local.followers.add(before, number);
            }
        }
        Ok(len)
    }

    /// Makes a template the latest one, if the event matches it; returns the length of the event.
    ///
    /// Binds the values of the event, if they are others than before.
    fn adopt(&mut self, number: u32, input: &[u8]) -> Option<usize> {
        let Self { local, own, patches, bound, latest, hits, head_len, .. } = self;
        let template = select(local.as_ref(), own.as_ref(), number)?;
        if !template.is_within(self.most_nodes.into(), self.most_depth.into()) {
            return None;
        }
        patches.clear_values();
        let before = EventBefore {
            template: select(local.as_ref(), own.as_ref(), *latest),
            head: bytes_in(bound, ..*head_len as usize),
            patches: &patches.list,
        };
        debug_assert!(before.template.is_none_or(|before| before.id == patches.template));
        let mut values = Values::new();
        let mut place = ValuePlace::new(&mut patches.values, &mut patches.is_idle);
        let Fit { len, has_same_head } = template.fit(input, &before, &mut values, &mut place)?;
        let is_head = has_same_head && !template.has_runs && bound.len() == *head_len as usize;
        let mut rebound = None;
        if !is_head && !template.has_bound(input, &values, bound) {
            self.binding = next_id()?;
            let mut others = EventBound::new();
            template.each_bound(input, &values, |bytes| others.extend_from_slice(bytes));
            rebound = Some((shared_len(bound, &others), core::mem::take(hits)));
            bound.clear();
            bound.extend_from_slice(&others);
        }
        template.set_patches(patches, &values);
        template.read_arrays(bytes_in(input, ..len), patches);
        self.head_len = template.head_len(&patches.list);
        patches.binding = if patches.silent == 0 { 0 } else { self.binding };
        if number != OWN {
            template.set_used();
        }
        let before = core::mem::replace(latest, number);
        if let Some((position, hits)) = rebound
            && number == before
        {
            self.note_rebinding(position, hits, input);
        }
        Some(len)
    }

    /// Notes that an event matched the same template as the last one, with other bound values.
    ///
    /// `position` is that of the difference, and `hits` the number of events with the values before.
    /// If few events in a row have the same values, the stream continues with a template of its own.
    /// In that the value is a slot.
    #[cold]
    fn note_rebinding(&mut self, position: usize, hits: u32, input: &[u8]) {
        self.bindings = if hits < FEW_HITS { self.bindings + 1 } else { 0 };
        if self.bindings < MOST_BINDINGS {
            return;
        }
        self.bindings = 0;
        let template = select(self.local.as_ref(), self.own.as_ref(), self.latest);
        let narrow = template.and_then(|template| {
            template.without_bound(template.bound_at(position, &self.patches)?)
        });
        if let Some(narrow) = narrow {
            self.is_private = true;
            self.set_own(Arc::new(narrow));
            let matched = self.adopt(OWN, input);
            debug_assert!(matched.is_some(), "a slot has the values that were bound");
        }
    }

    /// Replaces the stream's own template. The patches aren't those of the new one.
    fn set_own(&mut self, template: Arc<Template<I>>) {
        self.own = Some(template);
        if self.latest == OWN {
            self.latest = NONE;
        }
    }

    /// Replaces the view if the set has changed; returns true if it has.
    #[cold]
    fn refresh(&mut self) -> bool {
        let Some(local) = self.local.as_ref().filter(|local| local.is_outdated()) else {
            return false;
        };
        let newest = Local::newest(&local.set);
        let Some(view) = newest.view() else { return false };
        if self.latest != OWN {
            // Another template may have its number now, such as one with more slots.
            let id = self.patches.template;
            let is_there = view.get(self.latest).is_some_and(|template| template.id == id);
            if self.latest != NONE && !is_there {
                self.latest = view.position_of(id).unwrap_or(NONE);
            }
        }
        self.local = Some(newest);
        true
    }

    /// Publishes the stream's own template, which the event at the front of `input` matches too.
    #[cold]
    fn publish_own(&mut self, input: &[u8]) {
        let Some(own) = self.own.clone() else { return };
        self.publish(&own, own.id);
        if self.search_view(input).is_ok() {
            self.own = None;
        } else {
            self.adopt(OWN, input);
        }
    }

    /// Publishes a template that two events have matched, in place of the one with the id `before`.
    fn publish(&mut self, template: &Arc<Template<I>>, before: u64) {
        let Some(local) = &self.local else { return };
        if self.published < MOST_PUBLISHED {
            self.published += 1;
            self.offered = self.offered.saturating_sub(1);
            local.set.publish(template, before);
        }
        self.refresh();
    }

    /// Returns the parts of the event `raw`, which was the last one to match.
    #[expect(clippy::inline_always, reason = "`vllm next`: a call costs 2 % of an event")]
    #[inline(always)]
    pub(crate) fn read<'a>(&'a self, matched: TemplateMatch, raw: &'a [u8]) -> MatchedEvent<'a, I> {
        match select(self.local.as_ref(), self.own.as_ref(), matched.template) {
            Some(template) => template.read(raw, &self.patches),
            None => no_event(),
        }
    }

    /// Credits an event of so many bytes that the general path reads.
    ///
    /// Returns true if the event may be learned, because it has been compared.
    pub(crate) fn record_miss(&mut self, len: usize) -> bool {
        let is_compared = !self.learning.is_paused();
        self.learning.credit_miss(len);
        is_compared
    }

    /// Makes a template of an event that the general path has read; returns its match.
    ///
    /// Learns only an event of one line of data and perhaps its type: any other line may affect
    /// later events. If an event of the same structure is known, both get one template. Uses the
    /// buffers `without_arrays` if the event has an array that can be a slot.
    pub(crate) fn learn(
        &mut self,
        event: &Event<'_>,
        json: &str,
        buffers: &Buffers<I>,
        without_arrays: &mut Buffers<I>,
    ) -> Option<TemplateMatch> {
        let raw = event.raw();
        if raw.len() > LARGEST_EVENT || self.local.is_none() {
            return None;
        }
        let (before, behind) = surroundings(event)?;
        let is_small = buffers.tape.nodes().len() <= MOST_NODES;
        let has_arrays =
            buffers.index.rows() <= MOST_ROWS && buffers.remove_arrays(json, without_arrays);
        if is_small || has_arrays {
            self.learning.debit(LearningBudget::cost(3 * raw.len()));
        }
        let Buffers { tape, index } = if has_arrays { without_arrays } else { buffers };
        if tape.nodes().len() > MOST_NODES || index.rows() > MOST_ROWS {
            return None;
        }
        let structure = structure(before, Document::new(tape, json));
        let own = self.own.clone().filter(|own| !self.is_private && own.structure == structure);
        let matched = own.and_then(|own| self.match_widened(&own, raw, false));
        if let Some(len) = matched.or_else(|| self.match_known(structure, raw)) {
            return Some(TemplateMatch { template: self.latest, len });
        }
        let sample = Sample { before, json, behind, tape, index };
        let template = Arc::new(Template::new(sample)?);
        if self.offered < MOST_OFFERED {
            self.offered += 1;
            self.local.as_ref()?.set.offer(&template);
        }
        if self.is_private {
            return None;
        }
        self.set_own(template);
        let len = self.adopt(OWN, raw);
        debug_assert!(len.is_none_or(|len| len == raw.len()), "a sample is a whole event");
        // The next event that is like it publishes the template.
        self.latest = NONE;
        Some(TemplateMatch { template: OWN, len: len? })
    }

    /// Matches an event with those of its structure that other streams have read.
    fn match_known(&mut self, structure: u64, raw: &[u8]) -> Option<usize> {
        let local = self.local.as_ref()?;
        let mut known = local.view().map_or_else(Alike::new, |view| view.of_structure(structure));
        known.extend(local.set.candidates(structure));
        known.into_iter().find_map(|known| self.match_widened(&known, raw, true))
    }

    /// Adds leaves to a known template for the values in which an event differs, and publishes it.
    ///
    /// The leaves are bound if the template is that of another stream. Returns the length of the
    /// event, if it matches then.
    fn match_widened(
        &mut self,
        known: &Arc<Template<I>>,
        raw: &[u8],
        is_of_other: bool,
    ) -> Option<usize> {
        self.learning.debit(LearningBudget::cost(2 * raw.len()));
        let leaves = known.leaves_for(raw, is_of_other)?;
        let is_alike = |(leaf, known): (&Slot, &Slot)| leaf.is_bound == known.is_bound;
        let wider = if leaves.len() == known.leaves().len()
            && leaves.iter().zip(known.leaves()).all(is_alike)
        {
            Arc::clone(known)
        } else {
            Arc::new(known.with_leaves(&leaves)?)
        };
        self.publish(&wider, known.id);
        if let Ok(len) = self.search_view(raw) {
            if !self.is_private {
                self.own = None;
            }
            return Some(len);
        }
        if self.is_private {
            return None;
        }
        self.set_own(wider);
        self.adopt(OWN, raw)
    }
}

/// Returns an event without members.
#[cold]
fn no_event<'a, I: Index>() -> MatchedEvent<'a, I> {
    debug_assert!(false, "the template of a match is in the view");
    MatchedEvent { data: 0..0, document: Document::empty(), index: I::empty() }
}
