//! `Portion`: how much of a completion goes into one chunk, so that every decoder reads it.

use super::write::{self, Object};
use crate::chunk::{Level, Merge, merge};
use crate::json::{Json, JsonList, JsonObject, plain_len};

/// What one chunk may cost: a byte costs 1, and a name or value 16 besides. That is a sixteenth of the
/// default [`event_bytes`](crate::Limits::event_bytes), and a quarter of the default
/// [`json_values`](crate::Limits::json_values).
pub(super) const MOST_COST: usize = 4 << 20;
const VALUE_COST: usize = 16;

/// How far a completion has been written: so many of its members, and of the next one, if it is a
/// list, what is before `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    member: usize,
    at: usize,
}

/// Writes members from a cursor on, as many as a chunk may have. Each is offered in each chunk, in the
/// same order. What isn't a list that is joined again is written whole, if need be alone.
pub(super) struct Portion {
    cursor: Cursor,
    /// Nothing has been written before this chunk.
    pub(super) is_first: bool,
    /// The member that is offered next.
    nth: usize,
    room: usize,
    is_empty: bool,
    is_full: bool,
    /// Something was written that costs more than a chunk may.
    pub(super) is_oversized: bool,
    /// The chunk is for one such thing alone.
    pub(super) is_alone: bool,
}

impl Portion {
    /// What goes from a cursor on into a chunk that costs up to `room`; without one it is the first.
    pub(super) fn new(cursor: Option<Cursor>, room: usize) -> Self {
        let is_first = cursor.is_none();
        Self {
            cursor: cursor.unwrap_or(Cursor { member: 0, at: 0 }),
            is_first,
            nth: 0,
            room,
            // Nothing that is larger than a chunk may be is in the first one.
            is_empty: !is_first,
            is_full: false,
            is_oversized: false,
            is_alone: false,
        }
    }

    /// [`new`](Self::new), for a chunk that has one thing only, which costs more.
    pub(super) fn alone(cursor: Option<Cursor>, room: usize) -> Self {
        Self { is_alone: true, ..Self::new(cursor, room) }
    }

    /// How far it has come: the same as before if nothing was written since.
    pub(super) const fn progress(&self) -> Cursor {
        self.cursor
    }

    /// Where the next chunk begins; `None` if nothing is left.
    pub(super) fn rest(&self) -> Option<Cursor> {
        self.is_full.then_some(self.cursor)
    }

    /// Members that have no field, by the rules of their level.
    pub(super) fn members<'m>(
        &mut self,
        level: Level,
        members: impl Iterator<Item = (&'m str, &'m Json)>,
        object: &mut Object<'_>,
    ) {
        for (name, value) in members {
            match value {
                Json::Object(members) if merge(level, name) == Merge::ExtendMembers => {
                    self.inside(name, members, true, object);
                }
                _ => self.member(name, value, merge(level, name).joins_lists(), object),
            }
        }
    }

    /// The members of an object; `is_joined` says that their lists are.
    pub(super) fn inside(
        &mut self,
        name: &str,
        members: &JsonObject,
        is_joined: bool,
        object: &mut Object<'_>,
    ) {
        let behind = self.nth + members.len();
        if members.is_empty() {
            if self.takes(VALUE_COST) {
                object.raw(name, "{}");
            }
        } else if self.is_full || behind <= self.cursor.member {
            self.nth = behind;
        } else {
            let mut inner = Object::begin(object.name(name));
            for (name, value) in members.iter() {
                self.member(name, value, is_joined, &mut inner);
            }
            inner.end();
        }
    }

    /// A list of objects.
    pub(super) fn list(&mut self, name: &str, list: &JsonList, object: &mut Object<'_>) {
        let from = self.at();
        let elements = list.iter().enumerate().skip(from);
        let elements = elements.map(|(at, element)| (at + 1, members_cost(element), element));
        self.elements(name, elements, write::object, object);
    }

    fn member(&mut self, name: &str, value: &Json, is_joined: bool, object: &mut Object<'_>) {
        match value {
            Json::List(list) if is_joined && !list.is_empty() => self.list(name, list, object),
            Json::Text(text) if is_joined && has_elements(text) => {
                let elements = Elements { text, at: self.at().max(1) };
                self.elements(name, elements, write::json_text, object);
            }
            _ => {
                if !self.is_next() {
                    self.nth += 1;
                } else if self.takes(cost(value)) {
                    write::json(value, object.name(name));
                }
            }
        }
    }

    /// The elements of the member that is offered next: where each ends, what it costs, and itself.
    fn elements<E>(
        &mut self,
        name: &str,
        elements: impl Iterator<Item = (usize, usize, E)>,
        write: impl Fn(E, &mut Vec<u8>),
        object: &mut Object<'_>,
    ) {
        let nth = self.nth;
        let is_next = self.is_next();
        self.nth += 1;
        let mut elements = elements.peekable();
        let Some((_, first, _)) = elements.peek().filter(|_| is_next) else { return };
        if !self.has_room(*first) {
            self.is_full = true;
            return;
        }
        let out = object.name(name);
        let mut mark = b'[';
        for (behind, cost, element) in elements {
            if !self.has_room(cost) {
                self.is_full = true;
                break;
            }
            self.pay(cost);
            self.cursor = Cursor { member: nth, at: behind };
            out.push(mark);
            mark = b',';
            write(element, out);
        }
        out.push(b']');
        if !self.is_full {
            self.cursor = Cursor { member: nth + 1, at: 0 };
        }
    }

    /// Whether the member that is offered next is to be written whole in this chunk.
    fn takes(&mut self, cost: usize) -> bool {
        let is_next = self.is_next();
        self.nth += 1;
        if is_next && self.has_room(cost) {
            self.pay(cost);
            self.cursor = Cursor { member: self.nth, at: 0 };
            return true;
        }
        self.is_full |= is_next;
        false
    }

    /// Whether the member that is offered next is wanted.
    const fn is_next(&self) -> bool {
        !self.is_full && self.nth >= self.cursor.member
    }

    /// How far it has been written.
    const fn at(&self) -> usize {
        if self.nth == self.cursor.member { self.cursor.at } else { 0 }
    }

    const fn has_room(&self, cost: usize) -> bool {
        self.is_empty || cost <= self.room
    }

    const fn pay(&mut self, cost: usize) {
        self.is_oversized |= cost > self.room;
        self.room = self.room.saturating_sub(cost);
        self.is_empty = false;
    }
}

fn cost(value: &Json) -> usize {
    match value {
        Json::Text(text) => {
            let marks = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{'));
            text.len() + VALUE_COST * (1 + marks.count())
        }
        Json::Object(members) => members_cost(members),
        Json::List(list) => VALUE_COST + list.iter().map(members_cost).sum::<usize>(),
    }
}

fn members_cost(members: &JsonObject) -> usize {
    let members = members.iter().map(|(name, value)| VALUE_COST + name.len() + cost(value));
    VALUE_COST + members.sum::<usize>()
}

/// Whether a JSON text is an array that isn't empty.
fn has_elements(text: &str) -> bool {
    text.strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
}

/// The elements of the JSON text of an array, from a position behind its bracket or a comma on.
struct Elements<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Elements<'t> {
    type Item = (usize, usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (len, values) = element_len(rest.as_bytes());
        self.at += len + 1;
        Some((self.at, len + VALUE_COST * values, rest.get(..len)?))
    }
}

/// How long the element is with which `rest` begins, and how many names and values it has at most.
fn element_len(rest: &[u8]) -> (usize, usize) {
    let (mut at, mut depth, mut values) = (0, 0_usize, 1);
    while let Some(byte) = rest.get(at) {
        match byte {
            b',' | b']' if depth == 0 => break,
            b'"' => {
                at += 1;
                loop {
                    at += plain_len(rest.get(at..).unwrap_or_default());
                    match rest.get(at) {
                        Some(b'"') | None => break,
                        Some(b'\\') => at += 2,
                        Some(_) => at += 1,
                    }
                }
            }
            b'[' | b'{' => {
                depth += 1;
                values += 1;
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        at += 1;
    }
    (at.min(rest.len()), values)
}
