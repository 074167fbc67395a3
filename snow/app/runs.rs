//! Patterns that need no engine: literals, and runs of bytes of a class, each of which can end only
//! in one place: where the next literal begins, or after so many bytes. `(\d+)$`, `([^/]+)/edit/?$`,
//! `\d{4}-\d{2}$` and their like are most of what routes are made of, and one look at each byte matches
//! them.

use crate::http::Span;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// What comes behind the literal that a pattern begins with.
pub(crate) struct Runs {
    parts: Vec<Part>,
    /// Whether the path ends with the last of them.
    is_whole: bool,
    /// The names of the groups, in order.
    group_names: Vec<Option<String>>,
}

enum Part {
    Literal(Box<[u8]>),
    /// A literal if it is there; the last of all parts.
    Optional(Box<[u8]>),
    /// As many bytes of a class as there are, within bounds.
    Run {
        class: Box<[bool; 256]>,
        least: usize,
        most: usize,
        is_group: bool,
    },
}

impl Runs {
    /// Takes the parts of an expression; `None` when an engine is needed.
    pub(super) fn new(parts: &[Hir]) -> Option<Runs> {
        let (parts, is_whole) = match parts {
            [parts @ .., end] if *end.kind() == HirKind::Look(Look::End) => (parts, true),
            parts => (parts, false),
        };
        let mut runs = Runs { parts: Vec::new(), is_whole, group_names: Vec::new() };
        for part in parts {
            let part = runs.part(part)?;
            runs.push(part)?;
        }
        Some(runs)
    }

    fn part(&mut self, part: &Hir) -> Option<Part> {
        match part.kind() {
            HirKind::Literal(literal) => Some(Part::Literal(literal.0.clone())),
            HirKind::Capture(group) => {
                self.group_names.push(group.name.as_deref().map(String::from));
                // A group that can never take part has been dropped from the expression, but keeps its
                // number.
                if group.index as usize != self.group_names.len() {
                    return None;
                }
                run_of(&group.sub, true)
            }
            _ => run_of(part, false),
        }
    }

    /// Adds a part, unless the one before it could end in more than one place.
    fn push(&mut self, part: Part) -> Option<()> {
        let is_told = match (self.parts.last(), &part) {
            (None | Some(Part::Literal(_)), _) => true,
            (Some(Part::Run { least, most, .. }), _) if least == most => true,
            (Some(Part::Run { class, .. }), Part::Literal(next) | Part::Optional(next)) => {
                !class[usize::from(next[0])]
            }
            (Some(Part::Run { .. }), Part::Run { .. }) | (Some(Part::Optional(_)), _) => false,
        };
        is_told.then(|| self.parts.push(part))
    }

    pub(super) fn group_names(&self) -> &[Option<String>] {
        &self.group_names
    }

    /// Matches `path` from `start`, and says where the whole match and the groups are; those of an earlier
    /// match stay if there is none.
    #[inline(never)]
    pub(super) fn matches_into(
        &self,
        path: &[u8],
        start: usize,
        groups: &mut Vec<Option<Span>>,
    ) -> bool {
        let whole = groups.len();
        groups.push(None);
        match self.find(path, start, |group| groups.push(Some(group))) {
            Some(end) => {
                groups[whole] = Some(Span::from(0..end));
                groups.drain(..whole);
                true
            }
            None => {
                groups.truncate(whole);
                false
            }
        }
    }

    /// Matches `path` from `start` and returns where the match ends; `on_group` learns of the groups.
    pub(super) fn find(
        &self,
        path: &[u8],
        start: usize,
        mut on_group: impl FnMut(Span),
    ) -> Option<usize> {
        let mut at = start;
        for part in &self.parts {
            let rest = &path[at..];
            let len = match part {
                Part::Literal(literal) if rest.starts_with(literal) => literal.len(),
                Part::Literal(_) => return None,
                Part::Optional(literal) if rest.starts_with(literal) => literal.len(),
                Part::Optional(_) => 0,
                Part::Run { class, least, most, is_group } => {
                    let rest = &rest[..rest.len().min(*most)];
                    let len = rest.iter().take_while(|&&byte| class[usize::from(byte)]).count();
                    if len < *least {
                        return None;
                    }
                    if *is_group {
                        on_group(Span::from(at..at + len));
                    }
                    len
                }
            };
            at += len;
        }
        (!self.is_whole || at == path.len()).then_some(at)
    }
}

/// Takes a class, once or as often as it can be, or a literal that may be missing.
fn run_of(part: &Hir, is_group: bool) -> Option<Part> {
    let repetition = match part.kind() {
        HirKind::Class(class) => return run(class, 1, Some(1), is_group),
        HirKind::Repetition(repetition) if repetition.greedy => repetition,
        _ => return None,
    };
    let (least, most) = (repetition.min as usize, repetition.max.map(|most| most as usize));
    match repetition.sub.kind() {
        HirKind::Class(class) => run(class, least, most, is_group),
        HirKind::Literal(literal) if !is_group && (least, most) == (0, Some(1)) => {
            Some(Part::Optional(literal.0.clone()))
        }
        _ => None,
    }
}

/// Takes a class, of which there may be so many bytes.
fn run(class: &Class, least: usize, most: Option<usize>, is_group: bool) -> Option<Part> {
    let bytes = match class {
        Class::Bytes(bytes) => bytes.clone(),
        // Characters beyond ASCII are several bytes each.
        Class::Unicode(characters) => characters.to_byte_class()?,
    };
    let mut class = Box::new([false; 256]);
    for range in bytes.iter() {
        class[usize::from(range.start())..=usize::from(range.end())].fill(true);
    }
    Some(Part::Run { class, least, most: most.unwrap_or(usize::MAX), is_group })
}
