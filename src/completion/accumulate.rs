//! Merges members of unknown names by the kind of their values.

use super::budget::Budget;
use super::list::Matching;
use super::merge::{extend_text, has_only_objects};
use crate::json::{
    JsonText, OwnedArray, OwnedMember, OwnedObject, OwnedValue, VARIES, Value, ValueKind,
};
use crate::slice::text_in;

/// The rules for members of unknown names.
#[derive(Clone, Copy)]
pub(crate) struct Unknown {
    /// Returns true if a text of this name identifies something, so that the last one counts.
    pub(crate) is_identity: fn(&str) -> bool,
    /// The rule that finds the element of an array into which a new one is merged.
    pub(crate) matching: Matching,
}

impl OwnedObject {
    /// Merges a value into the member `name` by its kind.
    ///
    /// Joins texts, unless all are equal. Joins arrays, merges objects member by member, and
    /// replaces other values. Counts each value that a different one replaces.
    pub(crate) fn accumulate(
        &mut self,
        name: &str,
        value: Value<'_>,
        rules: Unknown,
        budget: &mut Budget,
    ) {
        if budget.is_closed() {
            return;
        }
        let kind = value.kind();
        let Some(kept) = self.member_mut(name) else {
            return self.begin(name, value, rules, budget);
        };
        if value.adds_nothing() {
            return;
        }
        let is_other_kind = kept.value.is_empty_value()
            || !matches!((&kept.value, kind), (OwnedValue::Raw(text), ValueKind::String) if text.begins_with(b'"'));
        if is_other_kind {
            // Equal fragments of a text are counted from its first one.
            kept.repeats = 0;
        }
        if kept.value.is_empty_value() {
            // The new value is the first one with content.
            return kept.value.begin(value, rules, budget);
        }
        match (&mut kept.value, kind) {
            (OwnedValue::Raw(text), ValueKind::String) if text.begins_with(b'"') => {
                if (rules.is_identity)(name) {
                    kept.replace(value, budget);
                } else {
                    kept.join_piece(value, budget);
                }
            }
            (OwnedValue::Object(object), ValueKind::Object) => {
                object.accumulate_all(value, rules, budget);
            }
            (OwnedValue::Raw(text), ValueKind::Object) if text.begins_with(b'{') => {
                if let Some(object) = kept.value.make_object(budget) {
                    object.accumulate_all(value, rules, budget);
                }
            }
            (OwnedValue::Array(_), ValueKind::Array) => {
                kept.value.extend_list(value, rules, budget);
            }
            (OwnedValue::Raw(text), ValueKind::Array) if text.begins_with(b'[') => {
                extend_text(text, value, budget);
            }
            (_, ValueKind::Array | ValueKind::Object) => {
                budget.count_replaced();
                kept.value.begin(value, rules, budget);
            }
            _ => kept.replace(value, budget),
        }
    }

    /// Merges all members of an object; see [`accumulate`](Self::accumulate).
    pub(crate) fn accumulate_all(
        &mut self,
        object: Value<'_>,
        rules: Unknown,
        budget: &mut Budget,
    ) {
        for (name, value) in object.members() {
            self.accumulate(name, value, rules, budget);
        }
    }

    /// Adds the member `name`, which must be absent.
    fn begin(&mut self, name: &str, value: Value<'_>, rules: Unknown, budget: &mut Budget) {
        match value.kind() {
            ValueKind::Array | ValueKind::Object if self.skips(value, budget) => {}
            ValueKind::Array => {
                if let Some(kept) = self.add(name, OwnedValue::Raw(JsonText::new()), 0, budget) {
                    kept.begin_list(value, rules, budget);
                }
            }
            ValueKind::Object => {
                if let Some(kept) = self.add(name, OwnedValue::Raw(JsonText::new()), 0, budget) {
                    kept.begin_object(value, rules, budget);
                }
            }
            _ => self.add_text(name, value, budget),
        }
    }
}

impl OwnedMember {
    /// Replaces a value with content by a different one, and counts it.
    fn replace(&mut self, value: Value<'_>, budget: &mut Budget) {
        if !matches!(&self.value, OwnedValue::Raw(kept) if kept.as_bytes() == value.raw_bytes()) {
            budget.count_replaced();
            self.value.set(value, budget);
        }
    }

    /// Adds a fragment to a text.
    ///
    /// Equal fragments are stored once. The first different one turns the text into all of them,
    /// joined.
    fn join_piece(&mut self, value: Value<'_>, budget: &mut Budget) {
        let OwnedValue::Raw(kept) = &mut self.value else { return };
        if self.repeats != VARIES && kept.as_bytes() == value.raw_bytes() {
            self.repeats = (self.repeats + 1).min(VARIES - 1);
            return;
        }
        if self.repeats != VARIES {
            let len = kept.len().saturating_sub(2);
            let times = self.repeats as usize;
            if !budget.try_reserve(len.saturating_mul(times)) {
                return;
            }
            let piece = text_in(kept, 1..=len).to_owned();
            kept.pop();
            kept.edit(0, |kept| {
                kept.extend(core::iter::repeat_n(piece.as_str(), times));
                kept.push('"');
            });
            self.repeats = VARIES;
        }
        self.value.join(value, budget);
    }
}

impl OwnedValue {
    /// Replaces this value by a value of any kind, and releases the budget of the old one.
    fn begin(&mut self, value: Value<'_>, rules: Unknown, budget: &mut Budget) {
        match value.kind() {
            ValueKind::Array | ValueKind::Object if !budget.replace(self.cost(), 0) => {}
            ValueKind::Array => self.begin_list(value, rules, budget),
            ValueKind::Object => self.begin_object(value, rules, budget),
            _ => self.set(value, budget),
        }
    }

    /// Replaces this value by an object of the members of `value`.
    ///
    /// The caller has released the budget of the old value.
    fn begin_object(&mut self, value: Value<'_>, rules: Unknown, budget: &mut Budget) {
        let mut object = OwnedObject::default();
        object.accumulate_all(value, rules, budget);
        *self = Self::Object(object);
    }

    /// Replaces this value by the elements of `value`, or by the array's text.
    ///
    /// The caller has released the budget of the old value.
    fn begin_list(&mut self, value: Value<'_>, rules: Unknown, budget: &mut Budget) {
        if value.elements().next().is_some() && has_only_objects(value) {
            *self = Self::Array(OwnedArray::default());
            self.extend_list(value, rules, budget);
        } else {
            let mut text = JsonText::from("[]");
            if budget.try_reserve(text.len()) {
                extend_text(&mut text, value, budget);
            }
            *self = Self::Raw(text);
        }
    }

    /// Adds the elements of an array.
    ///
    /// A [`OwnedArray`] contains objects only: another element turns it into its JSON text.
    fn extend_list(&mut self, value: Value<'_>, rules: Unknown, budget: &mut Budget) {
        if !has_only_objects(value) {
            if let Some(text) = self.make_array_text(budget) {
                extend_text(text, value, budget);
            }
            return;
        }
        let Self::Array(list) = self else { return };
        for element in value.elements() {
            let Some(kept) = list.element(element, rules.matching, budget) else { return };
            kept.accumulate_all(element, rules, budget);
        }
    }
}
