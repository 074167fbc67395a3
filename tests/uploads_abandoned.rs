//! An upload whose client leaves before it knows the name. This is alone in its process, as it keeps all
//! threads of the blocking pool busy.

mod tus;
mod util;

use snow::{BLOCKING_THREADS, Snow, mount, uploads::Uploads};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tus::{Dir, head};
use util::{Client, serve, wait_until};

#[test]
fn an_upload_whose_name_nobody_learns_is_not_kept() {
    let dir = Dir::new();
    let (busy, is_open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let shared = (Arc::clone(&busy), Arc::clone(&is_open));
    let uploads = Uploads::new(dir.path()).on_complete(move |_| {
        shared.0.fetch_add(1, Ordering::SeqCst);
        wait_until("it is let go", || shared.1.load(Ordering::SeqCst));
    });
    let app = Snow::new([mount("/files", uploads.routes().unwrap())]).workers(1);
    let running = serve(app.configure(|config| config.half_close_grace = Duration::from_millis(1)));
    let (addr, counters) = (running.local_addr(), running.counters());
    let post = |length: &str| {
        let mut client = Client::connect(addr);
        client.send(head("POST", "/files", &[("Upload-Length", length), ("Content-Length", "0")]));
        client
    };
    let mut complete: Vec<_> = (0..BLOCKING_THREADS).map(|_| post("0")).collect();
    wait_until("all threads are busy", || busy.load(Ordering::SeqCst) == BLOCKING_THREADS);
    let leaving = post("5");
    // By the answer to another request this one has been taken up.
    let mut neighbour = Client::connect(addr);
    assert_eq!(neighbour.request("OPTIONS", "/files").status, 204);
    drop(leaving);
    wait_until("it has left", || counters.connections() == BLOCKING_THREADS + 1);
    is_open.store(true, Ordering::SeqCst);
    for client in &mut complete {
        assert_eq!(client.read().status, 201);
    }
    // What was in the queue comes before what comes now.
    wait_until("nothing is left of it", || dir.names().len() == 2 * BLOCKING_THREADS);
    assert_eq!(post("0").read().status, 201);
    wait_until("nor later", || dir.names().len() == 2 * BLOCKING_THREADS + 2);
}
