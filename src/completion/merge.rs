//! Merges values into stored ones by the rules of the schema, within a budget.

use super::budget::Budget;
use super::list::Matching;
use crate::json::{
    ENTRY_COST, JsonText, Name, OwnedArray, OwnedMember, OwnedObject, OwnedValue, Value, ValueKind,
};
use crate::slice::text_in;

impl OwnedValue {
    /// Replaces the value if the new one fits, and releases the budget of the old one.
    pub(super) fn set(&mut self, value: Value<'_>, budget: &mut Budget) {
        if budget.is_closed() {
            return;
        }
        let len = value.json_len();
        if !budget.replace(self.cost(), len) {
            return;
        }
        match self {
            Self::Raw(text) if !value.document.has_non_finite_numbers() => {
                text.set(value.raw_bytes());
            }
            _ => *self = Self::copy_raw(value),
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

    /// Replaces the value by an empty object or array, unless it is one; returns true if it is now.
    pub(super) fn make(&mut self, empty: Self, budget: &mut Budget) -> bool {
        let is_empty = core::mem::discriminant(self) == core::mem::discriminant(&empty);
        if is_empty || budget.is_closed() || !budget.replace(self.cost(), 0) {
            return is_empty;
        }
        *self = empty;
        true
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
        if value.document.has_non_finite_numbers() {
            let copy = OwnedValue::copy_raw(value);
            let len = copy.cost();
            self.add(name, copy, len, budget);
            return;
        }
        let text = value.raw_bytes();
        let kept = self.add(name, OwnedValue::Raw(JsonText::new()), text.len(), budget);
        if let Some(OwnedValue::Raw(kept)) = kept {
            kept.set(text);
        }
    }

    /// Stores the first value with content.
    pub(crate) fn first(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        match self.get_mut(name) {
            Some(kept) if kept.is_empty_value() => kept.set(value, budget),
            Some(_) => {}
            None => self.add_text(name, value, budget),
        }
    }

    /// Stores the last value with content.
    pub(crate) fn last(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        match self.get_mut(name) {
            Some(kept) if value.is_empty_value() && !kept.is_empty_value() => {}
            Some(OwnedValue::Raw(kept)) if kept.as_bytes() == value.raw_bytes() => {}
            Some(kept) => kept.set(value, budget),
            None => self.add_text(name, value, budget),
        }
    }

    /// Stores the members of another object, each as [`last`](Self::last) does.
    pub(super) fn last_of(&mut self, other: Self, budget: &mut Budget) {
        for OwnedMember { name, value, .. } in other.members {
            match self.get_mut(&name) {
                Some(kept) if value.is_empty_value() && !kept.is_empty_value() => {}
                Some(kept) => {
                    if !budget.is_closed() && budget.replace(kept.cost(), value.cost()) {
                        *kept = value;
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

    /// Joins strings as sent; any other value replaces the stored one.
    ///
    /// Both strings stay escaped, so that the halves of a cut surrogate pair become one.
    pub(crate) fn concat(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if !self.get_mut(name).is_some_and(|kept| kept.join(value, budget)) {
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

    /// Joins arrays; any other value replaces the stored one.
    pub(crate) fn append(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if value.kind() != ValueKind::Array {
            return self.last(name, value, budget);
        }
        let kept = match self.position(name) {
            Some(at) => self.members.get_mut(at).map(|member| &mut member.value),
            None => self.add(name, OwnedValue::Raw("[]".into()), 2, budget),
        };
        let Some(kept) = kept else { return };
        if !matches!(kept, OwnedValue::Raw(kept) if kept.begins_with(b'[')) {
            let keeps = value.is_empty_value() && !kept.is_empty_value();
            if keeps || budget.is_closed() || !budget.replace(kept.cost(), 2) {
                return;
            }
            *kept = OwnedValue::Raw("[]".into());
        }
        let OwnedValue::Raw(kept) = kept else { return };
        extend_text(kept, value, budget);
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
    /// Returns `None` if it doesn't fit, or if an empty `value` would replace a value with content.
    pub(super) fn object(
        &mut self,
        name: &str,
        value: Value<'_>,
        budget: &mut Budget,
    ) -> Option<&mut Self> {
        let kept = match self.position(name) {
            Some(at) => self.members.get_mut(at).map(|member| &mut member.value),
            None => self.add(name, OwnedValue::Object(Self::default()), 0, budget),
        }?;
        let keeps = value.is_empty_value() && !kept.is_empty_value();
        if keeps || !kept.make(OwnedValue::Object(Self::default()), budget) {
            return None;
        }
        match kept {
            OwnedValue::Object(kept) => Some(kept),
            OwnedValue::Raw(_) | OwnedValue::Array(_) => None,
        }
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
        if value.kind() != ValueKind::Object {
            return self.last(name, value, budget);
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        for (name, value) in value.members() {
            kept.append(name, value, budget);
        }
    }

    /// Merges as [`deep_last`](Self::deep_last), but never replaces a `filtered` that is true.
    pub(crate) fn deep_last_filtered(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if value.kind() != ValueKind::Object {
            return self.last(name, value, budget);
        }
        let Some(kept) = self.object(name, value, budget) else { return };
        for (category, value) in value.members() {
            let was_filtered = kept.get(category).and_then(|category| category.get("filtered"));
            let stays = was_filtered.is_some_and(|filtered| filtered.as_raw() == Some("true"));
            if !stays || value.kind() != ValueKind::Object {
                if !stays {
                    kept.deep_last(category, value, budget);
                }
                continue;
            }
            let Some(kept) = kept.object(category, value, budget) else { continue };
            for (name, value) in value.members().filter(|(name, _)| *name != "filtered") {
                kept.deep_last(name, value, budget);
            }
        }
    }

    /// Merges fragments of a custom tool call: joins `input`, and stores the first of other
    /// members.
    ///
    /// Any other value than an object replaces the stored one.
    pub(crate) fn custom_call(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        if value.kind() != ValueKind::Object {
            return self.last(name, value, budget);
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
    /// Any other value replaces the stored one, and so does an array with an element that isn't an
    /// object.
    pub(crate) fn index_merge(&mut self, name: &str, value: Value<'_>, budget: &mut Budget) {
        let mut elements = value.elements();
        if value.kind() != ValueKind::Array
            || elements.any(|element| element.kind() != ValueKind::Object)
        {
            return self.last(name, value, budget);
        }
        if self.get(name).is_none() {
            self.add(name, OwnedValue::Array(OwnedArray::default()), 0, budget);
        }
        let Some(kept) = self.get_mut(name) else { return };
        if value.is_empty_value() || !kept.make(OwnedValue::Array(OwnedArray::default()), budget) {
            return;
        }
        if let OwnedValue::Array(list) = kept {
            for element in value.elements() {
                if let Some(kept) = list.element(element, Matching::Index, budget) {
                    kept.merge(element, budget);
                }
            }
        }
    }
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
