//! A histogram of durations: 64 buckets to each power of two, so a percentile is exact to 1.6 %.

use std::time::Duration;

const BITS: u32 = 6;
const BUCKETS: usize = 64 << BITS;

pub struct Latency {
    counts: Box<[u64; BUCKETS]>,
    total: u64,
}

impl Latency {
    pub fn new() -> Latency {
        Latency { counts: Box::new([0; BUCKETS]), total: 0 }
    }

    pub fn record(&mut self, duration: Duration, times: u64) {
        self.counts[bucket_of(duration.as_nanos() as u64)] += times;
        self.total += times;
    }

    /// Returns the duration that `share` of all recorded ones do not exceed.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Duration::from_nanos(bucket.map_or(0, floor_of))
    }
}

fn bucket_of(nanoseconds: u64) -> usize {
    if nanoseconds < 1 << BITS {
        return nanoseconds as usize;
    }
    let shift = nanoseconds.ilog2() - BITS;
    ((u64::from(shift) << BITS) + (nanoseconds >> shift)) as usize
}

fn floor_of(bucket: usize) -> u64 {
    if bucket < 2 << BITS {
        return bucket as u64;
    }
    let shift = (bucket >> BITS) - 1;
    ((bucket as u64 & ((1 << BITS) - 1)) | (1 << BITS)) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_exact_to_one_part_in_64() {
        for exponent in 0..40 {
            for nanoseconds in [(1u64 << exponent) - 1, 1 << exponent, (3 << exponent) / 2 + 1] {
                let mut latency = Latency::new();
                latency.record(Duration::from_nanos(nanoseconds), 1);
                let found = latency.percentile(0.5).as_nanos() as u64;
                assert!(found <= nanoseconds && nanoseconds - found <= nanoseconds / 64);
            }
        }
    }

    #[test]
    fn half_of_a_hundred_is_the_fiftieth() {
        let mut latency = Latency::new();
        (1..=100).for_each(|n| latency.record(Duration::from_nanos(n), 1));
        assert_eq!(latency.percentile(0.5), Duration::from_nanos(50));
        assert_eq!(latency.percentile(0.99), Duration::from_nanos(99));
    }
}
