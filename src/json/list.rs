//! `JsonList`: a list of objects that go on with each other, chunk by chunk.

use core::fmt;

use super::kept::{ENTRY_COST, Json, JsonObject};
use super::room::Room;
use super::value::{Value, ValueKind};

/// A list whose elements are merged by what says which of them goes on: their index, or their id.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct JsonList {
    elements: Vec<Element>,
}

#[derive(Clone, PartialEq, Eq)]
struct Element {
    key: OwnedKey,
    object: JsonObject,
}

/// How far back an element is looked for.
const WINDOW: usize = 128;

/// Which element of a list another one goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matching {
    /// One of the same `index`, or `prompt_index`.
    Index,
    /// The latest of the same `index`, if it has neither another `type` nor another `id`; else the
    /// latest that has both the `index` and the `id`.
    Detail,
    /// As [`Detail`](Self::Detail) by `index` and `id`; without an index one of the same `id`.
    IndexOrId,
    /// As [`IndexOrId`](Self::IndexOrId); without both the last one, if it has no other `type`, and
    /// neither `signature` nor `data`.
    Fragment,
}

/// What says which element it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Key<'a> {
    index: Option<&'a str>,
    id: Option<&'a str>,
    r#type: Option<&'a str>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct OwnedKey {
    index: Option<Box<str>>,
    id: Option<Box<str>>,
    r#type: Option<Box<str>>,
}

/// Longest id that tells elements apart: ids are compared with each other.
const LONGEST_ID: usize = 1024;

impl<'a> Key<'a> {
    fn of(element: Value<'a>, matching: Matching) -> Self {
        let text = |name| {
            let text = element.get(name).and_then(|value| value.as_str());
            text.filter(|text| (1..=LONGEST_ID).contains(&text.len()))
        };
        let mut index = element.get("index");
        if matching == Matching::Index {
            let key = Self {
                index: number(index.or_else(|| element.get("prompt_index"))),
                ..Self::default()
            };
            return key;
        }
        let has_type = matches!(matching, Matching::Detail | Matching::Fragment);
        index = index.filter(|index| index.kind() == ValueKind::Number);
        Self { index: number(index), id: text("id"), r#type: text("type").filter(|_| has_type) }
    }

    /// The key of a detail with this index, type and id.
    pub(crate) fn new(index: Value<'a>, r#type: Option<Value<'a>>, id: Option<Value<'a>>) -> Self {
        let text = |value: Option<Value<'a>>| {
            let text = value.and_then(|value| value.as_str());
            text.filter(|text| (1..=LONGEST_ID).contains(&text.len()))
        };
        Self { index: number(Some(index)), id: text(id), r#type: text(r#type) }
    }

    /// The members that say which element it is: `index` as it was sent, `id` and `type`.
    pub(crate) const fn members(self) -> [(&'static str, Option<&'a str>); 3] {
        [("index", self.index), ("id", self.id), ("type", self.r#type)]
    }

    /// Returns true if an element of this key may go on with one that is known.
    fn continues(self, known: &OwnedKey) -> bool {
        let agree = |one: Option<&str>, other: Option<&str>| {
            one.is_none() || other.is_none() || one == other
        };
        agree(self.id, known.id.as_deref()) && agree(self.r#type, known.r#type.as_deref())
    }
}

fn number(index: Option<Value<'_>>) -> Option<&str> {
    index.filter(|index| index.kind() == ValueKind::Number).map(|index| index.raw())
}

impl OwnedKey {
    fn as_key(&self) -> Key<'_> {
        let Self { index, id, r#type } = self;
        Key { index: index.as_deref(), id: id.as_deref(), r#type: r#type.as_deref() }
    }

    /// Takes over what wasn't known yet.
    fn learn(&mut self, key: Key<'_>) {
        for (known, new) in
            [(&mut self.index, key.index), (&mut self.id, key.id), (&mut self.r#type, key.r#type)]
        {
            if known.is_none() {
                *known = new.map(Into::into);
            }
        }
    }

    fn cost(&self) -> usize {
        let texts = [&self.index, &self.id, &self.r#type];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

impl Element {
    fn cost(&self) -> usize {
        ENTRY_COST + self.key.cost() + self.object.cost()
    }
}

impl JsonList {
    /// The elements in the order in which they first came.
    pub fn iter(&self) -> impl Iterator<Item = &JsonObject> {
        self.elements.iter().map(|element| &element.object)
    }

    /// The elements with what tells them from each other.
    pub(crate) fn elements(&self) -> impl Iterator<Item = (Key<'_>, &JsonObject)> {
        self.elements.iter().map(|element| (element.key.as_key(), &element.object))
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// A list of objects without keys.
    pub(super) fn from_objects(objects: Vec<JsonObject>) -> Self {
        let elements =
            objects.into_iter().map(|object| Element { key: OwnedKey::default(), object });
        Self { elements: elements.collect() }
    }

    /// The room that it takes.
    pub(crate) fn cost(&self) -> usize {
        self.elements.iter().map(Element::cost).sum()
    }

    /// Gives back what the texts hold more than they need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.elements.shrink_to_fit();
        self.elements.iter_mut().for_each(|element| element.object.shrink_to_fit());
    }

    /// The element that `element` goes on with, or a new one. One that came before the last 128 isn't
    /// looked for.
    pub(crate) fn element(
        &mut self,
        element: Value<'_>,
        matching: Matching,
        room: &mut Room,
    ) -> Option<&mut JsonObject> {
        let at = self.place(Key::of(element, matching), matching, room)?;
        self.elements.get_mut(at).map(|element| &mut element.object)
    }

    /// Where [`element`](Self::element) finds it. It stays there.
    pub(crate) fn place(
        &mut self,
        key: Key<'_>,
        matching: Matching,
        room: &mut Room,
    ) -> Option<usize> {
        if let Some(at) = self.find(key, matching) {
            let known = self.elements.get_mut(at)?;
            let before = known.key.cost();
            known.key.learn(key);
            room.replace(before, known.key.cost());
            return Some(at);
        }
        let mut element = Element { key: OwnedKey::default(), object: JsonObject::default() };
        element.key.learn(key);
        if !room.take(element.cost()) {
            return None;
        }
        self.elements.push(element);
        Some(self.elements.len() - 1)
    }

    fn find(&self, key: Key<'_>, matching: Matching) -> Option<usize> {
        let recent = || self.elements.iter().enumerate().rev().take(WINDOW);
        let by = |text: Option<&str>, of: fn(&OwnedKey) -> Option<&str>| {
            text.and_then(|text| recent().find(|(_, element)| of(&element.key) == Some(text)))
        };
        let by_index = by(key.index, |known| known.index.as_deref());
        let found = match matching {
            Matching::Index => by_index,
            _ if key.index.is_some() => {
                let has_both = |known: &OwnedKey| {
                    known.index.as_deref() == key.index && known.id.as_deref() == key.id
                };
                let both = || {
                    let of_key = |(_, known): &(usize, &Element)| {
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
                let is_open = |element: &Element| {
                    // What is encrypted comes whole.
                    let ends = ["signature", "data"].map(|name| element.object.get(name));
                    ends.into_iter().flatten().all(Json::is_nothing)
                };
                let last = recent().next();
                let is_of = |last: &Element| {
                    key.r#type.is_none() || key.r#type == last.key.r#type.as_deref()
                };
                last.filter(|(_, last)| is_of(last) && is_open(last))
            }
        };
        found.map(|(at, _)| at)
    }

    /// The element at a place, if it is the last one: no other one has begun since.
    pub(crate) fn last_at(&mut self, at: usize) -> Option<&mut JsonObject> {
        let is_last = at + 1 == self.elements.len();
        self.elements.get_mut(at).filter(|_| is_last).map(|element| &mut element.object)
    }

    /// The element at a place.
    pub(crate) fn at(&mut self, at: usize) -> Option<&mut JsonObject> {
        self.elements.get_mut(at).map(|element| &mut element.object)
    }
}

impl fmt::Debug for JsonList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
