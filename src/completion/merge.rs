//! Merges values into stored ones by the rules of the schema, within a budget.

use super::budget::Budget;
use super::list::Matching;
use crate::json::{
    ENTRY_COST, JsonText, Name, OwnedArray, OwnedMember, OwnedObject, OwnedValue, TEXT_LIMITS,
    Value, ValueKind, read_text, writer,
};
use crate::slice::text_in;

/// The member of a filter result that stays true.
const FILTERED: &str = "filtered";

impl OwnedValue {
    /// Replaces the value if the new one fits, and releases the budget of the old one.
    pub(super) fn set(&mut self, value: Value<'_>, budget: &mut Budget) {
        if budget.is_closed() {
            return;
        }
        let stored = value.stored();
        if !budget.replace(self.cost(), stored.len()) {
            return;
        }
        match self {
            Self::Raw(text) => text.set(&stored),
            Self::Object(_) | Self::Array(_) => *self = Self::Raw(JsonText::known(&stored)),
        }
    }

    /// Appends a string to a string if it fits; returns true if both are strings.
    pub(super) fn join(&mut self, value: Value<'_>, budget: &mut Budget) -> bool {
        let Self::Raw(kept) = self else { return false };
        if !kept.begins_with(b'"') || value.kind() != ValueKind::String {
            return false;
        }
        let text = text_in(value.raw(), 1..);
        if budget.try_reserve(text.len() - 1) {
            kept.pop();
            kept.push_str(text);
        }
        true
    }

    /// Returns the object, in place of any other value; `None` if it doesn't fit.
    ///
    /// A whole message stores an object as its text, whose members are read then.
    pub(super) fn make_object(&mut self, budget: &mut Budget) -> Option<&mut OwnedObject> {
        if !matches!(self, Self::Object(_)) {
            let mut object = OwnedObject::default();
            self.read_again(ValueKind::Object, budget, |stored, budget| {
                object.merge(stored, budget);
            })?;
            *self = Self::Object(object);
        }
        match self {
            Self::Object(object) => Some(object),
            Self::Raw(_) | Self::Array(_) => None,
        }
    }

    /// Returns the array of objects, in place of any other value, as [`make_object`] does.
    ///
    /// [`make_object`]: Self::make_object
    fn make_list(&mut self, budget: &mut Budget) -> Option<&mut OwnedArray> {
        if !matches!(self, Self::Array(_)) {
            let mut list = OwnedArray::default();
            self.read_again(ValueKind::Array, budget, |stored, budget| {
                if has_only_objects(stored) {
                    list.merge_by_index(stored, budget);
                } else {
                    budget.count_replaced();
                }
            })?;
            *self = Self::Array(list);
        }
        match self {
            Self::Array(list) => Some(list),
            Self::Raw(_) | Self::Object(_) => None,
        }
    }

    /// Releases the budget of a value that is replaced, and passes it to `merge` if it is of a kind.
    ///
    /// Returns `None` if the budget is used up.
    fn read_again(
        &self,
        kind: ValueKind,
        budget: &mut Budget,
        merge: impl FnOnce(Value<'_>, &mut Budget),
    ) -> Option<()> {
        if budget.is_closed() || !budget.replace(self.cost(), 0) {
            return None;
        }
        if let Self::Raw(text) = self
            && self.is_of(kind)
        {
            let merged = read_text(text.as_bytes(), &TEXT_LIMITS, |stored| {
                merge(stored, budget);
                Ok(())
            });
            if merged.is_err() {
                budget.count_replaced();
            }
        }
        Some(())
    }

    /// Turns an array of objects into its JSON text, and any other value into an empty array's.
    ///
    /// Returns the text, or `None` if it doesn't fit.
    pub(super) fn make_array_text(&mut self, budget: &mut Budget) -> Option<&mut JsonText> {
        if !matches!(self, Self::Raw(_)) || !self.is_of(ValueKind::Array) {
            let mut json = Vec::new();
            match self {
                Self::Array(list) => list.write_json(&mut json),
                Self::Raw(_) | Self::Object(_) => json.extend_from_slice(b"[]"),
            }
            if budget.is_closed() || !budget.replace(self.cost(), json.len()) {
                return None;
            }
            *self = Self::Raw(JsonText::from(writer::known_string(json)));
        }
        match self {
            Self::Raw(text) => Some(text),
            Self::Object(_) | Self::Array(_) => None,
        }
    }
}

impl OwnedMember {
    /// Replaces the value, if it is a text, by a number.
    pub(super) fn replace_by_number(&mut self, number: &[u8], budget: &mut Budget) {
        if let OwnedValue::Raw(kept) = &mut self.value
            && budget.replace(kept.len(), number.len())
        {
            kept.set(number);
        }
    }
}

impl OwnedObject {
    /// Returns true if a further member with this value is left out without a loss.
    pub(super) fn skips(&self, value: Value<'_>, budget: &Budget) -> bool {
        value.adds_nothing() && self.members.len() >= budget.max_members() as usize
    }

    /// Adds a member whose name is absent; returns its value if it fits.
    pub(super) fn add(
        &mut self,
        name: &str,
        value: OwnedValue,
        len: usize,
        budget: &mut Budget,
    ) -> Option<&mut OwnedValue> {
        if !budget.has_member(self.members.len())
            || !budget.try_reserve(name.len() + len + ENTRY_COST)
        {
            return None;
        }
        self.members.push(OwnedMember { name: Name::new(), value, repeats: 0 });
        let member = self.members.last_mut()?;
        member.name.set(name);
        Some(&mut member.value)
    }

    /// Adds the text of a value as a member whose name is absent, if it fits.
    pub(super) fn add_text(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if self.skips(value, budget) {
            return;
        }
        let stored = value.stored();
        let kept = self.add(name, OwnedValue::Raw(JsonText::new()), stored.len(), budget);
        if let Some(OwnedValue::Raw(kept)) = kept {
            kept.set(&stored);
        }
    }

    /// Stores the first value with content.
    pub(crate) fn first(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        match self.get_mut(name) {
            Some(kept) if kept.is_empty_value() && !value.adds_nothing() => kept.set(value, budget),
            Some(_) => {}
            None => self.add_text(name, value, budget),
        }
    }

    /// Stores the last value with content.
    pub(crate) fn last(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        match self.get_mut(name) {
            Some(_) if value.adds_nothing() => {}
            Some(OwnedValue::Raw(kept)) if kept.as_bytes() == value.raw_bytes() => {}
            Some(kept) => kept.set(value, budget),
            None => self.add_text(name, value, budget),
        }
    }

    /// Stores the members of another object, each as [`last`](Self::last) does.
    pub(super) fn last_of(&mut self, other: Self, budget: &mut Budget) {
        for OwnedMember { name, value, .. } in other.members {
            match self.member_mut(&name) {
                Some(_) if value.is_empty_value() => {}
                Some(kept) => {
                    if !budget.is_closed() && budget.replace(kept.value.cost(), value.cost()) {
                        *kept = OwnedMember { name, value, repeats: 0 };
                    }
                }
                None => {
                    let len = value.cost();
                    self.add(&name, value, len, budget);
                }
            }
        }
    }

    /// Replaces the member at a position, if it is a text, by a number.
    pub(crate) fn replace_number(&mut self, position: usize, number: &[u8], budget: &mut Budget) {
        if let Some(member) = self.members.get_mut(position) {
            member.replace_by_number(number, budget);
        }
    }

    /// Replaces the text at a path of merged objects by a number, if the path exists.
    pub(crate) fn set_count(&mut self, path: &[&str], count: u64, budget: &mut Budget) {
        let Some((name, rest)) = path.split_first() else { return };
        match (rest, self.position(name)) {
            ([], Some(at)) => self.replace_number(at, count.to_string().as_bytes(), budget),
            ([_, ..], Some(at)) => {
                if let Some(OwnedMember { value: OwnedValue::Object(object), .. }) =
                    self.members.get_mut(at)
                {
                    object.set_count(rest, count, budget);
                }
            }
            (_, None) => {}
        }
    }

    /// Returns true if a value is of the kind that the rule of its member joins.
    ///
    /// Stores any other value, unless one of the kind is stored. Of two values with content, one of
    /// which isn't of the kind, only one remains: the other one is counted.
    fn is_joined(
        &mut self,
        name: &str,
        value: Value<'_>,
        kind: ValueKind,
        budget: &mut Budget,
    ) -> bool {
        let is_new = value.kind() == kind;
        let kept = self.get(name).filter(|kept| !kept.is_empty_value() && !budget.is_closed());
        let is_known = kept.is_some_and(|kept| kept.is_of(kind));
        if is_new && is_known {
            return true;
        }
        let is_equal = |kept: &OwnedValue| kept.as_raw() == Some(value.raw());
        if kept.is_some_and(|kept| !value.adds_nothing() && !is_equal(kept)) {
            budget.count_replaced();
        }
        if !is_new && !is_known {
            self.last(name, value, budget);
        }
        is_new
    }

    /// Joins strings as sent.
    ///
    /// Both strings stay escaped, so that the halves of a cut surrogate pair become one.
    pub(crate) fn concat(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if self.is_joined(name, value, ValueKind::String, budget)
            && !self.get_mut(name).is_some_and(|kept| kept.join(value, budget))
        {
            self.last(name, value, budget);
        }
    }

    /// Joins a string to the member at a position; returns true if both are strings.
    pub(crate) fn concat_nth(
        &mut self,
        position: usize,
        value: Value<'_>,
        budget: &mut Budget,
    ) -> bool {
        self.members.get_mut(position).is_some_and(|member| member.value.join(value, budget))
    }

    /// Joins arrays.
    pub(crate) fn append(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if value.kind() == ValueKind::Array
            && let Some(OwnedValue::Raw(kept)) = self.get_mut(name)
            && kept.begins_with(b'[')
        {
            return extend_text(kept, value, budget);
        }
        if !self.is_joined(name, value, ValueKind::Array, budget) {
            return;
        }
        let kept = match self.position(name) {
            Some(_) if value.is_empty_value() => return,
            Some(at) => self.members.get_mut(at).map(|member| &mut member.value),
            None if self.skips(value, budget) => return,
            None => self.add(name, OwnedValue::Raw("[]".into()), 2, budget),
        };
        if let Some(kept) = kept.and_then(|kept| kept.make_array_text(budget)) {
            extend_text(kept, value, budget);
        }
    }

    /// Merges objects member by member; the last value of a leaf that isn't `null` counts.
    pub(crate) fn deep_last(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if value.kind() != ValueKind::Object {
            return self.last(name, value, budget);
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        kept.merge(value, budget);
    }

    /// Returns the object `name`, in place of any other value.
    ///
    /// Returns `None` if it doesn't fit, or if `value` is empty and another value is stored.
    pub(super) fn object(
        &mut self,
        name: &str,
        value: Value<'_>,
        budget: &mut Budget,
    ) -> Option<&mut Self> {
        let kept = match self.position(name) {
            Some(_) if value.is_empty_value() => return None,
            Some(at) => self.members.get_mut(at).map(|member| &mut member.value),
            None if self.skips(value, budget) => return None,
            None => self.add(name, OwnedValue::Object(Self::default()), 0, budget),
        };
        kept?.make_object(budget)
    }

    /// Merges all members of `object` into this one.
    pub(crate) fn merge(&mut self, object: Value<'_>, budget: &mut Budget) {
        self.reserve_first(object);
        for (name, value) in object.members() {
            self.deep_last(name, value, budget);
        }
    }

    /// Joins the arrays in an object, each with those of the same name.
    pub(crate) fn append_inside(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if !self.is_joined(name, value, ValueKind::Object, budget) {
            return;
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        for (name, value) in value.members() {
            kept.append(name, value, budget);
        }
    }

    /// Merges as [`deep_last`](Self::deep_last), but never replaces a `filtered` that is true.
    ///
    /// So no other value replaces an object with content, which may contain one.
    pub(crate) fn deep_last_filtered(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        let kept = self.get(name).filter(|kept| !kept.is_empty_value());
        if name == FILTERED && kept.and_then(OwnedValue::as_bool) == Some(true) {
            return;
        }
        if value.kind() != ValueKind::Object {
            if !kept.is_some_and(|kept| kept.is_of(ValueKind::Object)) {
                self.last(name, value, budget);
            }
            return;
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        kept.reserve_first(value);
        for (name, value) in value.members() {
            kept.deep_last_filtered(name, value, budget);
        }
    }

    /// Merges fragments of a custom tool call: joins `input`, and stores the first of other
    /// members.
    pub(crate) fn custom_call(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if !self.is_joined(name, value, ValueKind::Object, budget) {
            return;
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        for (name, value) in value.members() {
            match name {
                "input" => kept.concat(name, value, budget),
                _ => kept.first(name, value, budget),
            }
        }
    }

    /// Merges the elements of arrays that have the same index.
    ///
    /// An array with an element that isn't an object replaces the stored one.
    pub(crate) fn index_merge(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if !self.is_joined(name, value, ValueKind::Array, budget) {
            return;
        }
        if !has_only_objects(value) {
            let kept = self.get(name).filter(|kept| !kept.is_empty_value());
            if kept.is_some_and(|kept| {
                kept.is_of(ValueKind::Array) && kept.as_raw() != Some(value.raw())
            }) {
                budget.count_replaced();
            }
            return self.last(name, value, budget);
        }
        let kept = match self.position(name) {
            Some(_) if value.is_empty_value() => return,
            Some(at) => self.members.get_mut(at).map(|member| &mut member.value),
            None if self.skips(value, budget) => return,
            None => self.add(name, OwnedValue::Array(OwnedArray::default()), 0, budget),
        };
        if let Some(list) = kept.and_then(|kept| kept.make_list(budget)) {
            list.merge_by_index(value, budget);
        }
    }
}

impl OwnedArray {
    /// Merges the elements of an array, each into the one with the same index.
    fn merge_by_index(&mut self, array: Value<'_>, budget: &mut Budget) {
        for element in array.elements() {
            if let Some(kept) = self.element(element, Matching::Index, budget) {
                kept.merge(element, budget);
            }
        }
    }
}

/// Returns true if no element of an array is another value than an object.
pub(super) fn has_only_objects(array: Value<'_>) -> bool {
    array.elements().all(|element| element.kind() == ValueKind::Object)
}

/// Appends the elements of an array to the JSON text of another one, as long as they fit.
pub(super) fn extend_text(kept: &mut JsonText, array: Value<'_>, budget: &mut Budget) {
    if let Some(elements) = array.unread_elements()
        && budget.is_free(elements.len() + 1)
        && budget.try_reserve(elements.len() + 1)
    {
        return kept.edit(elements.len() + 1, |kept| extend(kept, |kept| kept.push_str(elements)));
    }
    for element in array.elements() {
        let len = element.json_len() + 1;
        if !budget.try_reserve(len) {
            return;
        }
        kept.edit(len, |kept| extend(kept, |kept| element.write_json(kept)));
    }
}

/// Adds the text that `write` writes to the JSON text of an array.
fn extend(kept: &mut String, write: impl FnOnce(&mut String)) {
    kept.pop();
    if kept != "[" {
        kept.push(',');
    }
    write(kept);
    kept.push(']');
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::{Budget, ENTRY_COST, OwnedObject, OwnedValue};
    use crate::json::{Parser, Tape, Value};
    use crate::limits::Limits;

    const BUDGET: usize = 10_000;

    type Merge = fn(&mut OwnedObject, &str, Value<'_>, &mut Budget);

    /// Merges `json` into the member `member`.
    fn push(object: &mut OwnedObject, budget: &mut Budget, merge: Merge, json: &str) {
        let mut tape = Tape::default();
        let (document, _) = Parser::new(&Limits::new()).parse(json.as_bytes(), &mut tape).unwrap();
        merge(object, "member", Value::new(document, 0), budget);
    }

    fn pushed(values: &[(Merge, &str)]) -> (OwnedObject, Budget) {
        let (mut object, mut budget) = (OwnedObject::default(), Budget::new(BUDGET, 100));
        for (merge, json) in values {
            push(&mut object, &mut budget, *merge, json);
        }
        (object, budget)
    }

    /// Returns the used bytes of the budget.
    fn taken(budget: &Budget) -> usize {
        BUDGET - (0..=BUDGET).rev().find(|bytes| budget.is_free(*bytes)).unwrap()
    }

    fn text(object: &OwnedObject) -> &str {
        object.get("member").unwrap().as_raw().unwrap()
    }

    const LIST: &str = r#"[{"index":12,"text":"abc"},{"index":7},{}]"#;

    /// Tests that a replaced value of any kind releases its budget.
    #[test]
    fn a_replaced_value_releases_its_budget() {
        let one: (Merge, _) = (OwnedObject::last, r#""a text of some length""#);
        let (_, budget) = pushed(&[one]);
        let before = taken(&budget);
        let others: [(Merge, _); 3] = [
            (OwnedObject::last, "12"),
            (OwnedObject::deep_last, r#"{"name":"abc","inner":{"a":[1],"b":2}}"#),
            (OwnedObject::index_merge, LIST),
        ];
        for other in others {
            let (_, budget) = pushed(&[one, other]);
            assert_ne!(taken(&budget), before, "{}", other.1);
            let (object, budget) = pushed(&[one, other, one]);
            assert_eq!((text(&object), taken(&budget)), (one.1, before), "{}", other.1);
        }
    }

    /// Tests that the cost of fragments is that of their result, or a comma more.
    #[test]
    fn fragments_have_the_cost_of_the_whole() {
        let (object, budget) = pushed(&[
            (OwnedObject::concat, r#""ab""#),
            (OwnedObject::concat, r#""\n""#),
            (OwnedObject::concat, r#""""#),
            (OwnedObject::concat, r#""cd""#),
        ]);
        let (whole, in_one) = pushed(&[(OwnedObject::concat, r#""ab\ncd""#)]);
        assert!(object == whole);
        assert_eq!(taken(&budget), taken(&in_one));
        let (object, budget) = pushed(&[(OwnedObject::last, "[NaN,-Infinity,1,NaN]")]);
        assert_eq!(text(&object), "[null,null,1,null]");
        assert_eq!(taken(&budget), "member".len() + ENTRY_COST + text(&object).len());
        let part: (Merge, _) = (OwnedObject::append, "[1,2,3]");
        let (object, budget) = pushed(&[part; 100]);
        let len = "member".len() + ENTRY_COST + text(&object).len();
        assert_eq!(text(&object).len(), 1 + 300 * "1,".len());
        assert_eq!(taken(&budget), len + 1);
    }

    /// Tests that the key of an element costs its length besides the element's members.
    #[test]
    fn the_keys_of_elements_have_a_cost() {
        let index = "1".repeat(1000);
        let (object, budget) =
            pushed(&[(OwnedObject::index_merge, &format!(r#"[{{"index":{index}}}]"#))]);
        let OwnedValue::Array(list) = object.get("member").unwrap() else { panic!("{object:?}") };
        assert_eq!(list.iter().next().unwrap().get("index").unwrap().as_raw(), Some(&*index));
        assert!((2000..2500).contains(&taken(&budget)), "{}", taken(&budget));
    }

    #[test]
    fn a_list_with_an_element_that_is_no_object_is_stored_as_sent() {
        let list: (Merge, _) = (OwnedObject::index_merge, LIST);
        let other: (Merge, _) = (OwnedObject::index_merge, r#"[{"index":12},"a",1]"#);
        for lists in [&[other][..], &[list, other], &[other, list, other]] {
            assert_eq!(text(&pushed(lists).0), other.1);
        }
        let (object, _) = pushed(&[other, list]);
        let OwnedValue::Array(list) = object.get("member").unwrap() else { panic!("{object:?}") };
        assert_eq!(list.len(), 3);
    }

    #[test]
    fn empty_values_replace_no_value() {
        let one: (Merge, _) = (OwnedObject::last, "12");
        let nothings: [(Merge, _); 9] = [
            (OwnedObject::last, "null"),
            (OwnedObject::last, "{}"),
            (OwnedObject::concat, r#""""#),
            (OwnedObject::append, "[]"),
            (OwnedObject::deep_last, "{}"),
            (OwnedObject::deep_last_filtered, "{}"),
            (OwnedObject::append_inside, "{}"),
            (OwnedObject::custom_call, "{}"),
            (OwnedObject::index_merge, "[]"),
        ];
        for (merge, nothing) in nothings {
            assert_eq!(text(&pushed(&[one, (merge, nothing)]).0), "12", "{nothing}");
        }
    }

    #[test]
    fn merged_members_of_any_form_are_counted() {
        let (object, _) = pushed(&[]);
        assert!(object.is_empty());
        assert_eq!((object.len(), object.iter().count()), (0, 0));
        let (object, _) = pushed(&[(OwnedObject::index_merge, LIST)]);
        assert!(!object.is_empty());
        assert_eq!((object.len(), object.iter().next().unwrap().0), (1, "member"));
        let OwnedValue::Array(list) = object.get("member").unwrap() else { panic!("{object:?}") };
        assert!(!list.is_empty());
        assert_eq!((list.len(), list.iter().count()), (3, 3));
        let (object, _) = pushed(&[(OwnedObject::index_merge, "[]")]);
        let OwnedValue::Array(list) = object.get("member").unwrap() else { panic!("{object:?}") };
        assert!(list.is_empty());
        assert_eq!((list.len(), list.iter().count()), (0, 0));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn only_an_object_is_read_as_an_object() {
        let error = serde_json::from_str::<OwnedObject>("5").unwrap_err();
        assert!(error.to_string().contains("expected a JSON object"), "{error}");
    }
}
