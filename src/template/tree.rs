//! `Tree`: finds the template that an event matches, in one walk from the event's first byte on.
//!
//! Each path from the root is the literals and the kinds of the leaves of one template. Templates
//! that begin alike share the beginning of their paths.
//!
//! ```text
//! data: {"choices":[{"delta":{"──┬─content":"──(text)──"}}]}\n\n        template 0
//!                                └─role":"assistant"}}]}\n\n           template 1
//! ```
//!
//! A walk compares literals and skips values; it doesn't check them. So the event that it finds a
//! template for is compared with that.

use std::sync::Arc;

use smallvec::SmallVec;

use super::slot::{KINDS, Slot, SlotKind};
use super::template::shared_len;
use super::tuning::{MOST_HEIGHT, MOST_STEPS};
use crate::slice::bytes_in;

/// A node of a tree. It never changes: adding a template makes new nodes on the template's path.
#[derive(Clone, Default)]
pub(super) struct Tree {
    /// The bytes from the end of the parent's literal, or of the value behind it, on.
    literal: Box<[u8]>,
    /// The template that ends with the literal.
    end: Option<u32>,
    /// The nodes behind a value of each kind.
    values: [Option<Arc<Self>>; KINDS],
    /// The nodes whose literals continue this one, each by the first byte: no two are equal.
    branches: SmallVec<[(u8, Arc<Self>); 2]>,
    /// The number of nodes of the longest path from this one on: adding and dropping recurse.
    height: u32,
}

/// The literals of a template, each with the leaf behind it.
pub(super) type Path<'p> = [(&'p [u8], Option<&'p Slot>)];

/// A node with which a walk can continue.
struct Step<'t> {
    node: &'t Tree,
    /// The position of the event up to which it is like the path to the node.
    at: usize,
    /// The kind of the value that is before the literal of the node, if there is one.
    value: Option<SlotKind>,
}

impl Tree {
    /// Returns the tree with another path, which ends at the template `number`.
    ///
    /// Returns the number of the template that has the same path instead, if there is one.
    pub(super) fn with(&self, path: &Path<'_>, number: u32) -> Result<Self, u32> {
        let Some(((literal, leaf), rest)) = path.split_first() else { return Ok(self.clone()) };
        self.with_literal(literal, *leaf, rest, number)
    }

    fn with_literal(
        &self,
        literal: &[u8],
        leaf: Option<&Slot>,
        rest: &Path<'_>,
        number: u32,
    ) -> Result<Self, u32> {
        let shared = shared_len(&self.literal, literal);
        if shared < self.literal.len() {
            return self.split(shared).with_literal(literal, leaf, rest, number);
        }
        let behind = bytes_in(literal, shared..);
        let Some(first) = behind.first() else { return self.with_leaf(leaf, rest, number) };
        let known = self.branches.iter().position(|(byte, _)| byte == first);
        let branch = match known.and_then(|known| self.branches.get(known)) {
            Some((_, branch)) => branch.with_literal(behind, leaf, rest, number)?,
            None => Self::of_literal(behind).with_leaf(leaf, rest, number)?,
        };
        let (mut node, branch) = (self.clone(), (*first, Arc::new(branch)));
        match known.and_then(|known| node.branches.get_mut(known)) {
            Some(known) => *known = branch,
            None => node.branches.push(branch),
        }
        Ok(node.measured())
    }

    /// Returns the node with the rest of a path, from the leaf behind its literal on.
    fn with_leaf(&self, leaf: Option<&Slot>, rest: &Path<'_>, number: u32) -> Result<Self, u32> {
        let Some(leaf) = leaf else {
            return match self.end {
                Some(known) => Err(known),
                None => Ok(Self { end: Some(number), ..self.clone() }),
            };
        };
        let kind = leaf.kind as usize;
        let value = if let Some(Some(value)) = self.values.get(kind) {
            value.with(rest, number)?
        } else {
            let literal = rest.first().map_or(&[][..], |(literal, _)| literal);
            Self::of_literal(literal).with(rest, number)?
        };
        let mut node = self.clone();
        debug_assert!(kind < KINDS, "a kind has a place");
        if let Some(place) = node.values.get_mut(kind) {
            *place = Some(Arc::new(value));
        }
        Ok(node.measured())
    }

    /// Returns the tree without a path; `None` if no path is left.
    pub(super) fn without(&self, path: &Path<'_>) -> Option<Self> {
        let ((literal, leaf), rest) = path.split_first()?;
        self.without_literal(literal, *leaf, rest)
    }

    fn without_literal(
        &self,
        literal: &[u8],
        leaf: Option<&Slot>,
        rest: &Path<'_>,
    ) -> Option<Self> {
        let mut node = self.clone();
        let Some(behind) = literal.strip_prefix(&*self.literal) else { return Some(node) };
        if let Some(first) = behind.first() {
            node.branches.retain(|(byte, branch)| {
                if byte != first {
                    return true;
                }
                let left = branch.without_literal(behind, leaf, rest);
                left.map(|left| *branch = Arc::new(left)).is_some()
            });
        } else if let Some(leaf) = leaf {
            if let Some(value) = node.values.get_mut(leaf.kind as usize) {
                *value = value.take().and_then(|value| value.without(rest)).map(Arc::new);
            }
        } else {
            node.end = None;
        }
        let is_empty = node.end.is_none()
            && node.branches.is_empty()
            && node.values.iter().all(Option::is_none);
        (!is_empty).then(|| node.measured())
    }

    fn of_literal(literal: &[u8]) -> Self {
        Self { literal: literal.into(), height: 1, ..Self::default() }
    }

    /// Returns true if the longest path has too many nodes to recurse.
    pub(super) const fn is_too_high(&self) -> bool {
        self.height > MOST_HEIGHT
    }

    /// Returns the node with its height.
    fn measured(mut self) -> Self {
        let values = self.values.iter().flatten();
        let below = values.chain(self.branches.iter().map(|(_, node)| node));
        self.height = 1 + below.map(|node| node.height).max().unwrap_or(0);
        self
    }

    /// Returns a node with the first bytes of the literal, whose branch is this node.
    fn split(&self, at: usize) -> Self {
        let (literal, behind) = (bytes_in(&self.literal, ..at), bytes_in(&self.literal, at..));
        let below = Self { literal: behind.into(), ..self.clone() };
        let branches = behind.first().map(|first| (*first, Arc::new(below)));
        Self {
            literal: literal.into(),
            branches: branches.into_iter().collect(),
            ..Self::default()
        }
        .measured()
    }

    /// Returns the template whose literals are those of the event at the front of `input`.
    ///
    /// Fails with the position up to which some template is like the event. A literal is preferred to
    /// a value. The walk ends after a number of steps, so that no set of templates makes it long.
    pub(super) fn find(&self, input: &[u8]) -> Result<u32, usize> {
        let mut reach = 0;
        let mut open: SmallVec<[Step<'_>; 32]> = SmallVec::new();
        let mut next = Some(Step { node: self, at: 0, value: None });
        for _ in 0..MOST_STEPS {
            let Some(step) = next.take().or_else(|| open.pop()) else { break };
            reach = reach.max(step.at);
            let Some(at) = step.end(input) else { continue };
            if let Some(number) = step.node.end {
                return Ok(number);
            }
            let first = input.get(at);
            let branch = step.node.branches.iter().find(|(byte, _)| Some(byte) == first);
            next = branch.map(|(_, node)| Step { node, at, value: None });
            for (kind, node) in SlotKind::ALL.iter().zip(&step.node.values) {
                let Some(node) = node else { continue };
                let value = Step { node, at, value: Some(*kind) };
                if next.is_none() {
                    next = Some(value);
                } else {
                    open.push(value);
                }
            }
        }
        Err(reach)
    }
}

impl Step<'_> {
    /// Returns the position behind the value and the literal of the node, if the event has them.
    #[inline]
    fn end(&self, input: &[u8]) -> Option<usize> {
        let rest = bytes_in(input, self.at..);
        let rest = match self.value {
            None => rest,
            Some(kind) => bytes_in(rest, kind.skipped_len(rest)?..),
        };
        Some(input.len() - rest.strip_prefix(&*self.node.literal)?.len())
    }
}

#[cfg(test)]
impl Tree {
    /// Returns all literals of the tree.
    pub(super) fn stored(&self) -> String {
        let branches = self.branches.iter().map(|(_, node)| node);
        let below = branches.chain(self.values.iter().flatten()).map(|node| node.stored());
        String::from_utf8_lossy(&self.literal).into_owned() + "\n" + &below.collect::<String>()
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::{Path, Slot, SlotKind, Tree};
    use proptest::prelude::*;

    /// A path: literals, each with the kind of the value behind it.
    type Parts = (Vec<(&'static str, SlotKind)>, &'static str);

    fn paths() -> impl Strategy<Value = Vec<Parts>> {
        let literals =
            prop::sample::select(vec!["{", "{\"", "\"", "a", "ab", "1", "}", "x\"", ":"]);
        let kinds = prop::sample::select(SlotKind::ALL.to_vec());
        let ends = prop::sample::select(vec!["\n\n", "\"\n\n", "}\n\n", "\r\n\r\n"]);
        prop::collection::vec((prop::collection::vec((literals, kinds), 0..4), ends), 0..12)
    }

    fn slot(kind: SlotKind) -> Slot {
        Slot::new(1, kind, 0, 0)
    }

    /// Passes the path of some parts to `with`.
    fn with_path<R>((parts, end): &Parts, with: impl FnOnce(&Path<'_>) -> R) -> R {
        let slots: Vec<_> = parts.iter().map(|(_, kind)| slot(*kind)).collect();
        let literals = parts.iter().map(|(literal, _)| literal.as_bytes());
        let path: Vec<_> = literals.zip(slots.iter().map(Some)).collect();
        with(&[path, vec![(end.as_bytes(), None)]].concat())
    }

    fn tree_of(paths: &[Parts]) -> Tree {
        let mut tree = Tree::default();
        for (number, parts) in (0..).zip(paths) {
            if let Ok(more) = with_path(parts, |path| tree.with(path, number)) {
                tree = more;
            }
        }
        tree
    }

    /// Returns the length of an event if it has the literals of a path, with values between.
    fn walked<'e>((parts, end): &Parts, mut rest: &'e [u8]) -> Option<&'e [u8]> {
        for (literal, kind) in parts {
            rest = rest.strip_prefix(literal.as_bytes())?;
            rest = rest.get(kind.skipped_len(rest)?..)?;
        }
        rest.strip_prefix(end.as_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 5000, ..ProptestConfig::default() })]

        /// Compares the walk with a comparison of each path, for events made of the paths.
        #[test]
        fn a_walk_finds_a_path_if_one_fits(
            paths in paths(),
            chosen in any::<prop::sample::Index>(),
            values in prop::collection::vec("[a-z0-9\\\\.\" -]{0,3}", 4),
        ) {
            let tree = tree_of(&paths);
            let mut event = String::new();
            if !paths.is_empty() {
                let (parts, end) = chosen.get(&paths);
                for ((literal, _), value) in parts.iter().zip(&values) {
                    event.push_str(literal);
                    event.push_str(value);
                }
                event.push_str(end);
            }
            let fits = |path: &Parts| walked(path, event.as_bytes()).is_some();
            let found = tree.find(event.as_bytes()).ok().map(|found| &paths[found as usize]);
            prop_assert_eq!(found.is_some(), paths.iter().any(fits), "{:?} in {:?}", event, paths);
            prop_assert!(found.is_none_or(fits));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        /// Compares a tree without a path with one to which the path was never added.
        #[test]
        fn a_removed_path_leaves_the_others(
            paths in paths(),
            removed in any::<prop::sample::Index>(),
            events in prop::collection::vec("[{\"a-c1:}x\n]{0,12}\n\n", 8),
        ) {
            if !paths.is_empty() {
                let removed = removed.get(&paths).clone();
                let left = with_path(&removed, |path| tree_of(&paths).without(path));
                let left = left.unwrap_or_default();
                let others: Vec<_> = paths.iter().filter(|path| **path != removed).cloned().collect();
                let expected = tree_of(&others);
                let made = paths.iter().map(|(parts, end)| {
                    parts.iter().map(|(literal, _)| *literal).collect::<String>() + end
                });
                for event in made.chain(events) {
                    let is_found = |tree: &Tree| tree.find(event.as_bytes()).is_ok();
                    prop_assert_eq!(is_found(&left), is_found(&expected), "{:?}", event);
                }
            }
        }
    }

    /// The number of steps is bounded, however many paths an event begins like.
    #[test]
    fn a_walk_has_an_end() {
        let kinds = [SlotKind::Text, SlotKind::Padding];
        let paths: Vec<Parts> = (0..256_u32)
            .map(|bits| {
                ((0..8).map(|bit| ("\"", kinds[(bits >> bit & 1) as usize])).collect(), "}\n\n")
            })
            .collect();
        assert_eq!(tree_of(&paths).find("\"".repeat(64).as_bytes()).ok(), None);
    }
}
