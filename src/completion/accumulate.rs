//! Merges members of unknown names by the kind of their values.

use super::list::Matching;
use super::merge::extend_text;
use super::room::Room;
use crate::json::{Json, JsonList, JsonObject, OwnedMember, VARIES, Value, ValueKind};

/// The rules for members of unknown names.
#[derive(Clone, Copy)]
pub(crate) struct Unknown {
    /// Returns true if a text of this name identifies something, so that the last one counts.
    pub(crate) is_identity: fn(&str) -> bool,
    /// The rule that finds the element of an array into which a new one is merged.
    pub(crate) matching: Matching,
}

impl JsonObject {
    /// Merges a value into the member `name` by its kind.
    ///
    /// Joins texts, unless all are equal. Joins arrays, merges objects member by member, and
    /// replaces other values. Counts each value that a different one replaces.
    pub(crate) fn accumulate(
        &mut self,
        name: &str,
        value: Value<'_>,
        rules: Unknown,
        room: &mut Room,
    ) {
        if room.is_closed() {
            return;
        }
        let kind = value.kind();
        let Some(kept) = self.member_mut(name) else {
            return self.begin(name, value, rules, room);
        };
        if value.is_empty_value() {
            return;
        }
        let is_other_kind = kept.value.is_empty_value()
            || !matches!((&kept.value, kind), (Json::Text(text), ValueKind::String) if text.starts_with('"'));
        if is_other_kind {
            // Equal fragments of a text are counted from its first one.
            kept.repeats = 0;
        }
        if kept.value.is_empty_value() {
            // The new value is the first one with content.
            if matches!(kind, ValueKind::Array | ValueKind::Object)
                && !room.replace(kept.value.cost(), 0)
            {
                return;
            }
            return match kind {
                ValueKind::Array => kept.value.begin_list(value, rules, room),
                ValueKind::Object => kept.value.begin_object(value, rules, room),
                _ => kept.value.set(value, room),
            };
        }
        match (&mut kept.value, kind) {
            (Json::Text(text), ValueKind::String) if text.starts_with('"') => {
                if (rules.is_identity)(name) {
                    kept.replace(value, room);
                } else {
                    kept.join_piece(value, room);
                }
            }
            (Json::Object(object), ValueKind::Object) => object.accumulate_all(value, rules, room),
            (Json::List(_), ValueKind::Array) => kept.value.extend_list(value, rules, room),
            (Json::Text(text), ValueKind::Array) if text.starts_with('[') => {
                extend_text(text, value, room);
            }
            (_, ValueKind::Array) => {
                room.count_replaced();
                if room.replace(kept.value.cost(), 0) {
                    kept.value.begin_list(value, rules, room);
                }
            }
            (_, ValueKind::Object) => {
                room.count_replaced();
                if room.replace(kept.value.cost(), 0) {
                    kept.value.begin_object(value, rules, room);
                }
            }
            _ => kept.replace(value, room),
        }
    }

    /// Merges all members of an object; see [`accumulate`](Self::accumulate).
    pub(crate) fn accumulate_all(&mut self, object: Value<'_>, rules: Unknown, room: &mut Room) {
        for (name, value) in object.members() {
            self.accumulate(name, value, rules, room);
        }
    }

    /// Adds the member `name`, which must be absent.
    fn begin(&mut self, name: &str, value: Value<'_>, rules: Unknown, room: &mut Room) {
        match value.kind() {
            ValueKind::Array => {
                if let Some(kept) = self.add(name, Json::Text(String::new()), 0, room) {
                    kept.begin_list(value, rules, room);
                }
            }
            ValueKind::Object => {
                if let Some(kept) = self.add(name, Json::Text(String::new()), 0, room) {
                    kept.begin_object(value, rules, room);
                }
            }
            _ => {
                self.add(name, Json::text(value), value.json_len(), room);
            }
        }
    }
}

impl OwnedMember {
    /// Replaces a value with content by a different one, and counts it.
    fn replace(&mut self, value: Value<'_>, room: &mut Room) {
        if self.value.as_text() != Some(value.raw()) {
            room.count_replaced();
            self.value.set(value, room);
        }
    }

    /// Adds a fragment to a text.
    ///
    /// Equal fragments are stored once. The first different one turns the text into all of them,
    /// joined.
    fn join_piece(&mut self, value: Value<'_>, room: &mut Room) {
        let Json::Text(kept) = &mut self.value else { return };
        if self.repeats != VARIES && kept == value.raw() {
            self.repeats = (self.repeats + 1).min(VARIES - 1);
            return;
        }
        if self.repeats != VARIES {
            let len = kept.len().saturating_sub(2);
            let times = self.repeats as usize;
            if !room.try_reserve(len.saturating_mul(times)) {
                return;
            }
            let piece = kept.get(1..=len).unwrap_or_default().to_owned();
            kept.pop();
            kept.extend(core::iter::repeat_n(piece.as_str(), times));
            kept.push('"');
            self.repeats = VARIES;
        }
        self.value.join(value, room);
    }
}

impl Json {
    /// Replaces this value by an object of the members of `value`.
    ///
    /// The caller has released the budget of the old value.
    fn begin_object(&mut self, value: Value<'_>, rules: Unknown, room: &mut Room) {
        let mut object = JsonObject::default();
        object.accumulate_all(value, rules, room);
        *self = Self::Object(object);
    }

    /// Replaces this value by the elements of `value`, or by the array's text.
    ///
    /// The caller has released the budget of the old value.
    fn begin_list(&mut self, value: Value<'_>, rules: Unknown, room: &mut Room) {
        if value.elements().next().is_some() && has_only_objects(value) {
            *self = Self::List(JsonList::default());
            self.extend_list(value, rules, room);
        } else {
            let mut text = String::from("[]");
            if room.try_reserve(text.len()) {
                extend_text(&mut text, value, room);
            }
            *self = Self::Text(text);
        }
    }

    /// Adds the elements of an array.
    ///
    /// A [`JsonList`] contains objects only: another element turns it into its JSON text.
    fn extend_list(&mut self, value: Value<'_>, rules: Unknown, room: &mut Room) {
        if !has_only_objects(value) {
            let mut text = String::new();
            self.write(&mut text);
            if room.replace(self.cost(), text.len()) {
                extend_text(&mut text, value, room);
                *self = Self::Text(text);
            }
            return;
        }
        let Self::List(list) = self else { return };
        for element in value.elements() {
            let Some(kept) = list.element(element, rules.matching, room) else { return };
            kept.accumulate_all(element, rules, room);
        }
    }
}

fn has_only_objects(array: Value<'_>) -> bool {
    array.elements().all(|element| element.kind() == ValueKind::Object)
}
