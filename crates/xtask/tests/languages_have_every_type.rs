//! Each public type, function and constant of the Rust API is in Kotlin and in Swift, or on the list of
//! bindings/items.toml.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use metered_xtask::{api, bindings, root};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    kotlin: Language,
    swift: Language,
    /// The beginning of paths and why nothing of it is there.
    left_out: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Language {
    /// A path and the name there.
    named: BTreeMap<String, String>,
}

/// What is declared `public` in a folder, nested types too.
fn declared(folder: &Utf8Path, extension: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 10] = [
        "class",
        "interface",
        "object",
        "struct",
        "enum",
        "protocol",
        "actor",
        "typealias",
        "fun",
        "func",
    ];
    let mut names = BTreeSet::new();
    for (path, text) in bindings::files(folder).unwrap() {
        if path.extension() != Some(extension) {
            continue;
        }
        let code = text.lines().map(str::trim).filter(|line| line.starts_with("public "));
        for line in code {
            let words: Vec<_> = line.split([' ', '(', '<', ':', '{']).collect();
            let pairs = words.windows(2).filter(|pair| KEYWORDS.contains(&pair[0]));
            names.extend(pairs.map(|pair| pair[1].trim_matches('`').to_owned()));
        }
    }
    names
}

/// What is wrong.
fn complaints(
    items: &[&str],
    languages: &[(&str, BTreeSet<String>, &Language)],
    left_out: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut of_use = BTreeSet::new();
    for path in items {
        let name = path.rsplit("::").next().unwrap();
        for (language, names, lists) in languages {
            let listed = left_out.keys().find(|start| path.starts_with(start.as_str()));
            match lists.named.get(*path) {
                Some(called) if !names.contains(called) => {
                    found.push(format!(
                        "{language}: {path} is said to be {called}, which is not there"
                    ));
                }
                Some(_) if names.contains(name) => {
                    found.push(format!("{language}: {path} is there under its own name"));
                }
                Some(_) => {}
                None if names.contains(name) => {}
                None => match listed {
                    Some(start) => drop(of_use.insert(start.as_str())),
                    None => found.push(format!("{language}: {path} is missing")),
                },
            }
        }
    }
    for (start, reason) in left_out {
        if !of_use.contains(start.as_str()) || reason.is_empty() {
            found.push(format!("{start} is of no use on the list, or has no reason"));
        }
    }
    for (language, _, lists) in languages {
        let gone = lists.named.keys().filter(|path| !items.contains(&path.as_str()));
        found.extend(gone.map(|path| format!("{language}: {path} is no item")));
    }
    found
}

#[test]
fn every_type_is_in_every_language() {
    let text = std::fs::read_to_string(root().join("bindings/items.toml")).unwrap();
    let lists: Lists = toml::from_str(&text).unwrap();
    let sdk = api::read(&root(), "metered_realtime").unwrap();
    let items: Vec<_> = sdk
        .items
        .iter()
        .map(|item| item.path.strip_prefix("metered_realtime::").unwrap())
        .collect();
    let kotlin = declared(&root().join("bindings/kotlin/src/main/kotlin"), "kt");
    let swift = declared(&root().join("bindings/swift/Sources/MeteredRealtime"), "swift");
    let languages = [("kotlin", kotlin, &lists.kotlin), ("swift", swift, &lists.swift)];
    let found = complaints(&items, &languages, &lists.left_out);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn what_is_missing_or_listed_in_vain_is_found() {
    let names: BTreeSet<String> = ["Here", "Other"].map(str::to_owned).into();
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let lists = Language {
        named: map(&[
            ("a::Named", "Other"),
            ("a::Lost", "Nowhere"),
            ("a::Here", "Other"),
            ("a::Gone", "Other"),
        ]),
    };
    let left_out = map(&[("b::", "of no interest"), ("c::", "nobody is there")]);
    let items = ["a::Here", "a::Named", "a::Lost", "a::Missing", "b::Left"];
    let found = complaints(&items, &[("kotlin", names, &lists)], &left_out);
    assert_eq!(
        found,
        [
            "kotlin: a::Here is there under its own name",
            "kotlin: a::Lost is said to be Nowhere, which is not there",
            "kotlin: a::Missing is missing",
            "c:: is of no use on the list, or has no reason",
            "kotlin: a::Gone is no item",
        ]
    );
}
