//! `ChunkPage`: how much of a completion goes into one chunk, so that every decoder reads it.

use super::json_write::{self, ObjectWriter, string_len};
use crate::chunk::{Level, Merge, merge};
use crate::completion::{ElementKey, Matching};
use crate::json::{Json, JsonList, JsonObject, plain_len};
use crate::limits::Limits;

/// What one chunk may cost: a byte costs 1, and a name or value 16 besides. That is a sixteenth of the
/// default [`event_bytes`](crate::Limits::event_bytes), and a quarter of the default
/// [`json_values`](crate::Limits::json_values).
pub(super) const MOST_COST: usize = 4 << 20;
const VALUE_COST: usize = 16;

/// Most bytes of an event, without the members that every chunk repeats.
const MOST_BYTES: usize = LIMITS.event_bytes - 4096;
/// Most names and values of an event, without the members that every chunk repeats.
const MOST_VALUES: usize = LIMITS.json_values - 64;
const LIMITS: Limits = Limits::new();

/// The number of written members of a completion, and the position inside the next one, by level.
#[derive(Clone, Debug, Default)]
pub(super) struct PageCursor {
    member: usize,
    inside: Vec<usize>,
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
    /// Each by the rules of a level.
    At(Level),
    /// All in the same way.
    All(Merge),
}

impl Rule {
    fn of(self, name: &str) -> Merge {
        match self {
            Self::At(level) => merge(level, name),
            Self::All(merge) => merge,
        }
    }
}

/// The positions at which a chunk stops and another one continues, the innermost first.
type Stop = Vec<usize>;

/// Writes members from a cursor on, as many as a chunk may contain.
///
/// Each member is offered in each chunk, in the same order. A member that can't be merged from
/// parts is written whole, if necessary alone.
pub(super) struct ChunkPage {
    cursor: PageCursor,
    /// This is the first chunk of its choice or tool call.
    pub(super) is_first: bool,
    /// The member that is offered next.
    nth: usize,
    most: usize,
    room: usize,
    /// Room of the event in bytes, without the names that enclose the remaining members.
    left: usize,
    /// Number of written parts, and of their bytes.
    parts: usize,
    pub(super) bytes: usize,
    is_empty: bool,
    is_full: bool,
    /// A part was written that costs more than a chunk may.
    pub(super) is_oversized: bool,
    /// The chunk contains one such part only.
    pub(super) is_alone: bool,
    /// Tool calls are written with their `index`. A delta without it continues the last tool call.
    pub(super) has_index: bool,
}

impl ChunkPage {
    /// Returns a portion from a cursor on that costs up to `most`; without a cursor, the first one.
    pub(super) fn new(cursor: Option<PageCursor>, most: usize) -> Self {
        let is_first = cursor.is_none();
        Self {
            cursor: cursor.unwrap_or_default(),
            is_first,
            nth: 0,
            most,
            room: most,
            left: MOST_BYTES,
            parts: 0,
            bytes: 0,
            // The first chunk contains no oversized part.
            is_empty: !is_first,
            is_full: false,
            is_oversized: false,
            is_alone: false,
            has_index: true,
        }
    }

    /// Returns a portion like [`new`](Self::new), for a chunk with one oversized part only.
    pub(super) fn alone(cursor: Option<PageCursor>, most: usize, has_index: bool) -> Self {
        Self { is_alone: true, has_index, ..Self::new(cursor, most) }
    }

    /// Returns the number of written parts.
    pub(super) const fn parts(&self) -> usize {
        self.parts
    }

    /// Where the next chunk begins; `None` if nothing is left.
    pub(super) fn rest(self) -> Option<PageCursor> {
        self.is_full.then_some(self.cursor)
    }

    /// Offers a member that is a string.
    pub(super) fn text(&mut self, name: &str, text: &str, object: &mut ObjectWriter<'_>) {
        self.offer(|portion, _, _| {
            let cost = Cost { bytes: name.len() + string_len(text), values: 2 };
            let is_taken = portion.takes(cost);
            if is_taken {
                object.string(name, text);
            }
            is_taken
        });
    }

    /// Offers members that have no field.
    pub(super) fn members<'m>(
        &mut self,
        rule: Rule,
        members: impl Iterator<Item = (&'m str, &'m Json)>,
        object: &mut ObjectWriter<'_>,
    ) {
        for (name, value) in members {
            self.offer(|portion, from, stop| {
                portion.value((name, value), rule.of(name), (from, stop), object)
            });
        }
    }

    /// Offers an object whose members are merged by `rule`.
    pub(super) fn inside(
        &mut self,
        name: &str,
        members: &JsonObject,
        rule: Rule,
        object: &mut ObjectWriter<'_>,
    ) {
        self.offer(|portion, from, stop| {
            let cost = named(name, members_cost(members, portion.most));
            if from.is_empty() && (members.is_empty() || portion.fits(cost)) {
                return portion.whole(cost, |out| json_write::object(members, out), name, object);
            }
            portion.object((name, members), rule, (from, stop), object)
        });
    }

    /// Offers the list of the reasoning details.
    pub(super) fn details(&mut self, name: &str, list: &JsonList, object: &mut ObjectWriter<'_>) {
        if !list.is_empty() {
            let rules = (Matching::Detail, Rule::At(Level::ReasoningDetail));
            self.offer(|portion, from, stop| {
                portion.list((name, list), rules, (from, stop), object)
            });
        }
    }

    /// Offers the next member, which `write` writes from a position on.
    ///
    /// `write` returns true if the member is complete. Otherwise it stores the position at which it
    /// stops.
    fn offer(&mut self, write: impl FnOnce(&mut Self, &[usize], &mut Stop) -> bool) {
        let nth = self.nth;
        self.nth += 1;
        if self.is_full || nth < self.cursor.member {
            return;
        }
        let from = core::mem::take(&mut self.cursor.inside);
        let mut stop = Stop::new();
        let is_done = write(self, &from, &mut stop);
        self.is_full = !is_done;
        stop.reverse();
        self.cursor = PageCursor { member: nth + usize::from(is_done), inside: stop };
    }

    /// Writes a member, in parts if it can be merged from them. Returns true if it is complete.
    fn value(
        &mut self,
        (name, value): (&str, &Json),
        merge: Merge,
        (from, stop): (&[usize], &mut Stop),
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let cost =
            if from.is_empty() { named(name, cost(value, self.most)) } else { Cost::default() };
        if !from.is_empty() || !self.fits(cost) {
            match value {
                Json::Object(members) if !members.is_empty() => {
                    if let Some(merge) = inner(merge) {
                        let rule = Rule::All(merge);
                        return self.object((name, members), rule, (from, stop), object);
                    }
                }
                Json::List(list) if !list.is_empty() => {
                    if let Some(rules) = elements(merge) {
                        return self.list((name, list), rules, (from, stop), object);
                    }
                }
                Json::Text(text) if !from.is_empty() || is_cut(text, merge) => {
                    return self.array((name, text), (from, stop), object);
                }
                _ => {}
            }
        }
        self.whole(cost, |out| json_write::json(value, out), name, object)
    }

    /// Writes a member that isn't cut, if it belongs in this chunk. Returns true if it does.
    fn whole(
        &mut self,
        cost: Cost,
        write: impl FnOnce(&mut Vec<u8>),
        name: &str,
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let is_taken = self.takes(cost);
        if is_taken {
            write(object.name(name));
        }
        is_taken
    }

    fn object(
        &mut self,
        (name, members): (&str, &JsonObject),
        rule: Rule,
        (from, stop): (&[usize], &mut Stop),
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let mut is_done = true;
        let before = self.parts;
        self.enclose(name);
        object.attempt(|object| {
            let mut inner = ObjectWriter::begin(object.name(name));
            is_done = self.members_of(members.iter(), rule, (from, stop), &mut inner);
            inner.end();
            self.parts > before
        });
        is_done
    }

    fn members_of<'m>(
        &mut self,
        members: impl Iterator<Item = (&'m str, &'m Json)>,
        rule: Rule,
        (from, stop): (&[usize], &mut Stop),
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let (first, inside) = first(from);
        for (at, (name, value)) in members.enumerate().skip(first) {
            let from = if at == first { inside } else { &[] };
            if !self.value((name, value), rule.of(name), (from, stop), object) {
                stop.push(at);
                return false;
            }
        }
        true
    }

    fn list(
        &mut self,
        (name, list): (&str, &JsonList),
        rules: (Matching, Rule),
        (from, stop): (&[usize], &mut Stop),
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let mut is_done = true;
        let before = self.parts;
        self.enclose(name);
        object.attempt(|object| {
            let out = object.name(name);
            out.push(b'[');
            let (first, inside) = first(from);
            for (at, element) in list.elements().enumerate().skip(first) {
                let from = if at == first { inside } else { &[] };
                let (len, parts) = (out.len(), self.parts);
                if parts > before {
                    out.push(b',');
                }
                is_done = self.element(element, rules, (from, stop), out);
                if self.parts == parts {
                    out.truncate(len);
                }
                if !is_done {
                    stop.push(at);
                    break;
                }
            }
            out.push(b']');
            self.parts > before
        });
        is_done
    }

    /// Writes an element of a list. Returns true if it is complete.
    ///
    /// It is written in parts if it costs more than a chunk may and other elements can continue it.
    /// Each part contains the members that identify the element.
    fn element(
        &mut self,
        (key, members): (ElementKey<'_>, &JsonObject),
        (matching, rule): (Matching, Rule),
        (from, stop): (&[usize], &mut Stop),
        out: &mut Vec<u8>,
    ) -> bool {
        let head = head_len(key, members, matching);
        if from.is_empty() {
            let cost = members_cost(members, self.most);
            let is_cut = cost.total() > self.most && head.is_some();
            if !is_cut {
                let is_taken = self.takes(cost);
                if is_taken {
                    json_write::element((key, members), out);
                }
                return is_taken;
            }
        }
        let (head, (first, inside)) = (head.unwrap_or_default(), first(from));
        let mut object = ObjectWriter::begin(out);
        if first == 0 {
            let most = self.most;
            let known = members.iter().take(head);
            let known = known.map(|(name, value)| named(name, cost(value, most)));
            if !self.takes(sum(known, most)) {
                stop.push(0);
                return false;
            }
            object.members(members.iter().take(head));
            json_write::key(key, members, &mut object);
        } else {
            object.members(members.iter().take(head).filter(|(name, _)| is_key(name)));
            json_write::key(key, members, &mut object);
        }
        let rest = members.iter().skip(head);
        let from = first.checked_sub(1).map(|first| [&[first], inside].concat());
        let is_done = self.members_of(rest, rule, (&from.unwrap_or_default(), stop), &mut object);
        object.end();
        if !is_done && let Some(at) = stop.last_mut() {
            *at += 1;
        }
        is_done
    }

    /// Writes the elements of an array that is kept as text. Returns true if it is complete.
    ///
    /// Its position is that of a byte.
    fn array(
        &mut self,
        (name, text): (&str, &str),
        (from, stop): (&[usize], &mut Stop),
        object: &mut ObjectWriter<'_>,
    ) -> bool {
        let mut is_done = true;
        let before = self.parts;
        self.enclose(name);
        object.attempt(|object| {
            let out = object.name(name);
            let mut at = first(from).0.max(1);
            let mut mark = b'[';
            for (behind, cost, element) in (Elements { text, at }) {
                if !self.takes(cost) {
                    stop.push(at);
                    is_done = false;
                    break;
                }
                at = behind;
                out.push(mark);
                mark = b',';
                json_write::json_text(element, out);
            }
            out.push(b']');
            self.parts > before
        });
        is_done
    }

    /// Counts the name of a member that is written in parts.
    fn enclose(&mut self, name: &str) {
        self.left = self.left.saturating_sub(string_len(name));
    }

    /// Returns true if a part is to be written in this chunk, and counts it then.
    fn takes(&mut self, cost: Cost) -> bool {
        let fits = self.fits(cost);
        if !fits && !self.is_empty {
            return false;
        }
        self.is_oversized |= !fits;
        self.room = self.room.saturating_sub(cost.total());
        self.left = self.left.saturating_sub(cost.bytes);
        self.bytes += cost.bytes;
        self.parts += 1;
        self.is_empty = false;
        true
    }

    const fn fits(&self, cost: Cost) -> bool {
        cost.total() <= self.room && cost.bytes <= self.left
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

/// Splits positions into the outermost one, 0 if there is none, and those inside it.
fn first(from: &[usize]) -> (usize, &[usize]) {
    from.split_first().map_or((0, from), |(first, inside)| (*first, inside))
}

/// Returns the merge of the members, for an object that is merged member by member.
const fn inner(merge: Merge) -> Option<Merge> {
    match merge {
        Merge::Object | Merge::FilterResults => Some(Merge::Object),
        Merge::ExtendMembers => Some(Merge::Extend),
        Merge::CustomCall => Some(Merge::KeepFirst),
        Merge::Accumulate | Merge::Fragments => Some(merge),
        _ => None,
    }
}

/// Returns the rules by which the elements of a list are matched and merged, if they are merged.
const fn elements(merge: Merge) -> Option<(Matching, Rule)> {
    match merge {
        Merge::ByIndex => Some((Matching::Index, Rule::All(Merge::Object))),
        Merge::Accumulate => Some((Matching::IndexOrId, Rule::All(merge))),
        Merge::Fragments => Some((Matching::Fragment, Rule::All(merge))),
        _ => None,
    }
}

/// Returns the number of members up to the last one that identifies the element.
///
/// Returns `None` if no other element can continue it, or no further member follows.
fn head_len(key: ElementKey<'_>, members: &JsonObject, matching: Matching) -> Option<usize> {
    let [(_, index), (_, id), _] = key.members();
    let goes_on = match matching {
        Matching::Index | Matching::Detail => index.is_some(),
        Matching::IndexOrId => index.or(id).is_some(),
        Matching::Fragment => index.or(id).is_some() || members.get("signature").is_none(),
    };
    let head = members.iter().enumerate().filter(|(_, (name, _))| is_key(name)).last();
    let head = head.map_or(0, |(at, _)| at + 1);
    (goes_on && head < members.len()).then_some(head)
}

/// Returns true if a member of this name identifies an element.
fn is_key(name: &str) -> bool {
    matches!(name, "index" | "prompt_index" | "id" | "type")
}

/// Returns the cost of a value. If it is more than `most`, any cost above `most`.
fn cost(value: &Json, most: usize) -> Cost {
    match value {
        Json::Text(text) if text.len() > most => Cost { bytes: text.len(), values: 1 },
        Json::Text(text) => {
            let marks = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{'));
            Cost { bytes: text.len(), values: 1 + marks.count() }
        }
        Json::Object(members) => members_cost(members, most),
        Json::List(list) => sum(list.iter().map(|element| members_cost(element, most)), most),
    }
}

/// Returns the cost of an object or list with these parts, bounded like [`cost`].
fn sum(parts: impl Iterator<Item = Cost>, most: usize) -> Cost {
    let mut sum = Cost { bytes: 2, values: 1 };
    for part in parts {
        sum = sum.and(part);
        if sum.total() > most {
            break;
        }
    }
    sum
}

/// Returns the cost of a member: of its name and its value.
fn named(name: &str, value: Cost) -> Cost {
    value.and(Cost { bytes: string_len(name) + 2, values: 1 })
}

fn members_cost(members: &JsonObject, most: usize) -> Cost {
    sum(members.iter().map(|(name, value)| named(name, cost(value, most))), most)
}

/// Returns true if a decoder with the default limits reads an event.
pub(super) fn is_readable(event: &[u8]) -> bool {
    let json = event.strip_prefix(b"data: ").unwrap_or(event);
    // A decoder holds a joined copy of several lines.
    let joined = if json.trim_ascii_end().contains(&b'\n') { json.len() } else { 0 };
    event.len() + joined <= LIMITS.event_bytes && element_len(json).1 <= LIMITS.json_values
}

/// Returns true if a JSON text is an array that may be written in parts.
///
/// Where unknown members are merged, a first part of objects alone becomes a list of another kind.
/// An array that begins with an object is then cut only if a decoder can't read it whole.
fn is_cut(text: &str, merge: Merge) -> bool {
    let first = text.strip_prefix('[').and_then(|rest| rest.trim_start().bytes().next());
    let is_unknown = matches!(merge, Merge::Accumulate | Merge::Fragments);
    let is_read = || text.len() <= MOST_BYTES && element_len(text.as_bytes()).1 <= MOST_VALUES;
    let is_list = merge.joins_lists() && first.is_some_and(|first| first != b']');
    is_list && !(is_unknown && first == Some(b'{') && is_read())
}
/// The elements of the JSON text of an array, from a position behind its bracket or a comma on.
struct Elements<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Iterator for Elements<'t> {
    type Item = (usize, Cost, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (len, values) = element_len(rest.as_bytes());
        self.at += len + 1;
        Some((self.at, Cost { bytes: len + 1, values }, rest.get(..len)?))
    }
}

/// Returns the length of the element at the start of `rest`, and its number of names and values.
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
                let inside = rest.get(at + 1..).unwrap_or_default();
                values += usize::from(!is_closed(inside));
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        at += 1;
    }
    (at.min(rest.len()), values)
}

/// Returns true if an array or object is empty. `inside` begins after its bracket.
fn is_closed(inside: &[u8]) -> bool {
    let mut bytes = inside.iter().skip_while(|byte| byte.is_ascii_whitespace());
    matches!(bytes.next(), Some(b']' | b'}'))
}
