//! What the bench of the codec drives of routing; compiled under `--cfg fuzzing` alone.

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

    /// Finds the route for a request, and returns its place in the table.
    pub fn find(&mut self, method: &Method, path: &str) -> Option<usize> {
        let (caches, groups) = (&mut self.caches, &mut self.groups);
        self.router.find(method, path.as_bytes(), caches, groups).map(|route| route as usize)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.router.entries().iter().map(|entry| entry.pattern.as_str()))
            .finish()
    }
}
