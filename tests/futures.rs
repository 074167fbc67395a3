//! Answers that somebody completes: from anywhere, once, for exactly the request that waits.

mod util;

use snow::{Error, ErrorKind, Future, Request, Response, Result, Route, Snow, get, post};
use std::{
    collections::HashSet,
    future::{IntoFuture, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};
use util::{Client, PATIENCE, collect_log, logged, serve, wait_until};

/// A promise that is parked, and the name of the thread that parked it.
type Parked = (Future<String>, String);

/// Where a test's requests are parked.
#[derive(Clone, Default)]
struct Lot(Arc<Mutex<Vec<Parked>>>);

impl Lot {
    fn lock(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.0.lock().unwrap()
    }

    fn park(&self, future: &Future<String>) {
        let thread = thread::current().name().unwrap_or_default().to_string();
        self.lock().push((future.clone(), thread));
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    #[track_caller]
    fn wait_for(&self, count: usize) {
        wait_until("the requests are parked", || self.len() >= count);
    }

    #[track_caller]
    fn take(&self) -> Future<String> {
        self.wait_for(1);
        self.lock().remove(0).0
    }

    /// Completes all; returns how many somebody waited for.
    fn complete_all(&self, value: &str) -> usize {
        let parked: Vec<_> = self.lock().drain(..).collect();
        parked.iter().filter(|(future, _)| future.set_result(value.to_string()).is_ok()).count()
    }

    /// `GET /park/` parks, `POST /stop/` completes all with `done`, `GET /` answers at once.
    fn routes(&self) -> Vec<Route> {
        let (parking, stopping) = (self.clone(), self.clone());
        vec![
            get("^/park/", move |_| {
                let future = Future::new(|value: String| Response::text(value));
                parking.park(&future);
                future
            }),
            post("^/stop/$", move |_| stopping.complete_all("done").to_string()),
            get("^/$", |_| "hello"),
        ]
    }

    fn app(&self) -> Snow {
        Snow::new(self.routes())
    }
}

#[test]
fn another_request_completes_it_on_the_same_worker() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut waiting: Vec<_> = (0..3).map(|_| Client::connect(server.local_addr())).collect();
    waiting.iter_mut().for_each(|client| client.ask("GET", "/park/"));
    lot.wait_for(3);
    let mut other = Client::connect(server.local_addr());
    other.get("/").expect(200, "hello");
    other.request("POST", "/stop/").expect(200, "3");
    for client in &mut waiting {
        client.read().expect(200, "done");
        // The connection goes on.
        client.get("/").expect(200, "hello");
    }
    other.request("POST", "/stop/").expect(200, "0");
}

#[test]
fn another_request_completes_it_on_another_worker() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(2));
    let mut waiting = Vec::new();
    // The kernel chooses the worker: until both have some.
    let workers = || lot.lock().iter().map(|(_, thread)| thread.clone()).collect::<HashSet<_>>();
    while workers().len() < 2 {
        assert!(waiting.len() < 500, "only one worker is given connections");
        let mut client = Client::connect(server.local_addr());
        client.ask("GET", "/park/");
        waiting.push(client);
        lot.wait_for(waiting.len());
    }
    let count = waiting.len().to_string();
    Client::connect(server.local_addr()).request("POST", "/stop/").expect(200, &count);
    waiting.iter_mut().for_each(|client| client.read().expect(200, "done"));
}

#[test]
fn a_thread_of_the_programs_own_completes_it() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    for n in 0..100 {
        client.ask("GET", "/park/");
        let future = lot.take();
        let thread = thread::spawn(move || future.set_result(format!("value {n}")));
        client.read().expect(200, &format!("value {n}"));
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
}

#[test]
fn it_may_be_completed_before_it_is_returned() {
    let routes = [get("^/$", |_| {
        let future = Future::new(|value: u8| value.to_string());
        assert_eq!(future.set_result(1), Ok(()));
        assert_eq!(future.set_result(2), Err(2));
        future
    })];
    assert_eq!(Snow::new(routes).test_client().unwrap().get("/").send().text(), "1");
}

#[test]
fn a_second_result_comes_back() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park/");
    let future = lot.take();
    let again = future.clone();
    assert_eq!(future.set_result("first".into()), Ok(()));
    assert_eq!(again.set_result("second".into()), Err("second".to_string()));
    client.read().expect(200, "first");
    assert_eq!(future.set_result("third".into()), Err("third".to_string()));
    // Nothing of the others is sent.
    client.get("/").expect(200, "hello");
}

#[test]
fn an_answered_request_is_not_a_cancelled_one() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park/");
    let future = lot.take();
    assert!(!future.is_cancelled());
    future.set_result("done".into()).unwrap();
    client.read().expect(200, "done");
    client.get("/").expect(200, "hello");
    assert!(!future.is_cancelled(), "the client is still there, and has its answer");
}

#[test]
fn of_many_threads_exactly_one_completes_it() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    for _ in 0..50 {
        client.ask("GET", "/park/");
        let future = lot.take();
        let threads = (0..4).map(|n: u8| {
            let future = future.clone();
            thread::spawn(move || future.set_result(n.to_string()).is_ok().then_some(n))
        });
        let threads: Vec<_> = threads.collect();
        let winners: Vec<_> = threads.into_iter().filter_map(|it| it.join().unwrap()).collect();
        let [winner] = winners[..] else { panic!("not one winner: {winners:?}") };
        client.read().expect(200, &winner.to_string());
    }
}

#[test]
fn a_reset_cancels_at_once() {
    let lot = Lot::default();
    // A grace that would show.
    let app = lot.app().configure(|config| config.half_close_grace = 10 * PATIENCE);
    let server = serve(app.workers(1));
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /park/ HTTP/1.1\r\nHost: a\r\n\r\n");
    let future = lot.take();
    assert!(!future.is_cancelled());
    client.reset();
    wait_until("it is cancelled", || future.is_cancelled());
    assert_eq!(future.set_result("lost".into()), Err("lost".to_string()));
}

#[test]
fn a_half_close_still_gets_its_answer_within_the_grace() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park/");
    let future = lot.take();
    client.half_close();
    client.expect_silence(Duration::from_millis(50));
    assert!(!future.is_cancelled());
    assert_eq!(future.set_result("in time".into()), Ok(()));
    client.read().expect(200, "in time");
    client.expect_end();
}

#[test]
fn a_half_close_with_the_request_still_gets_its_answer() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park/");
    client.half_close();
    assert_eq!(lot.take().set_result("in time".into()), Ok(()));
    client.read().expect(200, "in time");
    client.expect_end();
}

#[test]
fn a_half_close_counts_as_gone_after_the_grace() {
    let lot = Lot::default();
    let app = lot.app().configure(|config| config.half_close_grace = Duration::from_millis(100));
    let server = serve(app.workers(1));
    let mut client = Client::connect(server.local_addr());
    client.ask("GET", "/park/");
    let future = lot.take();
    client.half_close();
    wait_until("it is cancelled", || future.is_cancelled());
    assert_eq!(future.set_result("lost".into()), Err("lost".to_string()));
    client.expect_end();
}

#[test]
fn the_grace_is_five_seconds() {
    let lot = Lot::default();
    let mut client = lot.app().test_client().unwrap();
    let pending = client.get("/park/").start();
    let future = lot.take();
    pending.half_close();
    client.advance(Duration::from_millis(4_999));
    assert!(!future.is_cancelled());
    client.advance(Duration::from_millis(2));
    assert!(future.is_cancelled());
}

#[test]
fn an_abandoned_promise_is_a_500_at_once_and_a_warning() {
    collect_log();
    let lot = Lot::default();
    let mut routes = lot.routes();
    routes.push(get("^/at/once$", |_| Future::new(|_: ()| "never")));
    let server = serve(Snow::new(routes).workers(1));
    let mut client = Client::connect(server.local_addr());
    client.get("/at/once").expect_failure(500);
    client.ask("GET", "/park/");
    lot.wait_for(1);
    let (clone, _) = lot.lock()[0].clone();
    lot.lock().clear();
    // One is left that could complete it.
    client.expect_silence(Duration::from_millis(50));
    thread::spawn(move || drop(clone)).join().unwrap();
    client.read().expect_failure(500);
    client.get("/").expect(200, "hello");
    let warned = || logged("WARN").iter().any(|line| line.contains("dropped"));
    wait_until("a warning is logged", warned);
}

#[test]
fn a_bounded_wait_ends_with_504() {
    let lot = Lot::default();
    let bounded = {
        let lot = lot.clone();
        move |_: Request| {
            let future = Future::new(|value: String| Response::text(value));
            lot.park(&future);
            future.timeout(Duration::from_secs(30))
        }
    };
    // Nobody waits any more when the answer to that is made.
    let late = lot.clone();
    let app = Snow::new([get("^/$", bounded)]).on_error(move |error: &Error| {
        assert_eq!(late.take().set_result("late".into()), Err("late".to_string()));
        error.status()
    });
    let mut client = app.test_client().unwrap();
    assert_eq!(client.get("/").send().status(), 504);
    assert_eq!(client.elapsed(), Duration::from_secs(30));
    assert_eq!(lot.len(), 0);

    let pending = client.get("/").start();
    client.advance(Duration::from_secs(29));
    assert_eq!(lot.take().set_result("in time".into()), Ok(()));
    assert_eq!(client.finish(pending).text(), "in time");
    assert_eq!(client.elapsed(), Duration::from_secs(59));
}

/// A promise whose callback holds something.
fn holding(held: Option<Arc<()>>) -> Future<String> {
    Future::new(move |value: String| {
        drop(held);
        value
    })
}

#[test]
fn what_a_callback_holds_is_let_go_before_its_failure_is_answered() {
    for limit in [None, Some(Duration::from_secs(1))] {
        let held = Arc::new(());
        let watched = Arc::downgrade(&held);
        let held = Mutex::new(Some(held));
        let lot = Lot::default();
        let parking = lot.clone();
        let handler = move |_: Request| {
            let held = held.lock().unwrap().take();
            let future = holding(held);
            match limit {
                None => future,
                Some(limit) => {
                    // Somebody could complete it still.
                    parking.park(&future);
                    future.timeout(limit)
                }
            }
        };
        let app = Snow::new([get("^/$", handler)]).on_error(move |error: &Error| {
            (error.status(), if watched.upgrade().is_none() { "let go" } else { "held" })
        });
        let answer = app.test_client().unwrap().get("/").send();
        assert_eq!(answer.status(), if limit.is_some() { 504 } else { 500 });
        assert_eq!(answer.text(), "let go");
        assert_eq!(lot.len(), usize::from(limit.is_some()));
    }
}

#[test]
fn what_a_callback_holds_is_let_go_when_nobody_waits_any_more() {
    let held = Arc::new(());
    let watched = Arc::downgrade(&held);
    let held = Mutex::new(Some(held));
    let lot = Lot::default();
    let parking = lot.clone();
    let handler = move |_: Request| {
        let held = held.lock().unwrap().take();
        let future = holding(held);
        // Somebody could complete it still.
        parking.park(&future);
        future
    };
    let server = serve(Snow::new([get("^/$", |_| "hello"), get("^/park/$", handler)]));
    let mut client = Client::connect(server.local_addr());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /park/ HTTP/1.1\r\nHost: a\r\n\r\n");
    let _future = lot.take();
    client.reset();
    wait_until("it is let go", || watched.upgrade().is_none());
}

#[test]
fn it_can_be_awaited() {
    let lot = Lot::default();
    let (plain, bounded) = (lot.clone(), lot.clone());
    let routes = [
        get("^/plain$", move |_| {
            let future = Future::promise();
            plain.park(&future);
            async move {
                let value = future.await?;
                Ok::<_, Error>(format!("awaited {value}"))
            }
        }),
        get("^/bounded$", move |_| {
            let future = Future::promise().timeout(Duration::from_secs(1));
            bounded.park(&future);
            async move {
                match future.await {
                    Err(error) if error.kind() == ErrorKind::HandlerTimeout => "late".to_string(),
                    other => format!("{other:?}"),
                }
            }
        }),
        get("^/abandoned$", async |_| Future::<String>::promise().await),
    ];
    let mut client = Snow::new(routes).test_client().unwrap();
    let pending = client.get("/plain").start();
    lot.take().set_result("value".into()).unwrap();
    assert_eq!(client.finish(pending).text(), "awaited value");
    assert_eq!(client.get("/bounded").send().text(), "late");
    assert_eq!(client.elapsed(), Duration::from_secs(1));
    assert_eq!(client.get("/abandoned").send().status(), 500);
}

#[test]
fn an_awaited_one_is_cancelled_when_the_waiting_ends() {
    let future = Future::<u8>::promise();
    let theirs = future.clone();
    snow::block_on(async move {
        let mut waiting = theirs.into_future();
        poll_fn(|cx| {
            assert!(waiting.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    });
    assert!(future.is_cancelled());
    assert_eq!(future.set_result(1), Err(1));
}

#[test]
fn one_promise_answers_one_request_only() {
    let shared: Future<String> = Future::new(|value: String| Response::text(value));
    let ours = shared.clone();
    let routes = [get("^/shared$", move |_| shared.clone()), get("^/$", |_| "hello")];
    let mut client = Snow::new(routes).test_client().unwrap();
    let first = client.get("/shared").start();
    assert_eq!(client.get("/shared").send().status(), 500);
    assert_eq!(ours.set_result("for the first".into()), Ok(()));
    assert_eq!(client.finish(first).text(), "for the first");
    assert_eq!(client.get("/shared").send().status(), 500);
    assert_eq!(client.get("/").send().text(), "hello");
}

#[test]
fn a_promise_without_a_callback_is_no_answer() {
    let routes = [get("^/$", |_| {
        let future = Future::<u8>::promise();
        future.set_result(1).unwrap();
        future
    })];
    assert_eq!(Snow::new(routes).test_client().unwrap().get("/").send().status(), 500);
}

#[test]
fn the_callback_may_fail_and_says_how() {
    let routes = [get("^/$", |_| {
        let future = Future::new(|fine: bool| -> Result<&str> {
            if fine { Ok("fine") } else { Err(Error::new(ErrorKind::Conflict, "not fine")) }
        });
        future.set_result(false).unwrap();
        future
    })];
    let answer = Snow::new(routes).test_client().unwrap().get("/").send();
    assert_eq!((answer.status(), answer.text()), (409, "not fine\n"));
}

#[test]
fn a_value_whose_drop_panics_leaves_the_promise_usable() {
    #[derive(Debug)]
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("a value panics");
        }
    }
    let future = Future::<Grenade>::promise();
    let clone = future.clone();
    future.set_result(Grenade).unwrap();
    // The value is dropped with the one who would have waited.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        drop(future);
        drop(clone);
    }));
    assert!(outcome.is_err());
}

#[test]
fn a_thousand_are_completed_at_once() {
    let lot = Lot::default();
    let mut client = lot.app().test_client().unwrap();
    let waiting: Vec<_> = (0..1000).map(|n| client.get(&format!("/park/{n}")).start()).collect();
    assert_eq!(lot.len(), 1000);
    assert_eq!(client.post("/stop/").send().text(), "1000");
    waiting.into_iter().for_each(|it| assert_eq!(client.finish(it).text(), "done"));
}

#[test]
fn hundreds_on_two_workers_are_completed_at_once() {
    let lot = Lot::default();
    let server = serve(lot.app().workers(2));
    let mut waiting: Vec<_> = (0..300).map(|_| Client::connect(server.local_addr())).collect();
    waiting.iter_mut().for_each(|client| client.ask("GET", "/park/"));
    lot.wait_for(300);
    Client::connect(server.local_addr()).request("POST", "/stop/").expect(200, "300");
    waiting.iter_mut().for_each(|client| client.read().expect(200, "done"));
    waiting.iter_mut().for_each(|client| client.get("/").expect(200, "hello"));
}

#[test]
fn only_the_request_that_waits_is_woken() {
    let polls = Arc::new(AtomicUsize::new(0));
    let lot = Lot::default();
    let counted = {
        let (polls, lot) = (Arc::clone(&polls), lot.clone());
        move |_: Request| {
            let (polls, future) = (Arc::clone(&polls), Future::promise());
            lot.park(&future);
            let mut waiting = future.into_future();
            poll_fn(move |cx| {
                polls.fetch_add(1, Ordering::SeqCst);
                waiting.as_mut().poll(cx)
            })
        }
    };
    let server = serve(Snow::new([get("^/park$", counted), get("^/$", |_| "hello")]).workers(1));
    let mut waiting: Vec<_> = (0..20).map(|_| Client::connect(server.local_addr())).collect();
    for (client, count) in waiting.iter_mut().zip(1..) {
        client.ask("GET", "/park");
        lot.wait_for(count);
    }
    let mut other = Client::connect(server.local_addr());
    other.get("/").expect(200, "hello");
    let before = polls.load(Ordering::SeqCst);
    for _ in 0..50 {
        other.get("/").expect(200, "hello");
    }
    assert_eq!(polls.load(Ordering::SeqCst), before, "others were woken");
    lot.take().set_result("done".into()).unwrap();
    waiting[0].read().expect(200, "done");
    assert_eq!(polls.load(Ordering::SeqCst), before + 1, "it was woken once, and no other");
    assert_eq!(lot.complete_all("done"), 19);
}

#[cfg(target_os = "linux")]
#[test]
fn parked_requests_cost_no_wake_ups() {
    /// Returns how often the thread has gone to sleep of its own accord.
    fn sleeps(thread: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    let lot = Lot::default();
    let mut routes = lot.routes();
    routes.push(get("^/thread$", |_| {
        std::fs::read_link("/proc/thread-self").unwrap().to_string_lossy().into_owned()
    }));
    let server = serve(Snow::new(routes).workers(1));
    let mut other = Client::connect(server.local_addr());
    let thread = other.get("/thread").text().to_string();
    let mut waiting: Vec<_> = (0..200).map(|_| Client::connect(server.local_addr())).collect();
    waiting.iter_mut().for_each(|client| client.ask("GET", "/park/"));
    lot.wait_for(200);
    // It falls asleep once more after the last request.
    wait_until("the loop is asleep", || {
        let one = sleeps(&thread);
        thread::sleep(Duration::from_millis(20));
        one == sleeps(&thread)
    });
    let before = sleeps(&thread);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(sleeps(&thread), before, "the loop woke up with nothing to do");
    assert_eq!(lot.complete_all("done"), 200);
    waiting.iter_mut().for_each(|client| client.read().expect(200, "done"));
}
