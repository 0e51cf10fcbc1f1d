//! `EditRule`: a change to values of every chunk; `RuleSet`: the rules of an editor, with their texts.

use core::fmt;
use core::ops::Range;
use std::collections::HashSet;

use super::edit_path::{EditPath, PathError};
use super::edit_value::EditValue;
use super::rewrite::UsageVisibility;
use crate::chunk::schema::{choice, top};
use crate::json::writer;
use crate::slice::bytes_in;

/// A change to the values of one path, checked when it is made.
///
/// | rule | the value is there | it is absent, its object isn't |
/// |---|---|---|
/// | [`replace`](Self::replace) | replaces it | – |
/// | [`add_if_absent`](Self::add_if_absent) | – | adds the member |
/// | [`set`](Self::set) | replaces it | adds the member |
/// | [`rename`](Self::rename) | renames the member | – |
/// | [`remove`](Self::remove) | removes it | – |
///
/// ```
/// use deltawire::gateway::{EditRule, EditValue, Editor, RewriteOutcome};
///
/// let mut editor = Editor::with_rules([
///     EditRule::replace("$.model", "our-alias")?,
///     EditRule::rename("$.choices[*].delta.reasoning", "reasoning_content")?,
///     EditRule::remove("$.choices[*].logprobs")?,
///     EditRule::set("$.metadata", EditValue::from_json(br#"{"tier":"gold"}"#)?)?,
/// ]);
///
/// let body = br#"{"model":"m", "choices":[{"message":{"reasoning":"Hm"}, "logprobs":null}]}"#;
/// let mut out = Vec::new();
/// let outcome = editor.write_completion(body, &mut out)?;
/// assert_eq!(outcome, RewriteOutcome::Changed);
/// let expected = concat!(
///     r#"{"model":"our-alias", "choices":[{"message":{"reasoning_content":"Hm"}}],"#,
///     r#""metadata":{"tier":"gold"}}"#,
/// );
/// assert_eq!(String::from_utf8(out)?, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Paths
///
/// A path is one of RFC 9535 with names, positions and `*`: `$.model`, `$['a.b']`,
/// `$.choices[0].delta.content`, `$.choices[*].delta.tool_calls[*].function.arguments`. It has at
/// least one step. `*` selects all elements of an array and all members of an object. If a name is
/// repeated, it selects all members of this name, since readers differ in which one they read.
///
/// `delta` in an element of `choices` selects its `message` too, also as the new name of a renamed
/// member. So the same rules apply to a whole `chat.completion`, and to a whole message in a chunk.
///
/// # Several rules
///
/// All rules read the chunk as it came, and no rule sees the result of another one:
///
/// - Of the rules that select a value the last one counts. A renaming is in addition to it.
/// - A rule inside a value that another rule removes or replaces has no effect.
/// - A rule with the path of an earlier one replaces it, also of another kind. Renamings only
///   replace each other.
/// - A [`set`](Self::set) of a name applies to members that are renamed to it, too. So does a
///   [`replace`](Self::replace) or [`remove`](Self::remove) behind the renaming. No member is added under
///   such a name.
#[derive(Clone, PartialEq, Eq)]
pub struct EditRule {
    path: EditPath,
    action: Action,
    /// The value as JSON, or the new name.
    text: Box<str>,
}

/// The kinds of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Replace,
    AddIfAbsent,
    Set,
    Rename,
    Remove,
}

impl EditRule {
    /// Replaces the values of a path, in every chunk that has them.
    ///
    /// # Errors
    ///
    /// Returns the error in the path, with its offset.
    pub fn replace<'v>(path: &str, value: impl Into<EditValue<'v>>) -> Result<Self, PathError> {
        Ok(Self::with_value(EditPath::parse(path)?, Action::Replace, value.into()))
    }

    /// Replaces the values of a path, or adds the member where it is absent.
    ///
    /// The member is added at the end of its object. The object itself isn't added. A member of `delta`
    /// is added to every delta of the stream, so a client that joins such texts joins its value, too.
    /// [`Editor::write`](super::Editor::write) lists the objects that get new members.
    ///
    /// # Errors
    ///
    /// Returns the error in the path, with its offset. The path has to end with a name.
    pub fn set<'v>(path: &str, value: impl Into<EditValue<'v>>) -> Result<Self, PathError> {
        Ok(Self::with_value(EditPath::parse_member(path)?, Action::Set, value.into()))
    }

    /// Adds a member where it is absent. A member of any value, also `null`, remains as it is.
    ///
    /// The member is added at the end of its object, as by [`set`](Self::set).
    ///
    /// # Errors
    ///
    /// Returns the error in the path, with its offset. The path has to end with a name.
    pub fn add_if_absent<'v>(
        path: &str,
        value: impl Into<EditValue<'v>>,
    ) -> Result<Self, PathError> {
        Ok(Self::with_value(EditPath::parse_member(path)?, Action::AddIfAbsent, value.into()))
    }

    /// Renames the members of a path; their values and places remain.
    ///
    /// If an object then had members of two names under the new one, one name remains and the
    /// others are removed. A member with a value outranks `null`. Else a renamed member outranks one
    /// that had the name, and the last rule outranks the others.
    ///
    /// A [`RelayGuard`](super::RelayGuard) sees the names of the upstream. So it searches two texts apart
    /// even if a renaming makes them one text for the client, such as `reasoning` renamed to `content`.
    /// The texts of an event in which a rule changes, adds or renames an `index` are unwatched.
    ///
    /// # Errors
    ///
    /// Returns the error in the path, with its offset. The path has to end with a name.
    pub fn rename(path: &str, new_name: &str) -> Result<Self, PathError> {
        let path = EditPath::parse_member(path)?;
        Ok(Self { path, action: Action::Rename, text: new_name.into() })
    }

    /// Removes the elements or members of a path, with their commas.
    ///
    /// # Errors
    ///
    /// Returns the error in the path, with its offset.
    pub fn remove(path: &str) -> Result<Self, PathError> {
        Ok(Self { path: EditPath::parse(path)?, action: Action::Remove, text: Box::default() })
    }

    /// Returns the rule that replaces a member of the root by a string.
    pub(super) fn replace_member(name: &str, text: &str) -> Self {
        Self::with_value(EditPath::of_member(name), Action::Replace, text.into())
    }

    /// Returns the rule that removes a member of the root.
    pub(super) fn remove_member(name: &str) -> Self {
        let path = EditPath::of_member(name);
        Self { path, action: Action::Remove, text: Box::default() }
    }

    fn with_value(path: EditPath, action: Action, value: EditValue<'_>) -> Self {
        let mut json = Vec::new();
        value.write(&mut json);
        let text = String::from_utf8(json);
        debug_assert!(text.is_ok(), "a value is written as UTF-8");
        Self { path, action, text: text.unwrap_or_default().into() }
    }

    pub(super) const fn path(&self) -> &EditPath {
        &self.path
    }

    pub(super) const fn action(&self) -> Action {
        self.action
    }

    /// Returns true if the rule is for an index inside the chunk, or for an element at a position.
    ///
    /// A client then joins other texts than a guard that sees the chunk as it came.
    pub(super) fn moves_texts(&self) -> bool {
        let is_renamed_to = self.action == Action::Rename && &*self.text == choice::INDEX;
        let is_of_index = is_renamed_to || self.path.name() == Some(choice::INDEX);
        !self.path.is_of_root() && (is_of_index || self.path.is_of_position())
    }

    /// Returns the key of the rule: it takes the place of earlier ones with the same key.
    fn key(&self) -> (bool, &EditPath) {
        (self.action == Action::Rename, &self.path)
    }

    /// Appends the texts of the rule, and returns the change with their ranges.
    pub(super) fn change(&self, texts: &mut Vec<u8>) -> Change {
        let start = texts.len();
        let name = match self.action {
            Action::Rename => &*self.text,
            _ => self.path.name().unwrap_or_default(),
        };
        texts.extend_from_slice(name.as_bytes());
        let name_end = texts.len();
        match self.action {
            Action::Rename => writer::string(name, texts),
            Action::Set | Action::AddIfAbsent => {
                texts.push(b',');
                writer::string(name, texts);
                texts.push(b':');
            }
            Action::Replace | Action::Remove => {}
        }
        let value = if self.action == Action::Rename { name_end } else { texts.len() };
        if self.action != Action::Rename {
            texts.extend_from_slice(self.text.as_bytes());
        }
        let (name, member) = (start..name_end, name_end..texts.len());
        Change { action: self.action, name, value: value..member.end, member }
    }
}

/// Shows the path and the kind, and no value.
impl fmt::Debug for EditRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EditRule")
            .field("path", &self.path)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// The position of a change in its [`RuleSet`]; of two changes of a value the higher one counts.
pub(super) type ChangeId = u32;

/// The change of a rule, with ranges of the texts.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) action: Action,
    /// The name that a member has with the change, unescaped.
    pub(super) name: Range<usize>,
    /// A new value, or a new name with its quotes; empty for a removal.
    pub(super) value: Range<usize>,
    /// A comma with a new member.
    pub(super) member: Range<usize>,
}

/// The most rules that are compared one by one with each new rule.
const FEW_RULES: usize = 16;

/// The rules of an editor, with their texts and those of the current event.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleSet {
    rules: Vec<EditRule>,
    /// The number of rules that were left when replaced ones were removed last.
    distinct: usize,
    usage: Option<UsageVisibility>,
    /// The changes of the rules, that of the usage if it is hidden, and those of the current event.
    changes: Vec<Change>,
    /// The number of changes without those of the current event: `base <= changes.len()`.
    base: usize,
    /// The texts of the changes.
    texts: Vec<u8>,
    /// The length of the texts without those of the current event: `base_len <= texts.len()`.
    base_len: usize,
    /// The rules have changed, and the changes and texts haven't.
    is_stale: bool,
}

impl RuleSet {
    /// Adds rules behind the others. [`prepare`](Self::prepare) makes them apply.
    pub(super) fn extend(&mut self, rules: impl IntoIterator<Item = EditRule>) {
        for rule in rules {
            // So the rules that later ones have replaced need no more memory than the others.
            if self.rules.len() <= FEW_RULES {
                self.rules.retain(|earlier| earlier.key() != rule.key());
            } else if self.rules.len() > 2 * self.distinct {
                self.remove_replaced();
            }
            self.rules.push(rule);
        }
        self.is_stale = true;
    }

    /// Removes the rules that later ones replace.
    fn remove_replaced(&mut self) {
        let mut seen = HashSet::new();
        let is_last: Vec<_> = self.rules.iter().rev().map(|rule| seen.insert(rule.key())).collect();
        let mut is_last = is_last.into_iter().rev();
        self.rules.retain(|_| is_last.next().unwrap_or_default());
        self.distinct = self.rules.len();
    }

    /// Hides the usage. [`prepare`](Self::prepare) makes it apply.
    pub(super) const fn hide_usage(&mut self, how: UsageVisibility) {
        self.usage = Some(how);
        self.is_stale = true;
    }

    /// Computes the changes and texts of all rules, if they have changed.
    #[inline]
    pub(super) fn prepare(&mut self) {
        if self.is_stale {
            self.rebuild();
        }
    }

    #[cold]
    fn rebuild(&mut self) {
        self.is_stale = false;
        self.remove_replaced();
        let mut texts = Vec::new();
        let mut changes: Vec<_> = self.rules.iter().map(|rule| rule.change(&mut texts)).collect();
        if let Some(how) = self.usage {
            let hidden = match how {
                UsageVisibility::Removed => EditRule::remove_member(top::USAGE),
                UsageVisibility::Null => {
                    let path = EditPath::of_member(top::USAGE);
                    EditRule::with_value(path, Action::Replace, EditValue::NULL)
                }
            };
            changes.push(hidden.change(&mut texts));
        }
        (self.base, self.base_len) = (changes.len(), texts.len());
        (self.changes, self.texts) = (changes, texts);
    }

    /// Returns true if no rule changes a chunk.
    pub(super) const fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.usage.is_none()
    }

    pub(super) fn rules(&self) -> &[EditRule] {
        &self.rules
    }

    /// Returns the change that hides the usage.
    pub(super) fn usage(&self) -> Option<ChangeId> {
        self.usage.and_then(|_| self.base.checked_sub(1)).map(change_id)
    }

    pub(super) fn change(&self, id: ChangeId) -> Option<&Change> {
        let change = self.changes.get(id as usize);
        debug_assert!(change.is_some(), "a change has a position");
        change
    }

    /// Returns true if a rule renames members, or a change of the current event does.
    pub(super) fn has_renaming(&self) -> bool {
        self.changes.iter().any(|change| change.action == Action::Rename)
    }

    /// Returns the name that a member has with the change of a position.
    pub(super) fn name_of(&self, id: ChangeId) -> &[u8] {
        self.change(id).map_or(b"", |change| self.name(change))
    }

    /// Returns the name that a member has with a change.
    pub(super) fn name(&self, change: &Change) -> &[u8] {
        bytes_in(&self.texts, change.name.clone())
    }

    #[inline]
    pub(super) fn texts(&self) -> &[u8] {
        &self.texts
    }

    /// Adds the change of a rule for the current event; returns its position.
    pub(super) fn push(&mut self, rule: &EditRule) -> ChangeId {
        let change = rule.change(&mut self.texts);
        self.push_change(change)
    }

    /// Adds a new value for the current event; returns the position of the change.
    pub(super) fn push_value(&mut self, value: EditValue<'_>) -> ChangeId {
        let start = self.texts.len();
        value.write(&mut self.texts);
        let range = start..self.texts.len();
        let name = start..start;
        self.push_change(Change {
            action: Action::Replace,
            name,
            value: range.clone(),
            member: range,
        })
    }

    fn push_change(&mut self, change: Change) -> ChangeId {
        self.changes.push(change);
        change_id(self.changes.len() - 1)
    }

    /// Removes the changes of the current event.
    #[inline]
    pub(super) fn begin_event(&mut self) {
        debug_assert!(self.base <= self.changes.len() && self.base_len <= self.texts.len());
        self.changes.truncate(self.base);
        self.texts.truncate(self.base_len);
    }

    /// Returns the capacity, in bytes, of the buffers that grow with an event.
    pub(super) const fn capacity(&self) -> usize {
        self.changes.capacity() * size_of::<Change>() + self.texts.capacity()
    }

    /// Frees the capacity that the rules don't need.
    pub(super) fn shrink(&mut self) {
        self.changes.shrink_to(self.base);
        self.texts.shrink_to(self.base_len);
    }
}

/// Returns the id of the change at a position. As many changes as `u32` can count fit in no memory.
fn change_id(position: usize) -> ChangeId {
    let id = ChangeId::try_from(position);
    debug_assert!(id.is_ok(), "there are {position} changes");
    id.unwrap_or(ChangeId::MAX)
}
