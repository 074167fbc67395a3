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
    /// By the byte that leads there, all different.
    children: Vec<(u8, Index)>,
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
            [key, rest @ ..] => match self.children.iter_mut().find(|(known, _)| known == key) {
                Some((_, child)) => child.insert(rest, reach, number),
                None => {
                    let mut child = Index { label: rest.to_vec(), ..Index::default() };
                    child.insert(rest, reach, number);
                    self.children.push((*key, child));
                }
            },
        }
    }

    /// Leaves `len` bytes of the label here, and moves all else to a child.
    fn split(&mut self, len: usize) {
        let mut label = self.label.split_off(len);
        let key = label.remove(0);
        let above = Index { label: std::mem::take(&mut self.label), ..Index::default() };
        let below = std::mem::replace(self, above);
        self.children.push((key, Index { label, ..below }));
    }

    /// Calls `visit` with the routes that may match `path`, in lists that are each ascending.
    pub(super) fn visit<'a>(&'a self, path: &[u8], mut visit: impl FnMut(&'a [RouteNumber])) {
        // The root has no label.
        let (mut node, mut rest) = (self, path);
        loop {
            let candidates = if rest.is_empty() { &node.ends } else { &node.starts };
            if !candidates.is_empty() {
                visit(candidates);
            }
            let [key, behind @ ..] = rest else { return };
            let Some((_, child)) = node.children.iter().find(|(known, _)| known == key) else {
                return;
            };
            // Many labels are empty, which saves a call.
            if !(child.label.is_empty() || behind.starts_with(&child.label)) {
                return;
            }
            (node, rest) = (child, &behind[child.label.len()..]);
        }
    }
}

fn shared_len(one: &[u8], other: &[u8]) -> usize {
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
            index.visit(path.as_bytes(), |routes| found.extend_from_slice(routes));
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
