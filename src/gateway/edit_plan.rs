//! `RewritePlan`: the edits that rules make to all chunks of a template, by their nodes.

use core::ops::Range;

use super::byte_edit::{ByteEdit, MISSING};
use super::edit_path::{Child, children};
use super::edit_rule::{Action, Change, ChangeId, EditRule, RuleSet};
use super::spans::value_range;
use crate::chunk::UpstreamError;
use crate::chunk::schema::{choice, top};
use crate::json::{Document, Member, NodeId, Value, ValueKind};
use crate::slice::items_in;

/// The changes that the rules make to all chunks of a template.
#[derive(Clone, Debug, Default)]
pub(super) struct RewritePlan {
    /// True if a chunk contains only the usage that is hidden.
    pub(super) is_dropped: bool,
    /// True if a rule leads into an unread array: the plan lacks the changes there.
    pub(super) enters_unread: bool,
    /// True if a rule selects or adds an index: see [`EditRule::moves_texts`].
    pub(super) moves_texts: bool,
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

/// An object with a change for a name: the change adds the member, or applies to a renamed one.
#[derive(Clone, Copy, Debug)]
struct NameChange {
    object: NodeId,
    change: ChangeId,
    /// The name is the `delta` of a choice, so the change also applies to its `message`.
    selects_message: bool,
}

/// The way in which a rule selects values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selecting {
    /// The rule may add members, since the object is a chunk or a completion.
    pub(super) adds: bool,
    /// A member may be renamed to the name of the rule.
    pub(super) may_rename: bool,
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
    additions: Vec<NameChange>,
    /// The changes that apply to members which are renamed to their name.
    for_renamed: Vec<NameChange>,
    /// Sorted by their values.
    changes: Vec<NodeChange>,
    /// The arrays and objects whose commas or names change.
    parents: Vec<NodeId>,
    /// True if a change renames a member.
    has_renaming: bool,
    /// The names to which renamings lead in the current parent, sorted.
    renamed: Vec<Renamed>,
}

impl Planner {
    /// Removes the changes of the event before.
    #[inline]
    pub(super) fn begin_event(&mut self) {
        self.selections.clear();
        self.additions.clear();
        self.for_renamed.clear();
    }

    /// Returns true if no change of the current event itself selects a value or adds a member.
    #[inline]
    pub(super) const fn selects_nothing(&self) -> bool {
        self.selections.is_empty() && self.additions.is_empty()
    }

    /// Returns true if the current event has no changes of its own.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.selects_nothing() && self.for_renamed.is_empty()
    }

    /// Returns the capacity of the buffers in bytes.
    pub(super) const fn capacity(&self) -> usize {
        self.selections.capacity() * size_of::<Selection>()
            + (self.additions.capacity() + self.for_renamed.capacity()) * size_of::<NameChange>()
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
        how: Selecting,
    ) -> bool {
        let before = self.selections.len() + self.additions.len();
        let (path, action) = (rule.path(), rule.action());
        let adds = how.adds && matches!(action, Action::Set | Action::AddIfAbsent);
        let changes_values = matches!(action, Action::Set | Action::Replace | Action::Remove);
        let is_for_renamed = how.may_rename && changes_values && path.name().is_some();
        path.each_parent(document, &mut |parent| {
            let mut is_absent = true;
            path.each_selected(document, parent, |value| {
                is_absent = false;
                if action != Action::AddIfAbsent {
                    self.selections.push(Selection { value, parent: parent.id, change });
                }
            });
            let object = parent.id;
            let selects_message = path.selects_message(parent);
            let named = NameChange { object, change, selects_message };
            let is_object = || Value::new(document, object).kind() == ValueKind::Object;
            if is_absent && adds && is_object() {
                self.additions.push(named);
            }
            if is_for_renamed {
                self.for_renamed.push(named);
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
        adds: bool,
        plan: &mut RewritePlan,
    ) {
        plan.edits.clear();
        plan.enters_unread = document.has_unread()
            && rules.rules().iter().any(|rule| rule.path().enters_unread(document));
        let how = Selecting { adds, may_rename: rules.has_renaming() };
        plan.moves_texts = false;
        for (change, rule) in (0..).zip(rules.rules()) {
            let changes_chunk = self.select(document, rule, change, how);
            plan.moves_texts |= changes_chunk && rule.moves_texts();
        }
        plan.is_dropped =
            rules.usage().is_some_and(|usage| self.hide_usage(rules, document, usage));
        self.gather(rules);
        let parents = core::mem::take(&mut self.parents);
        for parent in &parents {
            self.change_renamed(rules, document, *parent);
            self.rank_renamed(rules, document, *parent);
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
        let Self { selections, additions, for_renamed, changes, parents, .. } = self;
        selections.sort_unstable_by_key(|selection| (selection.value, selection.change));
        let by_name = |one: &NameChange, other: &NameChange| {
            let key = |of: &NameChange| (of.object, rules.name_of(of.change), of.change);
            key(one).cmp(&key(other))
        };
        for_renamed.sort_unstable_by(by_name);
        // Of additions of one name the last one counts.
        additions.sort_unstable_by(by_name);
        additions.dedup_by(|later, kept| {
            let of = |added: &NameChange| (added.object, rules.name_of(added.change));
            let is_same = of(later) == of(kept);
            if is_same {
                *kept = *later;
            }
            is_same
        });
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

    /// Applies the changes for a name to the members that are renamed to it.
    ///
    /// A change behind the renaming applies, and so does any that sets the member.
    fn change_renamed(&mut self, rules: &RuleSet, document: Document<'_>, parent: NodeId) {
        let Self { for_renamed, changes, has_renaming, .. } = self;
        let before = for_renamed.partition_point(|change| change.object < parent);
        let behind = for_renamed.partition_point(|change| change.object <= parent);
        let for_renamed = items_in(for_renamed, before..behind);
        if !*has_renaming || for_renamed.is_empty() {
            return;
        }
        for Child { value, .. } in children(document, parent) {
            let Ok(position) = changes.binary_search_by_key(&value, |change| change.value) else {
                continue;
            };
            let Some(found) = changes.get_mut(position) else { continue };
            let Some(rename) = found.rename else { continue };
            let name = rules.name_of(rename);
            let of_name = |name: &[u8]| {
                let before = for_renamed.partition_point(|of| rules.name_of(of.change) < name);
                let behind = for_renamed.partition_point(|of| rules.name_of(of.change) <= name);
                items_in(for_renamed, before..behind).iter().rev()
            };
            let applies = |of: &&NameChange| {
                let sets = || rules.change(of.change).is_some_and(|it| it.action == Action::Set);
                of.change > rename || sets()
            };
            let last = of_name(name).find(applies).map(|of| of.change);
            let is_message = name == choice::MESSAGE.as_bytes();
            let of_delta = is_message.then(|| of_name(choice::DELTA.as_bytes()));
            let of_delta = of_delta.into_iter().flatten().filter(|of| of.selects_message);
            let last_of_delta = of_delta.into_iter().find(applies).map(|of| of.change);
            found.change = found.change.max(last).max(last_of_delta);
        }
    }

    /// Finds the members that remain under the names to which renamings lead.
    fn rank_renamed(&mut self, rules: &RuleSet, document: Document<'_>, parent: NodeId) {
        let mut renamed = core::mem::take(&mut self.renamed);
        renamed.clear();
        let rank = |value, rename| (!Value::new(document, value).is_null(), rename);
        let renamed_members = children(document, parent).filter(|_| self.has_renaming);
        renamed.extend(renamed_members.filter_map(|Child { value, .. }| {
            let change = self.rename_of(rules, value)?;
            Some(Renamed { change, remaining: (value, rank(value, Some(change))) })
        }));
        // Of each name, the first one of the highest rank remains.
        renamed.sort_unstable_by(|one, other| {
            let names = rules.name_of(one.change).cmp(rules.name_of(other.change));
            let ranks = || other.remaining.1.cmp(&one.remaining.1);
            names.then_with(ranks).then_with(|| one.remaining.0.cmp(&other.remaining.0))
        });
        renamed.dedup_by(|later, kept| rules.name_of(later.change) == rules.name_of(kept.change));
        self.renamed = renamed;
        if self.renamed.is_empty() {
            return;
        }
        for Child { name, value } in children(document, parent) {
            let is_renamed = self
                .changes_of(value)
                .is_some_and(|changes| changes.rename.is_some() || changes.removes(rules));
            let position = name.filter(|_| !is_renamed);
            let position = position.and_then(|name| self.position_renamed(rules, name));
            if let Some(position) = position
                && let Some(Renamed { remaining, .. }) = self.renamed.get_mut(position)
                && rank(value, None) > remaining.1
            {
                *remaining = (value, rank(value, None));
            }
        }
    }

    /// Returns the position, in `renamed`, of a name to which a renaming leads.
    fn position_renamed(&self, rules: &RuleSet, name: &[u8]) -> Option<usize> {
        self.renamed.binary_search_by(|renamed| rules.name_of(renamed.change).cmp(name)).ok()
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
    fn additions_to(&self, object: NodeId) -> &[NameChange] {
        let first = self.additions.partition_point(|added| added.object < object);
        let behind = self.additions.partition_point(|added| added.object <= object);
        items_in(&self.additions, first..behind)
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
        for added in additions {
            let Some(change) = rules.change(added.change) else { continue };
            let is_renamed = |name| self.position_renamed(rules, name).is_some();
            let is_message = || added.selects_message && is_renamed(choice::MESSAGE.as_bytes());
            if is_renamed(rules.name(change)) || is_message() {
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
