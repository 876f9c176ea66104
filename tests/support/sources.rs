//! Reads the sources of the crate, for the tests of their form.
#![allow(dead_code, clippy::unwrap_used)] // each test uses a part; a test fails by panicking

use std::path::{Path, PathBuf};

/// Every Rust file below a folder or at a path, sorted.
pub(crate) fn rust_files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(below)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing below {below}");
    found
}

/// A file's code without comments, strings and its tests.
pub(crate) fn code_of(path: &Path) -> String {
    strip(&without_tests(&std::fs::read_to_string(path).unwrap()))
}

/// The text up to its test module.
pub(crate) fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Code without comments and without what is in strings.
pub(crate) fn strip(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if rest.starts_with("r#\"") {
            let inside = &rest[3..];
            rest = inside.find("\"#").map_or("", |end| &inside[end + 2..]);
        } else if c == '"' {
            let inside = &rest[1..];
            let mut escaped = false;
            let end = inside.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |end| &inside[end + 1..]);
        } else if rest.starts_with("'\"'") {
            rest = &rest[3..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}
