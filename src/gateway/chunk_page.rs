//! `ChunkPage`: selects the part of a completion that one chunk contains, so that decoders read it.

use super::json_write;
use crate::chunk::schema::{PROMPT_INDEX, reasoning_detail};
use crate::chunk::{Level, Merge, merge};
use crate::completion::{ElementKey, Matching};
use crate::json::writer::{self, ArrayWriter, ObjectWriter, string_len};
use crate::json::{OwnedArray, OwnedObject, OwnedValue, plain_len};
use crate::limits::Limits;
use crate::slice::bytes_in;

/// Maximum cost of a chunk: 1 for each byte, and `VALUE_COST` for each name and value.
///
/// It is a sixteenth of the default [`event_bytes`](crate::Limits::max_event_bytes), and a quarter of
/// the default [`json_values`](crate::Limits::max_json_values).
pub(super) const MAX_COST: usize = 4 << 20;
const VALUE_COST: usize = 16;

/// Maximum number of bytes of an event, without the members that every chunk repeats.
const MAX_BYTES: usize = LIMITS.max_event_bytes - 4096;
/// Maximum number of names and values of an event, without the members that every chunk repeats.
const MAX_VALUES: usize = LIMITS.max_json_values - 64;
const LIMITS: Limits = Limits::new();

/// The position in a completion's members at which a page begins.
#[derive(Clone, Debug, Default)]
pub(super) struct PageCursor {
    /// Number of members that are written.
    member: usize,
    /// The positions inside the next member, the innermost one first.
    path: Vec<usize>,
}

/// Number of bytes, and number of names and values.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    bytes: usize,
    values: usize,
}

/// The rule by which the members of an object are merged.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Each member by its row of a level.
    At(Level),
    /// All members in the same way.
    All(Merge),
}

impl Rule {
    fn merge(self, name: &str) -> Merge {
        match self {
            Self::At(level) => merge(level, name),
            Self::All(merge) => merge,
        }
    }
}

/// The rules by which the elements of a list are matched and merged.
#[derive(Clone, Copy)]
struct ElementRules {
    matching: Matching,
    rule: Rule,
}

/// Writes members from a cursor on, as many as a chunk may contain.
///
/// Each member is offered in each chunk, in the same order. A member that can't be merged from
/// parts is written whole, if necessary alone.
#[derive(Default)]
pub(super) struct ChunkPage {
    cursor: PageCursor,
    /// This is the first chunk of its choice or tool call.
    pub(super) is_first: bool,
    /// Number of members that have been offered.
    offered: usize,
    max_cost: usize,
    /// Cost that the chunk may still have: `budget <= max_cost`.
    budget: usize,
    /// Bytes that the event may still have, without names that enclose further members.
    byte_budget: usize,
    /// Number of parts that are written, and of their bytes.
    pub(super) parts: usize,
    pub(super) bytes: usize,
    /// The next part is written even if it exceeds the budget.
    may_exceed: bool,
    is_full: bool,
    /// A part was written that exceeds the budget.
    pub(super) is_oversized: bool,
    /// The chunk contains one such part only.
    pub(super) is_alone: bool,
    /// Tool calls are written with their `index`. A delta without it continues the last tool call.
    pub(super) has_index: bool,
}

impl ChunkPage {
    /// Returns a page from a cursor on that costs up to `max_cost`; without a cursor, the first one.
    pub(super) fn new(cursor: Option<PageCursor>, max_cost: usize) -> Self {
        let is_first = cursor.is_none();
        Self {
            cursor: cursor.unwrap_or_default(),
            is_first,
            max_cost,
            budget: max_cost,
            byte_budget: MAX_BYTES,
            // The first chunk contains no oversized part.
            may_exceed: !is_first,
            has_index: true,
            ..Self::default()
        }
    }

    /// Returns a page like [`new`](Self::new), for a chunk with one oversized part only.
    pub(super) fn alone(cursor: Option<PageCursor>, max_cost: usize, has_index: bool) -> Self {
        Self { is_alone: true, has_index, ..Self::new(cursor, max_cost) }
    }

    /// Returns the cursor of the next page, or `None` if nothing is left.
    pub(super) fn rest(self) -> Option<PageCursor> {
        self.is_full.then_some(self.cursor)
    }

    /// Offers a member that is a string, if it is present.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>, object: &mut ObjectWriter<'_>) {
        let Some(text) = text else { return };
        let cost = Cost { bytes: name.len() + string_len(text), values: 2 };
        self.offer(name, object, |page, out| page.whole(cost, || writer::string(text, out)));
    }

    /// Offers members that have no field.
    pub(super) fn members<'m>(
        &mut self,
        rule: Rule,
        members: impl Iterator<Item = (&'m str, &'m OwnedValue)>,
        object: &mut ObjectWriter<'_>,
    ) {
        for (name, value) in members {
            self.offer(name, object, |page, out| page.value(name, value, rule.merge(name), out));
        }
    }

    /// Offers an object whose members are merged by `rule`.
    pub(super) fn object(
        &mut self,
        name: &str,
        members: &OwnedObject,
        rule: Rule,
        object: &mut ObjectWriter<'_>,
    ) {
        self.offer(name, object, |page, out| {
            let cost = named(name, members_cost(members, page.max_cost));
            if !page.is_resumed() && (members.is_empty() || page.fits(cost)) {
                return page.whole(cost, || json_write::object(members, out));
            }
            page.enclose(name);
            page.object_parts(members, rule, out)
        });
    }

    /// Offers the list of the reasoning details.
    pub(super) fn details(&mut self, name: &str, list: &OwnedArray, object: &mut ObjectWriter<'_>) {
        if !list.is_empty() {
            let rule = Rule::At(Level::ReasoningDetail);
            self.offer(name, object, |page, out| {
                page.enclose(name);
                page.list_parts(list, ElementRules { matching: Matching::Detail, rule }, out)
            });
        }
    }

    /// Offers the next member, whose value `write` writes from the cursor's path on.
    ///
    /// `write` consumes the path and returns true if the value is complete. Otherwise it stores the
    /// path at which it stops.
    fn offer(
        &mut self,
        name: &str,
        object: &mut ObjectWriter<'_>,
        write: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool,
    ) {
        let member = self.offered;
        self.offered += 1;
        if self.is_full || member < self.cursor.member {
            return;
        }
        let is_complete = self.member(name, object, write);
        debug_assert!(!is_complete || !self.is_resumed(), "a complete member has no path");
        self.is_full = !is_complete;
        self.cursor.member = member + usize::from(is_complete);
    }

    /// Writes a member with `write`, and omits it if no part of it is written.
    ///
    /// Returns the result of `write`: true if the value is complete.
    fn member(
        &mut self,
        name: &str,
        object: &mut ObjectWriter<'_>,
        write: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool,
    ) -> bool {
        let (parts, mut is_complete) = (self.parts, true);
        object.attempt(|object| {
            is_complete = write(self, object.name(name));
            self.parts > parts
        });
        is_complete
    }

    /// Returns true if an earlier page contains a part of the next value.
    const fn is_resumed(&self) -> bool {
        !self.cursor.path.is_empty()
    }

    /// Writes the value of a member, in parts if it can be merged from them.
    ///
    /// Returns true if the value is complete, as do the functions below.
    fn value(&mut self, name: &str, value: &OwnedValue, merge: Merge, out: &mut Vec<u8>) -> bool {
        let is_resumed = self.is_resumed();
        let cost =
            if is_resumed { Cost::default() } else { named(name, cost(value, self.max_cost)) };
        if is_resumed || !self.fits(cost) {
            self.enclose(name);
            match value {
                OwnedValue::Object(members) if !members.is_empty() => {
                    if let Some(merge) = member_merge(merge) {
                        return self.object_parts(members, Rule::All(merge), out);
                    }
                }
                OwnedValue::Array(list) if !list.is_empty() => {
                    if let Some(rules) = element_rules(merge) {
                        return self.list_parts(list, rules, out);
                    }
                }
                OwnedValue::Raw(text) if is_resumed || is_split(text, merge) => {
                    return self.array_parts(text, out);
                }
                _ => {}
            }
        }
        debug_assert!(!is_resumed, "a value is resumed as it was begun: in parts");
        self.whole(cost, || json_write::json(value, out))
    }

    /// Counts the name of a member that is written in parts.
    fn enclose(&mut self, name: &str) {
        self.byte_budget = self.byte_budget.saturating_sub(string_len(name));
    }

    /// Writes a whole value, if the budget allows it.
    fn whole(&mut self, cost: Cost, write: impl FnOnce()) -> bool {
        let is_reserved = self.try_reserve(cost);
        if is_reserved {
            write();
        }
        is_reserved
    }

    fn object_parts(&mut self, members: &OwnedObject, rule: Rule, out: &mut Vec<u8>) -> bool {
        let mut object = ObjectWriter::begin(out);
        let is_complete = self.member_parts(members.iter(), rule, &mut object);
        object.end();
        is_complete
    }

    fn member_parts<'m>(
        &mut self,
        members: impl Iterator<Item = (&'m str, &'m OwnedValue)>,
        rule: Rule,
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let first = self.cursor.path.pop().unwrap_or(0);
        for (position, (name, value)) in members.enumerate().skip(first) {
            let merge = rule.merge(name);
            if !self.member(name, object, |page, out| page.value(name, value, merge, out)) {
                self.cursor.path.push(position);
                return false;
            }
        }
        true
    }

    fn list_parts(&mut self, list: &OwnedArray, rules: ElementRules, out: &mut Vec<u8>) -> bool {
        let mut array = ArrayWriter::begin(out);
        let mut is_complete = true;
        let first = self.cursor.path.pop().unwrap_or(0);
        for (position, (key, members)) in list.elements().enumerate().skip(first) {
            let parts = self.parts;
            array.attempt(|out| {
                is_complete = self.element(key, members, rules, out);
                self.parts > parts
            });
            if !is_complete {
                self.cursor.path.push(position);
                break;
            }
        }
        array.end();
        is_complete
    }

    /// Writes an element of a list.
    ///
    /// It is written in parts if it exceeds the maximum cost and other elements can continue it.
    /// Each part contains the members that identify the element. Its position is 0 before the head,
    /// and 1 more than the number of written members after it.
    fn element(
        &mut self,
        key: ElementKey<'_>,
        members: &OwnedObject,
        rules: ElementRules,
        out: &mut Vec<u8>,
    ) -> bool {
        let (head, max_cost) = (head_len(key, members, rules.matching), self.max_cost);
        if !self.is_resumed() {
            let cost = members_cost(members, max_cost);
            if head.is_none() || cost.total() <= max_cost {
                return self.whole(cost, || json_write::element(key, members, out));
            }
        }
        let head_len = head.unwrap_or_default();
        let head = || members.iter().take(head_len);
        let mut object = ObjectWriter::begin(out);
        if let Some(position) = self.cursor.path.pop().and_then(|next| next.checked_sub(1)) {
            self.cursor.path.push(position);
            json_write::write_members(head().filter(|(name, _)| is_key(name)), &mut object);
        } else {
            let costs = head().map(|(name, value)| named(name, cost(value, max_cost)));
            if !self.try_reserve(sum(costs, max_cost)) {
                self.cursor.path.push(0);
                return false;
            }
            json_write::write_members(head(), &mut object);
        }
        json_write::write_key(key, members, &mut object);
        let is_complete = self.member_parts(members.iter().skip(head_len), rules.rule, &mut object);
        object.end();
        if !is_complete && let Some(position) = self.cursor.path.last_mut() {
            *position += 1;
        }
        is_complete
    }

    /// Writes the elements of an array that is stored as text.
    ///
    /// Its position is that of a byte behind the bracket or a comma.
    fn array_parts(&mut self, text: &str, out: &mut Vec<u8>) -> bool {
        let mut array = ArrayWriter::begin(out);
        let mut position = self.cursor.path.pop().unwrap_or(1);
        let mut is_complete = true;
        for (end, cost, element) in (Elements { text, position }) {
            is_complete = self.try_reserve(cost);
            if !is_complete {
                self.cursor.path.push(position);
                break;
            }
            position = end;
            array.element(|out| writer::minified(element, out));
        }
        array.end();
        is_complete
    }

    /// Reserves the cost of a part. Returns true if it belongs in this chunk.
    fn try_reserve(&mut self, cost: Cost) -> bool {
        let fits = self.fits(cost);
        if !fits && !self.may_exceed {
            return false;
        }
        self.is_oversized |= !fits;
        self.budget = self.budget.saturating_sub(cost.total());
        self.byte_budget = self.byte_budget.saturating_sub(cost.bytes);
        self.bytes += cost.bytes;
        self.parts += 1;
        self.may_exceed = false;
        true
    }

    const fn fits(&self, cost: Cost) -> bool {
        cost.total() <= self.budget && cost.bytes <= self.byte_budget
    }
}

impl Cost {
    const fn total(self) -> usize {
        self.bytes + VALUE_COST * self.values
    }

    const fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, values: self.values + other.values }
    }
}

/// Returns the merge of the members, for an object that is merged member by member.
const fn member_merge(merge: Merge) -> Option<Merge> {
    match merge {
        Merge::Object | Merge::FilterResults => Some(Merge::Object),
        Merge::ExtendMembers => Some(Merge::Extend),
        Merge::CustomCall => Some(Merge::KeepFirst),
        Merge::Accumulate | Merge::Fragments => Some(merge),
        _ => None,
    }
}

/// Returns the rules by which the elements of a list are matched and merged, if they are merged.
const fn element_rules(merge: Merge) -> Option<ElementRules> {
    let (matching, merge) = match merge {
        Merge::ByIndex => (Matching::Index, Merge::Object),
        Merge::Accumulate => (Matching::IndexOrId, merge),
        Merge::Fragments => (Matching::Fragment, merge),
        _ => return None,
    };
    Some(ElementRules { matching, rule: Rule::All(merge) })
}

/// Returns the number of members up to the last one that identifies the element.
///
/// Returns `None` if no other element can continue it, or no further member follows.
fn head_len(key: ElementKey<'_>, members: &OwnedObject, matching: Matching) -> Option<usize> {
    let [(_, index), (_, id), _] = key.members();
    let is_continuable = match matching {
        Matching::Index | Matching::Detail => index.is_some(),
        Matching::IndexOrId => index.or(id).is_some(),
        Matching::Fragment => {
            index.or(id).is_some() || members.get(reasoning_detail::SIGNATURE).is_none()
        }
    };
    let head = members.iter().enumerate().filter(|(_, (name, _))| is_key(name)).last();
    let head = head.map_or(0, |(position, _)| position + 1);
    (is_continuable && head < members.len()).then_some(head)
}

/// Returns true if a member of this name identifies an element.
fn is_key(name: &str) -> bool {
    matches!(
        name,
        reasoning_detail::INDEX | PROMPT_INDEX | reasoning_detail::ID | reasoning_detail::TYPE
    )
}

/// Returns the cost of a value, or any cost above `max` if it is more than `max`.
fn cost(value: &OwnedValue, max: usize) -> Cost {
    match value {
        OwnedValue::Raw(text) if text.len() > max => Cost { bytes: text.len(), values: 1 },
        OwnedValue::Raw(text) => {
            let marks = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{'));
            Cost { bytes: text.len(), values: 1 + marks.count() }
        }
        OwnedValue::Object(members) => members_cost(members, max),
        OwnedValue::Array(list) => sum(list.iter().map(|element| members_cost(element, max)), max),
    }
}

/// Returns the cost of an object or list with these parts, bounded like [`cost`].
fn sum(parts: impl Iterator<Item = Cost>, max: usize) -> Cost {
    let mut sum = Cost { bytes: 2, values: 1 };
    for part in parts {
        sum = sum.and(part);
        if sum.total() > max {
            break;
        }
    }
    sum
}

/// Returns the cost of a member: of its name and its value.
fn named(name: &str, value: Cost) -> Cost {
    value.and(Cost { bytes: string_len(name) + 2, values: 1 })
}

fn members_cost(members: &OwnedObject, max: usize) -> Cost {
    sum(members.iter().map(|(name, value)| named(name, cost(value, max))), max)
}

/// Returns true if a decoder with the default limits reads an event.
pub(super) fn is_readable(event: &[u8]) -> bool {
    let json = event.strip_prefix(b"data: ").unwrap_or(event);
    event.len() <= LIMITS.max_event_bytes && element_len(json).1 <= LIMITS.max_json_values
}

/// Returns true if a JSON text is an array that may be written in parts.
///
/// Where unknown members are merged, a first part of objects alone becomes a list of another kind.
/// An array that begins with an object is then split only if a decoder can't read it whole.
fn is_split(text: &str, merge: Merge) -> bool {
    let first = text.strip_prefix('[').and_then(|rest| rest.trim_start().bytes().next());
    let is_unknown = matches!(merge, Merge::Accumulate | Merge::Fragments);
    let is_read = || text.len() <= MAX_BYTES && element_len(text.as_bytes()).1 <= MAX_VALUES;
    let is_list = merge.joins_lists() && first.is_some_and(|first| first != b']');
    is_list && !(is_unknown && first == Some(b'{') && is_read())
}

/// The elements of the JSON text of an array: end, cost and text of each.
struct Elements<'t> {
    text: &'t str,
    /// Position of the next element, behind the bracket or a comma: `position <= text.len()`.
    position: usize,
}

impl<'t> Iterator for Elements<'t> {
    type Item = (usize, Cost, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.position..).filter(|rest| !rest.is_empty())?;
        let (len, values) = element_len(rest.as_bytes());
        self.position += len + 1;
        Some((self.position, Cost { bytes: len + 1, values }, rest.get(..len)?))
    }
}

/// Returns the length of the element at the start of `rest`, and its number of names and values.
fn element_len(rest: &[u8]) -> (usize, usize) {
    let (mut position, mut depth, mut values) = (0, 0_usize, 1);
    while let Some(byte) = rest.get(position) {
        match byte {
            b',' | b']' if depth == 0 => break,
            b'"' => {
                position += 1;
                loop {
                    position += plain_len(bytes_in(rest, position.min(rest.len())..));
                    match rest.get(position) {
                        Some(b'"') | None => break,
                        Some(b'\\') => position += 2,
                        Some(_) => position += 1,
                    }
                }
            }
            b'[' | b'{' => {
                depth += 1;
                let inside = bytes_in(rest, position + 1..);
                values += usize::from(!is_closed(inside));
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        position += 1;
    }
    (position.min(rest.len()), values)
}

/// Returns true if an array or object is empty. `inside` begins after its bracket.
fn is_closed(inside: &[u8]) -> bool {
    let mut bytes = inside.iter().skip_while(|byte| byte.is_ascii_whitespace());
    matches!(bytes.next(), Some(b']' | b'}'))
}
