//! Each public item of the Rust API is in every language, or on the list of bindings/parity.toml.

use std::collections::BTreeMap;

use camino::Utf8Path;
use metered_xtask::parity::{Items, TYPES, camel, of_classes, of_rust};
use metered_xtask::root;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// An item and its name there.
    named: BTreeMap<String, String>,
    /// An item and why it is not there.
    left_out: BTreeMap<String, String>,
}

/// What is wrong with one language.
fn complaints(rust: &Items, there: &Items, list: &List, name: fn(&str) -> String) -> Vec<String> {
    let mut found = Vec::new();
    let has = |class: &str, member: &str| there.get(class).is_some_and(|all| all.contains(member));
    let mut used = Vec::new();
    for (class, items) in rust {
        for item in items {
            let path = format!("{class}.{item}");
            let here = has(class, &name(item));
            match (list.named.get(&path), list.left_out.get(&path)) {
                (Some(called), None) if !has(class, called) => {
                    found.push(format!("{path} is said to be {called}, which is not there"));
                }
                (None, Some(reason)) if here || reason.is_empty() => {
                    found.push(format!("{path} is there, or has no reason not to be"));
                }
                (Some(_), Some(_)) => found.push(format!("{path} is listed twice")),
                (None, None) if !here => found.push(format!("{path} is missing")),
                _ => {}
            }
            used.push(path);
        }
    }
    let listed = list.named.keys().chain(list.left_out.keys());
    found.extend(
        listed.filter(|path| !used.contains(path)).map(|path| format!("{path} is no item")),
    );
    found
}

#[test]
fn every_item_is_in_every_language() {
    let (src, bindings) = (root().join("src"), root().join("bindings"));
    let ffi = src.join("ffi");
    let rust = of_rust(&src, Some(&ffi)).unwrap();
    assert_eq!(rust.keys().map(String::as_str).collect::<Vec<_>>(), sorted(), "a type is gone");
    let text = std::fs::read_to_string(bindings.join("parity.toml")).unwrap();
    let lists: BTreeMap<String, List> = toml::from_str(&text).unwrap();
    let kotlin = of_classes(&bindings.join("kotlin/src/main/kotlin"), "kt").unwrap();
    let swift = of_classes(&bindings.join("swift/Sources/MeteredRealtime"), "swift").unwrap();
    let boundary = of_rust(&ffi, None).unwrap();
    let languages = [("ffi", boundary), ("kotlin", kotlin), ("swift", swift)];
    assert_eq!(lists.len(), languages.len());
    for (language, mut there) in languages {
        let name = if language == "ffi" { str::to_owned } else { camel };
        // A sink is a flow or a stream there, and a record or an enumeration is made as it is.
        for class in ["VideoFrames", "MediaStream", "LocalTrack", "RemoteTrack"] {
            there.entry(class.to_owned()).or_default().insert("new".to_owned());
        }
        let found = complaints(&rust, &there, &lists[language], name);
        assert!(found.is_empty(), "{language}:\n{}", found.join("\n"));
    }
}

fn sorted() -> Vec<&'static str> {
    let mut types = TYPES.to_vec();
    types.sort_unstable();
    types
}

/// Kotlin's compiler sees to `public`, and this to a word on everything public.
#[test]
fn everything_public_is_explained_in_kotlin() {
    let folder = root().join("bindings/kotlin/src/main/kotlin");
    let mut silent = Vec::new();
    for (path, text) in metered_xtask::bindings::files(Utf8Path::new(&folder)).unwrap() {
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let declared = line.trim_start().starts_with("public ")
                && !line.contains("companion object")
                && !line.trim_end().ends_with(',');
            let before = lines[..at].iter().rev().find(|line| !line.trim_start().starts_with('@'));
            if declared && !before.is_some_and(|line| line.trim_end().ends_with("*/")) {
                silent.push(format!("{path}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}
