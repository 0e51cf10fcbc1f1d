//! `Elements`: the tool calls or details whose text a delta continues, and the names of the reasoning.
//!
//! Clients differ in which calls of one index they join:
//!
//! | client | the calls of an index |
//! |---|---|
//! | openai-node, openai-python from 3.57 on and others | are one call |
//! | earlier versions of openai-python | are those at the position of the index, see `positions` |
//! | LangChain | are a call for each id; a delta without an id continues the first one |
//! | a `Reassembler` | are those of `completion::tool_call`: mostly by id, else the latest one |
//!
//! So the calls of one index share a text, in the order of the deltas. It contains the text of each
//! client's call if that call has all its pieces in a row. A piece behind which a call of any of these
//! clients would have a gap isn't certain.
//!
//! The reasoning details of a choice share one text. OpenRouter's provider for the AI SDK joins all of
//! them, and other clients those of an index.

use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

use super::positions::{Position, Positions};
use super::watched_text::WatchedTextKind;
use crate::chunk::ChatCompletionChunk;
use crate::chunk::schema::{CHUNK_OBJECT, function, reasoning_detail, tool_call};
use crate::completion::{Budget, Matching};
use crate::json::{OwnedArray, Value, ValueKind};

/// The elements of a stream, by the rules of a `Reassembler` and of other clients.
///
/// The texts that any client joins are parts of one text of the guard, so that no match spans two of
/// them. An element that can't be attributed with certainty is unknown, and so are all later ones of
/// its list.
#[derive(Clone)]
pub(super) struct Elements {
    choices: Vec<ChoiceElements>,
    /// The positions of the choices, if a chunk has come.
    choice_positions: Option<Positions>,
    /// The bytes that ids and names may still need.
    budget: Budget,
}

/// An element isn't certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unattributed;

/// The number of the element that contains a text, if it isn't the message itself.
pub(super) type ElementNumber = Result<Option<u64>, Unattributed>;

/// The elements of one choice.
#[derive(Clone)]
struct ChoiceElements {
    choice: u64,
    reasoning: Option<ReasoningNames>,
    calls: Vec<KnownCall>,
    call_texts: Vec<CallText>,
    /// The position of the call that the last delta continued.
    last_call: usize,
    details: OwnedArray,
    details_of_indexes: Vec<DetailsOfIndex>,
    /// The last detail with a text: its position in `details_of_indexes`, and the kind of the text.
    last_detail: Option<(usize, WatchedTextKind)>,
    call_positions: Positions,
    detail_positions: Positions,
    /// The further calls are unknown, or the further details.
    has_lost_calls: bool,
    has_lost_details: bool,
}

/// A tool call of a choice, by the rules of a `Reassembler`.
#[derive(Clone)]
struct KnownCall {
    index: Option<u64>,
    /// The position of its text: `text < call_texts.len()`.
    text: usize,
    id: Box<str>,
    name: String,
    has_arguments: bool,
}

/// The text of a call without an index, or of all calls of an index.
#[derive(Clone)]
struct CallText {
    /// The position of the first of its calls.
    first: usize,
    names: Pieces,
    arguments: Pieces,
}

/// The pieces of a text, by the calls that contain them.
#[derive(Clone, Default)]
struct Pieces {
    /// The position of the call with the last piece.
    call: usize,
    /// The key of the last piece, and the hashes of the keys before.
    last: Option<PieceKey>,
    left: Vec<u64>,
    /// The position of the last piece, see `positions`.
    position: Option<usize>,
}

/// The members by which clients besides a `Reassembler` find the call of a piece.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct PieceKey {
    has_index: bool,
    /// The hash of an id. With an index, the first call has none.
    id: Option<u64>,
}

/// The details of an index, or those without an index.
#[derive(Clone, Copy)]
struct DetailsOfIndex {
    index: Option<u64>,
    /// The position of the detail with the last piece.
    detail: usize,
    /// The position of the last piece, see `positions`.
    position: Option<usize>,
    has_text: bool,
}

/// The most bytes of an id or name, which is compared with others.
const LONGEST_ID: usize = 1024;

/// The bytes of all ids and names.
const BUDGET: usize = 64 << 10;

/// The cost of a call besides its id and name.
const CALL_COST: usize = 192;

/// The largest index that all clients tell apart from others: 2⁵³ − 1, as in JavaScript.
pub(super) const LARGEST_INDEX: u64 = (1 << 53) - 1;

impl Elements {
    pub(super) const fn new() -> Self {
        let budget = Budget::new(BUDGET, u32::MAX);
        Self { choices: Vec::new(), choice_positions: None, budget }
    }

    pub(super) fn reset(&mut self) {
        self.choices.clear();
        self.choice_positions = None;
        self.budget = Self::new().budget;
    }

    /// Returns true if no chunk has come.
    #[inline]
    pub(super) const fn is_new(&self) -> bool {
        self.choice_positions.is_none()
    }

    /// Adds the choices of the first chunk of the stream.
    #[inline(never)]
    pub(super) fn begin(&mut self, chunk: &ChatCompletionChunk<'_>) {
        // openai-python skips objects of other names, such as the filter results of Azure.
        let may_be_skipped = chunk.object() != Some(CHUNK_OBJECT);
        let indexes = chunk.choices().map(|choice| choice.index().unwrap_or(0));
        if may_be_skipped && indexes.len() == 0 {
            return;
        }
        let positions = self.choice_positions.insert(Positions::new());
        positions.begin(indexes, may_be_skipped, &mut self.budget);
    }

    /// Returns true if a choice is known to have a text alone at its position.
    #[inline]
    pub(super) fn is_choice_known(&self, index: u64) -> bool {
        self.choice_positions.as_ref().is_some_and(|positions| positions.is_at_its_number(index))
    }

    /// Adds a delta of a choice. Returns false if a client may join its texts with those of another one.
    pub(super) fn add_choice(&mut self, index: u64, has_text: bool) -> bool {
        let Self { choices, choice_positions, budget } = self;
        let positions = choice_positions.get_or_insert_with(Positions::new);
        let Some(position) = positions.of_index(index, budget) else { return false };
        if has_text && positions.is_free(position) {
            // The client begins another message.
            for choice in choices.iter_mut().filter(|choice| choice.choice == index) {
                choice.call_positions = Positions::new();
                choice.detail_positions = Positions::new();
            }
        }
        !has_text || positions.add(position, index)
    }

    /// Returns the elements of a choice, which are added if they fit.
    fn choice(&mut self, choice: u64) -> Option<(&mut ChoiceElements, &mut Budget)> {
        let Self { choices, budget, .. } = self;
        let known = choices.iter().position(|known| known.choice == choice);
        let position = match known {
            Some(position) => position,
            None if budget.try_reserve(CALL_COST) => {
                choices.push(ChoiceElements {
                    choice,
                    reasoning: None,
                    calls: Vec::new(),
                    call_texts: Vec::new(),
                    last_call: 0,
                    details: OwnedArray::default(),
                    details_of_indexes: Vec::new(),
                    last_detail: None,
                    call_positions: Positions::new(),
                    detail_positions: Positions::new(),
                    has_lost_calls: false,
                    has_lost_details: false,
                });
                choices.len() - 1
            }
            None => return None,
        };
        Some((choices.get_mut(position)?, budget))
    }

    /// Returns the number of the tool call whose text a delta continues.
    ///
    /// `in_delta` is the position of the call in the list of the delta.
    pub(super) fn call(&mut self, choice: u64, call: Value<'_>, in_delta: u64) -> ElementNumber {
        let (elements, budget) = self.choice(choice).ok_or(Unattributed)?;
        if elements.has_lost_calls {
            return Err(Unattributed);
        }
        let number = elements.number_of_call(call, in_delta, budget);
        elements.has_lost_calls = number.is_none();
        Ok(Some(number.ok_or(Unattributed)?))
    }

    /// Adds a reasoning detail, which continues the text of all details. So it has no number.
    ///
    /// `in_delta` is the position of the detail in the list of the delta.
    pub(super) fn detail(
        &mut self,
        choice: u64,
        detail: Value<'_>,
        in_delta: u64,
    ) -> ElementNumber {
        let (elements, budget) = self.choice(choice).ok_or(Unattributed)?;
        if elements.has_lost_details {
            return Err(Unattributed);
        }
        let continues = elements.continues_details(detail, in_delta, budget) == Some(true);
        elements.has_lost_details = !continues;
        if continues { Ok(None) } else { Err(Unattributed) }
    }

    /// Returns true if a delta has its reasoning under the names of the deltas before.
    pub(super) fn continues_reasoning(&mut self, choice: u64, names: ReasoningNames) -> bool {
        let Some((elements, _)) = self.choice(choice) else { return false };
        *elements.reasoning.get_or_insert(names) == names
    }
}

/// The names under which a delta has a text of the reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ReasoningNames {
    reasoning_content: bool,
    /// An empty `reasoning_content`: some clients then don't read `reasoning`.
    empty_reasoning_content: bool,
    /// `reasoning`, or a part of the content.
    reasoning: bool,
    /// Some details beside the text: some clients then don't read `reasoning`.
    details: bool,
    text_of_details: bool,
}

/// The texts of the reasoning in a delta.
#[derive(Clone, Copy, Default)]
pub(super) struct ReasoningTexts<'a> {
    reasoning_content: Option<&'a str>,
    reasoning: Option<&'a str>,
    has_part: bool,
    pub(super) has_details: bool,
    has_text_of_details: bool,
    has_summary_of_details: bool,
}

impl<'a> ReasoningTexts<'a> {
    /// Adds a text of any kind.
    #[inline]
    pub(super) const fn add(&mut self, kind: WatchedTextKind, text: &'a str, is_part: bool) {
        match kind {
            WatchedTextKind::ReasoningContent => self.reasoning_content = Some(text),
            _ if text.is_empty() => {}
            WatchedTextKind::Reasoning if is_part => self.has_part = true,
            WatchedTextKind::Reasoning => self.reasoning = Some(text),
            WatchedTextKind::ReasoningDetail => self.has_text_of_details = true,
            WatchedTextKind::ReasoningSummary => self.has_summary_of_details = true,
            _ => {}
        }
    }

    /// Returns the names of the texts, or `None` if there is no text.
    pub(super) const fn names(&self) -> Option<ReasoningNames> {
        let Self { reasoning_content, reasoning, has_part, has_details, .. } = self;
        let has_content = matches!(reasoning_content, Some(text) if !text.is_empty());
        // A text in details alone is apart: a replay has all of them before the reasoning.
        let has_text = has_content || reasoning.is_some() || *has_part;
        let names = ReasoningNames {
            reasoning_content: has_content,
            empty_reasoning_content: reasoning_content.is_some() && !has_content,
            reasoning: reasoning.is_some() || *has_part,
            details: *has_details,
            text_of_details: self.has_text_of_details || self.has_summary_of_details,
        };
        if has_text { Some(names) } else { None }
    }

    /// Returns true if two names have texts that differ: some clients join them.
    pub(super) fn differ(&self) -> bool {
        let has_both = self.has_text_of_details && self.has_summary_of_details;
        has_both
            || self.reasoning_content.filter(|text| !text.is_empty()).is_some_and(|text| {
                self.has_part || self.reasoning.is_some_and(|reasoning| reasoning != text)
            })
    }
}

/// The members of a tool call that decide which one it continues.
struct CallDelta<'a> {
    index: Option<u64>,
    id: &'a str,
    name: &'a str,
    has_arguments: bool,
}

impl<'a> CallDelta<'a> {
    /// Returns `None` for a call that can't be read.
    fn of(call: Value<'a>) -> Option<Self> {
        if call.kind() != ValueKind::Object {
            return None;
        }
        let mut delta = Self { index: None, id: "", name: "", has_arguments: false };
        for (name, value) in call.members() {
            match name {
                tool_call::INDEX if value.is_null() => delta.index = None,
                tool_call::INDEX => delta.index = Some(index_of(value)?),
                tool_call::ID => delta.id = text(value),
                tool_call::FUNCTION => delta.add_function(value),
                _ => {}
            }
        }
        Some(delta)
    }

    fn add_function(&mut self, function: Value<'a>) {
        for (name, value) in function.members() {
            match name {
                function::NAME => self.name = text(value),
                function::ARGUMENTS => self.has_arguments = !text(value).is_empty(),
                _ => {}
            }
        }
    }
}

/// Returns an index that no client takes for another one.
fn index_of(value: Value<'_>) -> Option<u64> {
    value.as_u64().filter(|index| *index <= LARGEST_INDEX)
}

/// Returns a text, or that of a number; of any other value an empty one.
fn text(value: Value<'_>) -> &str {
    let number = || if value.kind() == ValueKind::Number { value.raw() } else { "" };
    value.as_str().unwrap_or_else(number)
}

impl ChoiceElements {
    /// Returns the position of the call that a delta continues, or of a new one.
    ///
    /// The rules are those of `completion::tool_call`. Returns `None` if a call isn't certain.
    fn call_at(&mut self, delta: &CallDelta<'_>, budget: &mut Budget) -> Option<usize> {
        if delta.id.len() > LONGEST_ID || delta.name.len() > LONGEST_ID {
            return None;
        }
        let known = match delta.index {
            Some(index) => self.of_index(index, delta),
            None if delta.id.is_empty() => {
                (!self.calls.is_empty() && delta.name.is_empty()).then_some(self.last_call)
            }
            None => {
                let mut of_id =
                    self.calls.iter().enumerate().filter(|(_, call)| *call.id == *delta.id);
                let first = of_id.next().map(|(at, _)| at);
                // Of several, the order of the calls decides, which changes with each new one.
                if of_id.next().is_some() {
                    return None;
                }
                first
            }
        };
        let at = known.unwrap_or(self.calls.len());
        if known.is_none() {
            if !budget.try_reserve(CALL_COST) {
                return None;
            }
            self.begin_call(delta.index);
        }
        let call = self.calls.get_mut(at)?;
        if call.id.is_empty() && !delta.id.is_empty() {
            if !budget.try_reserve(delta.id.len()) {
                return None;
            }
            call.id = delta.id.into();
        }
        if call.name != delta.name && !delta.name.is_empty() {
            // With complete arguments another call begins, and with others this one continues.
            let fits = (call.name.is_empty() || !call.has_arguments)
                && call.name.len() + delta.name.len() <= LONGEST_ID
                && budget.try_reserve(delta.name.len());
            if !fits {
                return None;
            }
            call.name.push_str(delta.name);
        }
        call.has_arguments |= delta.has_arguments;
        Some(at)
    }

    /// Adds a call, and its text unless an earlier call has the same index.
    fn begin_call(&mut self, index: Option<u64>) {
        let Self { calls, call_texts, .. } = self;
        let mut of_index = calls.iter().filter(|call| index.is_some() && call.index == index);
        let text = of_index.next().map_or(call_texts.len(), |call| call.text);
        if text == call_texts.len() {
            let (names, arguments) = (Pieces::default(), Pieces::default());
            call_texts.push(CallText { first: calls.len(), names, arguments });
        }
        let (id, name) = (Box::default(), String::new());
        calls.push(KnownCall { index, text, id, name, has_arguments: false });
    }

    /// Returns the number of the text of a call to which a delta adds a piece.
    ///
    /// Returns `None` if the piece isn't behind the other ones of its call, for each client.
    fn number_of_call(
        &mut self,
        call: Value<'_>,
        in_delta: u64,
        budget: &mut Budget,
    ) -> Option<u64> {
        let delta = CallDelta::of(call)?;
        let position = self.call_positions.of_element(delta.index, in_delta, budget)?;
        let at = self.call_at(&delta, budget)?;
        self.last_call = at;
        let number = self.calls.get(at)?.text;
        let text = self.call_texts.get_mut(number)?;
        let first = self.calls.get(text.first)?;
        let has_index = delta.index.is_some();
        let is_first = delta.id.is_empty() || has_index && *delta.id == *first.id;
        let key = PieceKey { has_index, id: (!is_first).then(|| hash_of(delta.id)) };
        let has_text = !delta.name.is_empty() || delta.has_arguments;
        let is_own = !has_text || self.call_positions.add(position, number as u64);
        let of_name = delta.name.is_empty() || text.names.push(at, key, position, budget);
        let of_arguments = !delta.has_arguments || text.arguments.push(at, key, position, budget);
        (is_own && of_name && of_arguments).then_some(number as u64)
    }

    /// Returns true if a detail has the piece behind all others of its text, for each client.
    ///
    /// Some clients join all details of a choice, their `text` and `summary`, and others those of an
    /// index. Returns `None` if the detail isn't certain.
    fn continues_details(
        &mut self,
        detail: Value<'_>,
        in_delta: u64,
        budget: &mut Budget,
    ) -> Option<bool> {
        if detail.kind() != ValueKind::Object {
            return None;
        }
        let index = match detail.get(reasoning_detail::INDEX).filter(|index| !index.is_null()) {
            None => None,
            Some(index) => Some(index_of(index)?),
        };
        let position = self.detail_positions.of_element(index, in_delta, budget)?;
        let at = match index {
            // Each one is apart, so the next one is behind all others.
            None => 0,
            Some(_) => self.details.place(detail, Matching::Detail, budget)?,
        };
        let number = self.number_of_index(index, at, budget)?;
        let details = self.details_of_indexes.get_mut(number)?;
        let is_last = details.detail <= at;
        details.detail = at;
        let has = |name| detail.get(name).is_some_and(|text| !text.is_empty_value());
        let kind = match (has(reasoning_detail::TEXT), has(reasoning_detail::SUMMARY)) {
            (false, false) => return Some(is_last),
            (true, false) => WatchedTextKind::ReasoningDetail,
            (false, true) => WatchedTextKind::ReasoningSummary,
            (true, true) => return None,
        };
        let is_new = !core::mem::replace(&mut details.has_text, true);
        let continues = match self.last_detail.replace((number, kind)) {
            None => true,
            Some((last, last_kind)) => kind == last_kind && (is_new || number == last),
        };
        let is_own = self.detail_positions.add(position, number as u64);
        Some(is_last && continues && is_own && position.continues(&mut details.position))
    }

    /// Returns the position of the details of an index, which are added if they fit.
    fn number_of_index(
        &mut self,
        index: Option<u64>,
        detail: usize,
        budget: &mut Budget,
    ) -> Option<usize> {
        let known = self.details_of_indexes.iter().position(|known| known.index == index);
        if known.is_none() {
            if !budget.try_reserve(size_of::<DetailsOfIndex>()) {
                return None;
            }
            let details = DetailsOfIndex { index, detail, position: None, has_text: false };
            self.details_of_indexes.push(details);
        }
        known.or(Some(self.details_of_indexes.len() - 1))
    }

    /// Returns the call of an index that a delta continues.
    fn of_index(&self, index: u64, delta: &CallDelta<'_>) -> Option<usize> {
        let of_index = |call: &&KnownCall| call.index == Some(index);
        let mut calls = self.calls.iter().enumerate().rev().filter(|(_, call)| of_index(call));
        let (latest, call) = calls.next()?;
        if delta.id.is_empty() || call.id.is_empty() || *call.id == *delta.id {
            return Some(latest);
        }
        let of_id = calls.find(|(_, call)| *call.id == *delta.id).map(|(at, _)| at);
        of_id.or_else(|| delta.name.is_empty().then_some(latest))
    }
}

impl Pieces {
    /// Adds a piece of the call at a position. Returns false if the call may have a gap before it.
    fn push(
        &mut self,
        call: usize,
        key: PieceKey,
        position: Position,
        budget: &mut Budget,
    ) -> bool {
        if !position.continues(&mut self.position) {
            return false;
        }
        // Calls are numbered as they begin, so the pieces of each one are in a row.
        let is_last = self.call <= call;
        self.call = call;
        let Some(last) = self.last.replace(key).filter(|last| *last != key) else { return is_last };
        // Clients that join by index leave out a piece without one.
        let skips = key.has_index && !last.has_index;
        // A piece without an index and an id continues no call of LangChain.
        let is_alone = !key.has_index && key.id.is_none();
        let comes_back = !is_alone && self.left.contains(&hash_of(key));
        if !is_last || skips || comes_back || !budget.try_reserve(size_of::<u64>()) {
            return false;
        }
        self.left.push(hash_of(last));
        true
    }
}

/// Returns a hash that is the same for equal keys.
pub(super) fn hash_of(key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
