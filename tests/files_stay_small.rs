//! No source file grows beyond 600 lines; its tests do not count, the examples in its comments do.

#[path = "support/sources.rs"]
mod sources;

use sources::{rust_files, without_tests};

const MOST_LINES: usize = 600;

#[test]
fn no_file_is_beyond_the_limit() {
    for folder in ["src", "crates", "tests"] {
        for file in rust_files(folder) {
            let text = without_tests(&std::fs::read_to_string(&file).unwrap());
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn tests_do_not_count() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(without_tests(text).lines().count(), 2);
}
