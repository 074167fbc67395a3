//! What a run found, and its one line of JSON.

use crate::latency::Latency;
use std::time::Duration;

pub struct Outcome {
    pub requests: u64,
    pub errors: u64,
    pub elapsed: Duration,
    pub latency: Latency,
}

impl Outcome {
    pub fn new() -> Outcome {
        Outcome { requests: 0, errors: 0, elapsed: Duration::ZERO, latency: Latency::new() }
    }

    pub fn to_json(&self) -> String {
        let microseconds = |share| self.latency.percentile(share).as_nanos() as f64 / 1000.0;
        format!(
            r#"{{"requests":{},"errors":{},"seconds":{:.6},"p50_us":{:.1},"p99_us":{:.1}}}"#,
            self.requests,
            self.errors,
            self.elapsed.as_secs_f64(),
            microseconds(0.50),
            microseconds(0.99),
        )
    }
}
