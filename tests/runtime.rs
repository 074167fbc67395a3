//! The loop without any HTTP: tasks, time, blocking work, wakes from elsewhere, sockets.

mod util;

use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use snow::{
    BLOCKING_THREADS, Request, Response, Snow, block_on, get,
    net::{ListenOptions, TcpListener, TcpStream},
    rt::counts,
    sleep, spawn, timeout, unblock,
};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{pending, poll_fn, ready},
    io::{self, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    panic::{self, AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc, Condvar, Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};
use util::{Client, PATIENCE, collect_log, listen, logged, millis, pair, run, serve, wait_until};

/// Returns what `work` panics with.
#[track_caller]
fn panic_of<T>(work: impl FnOnce() -> T) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(_) => panic!("it did not panic"),
        Err(panic) => panic,
    }
}

/// Returns the file in which `work` panics, by what a panic hook is told.
#[track_caller]
fn file_of_panic<T>(work: impl FnOnce() -> T) -> String {
    static HOOKED: Once = Once::new();
    thread_local! {
        static FILE: RefCell<String> = const { RefCell::new(String::new()) };
    }
    HOOKED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or_else(String::new, |place| place.file().to_string());
            // A thread that ends has none any more.
            let _ = FILE.try_with(|it| it.replace(file));
            before(info);
        }));
    });
    FILE.take();
    let _ = catch_unwind(AssertUnwindSafe(work));
    FILE.take()
}

/// Wakes itself once, so that others have a turn.
async fn give_way() {
    let mut has_given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Content that breaks off before its end.
struct Broken;

impl Stream for Broken {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(ErrorKind::Other.into())))
    }
}

/// Sets a flag when it is dropped.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn flag() -> (Flag, Rc<Cell<bool>>) {
    let is_set = Rc::new(Cell::new(false));
    (Flag(Rc::clone(&is_set)), is_set)
}

#[test]
fn block_on_gives_the_output_of_a_future_that_borrows() {
    let text = String::from("borrowed");
    assert_eq!(block_on(async { &*text }), "borrowed");
    assert_eq!(block_on(ready(7)), 7);
    // One after the other, on one thread.
    assert_eq!((0..100).map(|n| block_on(async move { n })).sum::<i32>(), 4950);
}

#[test]
fn block_on_passes_a_panic_on_and_leaves_the_thread_usable() {
    let panic = panic_of(|| block_on(async { panic!("the root panics") }));
    assert_eq!(panic.downcast_ref(), Some(&"the root panics"));
    assert_eq!(block_on(async { spawn(async { 1 }).await }), 1);
}

#[test]
fn block_on_in_a_loop_is_refused() {
    block_on(async {
        panic_of(|| block_on(async {}));
        // The loop around it goes on.
        assert_eq!(spawn(async { 1 }).await, 1);
    });
}

#[test]
fn what_needs_a_loop_says_so() {
    for panic in [
        panic_of(|| drop(spawn(async {}))),
        panic_of(|| drop(TcpListener::bind("127.0.0.1:0".parse().unwrap()))),
        panic_of(|| pin!(sleep(millis(1))).poll(&mut Context::from_waker(Waker::noop()))),
        panic_of(counts),
    ] {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|it| it.to_string()));
        assert!(words.is_some_and(|words| words.contains("loop")));
    }
}

#[test]
fn a_panic_of_misuse_points_at_the_caller() {
    let cx = &mut Context::from_waker(Waker::noop());
    let mut client = Snow::new([
        get("^/state$", |req: Request| req.state::<u8>().to_string()),
        get("^/bytes$", |_| vec![0xff]),
        get("^/broken$", |_| Response::stream(Broken)),
    ])
    .test_client()
    .unwrap();
    let bytes = client.get("/bytes").send();
    let waiting = client.get("/broken").start();
    let [ended] = block_on(async { [spawn(pending::<()>())] });
    let mut elsewhere = sleep(PATIENCE);
    block_on(poll_fn(|cx| Poll::Ready(pin!(&mut elsewhere).poll(cx).is_pending())));
    let files = [
        ("spawn", file_of_panic(|| drop(spawn(async {})))),
        ("counts", file_of_panic(|| counts())),
        ("bind", file_of_panic(|| drop(TcpListener::bind("127.0.0.1:0".parse().unwrap())))),
        ("block_on", file_of_panic(|| block_on(async { block_on(async {}) }))),
        ("poll", file_of_panic(|| pin!(sleep(millis(1))).poll(cx))),
        ("await", file_of_panic(|| block_on(async { (elsewhere.await, 1) }))),
        ("task", file_of_panic(|| block_on(async { (ended.await, 1) }))),
        ("timeout", file_of_panic(|| pin!(timeout(millis(1), pending::<()>())).poll(cx))),
        ("state", file_of_panic(|| client.get("/state").send())),
        ("send", file_of_panic(|| client.get("/broken").send())),
        ("finish", file_of_panic(|| client.finish(waiting))),
        ("text", file_of_panic(|| bytes.text().len())),
    ];
    for (what, file) in files {
        assert_eq!(file, file!(), "{what}");
    }
}

#[test]
fn a_sleep_on_another_loop_than_its_own_says_so() {
    let mut long = Box::pin(sleep(Duration::from_secs(3600)));
    block_on(poll_fn(|cx| {
        assert!(long.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    // There nobody would wake it.
    let panic = panic_of(|| block_on(timeout(millis(50), long)));
    assert_eq!(
        panic.downcast_ref(),
        Some(&"a socket or a sleep is used on another loop than the one it was made on")
    );
}

#[test]
fn a_task_stays_on_its_thread_and_need_not_be_send() {
    let home = thread::current().id();
    let shared = Rc::new(Cell::new(0));
    run(async {
        let tasks = (0..100).map(|_| {
            let shared = Rc::clone(&shared);
            spawn(async move {
                sleep(millis(1)).await;
                give_way().await;
                shared.set(shared.get() + 1);
                thread::current().id()
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await, home);
        }
    });
    assert_eq!(shared.get(), 100);
}

#[test]
fn tasks_run_in_the_order_in_which_they_were_woken() {
    let order = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let tasks = (0..1000).map(|n| {
            let order = Rc::clone(&order);
            spawn(async move { order.borrow_mut().push(n) })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await;
        }
    });
    assert_eq!(*order.borrow(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn dropping_a_task_detaches_it_and_cancelling_drops_its_future() {
    run(async {
        let (sender, receiver) = mpsc::channel();
        drop(spawn({
            let sender = sender.clone();
            async move {
                sleep(millis(1)).await;
                sender.send("dropped").unwrap();
            }
        }));
        spawn(async move {
            sleep(millis(2)).await;
            sender.send("detached").unwrap();
        })
        .detach();
        while counts().tasks > 0 {
            give_way().await;
        }
        assert_eq!(receiver.iter().collect::<Vec<_>>(), ["dropped", "detached"]);

        for polls in 0..3 {
            let (flag, is_dropped) = flag();
            let task = spawn(async move {
                let _flag = flag;
                pending::<()>().await
            });
            for _ in 0..polls {
                give_way().await;
            }
            assert!(!is_dropped.get() && !task.is_finished());
            task.cancel();
            while !is_dropped.get() {
                give_way().await;
            }
            assert_eq!(counts().tasks, 0);
        }
    });
}

#[test]
fn a_task_may_cancel_itself() {
    run(async {
        let (flag, is_dropped) = flag();
        let own: Rc<RefCell<Option<snow::Task<()>>>> = Rc::default();
        let handle = Rc::clone(&own);
        *own.borrow_mut() = Some(spawn(async move {
            let _flag = flag;
            let task = handle.borrow_mut().take().unwrap();
            task.cancel();
            pending::<()>().await
        }));
        while !is_dropped.get() {
            give_way().await;
        }
        assert_eq!(counts().tasks, 0);
    });
}

#[test]
fn a_finished_task_keeps_its_output_for_who_awaits_it() {
    run(async {
        let task = spawn(async { "kept".to_string() });
        while !task.is_finished() {
            give_way().await;
        }
        assert_eq!(counts().tasks, 0);
        assert_eq!(task.await, "kept");
        let task = spawn(async {});
        give_way().await;
        task.cancel();
    });
}

#[test]
fn what_is_left_is_dropped_with_the_loop() {
    let ((first, is_first), (second, is_second)) = (flag(), flag());
    block_on(async move {
        spawn(async move {
            let _flag = first;
            // Its drop spawns another, which is dropped too.
            struct Spawns(Option<Flag>);
            impl Drop for Spawns {
                fn drop(&mut self) {
                    let flag = self.0.take();
                    spawn(async move {
                        let _flag = flag;
                        pending::<()>().await
                    })
                    .detach();
                }
            }
            let _spawns = Spawns(Some(second));
            pending::<()>().await
        })
        .detach();
        give_way().await;
    });
    assert!(is_first.get() && is_second.get());
}

#[test]
fn a_task_whose_loop_has_ended_says_so() {
    let [task] = block_on(async { [spawn(pending::<()>())] });
    assert!(task.is_finished());
    let panic = panic_of(|| block_on(task));
    let words = "a task is awaited whose loop has ended, and the task with it";
    assert_eq!(panic.downcast_ref(), Some(&words));
    // One that has ended by itself has its output still, once.
    let [mut task] = block_on(async {
        let task = spawn(ready(7));
        give_way().await;
        [task]
    });
    assert_eq!(block_on(&mut task), 7);
    assert!(task.is_finished());
    let panic = panic_of(|| block_on(task));
    assert_eq!(panic.downcast_ref(), Some(&"a task is awaited again after it has ended"));
}

#[test]
fn a_panic_of_a_task_is_logged_and_reaches_who_awaits_it() {
    collect_log();
    run(async {
        spawn(async { panic!("nobody awaits this") }).detach();
        let task = spawn(async {
            sleep(millis(1)).await;
            panic!("somebody awaits this");
        });
        let mut task = pin!(task);
        let panic = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
            Ok(poll) => poll.map(|()| panic!("it did not panic")),
            Err(panic) => Poll::Ready(panic),
        })
        .await;
        assert_eq!(panic.downcast_ref(), Some(&"somebody awaits this"));
        // The loop and its other tasks go on.
        assert_eq!(spawn(async { 1 }).await, 1);
        assert_eq!(counts().tasks, 0);
    });
    for words in ["nobody awaits this", "somebody awaits this"] {
        assert_eq!(
            logged(words).iter().filter(|line| line.contains("ERROR")).count(),
            1,
            "{words}"
        );
    }
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn a_panic_in_the_drop_of_a_task_costs_nobody_else() {
    run(async {
        let task = spawn(async {
            let _fragile = Fragile;
            pending::<()>().await;
        });
        sleep(millis(1)).await;
        task.cancel();
        sleep(millis(1)).await;
        assert_eq!(counts().tasks, 0);
    });
}

#[test]
fn a_panic_in_the_drop_of_what_a_task_leaves_costs_nobody_else() {
    run(async {
        spawn(async { Fragile }).detach();
        spawn(async { panic::panic_any(Fragile) }).detach();
        let finished = spawn(async { Fragile });
        give_way().await;
        assert!(finished.is_finished());
        drop(finished);
        assert_eq!(spawn(async { 1 }).await, 1);
        assert_eq!(counts().tasks, 0);
    });
}

#[test]
fn sleeps_end_in_the_order_of_their_deadlines() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let began = Instant::now();
    run(async {
        // Started in no order; the same deadline twice.
        let tasks = [30, 10, 50, 20, 40, 10, 0].map(|ms| {
            let order = Rc::clone(&order);
            spawn(async move {
                sleep(millis(ms)).await;
                assert!(began.elapsed() >= millis(ms), "{ms} ms ended too early");
                order.borrow_mut().push(ms);
            })
        });
        for task in tasks {
            task.await;
        }
        assert_eq!(counts().timers, 1, "only the timeout of the test is left");
    });
    assert_eq!(*order.borrow(), [0, 10, 10, 20, 30, 40, 50]);
}

#[test]
fn a_sleep_is_not_shorter_because_the_loop_was_busy() {
    const SLEEP: Duration = millis(20);
    let took = block_on(async {
        thread::sleep(2 * SLEEP);
        let began = Instant::now();
        sleep(SLEEP).await;
        began.elapsed()
    });
    assert!(took >= SLEEP, "{took:?}");
}

#[test]
fn a_sleep_that_is_dropped_leaves_no_timer() {
    run(async {
        let before = counts().timers;
        for _ in 0..10 {
            let mut long = pin!(sleep(Duration::MAX));
            poll_fn(|cx| {
                assert!(long.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            assert_eq!(counts().timers, before + 1);
            long.set(sleep(Duration::ZERO));
        }
        assert_eq!(counts().timers, before);
    });
}

#[test]
fn a_timeout_gives_the_output_or_drops_the_future() {
    run(async {
        assert_eq!(timeout(millis(1), ready(1)).await, Ok(1));
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert!(timeout(Duration::MAX, sleep(millis(1))).await.is_ok());
        let (flag, is_dropped) = flag();
        let began = Instant::now();
        let outcome = timeout(millis(20), async move {
            let _flag = flag;
            pending::<()>().await
        });
        let error = outcome.await.unwrap_err();
        assert!(began.elapsed() >= millis(20));
        assert!(is_dropped.get());
        assert!(!error.to_string().is_empty());
        // The inner one is over first.
        let nested = timeout(PATIENCE, timeout(millis(1), pending::<()>())).await;
        assert!(nested.unwrap().is_err());
    });
}

/// Tests that need the whole pool for themselves have it one after the other.
static WHOLE_POOL: Mutex<()> = Mutex::new(());

/// Holds blocking work until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_while(is_open, |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn blocking_work_runs_elsewhere_while_the_loop_goes_on() {
    let home = thread::current().id();
    run(async {
        let gate = Arc::new(Gate::default());
        let work = {
            let gate = Arc::clone(&gate);
            spawn(unblock(move || {
                gate.pass();
                thread::current().id()
            }))
        };
        for _ in 0..3 {
            sleep(millis(1)).await;
        }
        assert!(!work.is_finished());
        gate.open();
        assert_ne!(work.await, home);
    });
}

#[test]
fn blocking_work_is_bounded() {
    const JOBS: usize = 20 * BLOCKING_THREADS;
    let _whole = WHOLE_POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Gate::default());
    run(async {
        let jobs = (0..JOBS).map(|n| {
            let (at_work, most, gate) = (at_work.clone(), most.clone(), gate.clone());
            spawn(unblock(move || {
                most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.pass();
                at_work.fetch_sub(1, Ordering::SeqCst);
                n
            }))
        });
        let jobs: Vec<_> = jobs.collect();
        while at_work.load(Ordering::SeqCst) < BLOCKING_THREADS {
            sleep(millis(1)).await;
        }
        // Whoever is beyond the bound would come now.
        sleep(millis(20)).await;
        gate.open();
        let mut sum = 0;
        for job in jobs {
            sum += job.await;
        }
        assert_eq!(sum, (0..JOBS).sum::<usize>());
    });
    assert_eq!(most.load(Ordering::SeqCst), BLOCKING_THREADS);
}

#[test]
fn a_panic_of_blocking_work_reaches_who_awaits_it() {
    for _ in 0..10 {
        let panic = panic_of(|| block_on(unblock(|| panic!("the work panics"))));
        assert_eq!(panic.downcast_ref(), Some(&"the work panics"));
    }
    let panic = panic_of(|| block_on(unblock(|| panic::panic_any(7_u8))));
    assert_eq!(panic.downcast_ref(), Some(&7_u8));
    assert_eq!(block_on(unblock(|| "the pool lives")), "the pool lives");
}

#[test]
fn dropping_it_takes_work_back_that_has_not_started() {
    let _whole = WHOLE_POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let (gate, begun) = (Arc::new(Gate::default()), Arc::new(AtomicUsize::new(0)));
    let has_run = Arc::new(AtomicBool::new(false));
    run(async {
        // Never polled, it is not even queued.
        drop(unblock(|| unreachable!("nobody asked for this")));
        let jobs = (0..BLOCKING_THREADS).map(|_| {
            let (gate, begun) = (gate.clone(), begun.clone());
            spawn(unblock(move || {
                begun.fetch_add(1, Ordering::SeqCst);
                gate.pass();
            }))
        });
        let jobs: Vec<_> = jobs.collect();
        while begun.load(Ordering::SeqCst) < BLOCKING_THREADS {
            sleep(millis(1)).await;
        }
        let flag = has_run.clone();
        let mut queued = Box::pin(unblock(move || flag.store(true, Ordering::SeqCst)));
        poll_fn(|cx| {
            assert!(queued.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(Arc::strong_count(&has_run), 2);
        drop(queued);
        assert_eq!(Arc::strong_count(&has_run), 1, "what it owns is gone at once");
        gate.open();
        for job in jobs {
            job.await;
        }
        // What came behind it in the queue is done: so would it be.
        unblock(|| ()).await;
    });
    assert!(!has_run.load(Ordering::SeqCst));
}

/// Polls a future once, for nobody.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Jobs that each wait to be let go, and how many have begun.
struct Held {
    let_go: mpsc::Sender<()>,
    wait: Arc<Mutex<mpsc::Receiver<()>>>,
    begun: Arc<AtomicUsize>,
}

impl Held {
    fn new() -> Held {
        let (let_go, wait) = mpsc::channel();
        Held { let_go, wait: Arc::new(Mutex::new(wait)), begun: Arc::default() }
    }

    fn job(&self) -> impl FnOnce() + Send + use<> {
        let (wait, begun) = (Arc::clone(&self.wait), Arc::clone(&self.begun));
        move || {
            begun.fetch_add(1, Ordering::SeqCst);
            wait.lock().unwrap().recv().unwrap();
        }
    }

    fn let_go(&self, count: usize) {
        (0..count).for_each(|_| self.let_go.send(()).unwrap());
    }

    async fn have_begun(&self, count: usize) {
        while self.begun.load(Ordering::SeqCst) < count {
            sleep(millis(1)).await;
        }
    }
}

#[test]
fn blocking_work_waits_in_order_and_for_nobody_who_is_not_polled() {
    const JOBS: usize = 5000;
    let _whole = WHOLE_POOL.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let held = Held::new();
        let holding: Vec<_> = (0..BLOCKING_THREADS).map(|_| spawn(unblock(held.job()))).collect();
        held.have_begun(BLOCKING_THREADS).await;
        let done = Arc::new(Mutex::new(Vec::new()));
        let waiting = (0..JOBS).map(|n| {
            let done = Arc::clone(&done);
            let mut job = unblock(move || done.lock().unwrap().push(n));
            assert!(poll_once(&mut job).is_pending());
            (n, job)
        });
        // Of what is polled once, a third is given up, and the others are not polled again before the last is done.
        let mut waiting: Vec<_> = waiting.collect();
        waiting.retain(|(n, _)| n % 3 > 0);
        let last = unblock(|| "last");
        // One thread does them all.
        held.let_go(1);
        assert_eq!(timeout(PATIENCE, last).await, Ok("last"));
        let expected: Vec<_> = (0..JOBS).filter(|n| n % 3 > 0).collect();
        assert_eq!(*done.lock().unwrap(), expected);
        for (_, job) in waiting {
            job.await;
        }
        held.let_go(BLOCKING_THREADS - 1);
        for job in holding {
            job.await;
        }
    });
}

/// Wakes a thread that is parked.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

#[test]
fn blocking_work_can_be_awaited_without_a_loop() {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut work = pin!(unblock(|| 7));
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
            assert_eq!(output, 7);
            return;
        }
        thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
        assert!(Instant::now() < deadline);
    }
}

/// Numbers on their way from threads to a task.
#[derive(Default)]
struct Channel {
    queue: Mutex<VecDeque<usize>>,
    waker: Mutex<Option<Waker>>,
    received: AtomicUsize,
}

impl Channel {
    fn send(&self, number: usize) {
        self.queue.lock().unwrap().push_back(number);
        if let Some(waker) = &*self.waker.lock().unwrap() {
            waker.wake_by_ref();
        }
    }

    async fn receive(&self) -> usize {
        let number = poll_fn(|cx| {
            // The waker first, so that nothing falls between the two.
            *self.waker.lock().unwrap() = Some(cx.waker().clone());
            self.queue.lock().unwrap().pop_front().map_or(Poll::Pending, Poll::Ready)
        });
        let number = number.await;
        self.received.fetch_add(1, Ordering::SeqCst);
        number
    }
}

const SENDERS: usize = 4;
const WAKES: usize = 10_000;

#[test]
fn no_wake_from_another_thread_is_lost() {
    let channels: Vec<Arc<Channel>> = (0..7).map(|_| Arc::default()).collect();
    let senders = (0..SENDERS).map(|sender| {
        let channels = channels.clone();
        thread::spawn(move || {
            for n in 0..WAKES {
                channels[(n + sender) % channels.len()].send(n);
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    let sum: usize = run(async {
        let tasks = channels.iter().enumerate().map(|(index, channel)| {
            let channel = Arc::clone(channel);
            let all = (0..SENDERS).flat_map(|sender| (0..WAKES).map(move |n| n + sender));
            let count = all.filter(|number| number % 7 == index).count();
            spawn(async move {
                let mut sum = 0;
                for _ in 0..count {
                    sum += channel.receive().await;
                }
                sum
            })
        });
        let mut sum = 0;
        for task in tasks.collect::<Vec<_>>() {
            sum += task.await;
        }
        sum
    });
    assert_eq!(sum, SENDERS * (0..WAKES).sum::<usize>());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn no_wake_is_lost_between_looking_and_falling_asleep() {
    const ROUNDS: usize = 3_000;
    let channels: Vec<Arc<Channel>> = (0..SENDERS).map(|_| Arc::default()).collect();
    let senders = channels.iter().map(|channel| {
        let channel = Arc::clone(channel);
        thread::spawn(move || {
            let deadline = Instant::now() + PATIENCE;
            for n in 0..ROUNDS {
                channel.send(n);
                // The next one is sent only when this one was taken: the loop is often asleep.
                while channel.received.load(Ordering::SeqCst) <= n {
                    assert!(Instant::now() < deadline, "wake {n} was lost");
                    thread::yield_now();
                }
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    run(async {
        // The first is the root's, which is no task.
        let tasks = channels[1..].iter().map(|channel| {
            let channel = Arc::clone(channel);
            spawn(async move {
                for n in 0..ROUNDS {
                    assert_eq!(channel.receive().await, n);
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        for n in 0..ROUNDS {
            assert_eq!(channels[0].receive().await, n);
        }
        for task in tasks {
            task.await;
        }
    });
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn a_waker_may_outlive_its_task_and_its_loop() {
    let wakers: Arc<Mutex<Vec<Waker>>> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let waking = {
        let (wakers, stop) = (Arc::clone(&wakers), Arc::clone(&stop));
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let all = wakers.lock().unwrap().clone();
                all.iter().for_each(Waker::wake_by_ref);
            }
        })
    };
    for _ in 0..50 {
        run(async {
            let keep = || {
                poll_fn(|cx| {
                    wakers.lock().unwrap().push(cx.waker().clone());
                    Poll::Ready(())
                })
            };
            keep().await;
            let wakers = Arc::clone(&wakers);
            spawn(async move {
                poll_fn(|cx| {
                    wakers.lock().unwrap().push(cx.waker().clone());
                    Poll::Ready(())
                })
                .await;
            })
            .await;
            give_way().await;
        });
    }
    stop.store(true, Ordering::SeqCst);
    waking.join().unwrap();
    assert_eq!(wakers.lock().unwrap().len(), 100);
}

#[test]
fn many_wakes_before_a_poll_are_one_poll() {
    run(async {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let task = spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            if counted.get() == 1 {
                (0..100).for_each(|_| cx.waker().wake_by_ref());
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        task.await;
        assert_eq!(polls.get(), 2);
    });
}

/// Wakes itself for ever.
fn restless() -> impl Future<Output = ()> {
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[test]
fn those_who_wake_themselves_for_ever_stop_nobody() {
    run(async {
        // More than the loop polls in one tick.
        for _ in 0..1500 {
            spawn(restless()).detach();
        }
        sleep(millis(5)).await;
        assert_eq!(spawn(async { 1 }).await, 1);
        assert_eq!(unblock(|| 2).await, 2);
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        let client = spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            read_to_end(&mut stream).await.unwrap()
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        write_all(&mut stream, b"fair").await.unwrap();
        drop(stream);
        assert_eq!(client.await, b"fair");
    });
}

#[test]
fn a_restless_root_stops_no_task() {
    run(async {
        let task = spawn(async {
            sleep(millis(5)).await;
            unblock(|| ()).await;
        });
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if task.is_finished() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
}

#[test]
fn a_restless_handler_stops_no_other_request() {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let spin = move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        restless()
    };
    let app = Snow::new([get("^/spin$", spin), get("^/$", |_| "hello")]);
    let app = app.configure(|config| config.shutdown_timeout = millis(10));
    let server = serve(app.workers(1));
    let mut spinning: Vec<_> = (0..4).map(|_| Client::connect(server.local_addr())).collect();
    spinning.iter_mut().for_each(|client| client.ask("GET", "/spin"));
    wait_until("they spin", || begun.load(Ordering::SeqCst) == 4);
    let mut client = Client::connect(server.local_addr());
    for _ in 0..100 {
        client.get("/").expect(200, "hello");
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf)).await
}

async fn read_to_end<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0; 4096]);
    loop {
        match read(stream, &mut buf).await? {
            0 => return Ok(all),
            len => all.extend_from_slice(&buf[..len]),
        }
    }
}

async fn write_all<S: AsyncWrite + Unpin>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let len = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await?;
        assert!(len > 0);
        bytes = &bytes[len..];
    }
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await
}

async fn close<S: AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_close(cx)).await
}

/// Sends back what comes, until the end.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = vec![0; 1000];
    loop {
        match read(&mut stream, &mut buf).await? {
            0 => return close(&mut stream).await,
            len => write_all(&mut stream, &buf[..len]).await?,
        }
    }
}

#[test]
fn an_echo_server_echoes_to_many_at_once() {
    run(async {
        let mut listener = listen();
        let addr = listener.local_addr().unwrap();
        assert_ne!(addr.port(), 0);
        let server = spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), peer);
                spawn(async { echo(stream).await.unwrap() }).detach();
            }
        });
        let clients = (0..20).map(|n| {
            spawn(async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), addr);
                for round in 0..10 {
                    let message = format!("message {round} of {n}");
                    write_all(&mut stream, message.as_bytes()).await.unwrap();
                    let mut buf = vec![0; message.len()];
                    let mut len = 0;
                    while len < buf.len() {
                        let more = read(&mut stream, &mut buf[len..]).await.unwrap();
                        assert!(more > 0);
                        len += more;
                    }
                    assert_eq!(buf, message.as_bytes());
                }
                close(&mut stream).await.unwrap();
                assert_eq!(read(&mut stream, &mut [0]).await.unwrap(), 0);
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await;
        }
        server.cancel();
        while counts().tasks > 0 {
            give_way().await;
        }
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn more_than_any_buffer_goes_through_whole() {
    let sent: Vec<u8> = (0..8 << 20).map(|n: u32| (n % 251) as u8).collect();
    let expected = sent.clone();
    let received = run(async move {
        let (mut ours, theirs) = pair().await;
        // The echo is read by another task, else both ends would wait for each other.
        let server = spawn(echo(theirs));
        let ours_to_write = Rc::new(RefCell::new(Vec::new()));
        let mut unsent = &sent[..];
        let mut buf = vec![0; 64 * 1024];
        poll_fn(|cx| {
            loop {
                let mut is_stuck = true;
                if !unsent.is_empty() {
                    if let Poll::Ready(len) = Pin::new(&mut ours).poll_write(cx, unsent) {
                        unsent = &unsent[len.unwrap()..];
                        is_stuck = false;
                        if unsent.is_empty() {
                            ours.shutdown(Shutdown::Write).unwrap();
                        }
                    }
                }
                if let Poll::Ready(len) = Pin::new(&mut ours).poll_read(cx, &mut buf) {
                    let len = len.unwrap();
                    if len == 0 {
                        return Poll::Ready(());
                    }
                    ours_to_write.borrow_mut().extend_from_slice(&buf[..len]);
                    is_stuck = false;
                }
                if is_stuck {
                    return Poll::Pending;
                }
            }
        })
        .await;
        server.await.unwrap();
        ours_to_write.take()
    });
    assert!(received == expected, "{} bytes came back changed", received.len());
}

#[test]
fn several_slices_are_written_in_one_call() {
    run(async {
        let (mut ours, mut theirs) = pair().await;
        let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two")];
        let len = poll_fn(|cx| Pin::new(&mut ours).poll_write_vectored(cx, &slices)).await;
        assert_eq!(len.unwrap(), 7);
        close(&mut ours).await.unwrap();
        assert_eq!(read_to_end(&mut theirs).await.unwrap(), b"one two");
    });
}

#[test]
fn what_was_sent_before_the_end_is_read_before_the_end() {
    // A read that fills the buffer exactly, one byte less, and one more.
    for size in [4095, 4096, 4097, 8192] {
        let mut listener = None;
        run(async {
            let mut snow = listen();
            let addr = snow.local_addr().unwrap();
            let sender = thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(addr).unwrap();
                stream.write_all(&vec![b'x'; size]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                // Both are there before the first look.
                stream.read_to_end(&mut Vec::new()).unwrap()
            });
            let (mut stream, _) = snow.accept().await.unwrap();
            sleep(millis(20)).await;
            assert_eq!(read_to_end(&mut stream).await.unwrap().len(), size);
            drop(stream);
            listener = Some(sender);
        });
        assert_eq!(listener.unwrap().join().unwrap(), 0);
    }
}

#[test]
fn a_connection_that_is_refused_is_an_error() {
    run(async {
        let listener = listen();
        let addr = listener.local_addr().unwrap();
        assert_eq!(TcpListener::bind(addr).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        let error = TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(counts().sockets, 0);
    });
}

#[test]
fn a_listener_takes_both_families_unless_told_otherwise() {
    run(async {
        let addr = "[::]:0".parse().unwrap();
        let mut options = ListenOptions::default();
        let Ok(mut both) = TcpListener::listen(addr, &options) else {
            return; // This machine has no IPv6.
        };
        let port = both.local_addr().unwrap().port();
        let connecting = spawn(TcpStream::connect(("127.0.0.1", port)));
        both.accept().await.unwrap();
        connecting.await.unwrap();
        options.only_v6 = true;
        let only = TcpListener::listen(addr, &options).unwrap();
        let port = only.local_addr().unwrap().port();
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    });
}

#[test]
fn listeners_may_share_a_port_when_told_to() {
    if !cfg!(target_os = "linux") {
        return;
    }
    run(async {
        let mut options = ListenOptions::default();
        options.reuse_port = true;
        let first = TcpListener::listen("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let second = TcpListener::listen(first.local_addr().unwrap(), &options).unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
    });
}
