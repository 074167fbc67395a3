//! `gateway`.

use crate::{
    program::{Peer, Program, http, run},
    util::{PATIENCE, wait_until},
};
use std::{net::UdpSocket, thread};

fn gateway(beacon: &str, idle: &str) -> Program {
    Program::start("gateway", &["server", "127.0.0.1:0", "127.0.0.1:0", beacon, idle])
}

fn start() -> Program {
    gateway("127.0.0.1:9", "60") // a beacon that nobody hears
}

fn page(gateway: &Program) -> String {
    let (status, page) = http(gateway.addr("http://"), "GET /", "");
    assert_eq!(status, 200);
    page
}

fn devices(gateway: &Program) -> std::net::SocketAddr {
    gateway.addr("listening for devices on ")
}

#[test]
fn the_page_shows_the_latest_reading_of_each_device() {
    let gateway = start();
    let mut kitchen = Peer::connect(devices(&gateway));
    let mut cellar = Peer::connect(devices(&gateway));
    kitchen.send("kitchen 21.5\r\nkitchen 2");
    cellar.send("cellar 12\n");
    kitchen.send("2.25\n").end();
    assert_eq!(kitchen.rest(), b"");
    wait_until("the readings are shown", || {
        page(&gateway).contains("<td>cellar<td>12\n<tr><td>kitchen<td>22.25\n")
    });
}

#[test]
fn next_waits_for_the_next_reading() {
    let gateway = start();
    let addr = gateway.addr("http://");
    let mut device = Peer::connect(devices(&gateway));
    device.send("old 1\n");
    wait_until("the first is shown", || page(&gateway).contains("old"));
    let waiting = thread::spawn(move || http(addr, "GET /next", ""));
    wait_until("the next is answered", || {
        device.tell("new 2\n");
        waiting.is_finished()
    });
    assert_eq!(waiting.join().unwrap(), (200, "new 2\n".to_string()));
}

#[test]
fn garbage_costs_its_own_connection_and_changes_nothing() {
    let gateway = start();
    let mut device = Peer::connect(devices(&gateway));
    for (sent, complaint) in [
        (&b"kitchen\n"[..], "error: a reading is a name and a value\n"),
        (b"<script> 1\n", "error: a name is made of letters, digits, `-`, `_` and `.`\n"),
        (b" 1\n", "error: a name is made of letters, digits, `-`, `_` and `.`\n"),
        (b"kitchen warm\n", "error: the value is not a number\n"),
        (b"kitchen NaN\n", "error: the value is not a number\n"),
        (b"kitchen \xff\n", ""),
        (&[b'x'; 1000], ""),
    ] {
        let mut peer = Peer::connect(devices(&gateway));
        assert_eq!(String::from_utf8(peer.send(sent).rest()).unwrap(), complaint);
    }
    device.send("cellar 12\n");
    wait_until("the good one is shown", || page(&gateway).contains("<td>cellar<td>12"));
    assert_eq!(page(&gateway).matches("<tr>").count(), 1);
}

#[test]
fn a_silent_device_is_timed_out() {
    let gateway = gateway("127.0.0.1:9", "1");
    let mut half = Peer::connect(devices(&gateway));
    assert_eq!(half.send("kitch").rest(), b"");
    assert_eq!(Peer::connect(devices(&gateway)).rest(), b"");
}

#[test]
fn the_beacon_says_where_devices_connect() {
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let gateway = gateway(&listener.local_addr().unwrap().to_string(), "60");
    let mut buf = [0; 64];
    for _ in 0..2 {
        let len = listener.recv(&mut buf).expect("a beacon each second");
        let expected = format!("gateway {}", devices(&gateway));
        assert_eq!(&buf[..len], expected.as_bytes());
    }
}

#[test]
fn a_device_finds_the_gateway_by_its_beacon() {
    let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let gateway = gateway(&free, "60");
    let ended = run("gateway", &["device", &free, "kitchen", "20", "21.5"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(page(&gateway).contains("<td>kitchen<td>21.5"));
    let ended = run("gateway", &["device", &free, "kitchen", "warm"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("the value is not a number"), "{ended:?}");
}

#[test]
fn a_stop_sends_those_who_wait_away_and_ends_in_order() {
    let gateway = start();
    let addr = gateway.addr("http://");
    let mut device = Peer::connect(devices(&gateway));
    device.send("kitchen 1\n");
    wait_until("it is shown", || page(&gateway).contains("kitchen"));
    let mut waiting = Peer::connect(addr);
    // The answer to the first says that the second has been read as well.
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(waiting.line(), "HTTP/1.1 200 OK\r\n");
    assert!(gateway.terminate().success());
    assert!(String::from_utf8(waiting.rest()).unwrap().contains("HTTP/1.1 503 "));
    assert_eq!(device.rest(), b"");
}
