//! Builds the chosen servers, each by itself so that none gets features another one asked for.

use crate::{
    Result,
    options::Options,
    peers::{Origin, Peer},
    server::Program,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FILE_BYTES: u32 = 1 << 20;

/// The servers that can be started, and those that cannot, with the reason.
pub struct Ready {
    pub programs: Vec<Program>,
    pub absent: Vec<(&'static Peer, String)>,
}

pub fn all(options: &Options) -> Result<Ready> {
    let file = write_file(options)?;
    let mut ready = Ready { programs: Vec::new(), absent: Vec::new() };
    for &peer in &options.peers {
        eprintln!("building {}", peer.name);
        match path_of(options, peer) {
            Ok(path) => ready.programs.push(Program { peer, path, file: file.clone() }),
            Err(error) => {
                eprintln!("{} is left out: {error}", peer.name);
                ready.absent.push((peer, error.to_string()));
            }
        }
    }
    Ok(ready)
}

fn path_of(options: &Options, peer: &Peer) -> Result<PathBuf> {
    match peer.origin {
        Origin::Snow => {
            let root = options.repository();
            // Its JSON answer needs one; the other halves how late timers are.
            let target = ["--example", "bench", "--features", "json,fine-timers"];
            cargo_build(&root.join("Cargo.toml"), &target)?;
            Ok(root.join("target/release/examples/bench"))
        }
        Origin::Member => {
            let peers = options.benches.join("peers");
            let package = format!("peer-{}", peer.name);
            cargo_build(&peers.join("Cargo.toml"), &["-p", &package])?;
            Ok(peers.join("target/release").join(package))
        }
        Origin::Nginx => {
            let found = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
            found.map_err(|_| "it is not installed")?;
            Ok(PathBuf::from("nginx"))
        }
    }
}

fn cargo_build(manifest: &Path, target: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(manifest)
        .args(target)
        .status()?;
    if status.success() { Ok(()) } else { Err("it does not build".into()) }
}

/// Writes the file behind `GET /file`: bytes of no pattern that a bug could repeat unnoticed.
fn write_file(options: &Options) -> Result<PathBuf> {
    let folder = options.benches.join("peers/target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join("file");
    let byte = |n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8;
    fs::write(&path, (0..FILE_BYTES).map(byte).collect::<Vec<_>>())?;
    Ok(path)
}
