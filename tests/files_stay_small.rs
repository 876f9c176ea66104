//! No source file grows beyond 600 lines without its tests and the examples in its comments.

#[path = "support/sources.rs"]
mod sources;

use sources::{rust_files, without_tests};

const MOST_LINES: usize = 600;

#[test]
fn no_file_is_beyond_the_limit() {
    for folder in ["src", "crates", "tests"] {
        for file in rust_files(folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let lines = without_examples(&without_tests(&text)).count();
            assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
        }
    }
}

/// Examples in comments are tests, too.
fn without_examples(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let comment = line.trim_start();
        let comment = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!"));
        let fence = comment.is_some_and(|comment| comment.trim_start().starts_with("```"));
        inside = comment.is_some() && inside != fence;
        !inside && !fence
    })
}

#[test]
fn examples_do_not_count() {
    let text = "//! A module.\n//!\n//! ```\n//! a();\n//! ```\n/// A function.\nfn a() {}\n";
    assert_eq!(without_examples(text).count(), 4);
}

#[test]
fn tests_do_not_count() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(without_tests(text).lines().count(), 2);
}
