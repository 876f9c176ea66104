//! Whoever reads of a public item finds code beside it that uses it and that runs with the tests.
//!
//! An item: in its own comment, in those of its fields, variants and methods, or in that of the module it is
//! seen in, a block names it. A method: a block calls it which names its type or is in its type's comments.
//! Pages of docs/ that run with the tests are such blocks too. What is written in hidden lines does not
//! count, nor does `no_run`.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use camino::Utf8Path;
use metered_xtask::api::{self, Api};
use metered_xtask::root;

/// Items without an example, one a line.
fn missing(api: &Api, all: &[&Api]) -> Vec<String> {
    let mut found = Vec::new();
    for item in &api.items {
        if !item.docs.iter().chain(&item.pages).any(|block| block.has(&item.name)) {
            found.push(format!("{} {}", item.kind, item.path));
        }
        for method in &item.methods {
            let own = item.docs.iter().any(|block| block.calls(method));
            let elsewhere = all.iter().flat_map(|api| &api.snippets);
            if !own
                && !elsewhere.into_iter().any(|block| block.has(&item.name) && block.calls(method))
            {
                found.push(format!("fn {}::{method}", item.path));
            }
        }
    }
    found
}

#[test]
fn every_public_item_has_an_example_that_runs() {
    let sdk = api::read(&root(), "metered_realtime").unwrap();
    let server = api::read(&root().join("crates/dev-server"), "metered_dev_server").unwrap();
    let all = [&sdk, &server];
    assert!(all.iter().all(|api| !api.items.is_empty() && !api.snippets.is_empty()));
    let found: Vec<_> = all.iter().flat_map(|api| missing(api, &all)).collect();
    assert!(found.is_empty(), "{} without an example:\n{}", found.len(), found.join("\n"));
}

/// A crate of these files, by their paths below src.
fn crate_of(files: &[(&str, &str)]) -> Api {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    for (path, text) in files {
        let path = folder.join("src").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    api::read(folder, "sdk").unwrap()
}

#[test]
fn what_is_reachable_and_has_none_is_found() {
    let lib = "mod inner;\npub mod page;\n\
        pub use inner::{Shown, Event as Renamed};\npub use inner::deep::*;\n\
        #[doc(hidden)]\npub fn hidden() {}\n#[cfg(feature = \"ffi\")]\npub fn wrapper() {}\n";
    let inner = "pub mod deep;\npub struct Shown;\npub enum Event {}\npub struct NotExported;\n\
        impl Shown {\n    pub fn new() -> Self { Self }\n    fn private(&self) {}\n}\n";
    let deep = "use super::Shown;\npub trait Source { fn next_item(&self); }\n\
        impl Shown { pub fn from_deep() {} }\n";
    let page = "pub const LIMIT: usize = 1;\n#[macro_export]\nmacro_rules! made { () => {} }\n\
        macro_rules! codes { ($($it:ident,)*) => { pub enum Code { $($it,)* Other } } }\ncodes! { A, B, }\n";
    let files =
        [("lib.rs", lib), ("inner/mod.rs", inner), ("inner/deep.rs", deep), ("page.rs", page)];
    let api = crate_of(&files);
    let wanted = [
        "enum sdk::Renamed",
        "struct sdk::Shown",
        "fn sdk::Shown::from_deep",
        "fn sdk::Shown::new",
        "trait sdk::Source",
        "fn sdk::Source::next_item",
        "macro sdk::made",
        "enum sdk::page::Code",
        "const sdk::page::LIMIT",
    ];
    assert_eq!(missing(&api, &[&api]), wanted);
}

#[test]
fn an_example_counts_where_a_reader_finds_it() {
    let shown = "//! ```\n//! use sdk::page::LIMIT;\n//! ```\n\
        pub const LIMIT: usize = 1;\n\
        /// ```\n/// # use sdk::page::OnlyHidden;\n/// ```\npub struct OnlyHidden;\n\
        /// ```no_run\n/// NotRun\n/// ```\npub struct NotRun;\n\
        pub struct ByMethod;\nimpl ByMethod {\n    /// ```\n    /// ByMethod::go();\n    /// ```\n    pub fn go() {}\n}\n";
    let api = crate_of(&[("lib.rs", "pub mod page;"), ("page.rs", shown)]);
    let found = missing(&api, &[&api]);
    assert_eq!(found, ["struct sdk::page::NotRun", "struct sdk::page::OnlyHidden"]);
}
