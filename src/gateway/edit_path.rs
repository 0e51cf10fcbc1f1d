//! `EditPath`: the path of a rule, in a part of RFC 9535's notation.

use core::fmt::{self, Write as _};

use crate::chunk::path_name::{is_name_character, is_name_first, push_name};
use crate::chunk::schema::{choice, delta, top};
use crate::json::{Document, Kind, NodeId, code_unit};
use crate::report::serialize_by_name;
use crate::slice::{items_in, text_in};

/// A path from the root to the values that a rule changes.
///
/// `parents` leads to the arrays and objects that contain them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct EditPath {
    parents: Box<[PathStep]>,
    last: PathStep,
}

/// A step from an array or object to some of its elements or members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum PathStep {
    /// The members of a name.
    Name(Box<str>),
    /// The `delta` of any object, and also the `message` if it is a choice.
    Delta,
    /// The element at a position.
    Position(u64),
    /// All elements or members.
    All,
}

/// An element, or a member with its name, of an array or object.
#[derive(Clone, Copy)]
pub(super) struct Child<'a> {
    pub(super) name: Option<&'a [u8]>,
    pub(super) value: NodeId,
}

impl Child<'_> {
    /// Returns the first node: that of a member's name, or of an element.
    pub(super) const fn first(&self) -> NodeId {
        if self.name.is_some() { self.value.saturating_sub(1) } else { self.value }
    }
}

/// Returns the elements of an array, or the members of an object.
pub(super) fn children(document: Document<'_>, id: NodeId) -> impl Iterator<Item = Child<'_>> {
    let members =
        document.members(id).map(|member| Child { name: Some(member.name), value: member.value });
    members.chain(document.elements(id).map(|value| Child { name: None, value }))
}

impl EditPath {
    /// Reads a path to an element or a member.
    pub(super) fn parse(path: &str) -> Result<Self, PathError> {
        let mut steps = PathReader { path, position: 0 }.steps()?;
        if let [first, second, third, ..] = &mut *steps
            && (*first == PathStep::All || first.is_name(top::CHOICES))
            && !matches!(second, PathStep::Name(_))
            && third.is_name(choice::DELTA)
        {
            *third = PathStep::Delta;
        }
        let last = steps.pop().ok_or(PathError::new(PathErrorKind::ExpectedStep, path.len()))?;
        Ok(Self { parents: steps.into(), last })
    }

    /// Reads a path whose last step is a name.
    pub(super) fn parse_member(path: &str) -> Result<Self, PathError> {
        let read = Self::parse(path)?;
        match read.name() {
            Some(_) => Ok(read),
            None => Err(PathError::new(PathErrorKind::ExpectedMember, path.len())),
        }
    }

    /// Returns the path of a member of the root.
    pub(super) fn of_member(name: &str) -> Self {
        Self { parents: Box::default(), last: PathStep::Name(name.into()) }
    }

    /// Returns the name of the last step, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.last {
            PathStep::Name(name) => Some(name),
            PathStep::Delta => Some(choice::DELTA),
            PathStep::Position(_) | PathStep::All => None,
        }
    }

    /// Returns true if the path is that of a member of the root.
    pub(super) fn is_of_root(&self) -> bool {
        self.parents.is_empty()
    }

    /// Returns true if the last step selects the element at a position of a list, but no part of a
    /// content.
    pub(super) fn is_of_position(&self) -> bool {
        let is_part = self.parents.last().is_some_and(|list| list.is_name(delta::CONTENT));
        matches!(self.last, PathStep::Position(_)) && !is_part
    }

    /// Returns true if the last step selects the `message` of an array or object, beside its `delta`.
    pub(super) fn selects_message(&self, parent: Parent) -> bool {
        self.last == PathStep::Delta && parent.place == Place::Choice
    }

    /// Visits each array or object to which the steps before the last one lead.
    pub(super) fn each_parent(&self, document: Document<'_>, visit: &mut dyn FnMut(Parent)) {
        walk(document, Parent { id: 0, place: Place::Root }, &self.parents, visit);
    }

    /// Returns true if the path leads into an unread array.
    pub(super) fn enters_unread(&self, document: Document<'_>) -> bool {
        let mut enters = false;
        for steps in 0..=self.parents.len() {
            let root = Parent { id: 0, place: Place::Root };
            walk(document, root, items_in(&self.parents, ..steps), &mut |parent| {
                enters |= document.unread(parent.id).is_some();
            });
        }
        enters
    }

    /// Visits each value that the last step selects in an array or object.
    #[inline]
    pub(super) fn each_selected(
        &self,
        document: Document<'_>,
        parent: Parent,
        visit: impl FnMut(NodeId),
    ) {
        self.last.each_selected(document, parent, visit);
    }
}

/// An array or object on the way of a path.
#[derive(Clone, Copy)]
pub(super) struct Parent {
    pub(super) id: NodeId,
    place: Place,
}

/// The place of an array or object in a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// The array `choices`.
    Choices,
    /// An element of `choices`.
    Choice,
    Other,
}

impl Parent {
    /// Returns a value in this array or object.
    fn child(self, document: Document<'_>, id: NodeId) -> Self {
        let is_choices =
            || document.name_of(id) == top::CHOICES && document.kind(id) == Some(Kind::Array);
        let place = match self.place {
            Place::Root if is_choices() => Place::Choices,
            Place::Choices => Place::Choice,
            _ => Place::Other,
        };
        Self { id, place }
    }
}

/// Visits each value to which the steps lead.
fn walk(document: Document<'_>, at: Parent, steps: &[PathStep], visit: &mut dyn FnMut(Parent)) {
    let Some((step, rest)) = steps.split_first() else { return visit(at) };
    step.each_selected(document, at, |value| {
        walk(document, at.child(document, value), rest, visit);
    });
}

impl PathStep {
    fn is_name(&self, name: &str) -> bool {
        matches!(self, Self::Name(own) if **own == *name)
    }

    /// Visits each value that the step selects in an array or object.
    #[inline]
    fn each_selected(&self, document: Document<'_>, parent: Parent, mut visit: impl FnMut(NodeId)) {
        let Parent { id: parent, place } = parent;
        match self {
            Self::Name(name) => {
                let members = document.members(parent);
                members
                    .filter(|member| member.name == name.as_bytes())
                    .for_each(|member| visit(member.value));
            }
            Self::Delta => {
                let is_message =
                    |name: &[u8]| place == Place::Choice && name == choice::MESSAGE.as_bytes();
                let members = document.members(parent);
                members
                    .filter(|member| {
                        member.name == choice::DELTA.as_bytes() || is_message(member.name)
                    })
                    .for_each(|member| visit(member.value));
            }
            Self::Position(position) => {
                let position = usize::try_from(*position).ok();
                let element = position.and_then(|position| document.elements(parent).nth(position));
                element.into_iter().for_each(visit);
            }
            Self::All => children(document, parent).for_each(|child| visit(child.value)),
        }
    }
}

/// Writes the path as RFC 9535 has it.
impl fmt::Debug for EditPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = String::from("$");
        for step in self.parents.iter().chain([&self.last]) {
            match step {
                PathStep::Name(name) => push_name(&mut path, name),
                PathStep::Delta => push_name(&mut path, choice::DELTA),
                // Writing to a string can't fail.
                PathStep::Position(position) => _ = write!(path, "[{position}]"),
                PathStep::All => path.push_str("[*]"),
            }
        }
        f.write_str(&path)
    }
}

/// Reads the steps of a path.
struct PathReader<'p> {
    path: &'p str,
    position: usize,
}

impl<'p> PathReader<'p> {
    fn steps(mut self) -> Result<Vec<PathStep>, PathError> {
        self.expect('$', PathErrorKind::ExpectedRoot)?;
        let mut steps = Vec::new();
        while self.position < self.path.len() {
            self.skip_blanks();
            if self.consume('.') {
                steps.push(self.after_point()?);
            } else if self.consume('[') {
                self.skip_blanks();
                steps.push(self.selector()?);
                self.skip_blanks();
                if matches!(self.next(), Some(',' | ':')) {
                    return Err(self.error(PathErrorKind::Unsupported));
                }
                self.expect(']', PathErrorKind::ExpectedBracket)?;
            } else {
                return Err(self.error(PathErrorKind::ExpectedStep));
            }
        }
        Ok(steps)
    }

    /// Reads the name or `*` behind a point.
    fn after_point(&mut self) -> Result<PathStep, PathError> {
        match self.next() {
            Some('*') => {
                self.skip('*');
                Ok(PathStep::All)
            }
            Some('.') => Err(self.error(PathErrorKind::Unsupported)),
            Some(first) if is_name_first(first) => {
                let rest = self.rest();
                let len = rest.find(|character| !is_name_character(character));
                let name = text_in(rest, ..len.unwrap_or(rest.len()));
                self.position += name.len();
                Ok(PathStep::Name(name.into()))
            }
            _ => Err(self.error(PathErrorKind::ExpectedName)),
        }
    }

    /// Reads the selector in brackets.
    fn selector(&mut self) -> Result<PathStep, PathError> {
        match self.next() {
            Some('*') => {
                self.skip('*');
                Ok(PathStep::All)
            }
            Some(quote @ ('\'' | '"')) => {
                self.skip(quote);
                Ok(PathStep::Name(self.quoted(quote)?.into()))
            }
            Some('0'..='9') => self.index(),
            Some('-' | ':' | '?') => Err(self.error(PathErrorKind::Unsupported)),
            _ => Err(self.error(PathErrorKind::ExpectedSelector)),
        }
    }

    /// Reads a position: digits without a leading zero, up to 2⁵³ − 1.
    fn index(&mut self) -> Result<PathStep, PathError> {
        const MOST: u64 = (1 << 53) - 1;
        let rest = self.rest();
        let len = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let digits = text_in(rest, ..len);
        let position = digits.parse().ok().filter(|position| *position <= MOST);
        let Some(position) = position.filter(|_| digits == "0" || !digits.starts_with('0')) else {
            return Err(self.error(PathErrorKind::InvalidIndex));
        };
        self.position += len;
        Ok(PathStep::Position(position))
    }

    /// Reads a name up to its second quote.
    fn quoted(&mut self, quote: char) -> Result<String, PathError> {
        let mut name = String::new();
        loop {
            match self.next() {
                None => return Err(self.error(PathErrorKind::ExpectedQuote)),
                Some('\0'..' ') => return Err(self.error(PathErrorKind::ControlCharacter)),
                Some('\\') => {
                    let character = self.escape(quote);
                    name.push(character.ok_or(self.error(PathErrorKind::InvalidEscape))?);
                }
                Some(character) => {
                    self.skip(character);
                    if character == quote {
                        return Ok(name);
                    }
                    name.push(character);
                }
            }
        }
    }

    /// Reads an escape. Returns `None`, at its backslash, if it is none.
    fn escape(&mut self, quote: char) -> Option<char> {
        let rest = self.rest().strip_prefix('\\')?;
        let letter = rest.chars().next()?;
        let (character, len) = match letter {
            'b' => ('\u{8}', 2),
            't' => ('\t', 2),
            'n' => ('\n', 2),
            'f' => ('\u{C}', 2),
            'r' => ('\r', 2),
            '/' | '\\' => (letter, 2),
            'u' => escaped_character(self.rest())?,
            _ if letter == quote => (letter, 2),
            _ => return None,
        };
        self.position += len;
        Some(character)
    }

    fn rest(&self) -> &'p str {
        text_in(self.path, self.position..)
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    const fn skip(&mut self, character: char) {
        self.position += character.len_utf8();
    }

    fn consume(&mut self, character: char) -> bool {
        let is_next = self.next() == Some(character);
        if is_next {
            self.skip(character);
        }
        is_next
    }

    fn expect(&mut self, character: char, kind: PathErrorKind) -> Result<(), PathError> {
        if self.consume(character) { Ok(()) } else { Err(self.error(kind)) }
    }

    fn skip_blanks(&mut self) {
        while let Some(blank @ (' ' | '\t' | '\n' | '\r')) = self.next() {
            self.skip(blank);
        }
    }

    const fn error(&self, kind: PathErrorKind) -> PathError {
        PathError::new(kind, self.position)
    }
}

/// Returns the character of a `\u` escape, or of a pair of them, and its length.
fn escaped_character(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| u16::try_from(code_unit(text.as_bytes())?).ok();
    let first = unit(text)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Some((character, 6));
    }
    let second = unit(text.get(6..)?)?;
    let character = char::decode_utf16([first, second]).next()?.ok()?;
    Some((character, 12))
}

/// An error in the path of an [`EditRule`](super::EditRule): its kind and its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathError {
    kind: PathErrorKind,
    offset: usize,
}

impl PathError {
    const fn new(kind: PathErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub const fn kind(&self) -> PathErrorKind {
        self.kind
    }

    /// Returns the offset of the error in the path, in bytes.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the path", self.kind, self.offset)
    }
}

impl core::error::Error for PathError {}

/// The kinds of errors in a path, named after the rule of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathErrorKind {
    /// A path begins with `$`.
    ExpectedRoot,
    /// `.` or `[` was expected. A path has at least one step, and no white space at its end.
    ExpectedStep,
    /// A name or `*` was expected behind a point. Other names are in brackets and quotes.
    ExpectedName,
    /// A name in quotes, a position or `*` was expected behind a bracket.
    ExpectedSelector,
    /// The closing bracket was expected.
    ExpectedBracket,
    /// The path ends inside a name in quotes.
    ExpectedQuote,
    /// The path of a member was expected, and its last step is no name.
    ExpectedMember,
    /// A backslash doesn't begin a valid escape.
    InvalidEscape,
    /// A name contains a control character without an escape.
    ControlCharacter,
    /// A position has a leading zero or is over 2⁵³ − 1.
    InvalidIndex,
    /// The beginning of a step that RFC 9535 has and rules don't have.
    ///
    /// These are `..`, slices, filters, lists of selectors and positions from the end. The path isn't
    /// checked beyond its beginning.
    Unsupported,
}

impl PathErrorKind {
    /// Returns the name of the kind, in lower case with underscores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExpectedRoot => "expected_root",
            Self::ExpectedStep => "expected_step",
            Self::ExpectedName => "expected_name",
            Self::ExpectedSelector => "expected_selector",
            Self::ExpectedBracket => "expected_bracket",
            Self::ExpectedQuote => "expected_quote",
            Self::ExpectedMember => "expected_member",
            Self::InvalidEscape => "invalid_escape",
            Self::ControlCharacter => "control_character",
            Self::InvalidIndex => "invalid_index",
            Self::Unsupported => "unsupported",
        }
    }
}

serialize_by_name!(PathErrorKind);

/// Writes a sentence; [`as_str`](Self::as_str) returns the name.
impl fmt::Display for PathErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExpectedRoot => "expected `$`",
            Self::ExpectedStep => "expected `.` or `[`",
            Self::ExpectedName => "expected a name or `*`",
            Self::ExpectedSelector => "expected a name in quotes, a position or `*`",
            Self::ExpectedBracket => "expected `]`",
            Self::ExpectedQuote => "expected a quote",
            Self::ExpectedMember => "expected the name of a member",
            Self::InvalidEscape => "invalid escape",
            Self::ControlCharacter => "unescaped control character",
            Self::InvalidIndex => "invalid position",
            Self::Unsupported => "selector that rules don't have",
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::{EditPath, PathErrorKind};

    /// The normalized form of paths in RFC 9535's grammar, with its escapes and white space.
    #[test]
    fn paths_of_the_rfc_are_read() {
        for (path, shown) in [
            ("$.model", "$.model"),
            ("$['model']", "$.model"),
            ("$[\"model\"]", "$.model"),
            ("$.choices[*].delta.content", "$.choices[*].delta.content"),
            ("$ .choices [ 0 ]\n.delta", "$.choices[0].delta"),
            ("$.*.*", "$[*][*]"),
            ("$['a.b']", "$['a.b']"),
            ("$['']", "$['']"),
            ("$['it\\'s']", "$['it\\'s']"),
            ("$[\"it's\\\"\"]", "$['it\\'s\"']"),
            ("$['\\u00e9\\ud83d\\ude00\\n\\/\\\\']", "$['é😀\\n/\\\\']"),
            ("$.é_1", "$.é_1"),
            ("$[9007199254740991]", "$[9007199254740991]"),
        ] {
            let read = EditPath::parse(path).unwrap();
            assert_eq!(format!("{read:?}"), shown, "{path}");
            assert!(EditPath::parse(shown).unwrap() == read, "{path}");
        }
    }

    #[test]
    fn an_error_has_the_offset_of_the_first_wrong_byte() {
        use PathErrorKind as Kind;
        for (path, kind, offset) in [
            ("", Kind::ExpectedRoot, 0),
            ("model", Kind::ExpectedRoot, 0),
            ("@.a", Kind::ExpectedRoot, 0),
            ("$", Kind::ExpectedStep, 1),
            ("$ ", Kind::ExpectedStep, 2),
            ("$model", Kind::ExpectedStep, 1),
            ("$.a ", Kind::ExpectedStep, 4),
            ("$.a-b", Kind::ExpectedStep, 3),
            ("$.", Kind::ExpectedName, 2),
            ("$. a", Kind::ExpectedName, 2),
            ("$.1a", Kind::ExpectedName, 2),
            ("$.a.['b']", Kind::ExpectedName, 4),
            ("$[", Kind::ExpectedSelector, 2),
            ("$[]", Kind::ExpectedSelector, 2),
            ("$[a]", Kind::ExpectedSelector, 2),
            ("$['a'", Kind::ExpectedBracket, 5),
            ("$[0x]", Kind::ExpectedBracket, 3),
            ("$['a", Kind::ExpectedQuote, 4),
            ("$['a\\'", Kind::ExpectedQuote, 6),
            ("$['a\nb']", Kind::ControlCharacter, 4),
            ("$['a\\x']", Kind::InvalidEscape, 4),
            ("$['a\\\"']", Kind::InvalidEscape, 4),
            ("$[\"a\\'\"]", Kind::InvalidEscape, 4),
            ("$['\\ud83d']", Kind::InvalidEscape, 3),
            ("$['\\ud83d\\u0041']", Kind::InvalidEscape, 3),
            ("$['\\ude00']", Kind::InvalidEscape, 3),
            ("$['\\u+123']", Kind::InvalidEscape, 3),
            ("$['\\u12é']", Kind::InvalidEscape, 3),
            ("$['\\", Kind::InvalidEscape, 3),
            ("$[01]", Kind::InvalidIndex, 2),
            ("$[9007199254740992]", Kind::InvalidIndex, 2),
            ("$[99999999999999999999]", Kind::InvalidIndex, 2),
            ("$..a", Kind::Unsupported, 2),
            ("$[-1]", Kind::Unsupported, 2),
            ("$[:]", Kind::Unsupported, 2),
            ("$[0:2]", Kind::Unsupported, 3),
            ("$[0, 1]", Kind::Unsupported, 3),
            ("$['a' ,'b']", Kind::Unsupported, 6),
            ("$[?@.a]", Kind::Unsupported, 2),
        ] {
            let error = EditPath::parse(path).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (kind, offset), "{path:?}");
            let shown = format!("{kind} at byte {offset} of the path");
            assert_eq!(error.to_string(), shown);
        }
        for path in ["$[*]", "$.choices[0]", "$.*"] {
            let error = EditPath::parse_member(path).unwrap_err();
            assert_eq!((error.kind(), error.offset()), (Kind::ExpectedMember, path.len()));
        }
    }
}
