//! The modules of a crate as the compiler would find them, without those that are not for everybody.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::{Attribute, Item};

use super::docs::{self, Snippet, text_of};
use super::names::{Import, imports};
use super::{Path, below, described, snippets};
use crate::{Error, io};

/// A module.
pub(super) struct Module {
    /// The folder of the file that it is written in.
    pub(super) folder: Utf8PathBuf,
    /// Its comment.
    pub(super) docs: String,
    /// What is in it for everybody, and what macros of the same file make there.
    pub(super) items: Vec<Item>,
    /// The names of those that can be public.
    pub(super) names: BTreeSet<String>,
    /// What its `use` items bring.
    pub(super) imports: Vec<Import>,
}

/// A crate.
pub(super) struct Crate {
    /// By path from the root, which is empty.
    pub(super) modules: BTreeMap<Path, Module>,
    /// Code of pages that are included for rustdoc's tests alone.
    included: Vec<Snippet>,
}

impl Crate {
    pub(super) fn read(root: &Utf8Path) -> Result<Self, Error> {
        let mut krate = Self { modules: BTreeMap::new(), included: Vec::new() };
        let folder = root.parent().unwrap_or(root).to_owned();
        krate.read_file(Path::new(), root, &folder)?;
        Ok(krate)
    }

    /// `children` is the folder in which the files of the modules below are.
    fn read_file(&mut self, at: Path, file: &Utf8Path, children: &Utf8Path) -> Result<(), Error> {
        let text = std::fs::read_to_string(file).map_err(io(file))?;
        let parsed = syn::parse_file(&text)
            .map_err(|error| Error::Source(format!("{file} cannot be read: {error}")))?;
        let folder = file.parent().unwrap_or(file).to_owned();
        let docs = text_of(&parsed.attrs, &folder)?;
        self.add(at, folder, docs, parsed.items, children)
    }

    fn add(
        &mut self,
        at: Path,
        folder: Utf8PathBuf,
        mut docs: String,
        items: Vec<Item>,
        children: &Utf8Path,
    ) -> Result<(), Error> {
        let mut kept = Vec::new();
        for item in expanded(items)? {
            let attrs = attrs_of(&item);
            if is_for_doctests(attrs) {
                self.included.extend(docs::of_item(&item, &folder)?);
            }
            if is_hidden(attrs) {
                continue;
            }
            if let Item::Mod(child) = &item {
                let name = child.ident.to_string();
                let below = below(&at, &name);
                let outer = text_of(&child.attrs, &folder)?;
                if child.attrs.iter().any(|attr| attr.path().is_ident("path")) {
                    return Err(Error::Source(format!("{name}: a module by `path` is not known")));
                }
                let inner = children.join(&name);
                if let Some((_, items)) = &child.content {
                    self.add(below.clone(), folder.clone(), outer, items.clone(), &inner)?;
                } else {
                    let file = children.join(format!("{name}.rs"));
                    let file = if file.exists() { file } else { inner.join("mod.rs") };
                    self.read_file(below.clone(), &file, &inner)?;
                    if let Some(module) = self.modules.get_mut(&below) {
                        module.docs.insert_str(0, &(outer + "\n"));
                    }
                }
            }
            kept.push(item);
        }
        docs.push('\n');
        let names = kept.iter().filter_map(described).map(|(name, ..)| name).collect();
        let uses = kept.iter().filter_map(|item| match item {
            Item::Use(it) => Some(&it.tree),
            _ => None,
        });
        let imports = uses.flat_map(imports).collect();
        self.modules.insert(at, Module { folder, docs, items: kept, names, imports });
        Ok(())
    }

    pub(super) fn module(&self, at: &Path) -> Result<&Module, Error> {
        self.modules
            .get(at)
            .ok_or_else(|| Error::Source(format!("there is no module {}", at.join("::"))))
    }

    /// All code in comments that rustdoc tests.
    pub(super) fn snippets(&self) -> Result<Vec<Snippet>, Error> {
        let mut found = self.included.clone();
        for module in self.modules.values() {
            found.extend(snippets(&module.docs));
            for item in &module.items {
                found.extend(docs::of_item(item, &module.folder)?);
            }
        }
        Ok(found)
    }
}

pub(super) fn attrs_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// The words of an attribute's arguments.
fn words(attr: &Attribute) -> Vec<String> {
    fn push(tokens: TokenStream, into: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => into.push(ident.to_string()),
                TokenTree::Group(group) => push(group.stream(), into),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    if let syn::Meta::List(list) = &attr.meta {
        push(list.tokens.clone(), &mut found);
    }
    found
}

fn has_cfg(attrs: &[Attribute], names: &[&str]) -> bool {
    let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    cfgs.map(words).any(|words| names.iter().any(|name| words.iter().any(|word| word == name)))
}

fn is_for_doctests(attrs: &[Attribute]) -> bool {
    has_cfg(attrs, &["doctest"])
}

/// Whether something is not for everybody.
pub(super) fn is_hidden(attrs: &[Attribute]) -> bool {
    let docs = attrs.iter().filter(|attr| attr.path().is_ident("doc"));
    docs.map(words).any(|words| words.iter().any(|word| word == "hidden"))
        || has_cfg(attrs, &["test", "doctest", "feature"])
}

/// Items, and in the place of each use of a macro of this file what it makes of nothing: its items without
/// what is repeated for each argument.
fn expanded(items: Vec<Item>) -> Result<Vec<Item>, Error> {
    let mut macros = BTreeMap::new();
    let mut found = Vec::new();
    for item in items {
        let Item::Macro(it) = &item else {
            found.push(item);
            continue;
        };
        if let Some(name) = &it.ident {
            macros.insert(name.to_string(), it.mac.tokens.clone());
            found.push(item);
        } else if let Some(rules) =
            it.mac.path.get_ident().and_then(|name| macros.get(&name.to_string()))
        {
            let made = made_by(rules.clone());
            let made: syn::File = syn::parse2(made).map_err(|error| {
                Error::Source(format!("a macro's items cannot be read: {error}"))
            })?;
            found.extend(made.items);
        }
    }
    Ok(found)
}

/// What the last arm of a `macro_rules` makes.
fn made_by(rules: TokenStream) -> TokenStream {
    let groups = rules.into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    });
    groups.last().map(|group| once(group.stream())).unwrap_or_default()
}

/// Tokens without `$(…),*`, and with `$name` as `name`.
fn once(tokens: TokenStream) -> TokenStream {
    let mut tokens = tokens.into_iter().peekable();
    let mut made = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '$' => {
                if !matches!(tokens.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
                {
                    continue;
                }
                // The group, perhaps a separator, and how often.
                for token in tokens.by_ref() {
                    if matches!(&token, TokenTree::Punct(it) if matches!(it.as_char(), '*' | '+' | '?'))
                    {
                        break;
                    }
                }
            }
            TokenTree::Group(group) => {
                let group = Group::new(group.delimiter(), once(group.stream()));
                made.push(TokenTree::Group(group));
            }
            token => made.push(token),
        }
    }
    made.into_iter().collect()
}
