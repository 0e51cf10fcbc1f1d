//! `Positions`: a list as a client stores it that finds elements by position, and the texts in it.
//!
//! openai-python before 3.57 stores the first list of a message as it comes. It merges a later element of
//! index *i* into the one at position *i*. If there are only *i* elements or fewer, it appends the element.
//! It finds the choices of a stream likewise. So it may join two texts, or skip a part of one:
//!
//! | elements in the order of the stream | the client's list |
//! |---|---|
//! | index 1 `"xy"`, then index 0 `"z"` | `"xyz"`: the first one is at position 0 |
//! | index 0 `"xy"` and index 0 `"q"` in one delta, then index 0 `"z"` | `"xyz"`, `"q"` |

use smallvec::SmallVec;

use crate::completion::Budget;

/// The texts at the positions of a list.
#[derive(Clone)]
pub(super) struct Positions {
    /// The number of the first text at each position.
    owners: SmallVec<[Option<u64>; 2]>,
    /// The elements are those of the first list.
    is_first_list: bool,
    /// The client has raised an exception, so it joins nothing any more.
    has_failed: bool,
}

/// The position of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The element is appended.
    New(usize),
    /// The element is merged into one of the list.
    Known(usize),
    /// The client has failed.
    Nowhere,
}

/// The cost of a position.
const POSITION_COST: usize = size_of::<Option<u64>>();

/// The owner of a position whose text isn't known.
const NO_TEXT: u64 = u64::MAX;

impl Positions {
    pub(super) const fn new() -> Self {
        Self { owners: SmallVec::new_const(), is_first_list: false, has_failed: false }
    }

    /// Adds the choices of the first chunk: the client has each one at the position of its index.
    ///
    /// It fails on an index that is no position, unless it skips the chunk.
    pub(super) fn begin(
        &mut self,
        indexes: impl Iterator<Item = u64> + Clone,
        may_be_skipped: bool,
        budget: &mut Budget,
    ) {
        let count = indexes.clone().count();
        let fails = indexes.clone().any(|index| to_position(index) >= count);
        self.has_failed = fails && !may_be_skipped;
        if fails || !budget.try_reserve(count * POSITION_COST) {
            return;
        }
        self.owners.resize(count, None);
        for index in indexes {
            if let Some(owner) = self.owners.get_mut(to_position(index)) {
                *owner = Some(if owner.is_some() { NO_TEXT } else { index });
            }
        }
        // The last choice of an index replaces the other ones. Any other choice has no text yet.
        for owner in &mut self.owners {
            *owner = owner.filter(|owner| *owner == NO_TEXT);
        }
    }

    /// Returns true if a text is the first one at the position of its number.
    #[inline]
    pub(super) fn is_at_its_number(&self, number: u64) -> bool {
        self.owners.get(to_position(number)) == Some(&Some(number))
    }

    /// Returns the position of an element, or `None` if the budget is too small.
    ///
    /// `in_delta` is its position in the list of the delta.
    pub(super) fn of_element(
        &mut self,
        index: Option<u64>,
        in_delta: u64,
        budget: &mut Budget,
    ) -> Option<Position> {
        if in_delta == 0 {
            self.is_first_list = self.owners.is_empty();
        }
        match index {
            _ if self.has_failed => Some(Position::Nowhere),
            _ if self.is_first_list => self.append(budget),
            // The client fails on an element without an index behind the first list.
            None => {
                self.has_failed = true;
                Some(Position::Nowhere)
            }
            Some(index) => self.of_index(index, budget),
        }
    }

    /// Returns the position of an element behind the first list, or `None` if the budget is too small.
    pub(super) fn of_index(&mut self, index: u64, budget: &mut Budget) -> Option<Position> {
        match to_position(index) {
            _ if self.has_failed => Some(Position::Nowhere),
            position if position < self.owners.len() => Some(Position::Known(position)),
            _ => self.append(budget),
        }
    }

    fn append(&mut self, budget: &mut Budget) -> Option<Position> {
        if !budget.try_reserve(POSITION_COST) {
            return None;
        }
        self.owners.push(None);
        Some(Position::New(self.owners.len() - 1))
    }

    /// Returns true if no text has begun at a position.
    pub(super) fn is_free(&self, position: Position) -> bool {
        match position {
            Position::New(_) => true,
            Position::Known(position) => self.owners.get(position) == Some(&None),
            Position::Nowhere => false,
        }
    }

    /// Adds a piece of a text at a position. Returns false if another text began there.
    pub(super) fn add(&mut self, position: Position, text: u64) -> bool {
        let position = match position {
            Position::New(position) | Position::Known(position) => position,
            Position::Nowhere => return true,
        };
        let owner = self.owners.get_mut(position);
        debug_assert!(owner.is_some(), "a position is in the list");
        owner.is_some_and(|owner| *owner.get_or_insert(text) == text)
    }
}

impl Position {
    /// Moves the position of the last piece of a text to this one.
    ///
    /// Returns false if the text has a piece that is elsewhere and behind those at this position.
    pub(super) fn continues(self, last: &mut Option<usize>) -> bool {
        match self {
            Self::Nowhere => true,
            Self::New(position) => {
                *last = Some(position);
                true
            }
            Self::Known(position) => last.replace(position).is_none_or(|last| last == position),
        }
    }
}

fn to_position(index: u64) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
