//! `RewritePlan`: the edits that rules make to all chunks of a template, by their nodes.

use core::ops::Range;

use super::byte_edit::{ByteEdit, MISSING};
use super::edit_path::{Child, children};
use super::edit_rule::{Action, Change, ChangeId, EditRule, RuleSet};
use super::spans::value_range;
use crate::chunk::UpstreamError;
use crate::chunk::schema::top;
use crate::json::{Document, Member, NodeId, Value, ValueKind};
use crate::slice::items_in;

/// The changes that the rules make to all chunks of a template.
#[derive(Clone, Debug, Default)]
pub(super) struct RewritePlan {
    /// True if a chunk contains only the usage that is hidden.
    pub(super) is_dropped: bool,
    /// In the order of their positions. No edit is inside another one.
    pub(super) edits: Vec<NodeEdit>,
}

/// A change to a chunk, by its nodes.
#[derive(Clone, Debug)]
pub(super) enum NodeEdit {
    /// Replaces a value or a name by a range of the texts.
    Replace(NodeId, Range<usize>),
    Remove(NodeBoundary, NodeBoundary),
    /// Inserts a range of the texts at the end of an object.
    Insert(NodeId, Range<usize>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum NodeBoundary {
    Start(NodeId),
    End(NodeId),
}

/// A value that a change selects.
#[derive(Clone, Copy, Debug)]
struct Selection {
    value: NodeId,
    /// The array or object that contains the value; the root if the change needs none.
    parent: NodeId,
    change: ChangeId,
}

/// An object to which a change adds a member.
#[derive(Clone, Copy, Debug)]
struct Addition {
    object: NodeId,
    change: ChangeId,
}

/// All changes of one value.
#[derive(Clone, Copy, Debug)]
struct NodeChange {
    value: NodeId,
    /// The last change that replaces or removes the value.
    change: Option<ChangeId>,
    /// The last change that renames its member.
    rename: Option<ChangeId>,
}

/// The member that remains under a name to which members of several names are renamed.
#[derive(Clone, Copy, Debug)]
struct Renamed {
    /// The renaming that leads to the name.
    change: ChangeId,
    /// The member that remains, and its rank.
    remaining: (NodeId, Rank),
}

/// The rank of a member that is renamed: it has a value, and the position of its renaming.
type Rank = (bool, Option<ChangeId>);

/// Computes plans; its buffers are reused.
#[derive(Clone, Debug, Default)]
pub(super) struct Planner {
    selections: Vec<Selection>,
    additions: Vec<Addition>,
    /// Sorted by their values.
    changes: Vec<NodeChange>,
    /// The arrays and objects whose commas or names change.
    parents: Vec<NodeId>,
    /// True if a change renames a member.
    has_renaming: bool,
    /// The names to which renamings lead in the current parent.
    renamed: Vec<Renamed>,
}

impl Planner {
    /// Removes the changes of the event before.
    #[inline]
    pub(super) fn begin_event(&mut self) {
        self.selections.clear();
        self.additions.clear();
    }

    /// Returns true if no change of the current event itself selects a value.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.selections.is_empty() && self.additions.is_empty()
    }

    /// Returns the capacity of the buffers in bytes.
    pub(super) const fn capacity(&self) -> usize {
        self.selections.capacity() * size_of::<Selection>()
            + self.additions.capacity() * size_of::<Addition>()
            + self.changes.capacity() * size_of::<NodeChange>()
            + self.parents.capacity() * size_of::<NodeId>()
            + self.renamed.capacity() * size_of::<Renamed>()
    }

    /// Selects a value for a change of the current event.
    pub(super) fn select_value(&mut self, value: NodeId, change: ChangeId) {
        self.selections.push(Selection { value, parent: 0, change });
    }

    /// Selects the values of a rule. Returns true if the rule changes or adds one.
    pub(super) fn select(
        &mut self,
        document: Document<'_>,
        rule: &EditRule,
        change: ChangeId,
    ) -> bool {
        let before = self.selections.len() + self.additions.len();
        let (path, action) = (rule.path(), rule.action());
        path.each_parent(document, &mut |parent| {
            let mut is_absent = true;
            path.each_selected(document, parent, |value| {
                is_absent = false;
                if action != Action::AddIfAbsent {
                    self.selections.push(Selection { value, parent, change });
                }
            });
            let adds = matches!(action, Action::Set | Action::AddIfAbsent);
            if is_absent && adds && Value::new(document, parent).kind() == ValueKind::Object {
                self.additions.push(Addition { object: parent, change });
            }
        });
        self.selections.len() + self.additions.len() > before
    }

    /// Computes the plan of the rules, and of the changes that were selected before.
    #[inline(never)]
    pub(super) fn compute(
        &mut self,
        rules: &RuleSet,
        document: Document<'_>,
        plan: &mut RewritePlan,
    ) {
        plan.edits.clear();
        for (change, rule) in (0..).zip(rules.rules()) {
            self.select(document, rule, change);
        }
        plan.is_dropped =
            rules.usage().is_some_and(|usage| self.hide_usage(rules, document, usage));
        self.gather(rules);
        let parents = core::mem::take(&mut self.parents);
        for parent in &parents {
            self.rank_renamed(rules, document, *parent);
            self.set_renamed(rules, document, *parent);
            self.plan_parent(rules, document, *parent, &mut plan.edits);
        }
        self.parents = parents;
        for NodeChange { value, change, .. } in &self.changes {
            if let Some(Change { action: Action::Replace | Action::Set, value: text, .. }) =
                change.and_then(|change| rules.change(change))
            {
                plan.edits.push(NodeEdit::Replace(*value, text.clone()));
            }
        }
        plan.sort(document);
        self.begin_event();
    }

    /// Selects the usage that is hidden. Returns true if the chunk contains a usage and no choices.
    fn hide_usage(&mut self, rules: &RuleSet, document: Document<'_>, usage: ChangeId) -> bool {
        self.additions.retain(|added| {
            let name = rules.change(added.change).map(|change| rules.name(change));
            added.object != 0 || added.change > usage || name != Some(top::USAGE.as_bytes())
        });
        let mut has_usage = false;
        for Member { name, value } in document.members(0) {
            if name == top::USAGE.as_bytes() {
                has_usage |= Value::new(document, value).kind() == ValueKind::Object;
                self.selections.push(Selection { value, parent: 0, change: usage });
            }
        }
        has_usage && has_no_choices(document)
    }

    /// Gathers the changes of each value, and the parents whose commas or names change.
    fn gather(&mut self, rules: &RuleSet) {
        let Self { selections, additions, changes, parents, .. } = self;
        selections.sort_unstable_by_key(|selection| (selection.value, selection.change));
        additions.sort_unstable_by_key(|added| (added.object, added.change));
        changes.clear();
        parents.clear();
        self.has_renaming = false;
        for Selection { value, parent, change: position } in &*selections {
            if changes.last().is_none_or(|last| last.value != *value) {
                changes.push(NodeChange { value: *value, change: None, rename: None });
            }
            let Some(last) = changes.last_mut() else { continue };
            let action = rules.change(*position).map(|change| change.action);
            match action {
                Some(Action::Rename) => {
                    self.has_renaming = true;
                    last.rename = Some(*position);
                }
                _ => last.change = Some(*position),
            }
            if matches!(action, Some(Action::Rename | Action::Remove)) {
                parents.push(*parent);
            }
        }
        parents.extend(additions.iter().map(|added| added.object));
        parents.sort_unstable();
        parents.dedup();
    }

    /// Returns the changes of a value.
    fn changes_of(&self, value: NodeId) -> Option<&NodeChange> {
        let position = self.changes.binary_search_by_key(&value, |change| change.value);
        self.changes.get(position.ok()?)
    }

    /// Returns the last renaming of a member, if no change removes it.
    fn rename_of(&self, rules: &RuleSet, value: NodeId) -> Option<ChangeId> {
        self.changes_of(value).filter(|changes| !changes.removes(rules))?.rename
    }

    /// Finds the members that remain under the names to which renamings lead.
    fn rank_renamed(&mut self, rules: &RuleSet, document: Document<'_>, parent: NodeId) {
        self.renamed.clear();
        if !self.has_renaming {
            return;
        }
        let rank = |value, rename| (!Value::new(document, value).is_null(), rename);
        for Child { value, .. } in children(document, parent) {
            let Some(change) = self.rename_of(rules, value) else { continue };
            let remaining = (value, rank(value, Some(change)));
            let name = rules.change(change).map(|change| rules.name(change));
            match name.and_then(|name| self.position_renamed(rules, name)) {
                Some(position) => self.outrank(position, remaining),
                None => self.renamed.push(Renamed { change, remaining }),
            }
        }
        if self.renamed.is_empty() {
            return;
        }
        for Child { name, value } in children(document, parent) {
            let is_renamed = self
                .changes_of(value)
                .is_some_and(|changes| changes.rename.is_some() || changes.removes(rules));
            if !is_renamed
                && let Some(position) = name.and_then(|name| self.position_renamed(rules, name))
            {
                self.outrank(position, (value, rank(value, None)));
            }
        }
    }

    /// Returns the position, in `renamed`, of a name to which a renaming leads.
    fn position_renamed(&self, rules: &RuleSet, name: &[u8]) -> Option<usize> {
        self.renamed.iter().position(|renamed| {
            rules.change(renamed.change).is_some_and(|change| rules.name(change) == name)
        })
    }

    fn outrank(&mut self, position: usize, member: (NodeId, Rank)) {
        if let Some(Renamed { remaining, .. }) = self.renamed.get_mut(position)
            && member.1 > remaining.1
        {
            *remaining = member;
        }
    }

    /// Returns true if a child doesn't remain in its parent.
    fn is_removed(&self, rules: &RuleSet, document: Document<'_>, child: &Child<'_>) -> bool {
        let changes = self.changes_of(child.value);
        if changes.is_some_and(|changes| changes.removes(rules)) {
            return true;
        }
        if self.renamed.is_empty() {
            return false;
        }
        let Some(name) = child.name else { return false };
        let rename = changes.and_then(|changes| rules.change(changes.rename?));
        let new_name = rename.map_or(name, |change| rules.name(change));
        let position = self.position_renamed(rules, new_name);
        let remaining = position.and_then(|position| self.renamed.get(position));
        // Members with one name were repeated before, too.
        remaining.is_some_and(|Renamed { remaining: (member, _), .. }| {
            document.name_of(*member).as_bytes() != name
        })
    }

    /// Returns the additions to an object.
    fn additions_to(&self, object: NodeId) -> &[Addition] {
        let first = self.additions.partition_point(|added| added.object < object);
        let behind = self.additions.partition_point(|added| added.object <= object);
        items_in(&self.additions, first..behind)
    }

    /// Sets the values of renamed members whose new names a rule sets.
    fn set_renamed(&mut self, rules: &RuleSet, document: Document<'_>, parent: NodeId) {
        if self.renamed.is_empty() || self.additions_to(parent).is_empty() {
            return;
        }
        for Child { value, .. } in children(document, parent) {
            let rename = self.rename_of(rules, value).and_then(|change| rules.change(change));
            let Some(name) = rename.map(|change| rules.name(change)) else { continue };
            let sets = |added: &&Addition| {
                rules.change(added.change).is_some_and(|change| {
                    change.action == Action::Set && rules.name(change) == name
                })
            };
            let set = self.additions_to(parent).iter().filter(sets).map(|added| added.change);
            let last = set.max();
            let position = self.changes.binary_search_by_key(&value, |change| change.value);
            if let Some(changes) = position.ok().and_then(|found| self.changes.get_mut(found)) {
                changes.change = changes.change.max(last);
            }
        }
    }

    /// Plans the removals, renamings and additions in an array or object.
    fn plan_parent(
        &self,
        rules: &RuleSet,
        document: Document<'_>,
        parent: NodeId,
        edits: &mut Vec<NodeEdit>,
    ) {
        let mut has_kept = false;
        let mut previous = parent;
        // The start of consecutive removed children.
        let mut removed_from = None;
        for child in children(document, parent) {
            if self.is_removed(rules, document, &child) {
                removed_from.get_or_insert(if has_kept {
                    NodeBoundary::End(previous)
                } else {
                    NodeBoundary::Start(child.first())
                });
            } else {
                let end = NodeBoundary::Start(child.first());
                let end = if has_kept { NodeBoundary::End(previous) } else { end };
                edits.extend(removed_from.take().map(|start| NodeEdit::Remove(start, end)));
                let rename = self.rename_of(rules, child.value);
                if let Some(change) = rename.and_then(|change| rules.change(change)) {
                    edits.push(NodeEdit::Replace(child.first(), change.value.clone()));
                }
                has_kept = true;
            }
            previous = child.value;
        }
        let end = NodeBoundary::End(previous);
        edits.extend(removed_from.map(|start| NodeEdit::Remove(start, end)));
        let additions = self.additions_to(parent);
        for (position, added) in additions.iter().enumerate() {
            let Some(change) = rules.change(added.change) else { continue };
            let name = rules.name(change);
            let is_same = |later: &Addition| {
                rules.change(later.change).is_some_and(|later| rules.name(later) == name)
            };
            let is_repeated = additions.iter().skip(position + 1).any(is_same);
            if is_repeated || self.position_renamed(rules, name).is_some() {
                continue;
            }
            let comma = usize::from(!has_kept);
            edits.push(NodeEdit::Insert(parent, change.member.start + comma..change.member.end));
            has_kept = true;
        }
    }
}

impl NodeChange {
    /// Returns true if a change removes the value.
    fn removes(&self, rules: &RuleSet) -> bool {
        let change = self.change.and_then(|change| rules.change(change));
        change.is_some_and(|change| change.action == Action::Remove)
    }
}

impl NodeEdit {
    /// Returns the nodes that the edit replaces or removes; an empty range at the object of a new member.
    fn nodes(&self, document: Document<'_>) -> Range<NodeId> {
        match *self {
            Self::Insert(object, _) => object..object,
            Self::Replace(id, _) => id..document.behind(id),
            Self::Remove(from, to) => {
                let node = |boundary| match boundary {
                    NodeBoundary::Start(id) => id,
                    NodeBoundary::End(id) => document.behind(id),
                };
                node(from)..node(to)
            }
        }
    }

    /// Returns a key that sorts edits by their positions.
    ///
    /// A member is inserted behind all nodes of its object, and before those of an outer one.
    fn key(&self, document: Document<'_>) -> (NodeId, bool, NodeId, usize) {
        match self {
            Self::Insert(object, text) => {
                (document.behind(*object), false, NodeId::MAX - object, text.start)
            }
            _ => (self.nodes(document).start, true, 0, 0),
        }
    }
}

impl RewritePlan {
    /// Appends the edits of a chunk with this plan, in the order of their positions.
    #[inline]
    pub(super) fn append_to(&self, document: Document<'_>, edits: &mut Vec<ByteEdit>) {
        let range = |id: NodeId| {
            let range = value_range(Value::new(document, id));
            debug_assert!(range.is_some(), "a value has a node");
            range.unwrap_or(MISSING)
        };
        let position = |boundary: NodeBoundary| match boundary {
            NodeBoundary::Start(id) => range(id).start,
            NodeBoundary::End(id) => range(id).end,
        };
        edits.extend(self.edits.iter().map(|edit| match edit {
            NodeEdit::Replace(id, text) => ByteEdit { range: range(*id), text: text.clone() },
            NodeEdit::Remove(from, to) => {
                ByteEdit { range: position(*from)..position(*to), text: 0..0 }
            }
            NodeEdit::Insert(object, text) => {
                let end = range(*object).end.saturating_sub(1);
                ByteEdit { range: end..end, text: text.clone() }
            }
        }));
        debug_assert!(edits.is_sorted_by(|a, b| a.range.end <= b.range.start), "edits overlap");
    }

    /// Sorts the edits by their positions, and removes those inside of others.
    fn sort(&mut self, document: Document<'_>) {
        self.edits.sort_unstable_by_key(|edit| edit.key(document));
        // The nodes of the last edit that replaces or removes any.
        let mut covered = 0..0;
        self.edits.retain(|edit| {
            let nodes = edit.nodes(document);
            let is_inside = covered.contains(&nodes.start);
            if !is_inside && !nodes.is_empty() {
                covered = nodes;
            }
            !is_inside
        });
    }
}

/// Returns true if a chunk has no choices and no error.
///
/// Of members with the same name each one counts, since readers differ in which one they read.
fn has_no_choices(document: Document<'_>) -> bool {
    Value::new(document, 0).members().all(|(name, value)| match name {
        top::CHOICES => {
            matches!(value.kind(), ValueKind::Null | ValueKind::Array) && value.is_empty_value()
        }
        top::ERROR => !UpstreamError::is_truthy_error(&value),
        top::OBJECT => value.as_str() != Some(top::ERROR),
        _ => true,
    })
}
