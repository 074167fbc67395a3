//! What a server says when it starts.

use super::App;
use crate::net::Endpoint;
use std::io::{IsTerminal, stderr};

/// Logs where the server listens, its limits and its table: in full for a person, in one line for a
/// file.
pub(super) fn announce(app: &App, endpoints: &[Endpoint], workers: usize) {
    let urls: Vec<_> = endpoints.iter().map(url).collect();
    let (urls, routes) = (urls.join(" "), app.router.entries().len());
    log::info!("serving on {urls}: {workers} workers, {routes} routes");
    if !stderr().is_terminal() {
        return;
    }
    for line in app.config.to_string().lines() {
        log::info!("  {line}");
    }
    for (number, entry) in (1..).zip(app.router.entries()) {
        let method = entry.method.as_ref().map_or("ANY", |method| method.as_str());
        log::info!("  {number:>3}. {method:<7} {}", entry.pattern);
    }
}

fn url(endpoint: &Endpoint) -> String {
    match endpoint.is_unix() {
        true => endpoint.to_string(),
        false => format!("http://{endpoint}"),
    }
}
