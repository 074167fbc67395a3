//! The example `remote_shell`, from outside: its server and its client as programs, and peers that are
//! not its client.

#![cfg(target_os = "linux")]

mod util;

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    net::Shutdown,
    os::unix::ffi::OsStrExt,
    process::Command,
};
use util::{
    example,
    program::{Program, frame, is_alive, read_frame, wait_for},
};

const ALLOWED: &str = "cat,date,env,false,head,nowhere,printf,sh,sleep,true";

fn remote_shell() -> Command {
    Command::new(example("remote_shell"))
}

/// Starts a server on a free port.
#[track_caller]
fn serve(options: &[&str]) -> Program {
    let mut command = remote_shell();
    command.args(["server", "127.0.0.1:0", "--allow", ALLOWED]).args(options);
    Program::start(&mut command)
}

/// Starts a client with a command.
#[track_caller]
fn client(server: &Program, command: impl IntoIterator<Item: AsRef<OsStr>>) -> Program {
    Program::start(remote_shell().arg("client").arg(server.addr().to_string()).args(command))
}

/// Waits until the server has started a command, and returns its process.
#[track_caller]
fn process(server: &Program) -> u32 {
    server.said(": process ").parse().expect("a number")
}

#[track_caller]
fn expect_end(pid: u32) {
    wait_for("the end of a process", || (!is_alive(pid)).then_some(()));
}

#[test]
fn output_errors_and_status_are_those_of_the_command() {
    let server = serve(&[]);
    for (script, stdout, stderr, status) in [
        ("echo out; echo err >&2", "out\n", "err\n", 0),
        ("exit 3", "", "", 3),
        ("printf no-newline; exit 255", "no-newline", "", 255),
        ("kill -9 $$", "", "", 128 + 9),
        ("kill -TERM $$", "", "", 128 + 15),
    ] {
        let finished = client(&server, ["sh", "-c", script]).finish().expect(status);
        assert_eq!((finished.text(), &*finished.stderr), (stdout, stderr), "{script}");
    }
    client(&server, ["true"]).finish().expect(0);
    client(&server, ["false"]).finish().expect(1);
}

#[test]
fn arguments_arrive_as_they_are() {
    let server = serve(&[]);
    let arguments = ["a b", "", "$HOME", "*", "; exit 1", "'\"\\", "two\nlines", "--limit", "é"];
    let mut command: Vec<OsString> = ["printf", "<%s>"].map(OsString::from).into();
    command.extend(arguments.map(OsString::from));
    command.push(OsStr::from_bytes(b"\xff\xfe").into());
    let mut expected = arguments.map(|argument| format!("<{argument}>")).concat().into_bytes();
    expected.extend(b"<\xff\xfe>");
    assert_eq!(client(&server, command).finish().expect(0).stdout, expected);
}

#[test]
fn a_command_has_path_alone_in_its_environment_and_nothing_to_read() {
    let server = serve(&[]);
    let finished = client(&server, ["env"]).finish().expect(0);
    assert!(finished.text().starts_with("PATH="), "{finished:?}");
    assert_eq!(finished.text().lines().count(), 1, "{finished:?}");
    assert_eq!(client(&server, ["cat"]).finish().expect(0).text(), "");
}

#[test]
fn what_is_not_on_the_list_is_refused() {
    let server = serve(&[]);
    for program in ["rm", "/bin/date", "./date", "date ", "date;ls", "DATE", "", "date,env"] {
        client(&server, [program]).finish().expect_words(125, "not on the list of programs: cat,");
    }
    client(&server, ["nowhere"]).finish().expect_words(125, "cannot run \"nowhere\": No such file");
    assert_eq!(server.count_said(": process "), 0);
}

#[test]
fn ten_mebibytes_arrive_whole_in_little_memory() {
    let server = serve(&[]);
    let script = "head -c 10485760 /dev/zero; head -c 1048576 /dev/zero >&2; printf end";
    let finished = client(&server, ["sh", "-c", script]).finish().expect(0);
    let (zeros, end) = finished.stdout.split_at(10 << 20);
    assert!(zeros.iter().all(|&byte| byte == 0) && end == b"end");
    assert_eq!(finished.stderr.len(), 1 << 20);
    server.expect_memory_below(32 << 20);
}

#[test]
fn a_client_that_reads_slowly_slows_the_command_down() {
    const SIZE: usize = 128 << 20;
    let server = serve(&[]);
    let mut stream = server.connect();
    stream.write_all(&frame(0, format!("head\0-c\0{SIZE}\0/dev/zero").as_bytes())).unwrap();
    let mut come = 0;
    loop {
        let (tag, piece) = read_frame(&mut stream).unwrap();
        if tag == 3 {
            assert_eq!(piece, [0]);
            break;
        }
        assert!(tag == 1 && piece.iter().all(|&byte| byte == 0));
        // What the kernel and the server hold of it is far less than is still to come.
        if come < SIZE / 4 && come + piece.len() >= SIZE / 4 {
            assert!(is_alive(process(&server)), "the command did not wait");
        }
        come += piece.len();
    }
    assert_eq!(come, SIZE);
    server.expect_memory_below(32 << 20);
}

#[test]
fn output_comes_while_the_command_runs_and_ends_with_its_client() {
    let server = serve(&[]);
    let client = client(&server, ["sh", "-c", "echo one; sleep 1000"]);
    wait_for("the first line", || (client.stdout() == "one\n").then_some(()));
    let pid = process(&server);
    assert!(is_alive(pid));
    drop(client); // kills it
    expect_end(pid);
}

#[test]
fn a_command_whose_time_is_over_is_killed_with_its_descendants() {
    let server = serve(&["--limit", "1"]);
    let script = "sleep 1000 & echo $!; wait";
    let finished = client(&server, ["sh", "-c", script]).finish();
    let finished = finished.expect_words(124, "killed after 1s");
    expect_end(process(&server));
    expect_end(finished.text().trim().parse().unwrap());
}

#[test]
fn the_time_counts_for_a_client_that_takes_nothing() {
    let server = serve(&["--limit", "1"]);
    let mut stream = server.connect();
    stream.write_all(&frame(0, b"cat\0/dev/zero")).unwrap();
    expect_end(process(&server));
}

#[test]
fn a_descendant_that_outlives_the_command_keeps_nobody_waiting() {
    let server = serve(&[]);
    let finished = client(&server, ["sh", "-c", "sleep 1000 & echo $!"]).finish().expect(0);
    expect_end(finished.text().trim().parse().unwrap());
    // What has left the group is not reached, and holds the output open: but for nobody.
    let script = "setsid sleep 1000 & sleep 0.3; echo $!";
    let finished = client(&server, ["sh", "-c", script]).finish().expect(0);
    let pid = finished.text().trim();
    assert!(is_alive(pid.parse().unwrap()));
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
}

#[test]
fn a_command_that_closes_its_output_is_waited_for() {
    let server = serve(&[]);
    let script = "exec >&- 2>&-; sleep 0.3; exit 7";
    client(&server, ["sh", "-c", script]).finish().expect(7);
}

#[test]
fn commands_beyond_the_limit_are_refused_and_cost_nobody_a_thread() {
    let server = serve(&["--at-once", "2"]);
    let sleeping: Vec<Program> = (0..2).map(|_| client(&server, ["sleep", "1000"])).collect();
    wait_for("two commands", || (server.count_said(": process ") == 2).then_some(()));
    client(&server, ["date"]).finish().expect_words(125, "busy: there are 2 commands");
    drop(sleeping);
    wait_for("room", || client(&server, ["true"]).finish().status.success().then_some(()));
}

#[test]
fn a_server_that_is_stopped_takes_its_commands_along() {
    let server = serve(&[]);
    let client = client(&server, ["sleep", "1000"]);
    let pid = process(&server);
    server.signal("TERM");
    server.finish().expect(0);
    expect_end(pid);
    client.finish().expect(125);
}

#[test]
fn garbage_is_answered_with_what_is_wrong_and_costs_its_own_connection() {
    let server = serve(&[]);
    let bystander = client(&server, ["sleep", "1000"]);
    let pid = process(&server);
    for (bytes, words) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "longer than the limit"),
        (vec![0xff; 70_000], "longer than the limit"),
        (vec![0; 4], "no tag"),
        (frame(9, b"date"), "unknown tag"),
        (frame(1, b"date"), "only commands"),
        (frame(3, b"\0\0"), "not one byte"),
        (frame(0, b""), "not on the list"),
        (frame(0, &[1; 60_000]), "not on the list"),
        (frame(0, b"date\0")[..7].to_vec(), "ended within a frame"),
    ] {
        let mut stream = server.connect();
        // It may be refused before all of it is sent.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let (tag, why) = read_frame(&mut stream).expect(words);
        let why = String::from_utf8(why).unwrap();
        assert!(tag == 6 && why.contains(words), "{tag}: {why}, where {words} was expected");
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
    assert!(is_alive(pid));
    client(&server, ["true"]).finish().expect(0);
    drop(bystander);
    expect_end(pid);
}

#[test]
fn a_client_that_says_more_than_a_command_has_ended_it() {
    let server = serve(&[]);
    let mut stream = server.connect();
    stream.write_all(&frame(0, b"sleep\x001000")).unwrap();
    let pid = process(&server);
    stream.write_all(&frame(0, b"date")).unwrap();
    expect_end(pid);
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn silence_and_half_a_frame_are_timed_out() {
    let server = serve(&[]);
    let streams = [&b""[..], b"\0\0", b"\0\0\0\x05\0dat"].map(|bytes| {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        stream
    });
    for mut stream in streams {
        assert_eq!(read_frame(&mut stream).unwrap(), (6, b"no command came in time".to_vec()));
    }
}

#[test]
fn it_listens_on_loopback_unless_asked() {
    let refused = Program::start(remote_shell().args(["server", "0.0.0.0:0"]));
    refused.finish().expect_words(125, "not loopback");
    let asked = Program::start(remote_shell().args(["server", "0.0.0.0:0", "--anywhere"]));
    assert!(asked.addr().ip().is_unspecified());
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    for args in [
        &[][..],
        &["server"],
        &["client", "127.0.0.1:1"],
        &["serve", "127.0.0.1:0"],
        &["server", "127.0.0.1:0", "--limit"],
        &["server", "127.0.0.1:0", "--limit", "soon"],
        &["server", "127.0.0.1:0", "--at-once", "0"],
        &["server", "127.0.0.1:0", "--at-once", "1000"],
        &["server", "127.0.0.1:0", "--allow"],
        &["server", "127.0.0.1:0", "date"],
    ] {
        let finished = Program::start(remote_shell().args(args)).finish();
        finished.expect_words(125, "usage: remote_shell server ADDR");
    }
    let finished = Program::start(remote_shell().args(["server", "nowhere"])).finish();
    finished.expect_words(125, "\"nowhere\" is no address");
    let finished = Program::start(remote_shell().args(["client", "127.0.0.1:1", "date"])).finish();
    finished.expect_words(125, "refused");
}
