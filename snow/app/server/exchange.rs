//! What is remembered of a request while it is answered, and its line in the access log.

use super::{Connection, Peer};
use crate::{
    app::{
        router::RouteNumber,
        worker::{ACCESS, Worker},
    },
    rt::Time,
};
use http::StatusCode;
use std::rc::Rc;

/// A request that is being answered. Its access line is written when this is dropped, however it ended.
#[derive(Default)]
pub(super) struct Exchange {
    /// `None` when no route takes it.
    route: Option<RouteNumber>,
    /// `None` where there is no access log.
    record: Option<Box<Record>>,
}

/// What the access log wants to know.
struct Record {
    worker: Rc<Worker>,
    peer: Peer,
    request: String,
    route: Option<RouteNumber>,
    began: Time,
    /// `None` until the client is answered.
    status: Option<StatusCode>,
    sent: u64,
}

impl Connection {
    /// Begins to answer a request, which `describe` names for the access log.
    pub(super) fn begin_exchange(&self, describe: impl FnOnce() -> String) -> Exchange {
        let record = self.worker.wants_records().then(|| {
            Box::new(Record {
                began: self.worker.handle.precise_now(),
                worker: Rc::clone(&self.worker),
                peer: self.peer(),
                request: describe(),
                route: None,
                status: None,
                sent: 0,
            })
        });
        Exchange { route: None, record }
    }
}

impl Exchange {
    /// Sets which route takes the request.
    pub(super) fn set_route(&mut self, route: Option<RouteNumber>) {
        self.route = route;
        if let Some(record) = &mut self.record {
            record.route = route;
        }
    }

    pub(super) fn route(&self) -> Option<RouteNumber> {
        self.route
    }

    /// Notes that the client is answered.
    pub(super) fn set_status(&mut self, status: StatusCode) {
        if let Some(record) = &mut self.record {
            record.status = Some(status);
        }
    }

    /// Notes that the client is sent content.
    pub(super) fn add_sent(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.sent += bytes;
        }
    }
}

// The record's and not the exchange's, which would look twice whether there is one.
impl Drop for Record {
    // Out of line: the log is mostly off.
    #[inline(never)]
    fn drop(&mut self) {
        let Record { worker, peer, request, route, began, status, sent } = self;
        // The client has left before its answer, or was cut: never sent, and other servers log it so, too.
        let status = status.map_or(499, |status| status.as_u16());
        let millis = worker.handle.precise_now().since(*began).as_secs_f64() * 1e3;
        let route = worker.route_name(*route);
        log::info!(target: ACCESS, "{peer} {request} {status} {sent}B {millis:.3}ms {route}");
    }
}
