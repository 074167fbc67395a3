//! Deadlines that are nearer than a millisecond (feature `fine-timers`).

#![cfg(all(feature = "fine-timers", target_os = "linux"))]

mod util;

use snow::{
    block_on,
    net::{ReadExt, UnixStream, WriteExt},
    sleep, spawn, timeout,
};
use std::time::{Duration, Instant};
use util::PATIENCE;

#[test]
fn a_sleep_may_be_shorter_than_a_millisecond() {
    const SLEEP: Duration = Duration::from_micros(100);
    let shortest = block_on(async {
        let mut shortest = Duration::MAX;
        for _ in 0..500 {
            let began = Instant::now();
            sleep(SLEEP).await;
            shortest = shortest.min(began.elapsed());
        }
        shortest
    });
    // The best of many: a millisecond without the feature.
    assert!(SLEEP <= shortest && shortest < Duration::from_micros(900), "{shortest:?}");
}

#[test]
fn a_socket_is_heard_while_a_fraction_of_a_millisecond_is_waited_for() {
    block_on(async {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        let naps = spawn(async {
            loop {
                sleep(Duration::from_micros(300)).await;
            }
        });
        let echo = spawn(async move {
            let mut byte = [0];
            while other.read(&mut byte).await.unwrap() > 0 {
                other.write_all(&byte).await.unwrap();
            }
        });
        for round in 0..500 {
            one.write_all(&[round as u8]).await.unwrap();
            let mut byte = [0];
            timeout(PATIENCE, one.read_exact(&mut byte)).await.unwrap().unwrap();
            assert_eq!(byte, [round as u8]);
        }
        drop(one);
        echo.await;
        naps.cancel();
    });
}
