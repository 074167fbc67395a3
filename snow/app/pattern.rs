//! One route's pattern: how it is compiled, what of it is literal, and how it matches.

use super::{
    index::shared_len,
    router::{Caches, RouteNumber},
    runs::Runs,
};
use crate::{Error, ErrorKind, Result, http::Span};
use regex_automata::{Anchored, Input, meta::Regex};
use regex_syntax::{
    ParserBuilder,
    hir::{self, Hir, HirKind, Look},
};
use std::{fmt, slice};

/// A compiled pattern.
pub(crate) struct Pattern {
    /// As it was written, behind the prefix that it is mounted under.
    text: String,
    /// What every path that matches begins with.
    literal: Box<[u8]>,
    /// What every path ends with that matches by runs or an engine: where many patterns begin alike, as
    /// below `/([^/]+)/`, most are told by it.
    end: Box<[u8]>,
    shape: Shape,
}

/// What is behind the literal that a pattern begins with.
pub(crate) enum Shape {
    /// The end: the pattern matches this one path.
    Exact,
    /// Anything: the pattern matches every path that begins so.
    Prefix,
    /// Runs of bytes, told by looking at each once.
    Runs(Box<Runs>),
    /// What only an engine can tell.
    Regex(Box<Engine>),
}

/// An engine, and where in the path it begins: behind the literal, unless that is part of its work.
pub(crate) struct Engine {
    regex: Regex,
    start: usize,
    /// Bytes of the prefix that the pattern is mounted under: for it, the path begins behind them.
    base: usize,
}

impl Engine {
    fn new(text: &str, rest: &[Hir], start: usize, base: usize) -> Result<Engine> {
        let config = Regex::config().utf8_empty(false);
        let rest = Hir::concat(rest.to_vec());
        match Regex::builder().configure(config).build_from_hir(&rest) {
            Ok(regex) => Ok(Engine { regex, start, base }),
            Err(error) => {
                let reason = match error.size_limit() {
                    Some(_) => "it is too large".to_string(),
                    None => error.to_string(),
                };
                let reason = format!("the pattern {text:?} cannot be compiled: {reason}");
                Err(Error::new(ErrorKind::Config, reason))
            }
        }
    }

    fn input<'a>(&self, path: &'a [u8]) -> Input<'a> {
        Input::new(&path[self.base..]).range(self.start - self.base..).anchored(Anchored::Yes)
    }

    #[inline(never)]
    fn matches_into(
        &self,
        number: RouteNumber,
        path: &[u8],
        caches: &mut Caches,
        groups: &mut Vec<Option<Span>>,
    ) -> bool {
        let slot_len = self.regex.group_info().slot_len();
        let (cache, slots) = caches.get(number, slot_len, || self.regex.create_cache());
        if self.regex.search_slots_with(cache, &self.input(path), slots).is_none() {
            return false;
        }
        groups.clear();
        groups.extend(slots.chunks_exact(2).map(|pair| {
            let (start, end) = (pair[0]?.get(), pair[1]?.get());
            Some(Span::from(self.base + start..self.base + end))
        }));
        // The whole match begins with the prefix and the literal.
        groups[0] = groups[0].map(|whole| Span::from(0..whole.range().end));
        true
    }
}

impl Pattern {
    /// Compiles `text`, to be matched from where `prefix` ends.
    ///
    /// # Errors
    ///
    /// `Config`, with a caret under the fault.
    pub(crate) fn new(prefix: &str, text: &str) -> Result<Pattern> {
        let hir = ParserBuilder::new()
            .unicode(cfg!(feature = "unicode"))
            // Paths are matched as bytes, so that `.` and `[^/]` take whatever there is.
            .utf8(false)
            .build()
            .parse(text)
            .map_err(|error| Error::new(ErrorKind::Config, explain(text, &error)))?;
        let hir = Hir::concat(vec![Hir::literal(prefix.as_bytes()), without_start(hir)]);
        let (literal, rest) = split_literal(&hir);
        let (literal, shape) = match rest {
            [] => (literal, Shape::Prefix),
            [end] if *end.kind() == HirKind::Look(Look::End) => (literal, Shape::Exact),
            _ => match Runs::new(rest) {
                Some(runs) => (literal, Shape::Runs(Box::new(runs))),
                None => {
                    let engine = Engine::new(text, rest, literal.len(), prefix.len())?;
                    let literal = if literal.is_empty() { common_start(&hir) } else { literal };
                    (literal, Shape::Regex(Box::new(engine)))
                }
            },
        };
        Ok(Pattern {
            text: format!("{prefix}{text}"),
            literal: literal.into(),
            end: literal_end(rest).into(),
            shape,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn literal(&self) -> &[u8] {
        &self.literal
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the names of the groups, the whole match first.
    pub(crate) fn group_names(&self) -> Vec<Option<String>> {
        match &self.shape {
            Shape::Exact | Shape::Prefix => vec![None],
            Shape::Runs(runs) => [&[None], runs.group_names()].concat(),
            Shape::Regex(engine) => {
                let names =
                    engine.regex.group_info().pattern_names(regex_automata::PatternID::ZERO);
                names.map(|name| name.map(String::from)).collect()
            }
        }
    }

    /// Returns whether `path` matches, given that it begins with the literal.
    pub(crate) fn matches(&self, number: RouteNumber, path: &[u8], caches: &mut Caches) -> bool {
        match &self.shape {
            Shape::Exact => path == &*self.literal,
            Shape::Prefix => path.starts_with(&self.literal),
            Shape::Runs(_) | Shape::Regex(_) if !path.ends_with(&self.end) => false,
            Shape::Runs(runs) => runs.find(path, self.literal.len(), |_| {}).is_some(),
            Shape::Regex(engine) => {
                let input = engine.input(path).earliest(true);
                let (cache, _) = caches.get(number, 0, || engine.regex.create_cache());
                engine.regex.search_half_with(cache, &input).is_some()
            }
        }
    }

    /// Matches `path`, which begins with the literal, and says where the groups are.
    #[inline]
    pub(crate) fn matches_into(
        &self,
        number: RouteNumber,
        path: &[u8],
        caches: &mut Caches,
        groups: &mut Vec<Option<Span>>,
    ) -> bool {
        match &self.shape {
            // The index has checked the literal, and for this shape that the path ends there.
            Shape::Exact => {
                // The match is the whole path: no groups are stored.
                groups.clear();
                true
            }
            Shape::Prefix => {
                groups.clear();
                groups.push(Some(Span::from(0..self.literal.len())));
                true
            }
            Shape::Runs(_) | Shape::Regex(_) if !path.ends_with(&self.end) => false,
            Shape::Runs(runs) => runs.matches_into(path, self.literal.len(), groups),
            Shape::Regex(engine) => engine.matches_into(number, path, caches, groups),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Shows where a pattern is at fault.
fn explain(text: &str, error: &regex_syntax::Error) -> String {
    let (reason, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), *error.span()),
        regex_syntax::Error::Translate(error) => (explain_kind(error.kind()), *error.span()),
        other => return format!("the pattern {text:?} is not valid: {other}"),
    };
    let before = text.get(..span.start.offset).unwrap_or_default().chars().count();
    let width = text.get(span.start.offset..span.end.offset).unwrap_or_default().chars().count();
    let (blank, carets) = (" ".repeat(before), "^".repeat(width.max(1)));
    format!("the pattern is not valid: {reason}\n    {text}\n    {blank}{carets}")
}

/// Says what is wrong with what is well-formed.
fn explain_kind(kind: &hir::ErrorKind) -> String {
    use hir::ErrorKind::{
        UnicodeCaseUnavailable, UnicodeNotAllowed, UnicodePerlClassNotFound,
        UnicodePropertyNotFound, UnicodePropertyValueNotFound,
    };
    match kind {
        UnicodeCaseUnavailable
        | UnicodeNotAllowed
        | UnicodePerlClassNotFound
        | UnicodePropertyNotFound
        | UnicodePropertyValueNotFound
            if cfg!(not(feature = "unicode")) =>
        {
            "this takes the feature `unicode` of snow-web".to_string()
        }
        _ => kind.to_string(),
    }
}

/// Drops the `^` that a pattern begins with: matching always begins at the start.
fn without_start(hir: Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(Look::Start) => Hir::empty(),
        HirKind::Concat(parts) => {
            let mut parts = parts.clone();
            let first = without_start(parts.remove(0));
            parts.insert(0, first);
            Hir::concat(parts)
        }
        HirKind::Alternation(branches) => {
            Hir::alternation(branches.iter().cloned().map(without_start).collect())
        }
        HirKind::Capture(group) => {
            let mut group = group.clone();
            group.sub = Box::new(without_start(*group.sub));
            Hir::capture(group)
        }
        _ => hir,
    }
}

/// Splits off the literal that an expression begins with.
fn split_literal(hir: &Hir) -> (&[u8], &[Hir]) {
    match hir.kind() {
        HirKind::Empty => (&[], &[]),
        HirKind::Literal(literal) => (&literal.0, &[]),
        HirKind::Concat(parts) => match parts[0].kind() {
            HirKind::Literal(literal) => (&literal.0, &parts[1..]),
            _ => (&[], parts),
        },
        _ => (&[], slice::from_ref(hir)),
    }
}

/// Returns the literal that the parts of an expression end with, if what they match ends there.
fn literal_end(parts: &[Hir]) -> &[u8] {
    let [.., last, end] = parts else { return &[] };
    match (last.kind(), end.kind()) {
        (HirKind::Literal(literal), HirKind::Look(Look::End)) => &literal.0,
        _ => &[],
    }
}

/// Returns what all that an expression matches begins with, as far as that is easily told.
fn common_start(hir: &Hir) -> &[u8] {
    match hir.kind() {
        HirKind::Literal(literal) => &literal.0,
        HirKind::Concat(parts) => common_start(&parts[0]),
        HirKind::Capture(group) => common_start(&group.sub),
        HirKind::Alternation(branches) => {
            let starts = branches.iter().map(common_start);
            starts.reduce(|one, other| &one[..shared_len(one, other)]).unwrap_or_default()
        }
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(pattern: &str, literal: &str, is_regex: bool) {
        let pattern = Pattern::new("", pattern).unwrap();
        assert_eq!(&*pattern.literal, literal.as_bytes());
        assert_eq!(matches!(pattern.shape, Shape::Regex(_)), is_regex);
    }

    #[test]
    fn literals_are_found() {
        expect("^/$", "/", false);
        expect("^/stop/$", "/stop/", false);
        expect("/req/", "/req/", false);
        expect(r"^/user/(?<id>[0-9]+)$", "/user/", false);
        expect(r"^/user/(?<id>[0-9]+)", "/user/", false);
        expect("^/([^/]+)/edit$", "/", cfg!(feature = "unicode"));
        expect("^/a/.*$", "/a/", cfg!(feature = "unicode"));
        expect("^/([^/]+)a/$", "/", true);
        expect("^/([^/]+)([0-9]+)$", "/", true);
        expect("^/([0-9]+?)$", "/", true);
        expect("^/([0-9]{1,3})$", "/", false);
        expect("^/([0-9]{4})-([0-9]{2})-[a-z]$", "/", false);
        expect("^/[a-z][a-z0-9-]*$", "/", false);
        expect("^/items/?$", "/items", false);
        expect("^/([0-9]+)/?$", "/", false);
        expect("^/([0-9]{1,3})[0-9]$", "/", true);
        expect("^/([0-9]{2,3})0$", "/", true);
        expect("^/([0-9]*)0?$", "/", true);
        expect("^/a/?b$", "/a", true);
        expect("^/a(/)?$", "/a", true);
        expect("^/a(/?)$", "/a", true);
        expect("^/a/??$", "/a", true);
        expect("^/([0-9]+|x)$", "/", true);
        expect(r"^/([0-9]+)\b$", "/", true);
        expect(r"^/a\.b$", "/a.b", false);
        expect("^/a|^/b", "/", true);
        expect("^/(users/|user/)[0-9]", "/", true);
        expect("^/(?<one>/x)?", "/", true);
        expect("(?i)^/a$", "/", false);
        expect("", "", false);
        expect("^$", "", false);
    }

    #[test]
    fn what_needs_no_engine_matches_as_an_engine_would() {
        let patterns = [
            "^/([0-9]{1,3})$",
            "^/([0-9]{2})",
            "^/([0-9]{4})-([0-9]{2})/[a-z]/?$",
            "^/[a-z][a-z0-9-]*$",
            "^/([a-z])([a-z0-9-]*)/?$",
            "^/[0-9]{2}[0-9a-z]{2}$",
            "^/[0-9]{2}7$",
            "^/x/?$",
            "^/x/?",
            "^/([0-9]*)(?:/y)?$",
            "^/([0-9]+)/x$",
            "^/([^/]*)/x",
        ];
        let words = ["", "/", "1", "17", "777", "2026", "-", "11", "x", "ab-1", "y", "\u{e9}"];
        let mut paths = Vec::new();
        for one in words {
            for two in words {
                paths.extend(words.iter().flat_map(|three| {
                    ["", "/", "/x"].map(|four| format!("/{one}{two}{three}{four}"))
                }));
            }
        }
        let (mut caches, mut groups) = (Caches::default(), Vec::new());
        for text in patterns {
            let pattern = Pattern::new("", text).unwrap();
            let is_unicode = cfg!(feature = "unicode") && text.contains("[^");
            assert_eq!(matches!(pattern.shape, Shape::Regex(_)), is_unicode, "{text}");
            let syntax =
                regex_automata::util::syntax::Config::new().unicode(cfg!(feature = "unicode"));
            let engine = Regex::builder().syntax(syntax.utf8(false)).build(text).unwrap();
            for path in paths.iter().filter(|path| path.as_bytes().starts_with(&pattern.literal)) {
                let path = path.as_bytes();
                let mut expected = engine.create_captures();
                engine.captures(Input::new(path).anchored(Anchored::Yes), &mut expected);
                let is_match = pattern.matches_into(0, path, &mut caches, &mut groups);
                assert_eq!(is_match, expected.is_match(), "{text} {path:?}");
                assert_eq!(pattern.matches(0, path, &mut caches), is_match, "{text} {path:?}");
                if is_match {
                    let expected = expected.iter().map(|group| group.map(|group| group.range()));
                    let found = groups.iter().map(|group| group.map(Span::range));
                    assert!(found.eq(expected), "{text} {path:?}");
                }
            }
        }
    }

    #[test]
    fn a_fault_is_shown_where_it_is() {
        let error = Pattern::new("", "^/user/(?<id>\\d+$").err().unwrap().to_string();
        let mut lines = error.lines();
        assert_eq!(lines.next(), Some("the pattern is not valid: unclosed group"));
        assert_eq!(lines.next(), Some("    ^/user/(?<id>\\d+$"));
        assert_eq!(lines.next(), Some("           ^"));
    }

    #[test]
    fn a_mounted_pattern_begins_behind_its_prefix() {
        let mut caches = Caches::default();
        let pattern = Pattern::new("/api", "^/a$|^/(?<id>[0-9]+)$").unwrap();
        assert!(pattern.matches(0, b"/api/a", &mut caches));
        assert!(pattern.matches(0, b"/api/17", &mut caches));
        assert!(!pattern.matches(0, b"/api/b", &mut caches));
        assert_eq!(pattern.group_names(), [None, Some("id".to_string())]);
    }

    #[test]
    fn a_mounted_pattern_sees_nothing_of_its_prefix() {
        let mut groups = Vec::new();
        for (pattern, path, is_match) in [
            ("^^ab", "/pab", true),
            (r"\bb", "/pba", true),
            (r"\B2", "/p22", false),
            ("(?:^|x)(b)", "/pb", true),
        ] {
            let pattern = Pattern::new("/p", pattern).unwrap();
            let caches = &mut Caches::default();
            let found = pattern.matches_into(0, path.as_bytes(), caches, &mut groups);
            assert_eq!(found, is_match, "{pattern}");
        }
        let places: Vec<_> = groups.iter().map(|group| group.unwrap().range()).collect();
        assert_eq!(places, [0..3, 2..3]);
    }

    #[test]
    fn a_group_has_its_number_though_another_takes_no_part() {
        let (mut caches, mut groups) = (Caches::default(), Vec::new());
        let pattern = Pattern::new("", "^/(a){0}([0-9]+)$").unwrap();
        assert!(pattern.matches_into(0, b"/17", &mut caches, &mut groups));
        assert_eq!(groups.len(), 3);
        assert!(groups[1].is_none());
        assert_eq!(groups[2].unwrap().range(), 1..3);
    }
}
