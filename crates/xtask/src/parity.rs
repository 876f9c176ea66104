//! Which public items of the Rust API the other languages have, read from the sources.
//!
//! A type's items are the public functions of its `impl` blocks, or the public members of its class. Sources
//! are read as they are formatted: a member is indented by four spaces.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::{Error, bindings};

/// The API: what has no entry here is an option, an event, or of one language.
pub const TYPES: [&str; 14] = [
    "SignallingClient",
    "MeteredPeer",
    "RemotePeer",
    "DataChannel",
    "LocalTrack",
    "LocalVideoTrack",
    "LocalAudioTrack",
    "MediaStream",
    "RemoteTrack",
    "RemoteVideoTrack",
    "VideoFrames",
    "RemoteAudioTrack",
    "AudioOutput",
    "AudioMix",
];

/// Items by their type. A constructor or builder of Rust is `new`.
pub type Items = BTreeMap<String, BTreeSet<String>>;

/// Where the items of a type begin, and who hands its own down to it.
struct Head<'a> {
    name: &'a str,
    parent: Option<&'a str>,
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn after<'a>(line: &'a str, keywords: &[&str]) -> Option<&'a str> {
    keywords.iter().find_map(|keyword| {
        let at = line.find(keyword)?;
        Some(word(line[at + keyword.len()..].trim_start_matches('`')))
    })
}

/// The public functions of `impl` blocks below a folder, without those below `but`.
pub fn of_rust(folder: &Utf8Path, but: Option<&Utf8Path>) -> Result<Items, Error> {
    let mut items = Items::new();
    for (path, text) in bindings::files(folder)? {
        if path.extension() != Some("rs")
            || but.is_some_and(|but| folder.join(&path).starts_with(but))
        {
            continue;
        }
        let mut inside = None;
        for line in text.lines().take_while(|line| *line != "mod tests {") {
            if let Some(head) = line.strip_prefix("impl ") {
                inside = head.strip_suffix(" {").filter(|name| TYPES.contains(name));
            }
            let Some(name) = inside else { continue };
            let Some(signature) = line.strip_prefix("    pub ") else { continue };
            let Some(function) = after(signature, &["fn "]) else { continue };
            let made = signature.split_once("->").is_some_and(|(_, made)| made.contains("Self"));
            let item = if made { "new" } else { function };
            items.entry(name.to_owned()).or_default().insert(item.to_owned());
        }
    }
    Ok(items)
}

/// The public members of Kotlin's or Swift's classes.
pub fn of_classes(folder: &Utf8Path, extension: &str) -> Result<Items, Error> {
    let mut items = Items::new();
    let mut heirs = Vec::new();
    for (path, text) in bindings::files(folder)? {
        if path.extension() != Some(extension) {
            continue;
        }
        let mut inside = None;
        for line in text.lines() {
            if line.starts_with("public ") {
                inside = head(line);
                if let Some(head) = &inside {
                    items.entry(head.name.to_owned()).or_default().insert("new".to_owned());
                    heirs.extend(
                        head.parent.map(|parent| (head.name.to_owned(), parent.to_owned())),
                    );
                }
            }
            let Some(head) = &inside else { continue };
            let public = ["    public ", "    override ", "public class "];
            if public.iter().any(|start| line.starts_with(start))
                && let Some(member) = after(line, &["fun ", "func ", "val ", "var ", "let "])
            {
                items.entry(head.name.to_owned()).or_default().insert(member.to_owned());
            }
        }
    }
    for (heir, parent) in heirs {
        let handed = items.get(&parent).cloned().unwrap_or_default();
        items.entry(heir).or_default().extend(handed);
    }
    Ok(items)
}

/// `public sealed interface LocalTrack : Closeable {` and its like, of our types.
fn head(line: &str) -> Option<Head<'_>> {
    let name = after(line, &["class ", "interface ", "struct ", "enum "])?;
    let parent = line.rsplit_once(": ").map(|(_, parents)| word(parents));
    TYPES.contains(&name).then_some(Head { name, parent })
}

/// `send_to` as `sendTo`.
pub fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |made, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        made + &head.to_ascii_uppercase() + tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_and_handed_down() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let kotlin = "public sealed interface LocalTrack : Closeable {\n    public val id: String\n}\n\n\
            public class LocalVideoTrack private constructor(internal val native: N) : LocalTrack {\n    \
            public suspend fun write() {\n        val inner = 1\n    }\n\n    private val hidden = 1\n}\n";
        std::fs::write(folder.join("a.kt"), kotlin).unwrap();
        let items = of_classes(folder, "kt").unwrap();
        let members: Vec<_> = items["LocalVideoTrack"].iter().map(String::as_str).collect();
        assert!(
            ["id", "new", "write"].iter().all(|wanted| members.contains(wanted)),
            "{members:?}"
        );
        assert!(!members.contains(&"inner") && !members.contains(&"hidden"));
    }

    #[test]
    fn functions_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let rust = "impl AudioMix {\n    pub fn with(self) -> Self {}\n    pub async fn pull(\n    fn not() {}\n}\n\
            impl Other {\n    pub fn other() {}\n}\n";
        std::fs::write(folder.join("a.rs"), rust).unwrap();
        let items = of_rust(folder, None).unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items["AudioMix"], ["new", "pull"].map(str::to_owned).into());
    }

    #[test]
    fn names_change_their_case() {
        assert_eq!((camel("send_to").as_str(), camel("id").as_str()), ("sendTo", "id"));
    }
}
