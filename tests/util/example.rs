//! The programs of `examples/`, built as the tests are.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// Returns the path of an example. It is built if it is not there or older than its source, which
/// happens when this test is run by its name: then Cargo builds no examples.
#[track_caller]
pub(crate) fn example(name: &str) -> PathBuf {
    /// Those that this process has looked at.
    static CURRENT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

    let test = env::current_exe().expect("the test knows its path");
    let profile = test.ancestors().nth(2).expect("target/<profile>/deps/<test>");
    let path = profile.join("examples").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    // That another example cannot be built is the failure of another test. Who waits here for the same
    // one finds it built.
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if !current.contains(name) {
        if !is_current(&path, name) {
            build(name, profile);
        }
        current.insert(name.to_string());
    }
    path
}

/// Returns whether a program is there and no older than its source, that of the library included.
fn is_current(program: &Path, name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("examples").join(name);
    let source = if folder.is_dir() { folder } else { folder.with_extension("rs") };
    let changed = newest(&source).max(newest(&root.join("snow")));
    program.metadata().and_then(|it| it.modified()).is_ok_and(|built| built >= changed)
}

/// Returns when the newest file below `path` was changed.
fn newest(path: &Path) -> SystemTime {
    if path.is_file() {
        return path.metadata().and_then(|it| it.modified()).expect("the source can be read");
    }
    let entries = fs::read_dir(path).expect("the source is there");
    let times = entries.map(|entry| newest(&entry.expect("the source can be read").path()));
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Builds an example as this test was built, so that nothing else has to be.
#[track_caller]
fn build(name: &str, profile: &Path) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(profile.parent().expect("the folder above that of the profile"));
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    for (feature, is_on) in [
        ("activation", cfg!(feature = "activation")),
        ("json", cfg!(feature = "json")),
        ("unicode", cfg!(feature = "unicode")),
        ("uploads", cfg!(feature = "uploads")),
    ] {
        cargo.args(is_on.then(|| format!("--features={feature}")));
    }
    assert!(cargo.status().is_ok_and(|status| status.success()), "cannot build the example {name}");
}
