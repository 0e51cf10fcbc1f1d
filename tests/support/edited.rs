//! The rules of an editor as a program: over a tree of the text, with its spaces and repeated names.
//!
//! It shares no code with the crate: `serde_json` checks the texts and unescapes the names.

use deltawire::gateway::{EditRule, EditValue};
use serde_json::value::RawValue;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Name(&'static str),
    Position(usize),
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// JSON texts.
    Replace(&'static str),
    Set(&'static str),
    AddIfAbsent(&'static str),
    /// The new name.
    Rename(&'static str),
    Remove,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub steps: Vec<Step>,
    pub action: Action,
}

impl Rule {
    /// Returns the path in RFC 9535's notation.
    pub fn path(&self) -> String {
        let steps = self.steps.iter().map(|step| match step {
            Step::Name(name) if name.chars().all(|c| c.is_ascii_lowercase() || c == '_') => {
                format!(".{name}")
            }
            Step::Name(name) => format!("['{name}']"),
            Step::Position(position) => format!("[{position}]"),
            Step::All => "[*]".to_owned(),
        });
        steps.fold("$".to_owned(), |path, step| path + &step)
    }

    /// Returns the rule of the crate.
    pub fn made(&self) -> EditRule {
        let path = self.path();
        let value = |json: &'static str| EditValue::from_json(json.as_bytes()).unwrap();
        let rule = match self.action {
            Action::Replace(json) => EditRule::replace(&path, value(json)),
            Action::Set(json) => EditRule::set(&path, value(json)),
            Action::AddIfAbsent(json) => EditRule::add_if_absent(&path, value(json)),
            Action::Rename(name) => EditRule::rename(&path, name),
            Action::Remove => EditRule::remove(&path),
        };
        rule.unwrap()
    }

    fn is_renaming(&self) -> bool {
        matches!(self.action, Action::Rename(_))
    }

    /// Returns true if a choice's `delta` is the third step.
    fn names_delta(&self) -> bool {
        matches!(
            &self.steps[..],
            [
                Step::Name("choices") | Step::All,
                Step::Position(_) | Step::All,
                Step::Name("delta"),
                ..
            ]
        )
    }

    /// Returns true if the step at a depth is a name that a member has.
    fn names(&self, at: At<'_>, name: Option<&str>) -> bool {
        let Step::Name(own) = &self.steps[at.depth] else { return false };
        let is_choice = at.depth == 2 && at.choices == Some("choices");
        name == Some(*own) || is_choice && name == Some("message") && self.names_delta()
    }

    fn selects(&self, at: At<'_>, position: usize, name: Option<&str>) -> bool {
        match &self.steps[at.depth] {
            Step::Name(_) => self.names(at, name),
            Step::Position(own) => name.is_none() && position == *own,
            Step::All => true,
        }
    }
}

/// A value with the spaces in it.
enum Tree {
    Leaf(String),
    /// The brackets, the items, and the space of an empty array or object.
    Nested(char, Vec<Item>, String),
}

/// An element or member, with the spaces around it.
struct Item {
    before: String,
    /// The unescaped name, its text, and the text from there to the value.
    name: Option<(String, String, String)>,
    value: Tree,
    after: String,
}

/// Reads a text that is JSON.
struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    fn space(&mut self) -> String {
        let len = self.0.find(|c: char| !" \t\r\n".contains(c)).unwrap_or(self.0.len());
        self.take(len).to_owned()
    }

    fn string(&mut self) -> &'t str {
        let mut is_escaped = false;
        let end = self.0.char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_end
        });
        self.take(end.unwrap().0 + 1)
    }

    fn value(&mut self) -> Tree {
        match self.0.chars().next().unwrap() {
            '"' => Tree::Leaf(self.string().to_owned()),
            open @ ('{' | '[') => {
                self.take(1);
                let (mut items, mut before) = (Vec::new(), self.space());
                while !self.0.starts_with(['}', ']']) {
                    let name = (open == '{').then(|| {
                        let name = self.string();
                        let mut behind = self.space();
                        behind += self.take(1);
                        behind += &self.space();
                        (serde_json::from_str(name).unwrap(), name.to_owned(), behind)
                    });
                    let (value, after) = (self.value(), self.space());
                    items.push(Item { before: std::mem::take(&mut before), name, value, after });
                    if self.0.starts_with(',') {
                        self.take(1);
                        before = self.space();
                    }
                }
                self.take(1);
                Tree::Nested(open, items, before)
            }
            _ => {
                let end = self.0.find([',', '}', ']', ' ', '\t', '\r', '\n']);
                Tree::Leaf(self.take(end.unwrap_or(self.0.len())).to_owned())
            }
        }
    }
}

/// The place of an array or object: its depth, and the name of the array that contains it at depth 2.
#[derive(Clone, Copy)]
struct At<'t> {
    depth: usize,
    choices: Option<&'t str>,
    /// Rules add members.
    adds: bool,
}

/// Returns a text with the changes of the rules, or `None` if it isn't a JSON object.
///
/// Rules add members to it if `adds`.
pub fn edited(json: &str, rules: &[Rule], adds: bool) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(json).ok()?;
    if !raw.get().starts_with('{') {
        return None;
    }
    let mut effective: Vec<&Rule> = Vec::new();
    for rule in rules {
        effective.retain(|earlier| {
            earlier.steps != rule.steps || earlier.is_renaming() != rule.is_renaming()
        });
        effective.push(rule);
    }
    let active: Vec<_> = (0..effective.len()).collect();
    let mut reader = Reader(json);
    let mut out = reader.space();
    let root = At { depth: 0, choices: None, adds };
    write(&reader.value(), root, &active, &effective, &mut out);
    out.push_str(reader.0);
    Some(out)
}

/// The change of an item: its last value rule and its last renaming.
#[derive(Clone, Copy, Default)]
struct Hit {
    value: Option<usize>,
    rename: Option<usize>,
}

/// Returns the members that don't remain under a name to which renamings lead.
fn outranked(items: &[Item], live: &[usize], names: &[Option<String>], hits: &[Hit]) -> Vec<usize> {
    let mut found = Vec::new();
    let old_name = |position: usize| items[position].name.as_ref().map(|(name, ..)| name);
    let rank = |position: usize| {
        let is_null = matches!(&items[position].value, Tree::Leaf(text) if text == "null");
        (!is_null, hits[position].rename.map_or(0, |rule| rule + 1))
    };
    for renamed in live.iter().filter(|position| hits[**position].rename.is_some()) {
        let name = &names[*renamed];
        let alike: Vec<_> =
            live.iter().copied().filter(|position| names[*position] == *name).collect();
        let mut best = alike[0];
        for position in &alike {
            if rank(*position) > rank(best) {
                best = *position;
            }
        }
        found.extend(alike.iter().filter(|position| old_name(**position) != old_name(best)));
    }
    found
}

/// Applies rules for a new name to renamed members: those behind the renaming, and those that set.
fn change_renamed(
    hits: &mut [Hit],
    names: &[Option<String>],
    at: At<'_>,
    active: &[usize],
    rules: &[&Rule],
) {
    for (hit, name) in hits.iter_mut().zip(names) {
        let Some(rename) = hit.rename else { continue };
        let is_named = |rule: &usize| match (rules[*rule].steps.last(), rules[*rule].action) {
            (Some(Step::Name(_)), Action::Set(_)) => rules[*rule].names(at, name.as_deref()),
            (Some(Step::Name(_)), Action::Replace(_) | Action::Remove) => {
                *rule > rename && rules[*rule].names(at, name.as_deref())
            }
            _ => false,
        };
        hit.value = hit.value.max(active.iter().copied().filter(is_named).max());
    }
}

/// Appends a value that the first steps of the active rules select, with their changes.
fn write(tree: &Tree, at: At<'_>, active: &[usize], rules: &[&Rule], out: &mut String) {
    let depth = at.depth;
    let (open, items, space) = match tree {
        Tree::Leaf(text) => return out.push_str(text),
        Tree::Nested(open, items, space) => (*open, items, space),
    };
    let name_of = |item: &Item| item.name.as_ref().map(|(name, ..)| name.clone());
    let is_last = |rule: usize| rules[rule].steps.len() == depth + 1;
    let selects = |rule: usize, position: usize, item: &Item| {
        rules[rule].selects(at, position, name_of(item).as_deref())
    };
    let mut hits: Vec<Hit> = items.iter().map(|_| Hit::default()).collect();
    let mut additions: Vec<usize> = Vec::new();
    for rule in active.iter().copied().filter(|rule| is_last(*rule)) {
        let mut is_absent = true;
        for (position, item) in items.iter().enumerate() {
            if !selects(rule, position, item) {
                continue;
            }
            is_absent = false;
            match rules[rule].action {
                Action::Rename(_) => hits[position].rename = Some(rule),
                Action::AddIfAbsent(_) => {}
                _ => hits[position].value = Some(rule),
            }
        }
        let adds = matches!(rules[rule].action, Action::Set(_) | Action::AddIfAbsent(_));
        if is_absent && adds && at.adds && open == '{' {
            additions.push(rule);
        }
    }
    let removes = |hit: &Hit| hit.value.is_some_and(|rule| rules[rule].action == Action::Remove);
    let names =
        hits.iter().zip(items).map(|(hit, item)| match hit.rename.map(|rule| rules[rule].action) {
            Some(Action::Rename(name)) => Some(name.to_owned()),
            _ => name_of(item),
        });
    let names: Vec<Option<String>> = names.collect();
    let last: Vec<_> = active.iter().copied().filter(|rule| is_last(*rule)).collect();
    change_renamed(&mut hits, &names, at, &last, rules);
    // Of the members that a renaming leads to one name, those with one old name remain.
    let mut is_removed: Vec<bool> = hits.iter().map(removes).collect();
    let live: Vec<_> = (0..items.len()).filter(|position| !is_removed[*position]).collect();
    for position in outranked(items, &live, &names, &hits) {
        is_removed[position] = true;
    }
    let mut inserted: Vec<(String, String)> = Vec::new();
    for rule in additions {
        let Step::Name(name) = rules[rule].steps[depth] else { continue };
        let (Action::Set(json) | Action::AddIfAbsent(json)) = rules[rule].action else { continue };
        if !live.iter().any(|position| rules[rule].names(at, names[*position].as_deref())) {
            inserted.retain(|(known, _)| known != name);
            inserted.push((name.to_owned(), json.to_owned()));
        }
    }
    out.push(open);
    out.push_str(items.first().map_or(space, |first| &first.before));
    let mut has_kept = false;
    for (position, item) in items.iter().enumerate() {
        let is_end = position + 1 == items.len();
        if !is_removed[position] {
            if has_kept {
                out.push(',');
                out.push_str(&item.before);
            }
            has_kept = true;
            if let Some((_, text, behind)) = &item.name {
                match hits[position].rename {
                    Some(_) => out.push_str(&serde_json::to_string(&names[position]).unwrap()),
                    None => out.push_str(text),
                }
                out.push_str(behind);
            }
            let new = hits[position].value.map(|rule| rules[rule].action);
            if let Some(Action::Replace(json) | Action::Set(json)) = new {
                out.push_str(json);
            } else {
                let inner = active.iter().copied();
                let inner = inner.filter(|rule| !is_last(*rule) && selects(*rule, position, item));
                let is_array = matches!(item.value, Tree::Nested('[', ..));
                let name = item.name.as_ref().map(|(name, ..)| name.as_str());
                let choices = if depth == 0 { name.filter(|_| is_array) } else { at.choices };
                let below = At { depth: depth + 1, choices, ..at };
                write(&item.value, below, &inner.collect::<Vec<_>>(), rules, out);
            }
        }
        // The space behind the last of consecutive removed items remains.
        let is_next_removed = !is_end && is_removed[position + 1];
        if has_kept && !is_next_removed || is_end {
            out.push_str(&item.after);
        }
    }
    write_members(inserted, has_kept, out);
    out.push(if open == '{' { '}' } else { ']' });
}

/// Appends new members behind those that an object has.
fn write_members(members: Vec<(String, String)>, has_kept: bool, out: &mut String) {
    for (number, (name, json)) in members.into_iter().enumerate() {
        out.push_str(if has_kept || number > 0 { "," } else { "" });
        out.push_str(&serde_json::to_string(&name).unwrap());
        out.push(':');
        out.push_str(&json);
    }
}
