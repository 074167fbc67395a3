//! Whose an instruction is, told by the files that its source stands in.

use std::path::Path;

/// Where the source of an instruction stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// A layer of Snow (`snow/http`), `examples`, a crate, `std`, or a library of the system.
    pub group: String,
    /// The file, of Snow's own.
    pub file: Option<String>,
}

impl Place {
    /// Returns the place of an instruction in the program itself.
    ///
    /// `frames` are the files of the function it stands in and of those that this one was inlined
    /// into, the innermost first. The standard library's code counts for whoever it was inlined into.
    pub fn of_frames<'a>(frames: impl IntoIterator<Item = &'a str>, root: &Path) -> Place {
        frames
            .into_iter()
            .find_map(|file| Place::of_file(file, root))
            .unwrap_or(Place { group: "std".to_owned(), file: None })
    }

    /// Returns the place of an instruction in a library.
    pub fn of_library(object: &str) -> Place {
        let name = object.rsplit('/').next().unwrap_or(object);
        let group = name.split(['.', '-']).next().unwrap_or(name).to_owned();
        Place { group, file: None }
    }

    fn of_file(file: &str, root: &Path) -> Option<Place> {
        if let Ok(inside) = Path::new(file).strip_prefix(root) {
            let file = inside.to_string_lossy().into_owned();
            let mut folders = file.rsplit_once('/')?.0.split('/');
            let group = match (folders.next()?, folders.next()) {
                ("snow", Some(layer)) => format!("snow/{layer}"),
                (folder, _) => folder.to_owned(),
            };
            return Some(Place { group, file: Some(file) });
        }
        let (_, inside) = file.split_once("/registry/src/")?;
        let package = inside.split('/').nth(1)?;
        let (name, _version) = package.rsplit_once('-')?;
        Some(Place { group: name.to_owned(), file: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STD: &str = "/rustc/5980/library/core/src/slice/mod.rs";

    #[track_caller]
    fn assert_group(frames: &[&str], group: &str) {
        let place = Place::of_frames(frames.iter().copied(), Path::new("/src"));
        assert_eq!(place.group, group, "{frames:?}");
    }

    #[test]
    fn the_innermost_frame_that_is_not_the_standard_library_decides() {
        assert_group(&[STD, "/src/snow/http/parse.rs", "/src/snow/app/mod.rs"], "snow/http");
        assert_group(&["/src/snow/app/server/turn.rs"], "snow/app");
        assert_group(&["/src/snow/error.rs"], "snow");
        assert_group(&["/src/examples/bench.rs"], "examples");
        let httparse = "/home/.cargo/registry/src/index-1949/httparse-1.10.1/src/lib.rs";
        assert_group(&[STD, httparse, "/src/snow/http/parse.rs"], "httparse");
        assert_group(&[STD], "std");
        assert_group(&[], "std");
    }

    #[test]
    fn a_library_is_called_by_its_name() {
        assert_eq!(Place::of_library("/usr/lib/x86_64-linux-gnu/libc.so.6").group, "libc");
        assert_eq!(Place::of_library("/usr/lib/ld-linux-x86-64.so.2").group, "ld");
    }
}
