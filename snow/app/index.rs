//! Routes by the literal that their patterns begin with: a tree of bytes.
//!
//! A path walks down from the root and meets only routes whose literal it begins with, so the cost of a
//! request depends on its path and not on how many routes there are.

use super::router::RouteNumber;

/// Which paths a route is a candidate for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// The literal itself.
    Exact,
    /// All that begin with it.
    Start,
}

/// A literal, as it goes on from that of the node above, and the routes that have it.
#[derive(Default)]
pub(super) struct Index {
    /// What is behind the byte that led here.
    label: Vec<u8>,
    /// Routes for paths that go on behind this, ascending.
    starts: Vec<RouteNumber>,
    /// Routes for paths that end here, those of `starts` among them, ascending.
    ends: Vec<RouteNumber>,
    /// The bytes that lead to the children, all different.
    keys: Vec<u8>,
    /// In the order of their keys.
    children: Vec<Index>,
}

impl Index {
    /// Adds a route; numbers come ascending.
    pub(super) fn insert(&mut self, literal: &[u8], reach: Reach, number: RouteNumber) {
        let shared = shared_len(&self.label, literal);
        if shared < self.label.len() {
            self.split(shared);
        }
        match &literal[shared..] {
            [] => {
                self.ends.push(number);
                if reach == Reach::Start {
                    self.starts.push(number);
                }
            }
            [key, rest @ ..] => {
                let child = self.keys.iter().position(|known| known == key).unwrap_or_else(|| {
                    self.push(*key, Index { label: rest.to_vec(), ..Index::default() });
                    self.keys.len() - 1
                });
                self.children[child].insert(rest, reach, number);
            }
        }
    }

    /// Leaves `len` bytes of the label here, and moves all else to a child.
    fn split(&mut self, len: usize) {
        let mut label = self.label.split_off(len);
        let key = label.remove(0);
        let above = Index { label: std::mem::take(&mut self.label), ..Index::default() };
        let below = std::mem::replace(self, above);
        self.push(key, Index { label, ..below });
    }

    fn push(&mut self, key: u8, child: Index) {
        self.keys.push(key);
        self.children.push(child);
    }

    /// Returns the routes that may match `path`, in lists that are each ascending.
    pub(super) fn candidates<'a>(&'a self, path: &'a [u8]) -> Candidates<'a> {
        // The root has no label.
        Candidates { node: Some(self), rest: path }
    }

    /// Returns the node below that `rest` leads to, and what is behind it.
    fn step<'a>(&self, rest: &'a [u8]) -> Option<(&Index, &'a [u8])> {
        let (key, behind) = rest.split_first()?;
        let child = &self.children[self.keys.iter().position(|known| known == key)?];
        // Many labels are empty, which saves a call.
        match child.label.is_empty() {
            true => Some((child, behind)),
            false => Some((child, behind.strip_prefix(&*child.label)?)),
        }
    }
}

/// The walk of a path down the tree.
pub(super) struct Candidates<'a> {
    /// Where it stands, unless it is over.
    node: Option<&'a Index>,
    /// What is behind that.
    rest: &'a [u8],
}

impl<'a> Iterator for Candidates<'a> {
    type Item = &'a [RouteNumber];

    #[inline]
    fn next(&mut self) -> Option<&'a [RouteNumber]> {
        while let Some(node) = self.node {
            let candidates = if self.rest.is_empty() { &node.ends } else { &node.starts };
            self.node = node.step(self.rest).map(|(below, rest)| {
                self.rest = rest;
                below
            });
            if !candidates.is_empty() {
                return Some(candidates);
            }
        }
        None
    }
}

/// Returns how many bytes both begin with.
pub(super) fn shared_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_meets_the_routes_whose_literal_it_begins_with() {
        let routes = [
            ("/user/", Reach::Start),
            ("/use", Reach::Exact),
            ("/user/", Reach::Exact),
            ("/u", Reach::Start),
            ("", Reach::Start),
            ("/users", Reach::Exact),
            ("/user/", Reach::Start),
            ("/x", Reach::Exact),
        ];
        let mut index = Index::default();
        for (number, (literal, reach)) in routes.into_iter().enumerate() {
            index.insert(literal.as_bytes(), reach, number as RouteNumber);
        }
        let paths =
            ["", "/", "/u", "/us", "/use", "/user", "/user/", "/user/7", "/users", "/x", "/xx"];
        for path in paths {
            let mut found = Vec::new();
            index.candidates(path.as_bytes()).for_each(|routes| found.extend_from_slice(routes));
            found.sort_unstable();
            let expected = (0..).zip(routes).filter(|(_, (literal, reach))| match reach {
                Reach::Exact => path == *literal,
                Reach::Start => path.starts_with(literal),
            });
            let expected: Vec<RouteNumber> = expected.map(|(number, _)| number).collect();
            assert_eq!(found, expected, "{path:?}");
        }
    }
}
