//! Comments, and the code in them that rustdoc runs.

use camino::Utf8Path;
use syn::{Attribute, Expr, Fields, ImplItem, Item, Lit, Meta, TraitItem};

use super::sources::attrs_of;
use crate::{Error, io};

/// A block of Rust in a comment or a page that runs with the tests, or must fail to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// What a reader sees: without the lines that rustdoc hides.
    pub code: String,
}

impl Snippet {
    /// Whether a name occurs in it, as a whole word.
    pub fn has(&self, name: &str) -> bool {
        self.at(name).next().is_some()
    }

    /// Whether something of that name is called, or is implemented: `.name`, `::name`, `fn name`.
    pub fn calls(&self, name: &str) -> bool {
        self.at(name).any(|at| {
            let before = self.code[..at].trim_end();
            before.ends_with('.') || before.ends_with("::") || before.ends_with("fn")
        })
    }

    fn at<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        self.code.match_indices(name).map(|(at, _)| at).filter(move |at| {
            let after = &self.code[at + name.len()..];
            !self.code[..*at].ends_with(inside) && !after.starts_with(inside)
        })
    }
}

/// Whether a block with such words after its fence is Rust that is run; `no_run` is not. `E0277` and its like
/// say how it must fail to compile.
fn is_run(info: &str) -> bool {
    info.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty()).all(|word| {
        matches!(word, "rust" | "should_panic" | "compile_fail" | "standalone_crate")
            || word.starts_with("edition")
            || word.strip_prefix('E').is_some_and(|code| code.parse::<u16>().is_ok())
    })
}

/// The blocks of a comment or page that run.
pub fn snippets(text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut open: Option<(usize, bool, Vec<&str>)> = None;
    for line in text.lines() {
        let fence = line.trim_start();
        let ticks = fence.len() - fence.trim_start_matches('`').len();
        let info = fence[ticks..].trim();
        match &mut open {
            None if ticks >= 3 => open = Some((ticks, is_run(info), Vec::new())),
            None => {}
            Some((opened, runs, lines)) if ticks >= *opened && info.is_empty() => {
                if *runs {
                    found.push(Snippet { code: lines.join("\n") });
                }
                open = None;
            }
            Some((_, _, lines)) => {
                let shown = line.trim();
                if shown != "#" && !shown.starts_with("# ") {
                    lines.push(line);
                }
            }
        }
    }
    found
}

/// The comment that attributes make, pages that they include and all.
pub(super) fn text_of(attrs: &[Attribute], folder: &Utf8Path) -> Result<String, Error> {
    let mut text = String::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        let Meta::NameValue(meta) = &attr.meta else { continue };
        match &meta.value {
            Expr::Lit(it) => {
                if let Lit::Str(line) = &it.lit {
                    text.push_str(&line.value());
                }
            }
            Expr::Macro(it) if it.mac.path.is_ident("include_str") => {
                let path: syn::LitStr = it
                    .mac
                    .parse_body()
                    .map_err(|error| Error::Source(format!("include_str: {error}")))?;
                let path = folder.join(path.value());
                text.push_str(&std::fs::read_to_string(&path).map_err(io(&path))?);
            }
            _ => {}
        }
        text.push('\n');
    }
    Ok(text)
}

/// The blocks in the comments of an item and of what is in it, but for a module's items.
pub(super) fn of_item(item: &Item, folder: &Utf8Path) -> Result<Vec<Snippet>, Error> {
    fn of_fields<'a>(fields: &'a Fields, all: &mut Vec<&'a [Attribute]>) {
        all.extend(fields.iter().map(|field| field.attrs.as_slice()));
    }
    let mut all = Vec::new();
    if !matches!(item, Item::Mod(_)) {
        all.push(attrs_of(item));
    }
    match item {
        Item::Struct(it) => of_fields(&it.fields, &mut all),
        Item::Enum(it) => {
            for variant in &it.variants {
                all.push(&variant.attrs);
                of_fields(&variant.fields, &mut all);
            }
        }
        Item::Trait(it) => all.extend(it.items.iter().map(|item| match item {
            TraitItem::Fn(it) => it.attrs.as_slice(),
            TraitItem::Const(it) => &it.attrs,
            TraitItem::Type(it) => &it.attrs,
            _ => &[],
        })),
        Item::Impl(it) => all.extend(it.items.iter().map(|item| match item {
            ImplItem::Fn(it) => it.attrs.as_slice(),
            ImplItem::Const(it) => &it.attrs,
            ImplItem::Type(it) => &it.attrs,
            _ => &[],
        })),
        _ => {}
    }
    let mut found = Vec::new();
    for attrs in all {
        found.extend(snippets(&text_of(attrs, folder)?));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_run_are_found_without_what_is_hidden() {
        let text = "```\n# use hidden;\nShown::new();\n```\n```text\nno\n```\n\
            ```rust,no_run\nnot_run();\n```\n```ignore\nno\n```\n````compile_fail,E0277\n```\nno::send();\n````\n";
        let codes: Vec<_> = snippets(text).into_iter().map(|snippet| snippet.code).collect();
        assert_eq!(codes, ["Shown::new();", "```\nno::send();"]);
    }

    #[test]
    fn names_are_whole_words_and_calls_are_calls() {
        let snippet =
            Snippet { code: "let stats = peer\n    .stats_now(); Peer::new(); // last".into() };
        assert!(snippet.has("stats") && snippet.has("Peer") && !snippet.has("stat"));
        assert!(snippet.calls("stats_now") && snippet.calls("new"));
        assert!(!snippet.calls("stats") && !snippet.calls("last"));
    }
}
