//! Merges elements of arrays of objects chunk by chunk, by their keys.

use super::budget::Budget;
use crate::chunk::schema::{PROMPT_INDEX, reasoning_detail};
use crate::json::{
    KeyedElement, OwnedArray, OwnedElementKey, OwnedObject, OwnedValue, Value, ValueKind,
};

/// The number of last elements that a search compares.
const WINDOW: usize = 128;

/// The rule that finds the element of an array into which a new one is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matching {
    /// The latest with the same `index`; in its absence, with the same `prompt_index`.
    Index,
    /// The latest with the same `index`, if it has neither another `type` nor another `id`.
    ///
    /// Otherwise the latest with the same `index` and `id`, if it has no other `type`.
    Detail,
    /// As [`Detail`](Self::Detail), but by `index` and `id` only.
    ///
    /// Without an `index` the latest with the same `id`.
    IndexOrId,
    /// As [`Detail`](Self::Detail); without an `index` the latest with the same `id`.
    ///
    /// Without `index` and `id` the last one, if it has neither `signature` nor `data`. A `type` of
    /// the new one must be the same.
    Fragment,
}

/// The members that identify an element.
#[derive(Clone, Copy, Default)]
pub(crate) struct ElementKey<'a> {
    index: Option<&'a str>,
    id: Option<&'a str>,
    r#type: Option<&'a str>,
}

/// The most bytes of an id or type that identifies an element: each is compared with others.
const LONGEST_ID: usize = 1024;

impl<'a> ElementKey<'a> {
    fn of_element(element: Value<'a>, matching: Matching) -> Self {
        let text = |name| {
            let text = element.get(name).and_then(|value| value.as_str());
            text.filter(|text| (1..=LONGEST_ID).contains(&text.len()))
        };
        let mut index = element.get(reasoning_detail::INDEX);
        if matching == Matching::Index {
            let key = Self {
                index: number(index.or_else(|| element.get(PROMPT_INDEX))),
                ..Self::default()
            };
            return key;
        }
        let has_type = matches!(matching, Matching::Detail | Matching::Fragment);
        index = index.filter(|index| index.kind() == ValueKind::Number);
        Self {
            index: number(index),
            id: text(reasoning_detail::ID),
            r#type: text(reasoning_detail::TYPE).filter(|_| has_type),
        }
    }

    /// Returns the members that identify the element: `index` as sent, `id` and `type`.
    pub(crate) const fn members(self) -> [(&'static str, Option<&'a str>); 3] {
        [
            (reasoning_detail::INDEX, self.index),
            (reasoning_detail::ID, self.id),
            (reasoning_detail::TYPE, self.r#type),
        ]
    }

    /// Returns true if an element of this key may be merged into one of the key `known`.
    fn continues(self, known: &OwnedElementKey) -> bool {
        let agree = |one: Option<&str>, other: Option<&str>| {
            one.is_none() || other.is_none() || one == other
        };
        agree(self.id, known.id.as_deref()) && agree(self.r#type, known.r#type.as_deref())
    }
}

fn number(index: Option<Value<'_>>) -> Option<&str> {
    index.filter(|index| index.kind() == ValueKind::Number).map(|index| index.raw())
}

impl OwnedElementKey {
    fn as_key(&self) -> ElementKey<'_> {
        let Self { index, id, r#type } = self;
        ElementKey { index: index.as_deref(), id: id.as_deref(), r#type: r#type.as_deref() }
    }

    /// Copies the members of `key` that are absent here.
    fn learn(&mut self, key: ElementKey<'_>) {
        for (known, new) in
            [(&mut self.index, key.index), (&mut self.id, key.id), (&mut self.r#type, key.r#type)]
        {
            if known.is_none() {
                *known = new.map(Into::into);
            }
        }
    }
}

impl OwnedArray {
    /// Returns the elements with their keys.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (ElementKey<'_>, &OwnedObject)> {
        self.elements.iter().map(|element| (element.key.as_key(), &element.object))
    }

    /// Returns the element into which `element` is merged, or a new one.
    ///
    /// Searches the last 128 elements only. Returns `None` if a new one doesn't fit the budget.
    pub(crate) fn element(
        &mut self,
        element: Value<'_>,
        matching: Matching,
        budget: &mut Budget,
    ) -> Option<&mut OwnedObject> {
        let at = self.place(element, matching, budget)?;
        self.at(at)
    }

    /// Returns the position of the element for `element`, which never changes.
    ///
    /// See [`element`](Self::element).
    pub(crate) fn place(
        &mut self,
        element: Value<'_>,
        matching: Matching,
        budget: &mut Budget,
    ) -> Option<usize> {
        let key = ElementKey::of_element(element, matching);
        if let Some(at) = self.find(key, matching) {
            let known = self.elements.get_mut(at)?;
            let before = known.key.cost();
            known.key.learn(key);
            budget.replace(before, known.key.cost());
            return Some(at);
        }
        let mut element =
            KeyedElement { key: OwnedElementKey::default(), object: OwnedObject::default() };
        element.key.learn(key);
        if !budget.try_reserve(element.cost()) {
            return None;
        }
        self.elements.push(element);
        Some(self.elements.len() - 1)
    }

    fn find(&self, key: ElementKey<'_>, matching: Matching) -> Option<usize> {
        let recent = || self.elements.iter().enumerate().rev().take(WINDOW);
        let by = |text: Option<&str>, of: fn(&OwnedElementKey) -> Option<&str>| {
            text.and_then(|text| recent().find(|(_, element)| of(&element.key) == Some(text)))
        };
        let by_index = by(key.index, |known| known.index.as_deref());
        let found = match matching {
            Matching::Index => by_index,
            _ if key.index.is_some() => {
                let has_both = |known: &OwnedElementKey| {
                    known.index.as_deref() == key.index && known.id.as_deref() == key.id
                };
                let both = || {
                    let of_key = |(_, known): &(usize, &KeyedElement)| {
                        has_both(&known.key) && key.continues(&known.key)
                    };
                    key.id.and_then(|_| recent().find(of_key))
                };
                by_index.filter(|(_, known)| key.continues(&known.key)).or_else(both)
            }
            Matching::Detail => None,
            _ if key.id.is_some() => by(key.id, |known| known.id.as_deref()),
            Matching::IndexOrId => None,
            Matching::Fragment => {
                let is_open = |element: &KeyedElement| {
                    // Servers send encrypted texts whole.
                    let ends = [reasoning_detail::SIGNATURE, reasoning_detail::DATA]
                        .map(|name| element.object.get(name));
                    ends.into_iter().flatten().all(OwnedValue::is_empty_value)
                };
                let last = recent().next();
                let is_of = |last: &KeyedElement| {
                    key.r#type.is_none() || key.r#type == last.key.r#type.as_deref()
                };
                last.filter(|(_, last)| is_of(last) && is_open(last))
            }
        };
        found.map(|(at, _)| at)
    }

    /// Returns the element at a position if it is the last one, so that no other has begun since.
    pub(crate) fn last_at(&mut self, at: usize) -> Option<&mut OwnedObject> {
        let elements = &mut *self.elements;
        let is_last = at + 1 == elements.len();
        elements.get_mut(at).filter(|_| is_last).map(|element| &mut element.object)
    }

    /// Returns the element at a position.
    pub(crate) fn at(&mut self, at: usize) -> Option<&mut OwnedObject> {
        self.elements.get_mut(at).map(|element| &mut element.object)
    }
}
