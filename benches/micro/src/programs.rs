//! The programs that are measured, and the one that asks them.

use crate::Result;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

pub struct Programs {
    /// The folder `benches`, absolute: debug information names files so.
    pub benches: PathBuf,
    /// The server of `examples/bench.rs`, with debug information.
    pub bench: PathBuf,
    /// README's first program, with debug information.
    pub hello: PathBuf,
    pub load: PathBuf,
    /// The mebibyte that the server sends from disk.
    pub file: PathBuf,
    /// Where reports go.
    pub reports: PathBuf,
}

impl Programs {
    /// Builds Snow's examples in a folder of their own: debug information changes no instruction,
    /// but a build with it replaces one without.
    pub fn build(benches: &Path) -> Result<Programs> {
        let benches = fs::canonicalize(benches)?;
        let target = Programs::root_of(&benches).join("target/micro");
        build(&benches, &target, &["bench", "hello"], "")?;
        let reports = target.join("reports");
        fs::create_dir_all(&reports)?;
        let file = target.join("mebibyte");
        fs::write(&file, vec![b'x'; 1 << 20])?;
        Ok(Programs {
            bench: target.join("release/examples/bench"),
            hello: target.join("release/examples/hello"),
            load: benches.join("peers/target/release/load"),
            file,
            reports,
            benches,
        })
    }

    /// Builds the program of the codec alone, which sees what is private.
    pub fn codec(&self) -> Result<PathBuf> {
        let target = self.root().join("target/micro/codec");
        build(&self.benches, &target, &["codec"], "--cfg fuzzing")?;
        Ok(target.join("release/examples/codec"))
    }

    /// The folder whose package is Snow.
    pub fn root(&self) -> &Path {
        Programs::root_of(&self.benches)
    }

    fn root_of(benches: &Path) -> &Path {
        benches.parent().unwrap_or(Path::new("/"))
    }
}

/// Builds examples of Snow's.
fn build(benches: &Path, target: &Path, examples: &[&str], flags: &str) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--release", "--locked", "--features", "json"]);
    for example in examples {
        cargo.args(["--example", example]);
    }
    let status = cargo
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "1")
        .env("RUSTFLAGS", flags)
        .current_dir(Programs::root_of(benches))
        .status()?;
    if status.success() { Ok(()) } else { Err("Snow does not build".into()) }
}
