//! No source file grows beyond 600 lines; its tests do not count, the examples in its comments do.

#[path = "support/sources.rs"]
mod sources;

use sources::{rust_files, without_tests};

const MOST_LINES: usize = 600;

/// Files that keep to it only if the examples in their comments are not counted.
const LONG_BY_EXAMPLES: &[&str] =
    &["src/media/inbound.rs", "src/media/local.rs", "src/media/remote_audio.rs"];

#[test]
fn no_file_is_beyond_the_limit() {
    for folder in ["src", "crates", "tests"] {
        for file in rust_files(folder) {
            let text = without_tests(&std::fs::read_to_string(&file).unwrap());
            let lines = match LONG_BY_EXAMPLES.iter().any(|long| file.ends_with(long)) {
                true => without_examples(&text).count(),
                false => text.lines().count(),
            };
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
fn examples_are_told_from_the_rest() {
    let text = "//! A module.\n//!\n//! ```\n//! a();\n//! ```\n/// A function.\nfn a() {}\n";
    assert_eq!(without_examples(text).count(), 4);
}

#[test]
fn tests_do_not_count() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(without_tests(text).lines().count(), 2);
}
