//! What the bench of the codec drives of routing; compiled for it alone, under `--cfg fuzzing`.

use super::router::{Caches, Router};
use crate::{Method, Result, Route, http::Span};
use std::fmt;

/// A table of routes, whose handlers are not called.
pub struct Table {
    router: Router,
    caches: Caches,
    groups: Vec<Option<Span>>,
}

impl Table {
    /// Compiles the table.
    ///
    /// # Errors
    ///
    /// `Config` for a pattern or method that is none.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Table> {
        let router = Router::new(routes.into_iter().collect())?;
        Ok(Table { router, caches: Caches::default(), groups: Vec::new() })
    }

    /// Finds the route for a request: its place in the table, and where its first group matched, if it has one.
    pub fn find(&mut self, method: &Method, path: &str) -> Option<(usize, Option<(usize, usize)>)> {
        let path = path.as_bytes();
        let route = self.router.find(method, path, &mut self.caches, &mut self.groups)?;
        let group = self.groups.get(1).copied().flatten().map(|span| span.range());
        Some((route as usize, group.map(|range| (range.start, range.end))))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.router.entries().iter().map(|entry| entry.pattern.as_str()))
            .finish()
    }
}
