//! What a crate promises to those who depend on it, read from its sources: its public items with the module
//! that each is seen in, their methods, and every comment that rustdoc shows or tests.
//!
//! An item is public if a path of `pub mod` and `pub use` leads to it. What is `doc(hidden)`, and what is
//! there under a `cfg` for tests or for a feature, is none: this workspace's features are the bindings'
//! wrappers (`ffi`, which repeat the Rust API for UniFFI and are documented there) and its own fuzzing and
//! measuring.

mod docs;
mod names;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use syn::{ImplItem, Item, TraitItem, Visibility};

pub use docs::{Snippet, snippets};

use self::docs::text_of;
use self::names::{Place, imports};
use self::sources::{Crate, is_hidden};
use crate::Error;

/// A public item.
#[derive(Debug)]
pub struct PublicItem {
    /// Its path for those who depend on the crate: the first one, if there are several.
    pub path: String,
    /// The last name of the path.
    pub name: String,
    /// What it is: `struct`, `enum`, `union`, `trait`, `type`, `fn`, `const`, `static` or `macro`.
    pub kind: &'static str,
    /// Its comment, those of its fields and variants, and those of its methods.
    pub docs: Vec<Snippet>,
    /// The code in the comments of the modules in which it is seen.
    pub pages: Vec<Snippet>,
    /// The public functions of its `impl` blocks, or a trait's.
    pub methods: BTreeSet<String>,
}

/// A crate's public API.
#[derive(Debug)]
pub struct Api {
    /// By path.
    pub items: Vec<PublicItem>,
    /// All code in comments that rustdoc tests, and in the pages that are included for it.
    pub snippets: Vec<Snippet>,
}

/// Reads the crate whose root is `folder`/src/lib.rs.
pub fn read(folder: &Utf8Path, name: &str) -> Result<Api, Error> {
    let krate = Crate::read(&folder.join("src/lib.rs"))?;
    let mut seen = BTreeMap::new();
    export(&krate, &Path::new(), &mut Path::new(), &mut seen)?;
    // A macro that is exported is seen at the root, wherever it is written.
    for (module, items) in &krate.modules {
        for (name, vis, _) in items.items.iter().filter_map(described) {
            if vis.is_none() {
                let place = Place::Item(module.clone(), name.clone());
                seen.entry(place).or_default().push((Path::new(), name));
            }
        }
    }
    let mut items: Vec<_> = seen
        .into_iter()
        .map(|(place, modules)| public_item(&krate, name, &place, &modules))
        .collect::<Result<_, _>>()?;
    attach_methods(&krate, &mut items)?;
    let mut items: Vec<_> = items.into_iter().map(|(_, item)| item).collect();
    items.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Api { items, snippets: krate.snippets()? })
}

/// Where a module is, from the crate's root.
type Path = Vec<String>;

/// What is of this name in a module.
fn below(module: &Path, name: &str) -> Path {
    let mut path = module.clone();
    path.push(name.to_owned());
    path
}

/// Items by where they are written, with the modules in which they are seen and their names there.
type Seen = BTreeMap<Place, Vec<(Path, String)>>;

fn export(krate: &Crate, module: &Path, shown_as: &mut Path, seen: &mut Seen) -> Result<(), Error> {
    for item in &krate.module(module)?.items {
        if let Item::Mod(child) = item
            && is_public(&child.vis)
        {
            let name = child.ident.to_string();
            let below = below(module, &name);
            shown_as.push(name);
            export(krate, &below, shown_as, seen)?;
            shown_as.pop();
        }
        if let Item::Use(import) = item
            && is_public(&import.vis)
        {
            for import in imports(&import.tree) {
                let place = krate.resolve(module, &import.path)?.ok_or_else(|| {
                    Error::Source(format!("`pub use {import}` leads to nothing known"))
                })?;
                match (place, import.name) {
                    (Place::Module(below), None) => export(krate, &below, shown_as, seen)?,
                    (Place::Module(below), Some(name)) => {
                        shown_as.push(name);
                        export(krate, &below, shown_as, seen)?;
                        shown_as.pop();
                    }
                    (place, name) => {
                        let name = name.unwrap_or_else(|| place.name().to_owned());
                        seen.entry(place).or_default().push((shown_as.clone(), name));
                    }
                }
            }
        }
        if let Some((name, Some(vis), _)) = described(item)
            && is_public(vis)
        {
            let place = Place::Item(module.clone(), name.clone());
            seen.entry(place).or_default().push((shown_as.clone(), name));
        }
    }
    Ok(())
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// Name, visibility and kind of an item that can be seen from outside; an exported macro has no visibility.
fn described(item: &Item) -> Option<(String, Option<&Visibility>, &'static str)> {
    let (ident, vis, kind) = match item {
        Item::Struct(it) => (&it.ident, Some(&it.vis), "struct"),
        Item::Enum(it) => (&it.ident, Some(&it.vis), "enum"),
        Item::Union(it) => (&it.ident, Some(&it.vis), "union"),
        Item::Trait(it) => (&it.ident, Some(&it.vis), "trait"),
        Item::Type(it) => (&it.ident, Some(&it.vis), "type"),
        Item::Fn(it) => (&it.sig.ident, Some(&it.vis), "fn"),
        Item::Const(it) => (&it.ident, Some(&it.vis), "const"),
        Item::Static(it) => (&it.ident, Some(&it.vis), "static"),
        Item::Macro(it) => {
            let exported = it.attrs.iter().any(|attr| attr.path().is_ident("macro_export"));
            (it.ident.as_ref().filter(|_| exported)?, None, "macro")
        }
        _ => return None,
    };
    Some((ident.to_string(), vis, kind))
}

fn public_item(
    krate: &Crate,
    name: &str,
    place: &Place,
    shown: &[(Path, String)],
) -> Result<(Place, PublicItem), Error> {
    let Place::Item(module, ident) = place else {
        return Err(Error::Source(format!("{place:?} is no item")));
    };
    let home = krate.module(module)?;
    let mut docs = Vec::new();
    let mut methods = BTreeSet::new();
    let mut kind = "";
    for item in &home.items {
        let Some((_, _, it)) = described(item).filter(|(name, ..)| name == ident) else { continue };
        kind = it;
        docs.extend(docs::of_item(item, &home.folder)?);
        if let Item::Trait(it) = item {
            methods.extend(it.items.iter().filter_map(|item| match item {
                TraitItem::Fn(function) if !is_hidden(&function.attrs) => {
                    Some(function.sig.ident.to_string())
                }
                _ => None,
            }));
        }
    }
    let mut pages = Vec::new();
    for (module, _) in shown {
        // The root's comment is about the whole crate, not about an item.
        if let Some(module) = krate.modules.get(module).filter(|_| !module.is_empty()) {
            pages.extend(snippets(&module.docs));
        }
    }
    let (module, shown) =
        shown.first().ok_or_else(|| Error::Source(format!("{ident} is seen nowhere")))?;
    let path = format!("{name}::{}", below(module, shown).join("::"));
    let item = PublicItem { path, name: shown.clone(), kind, docs, pages, methods };
    Ok((place.clone(), item))
}

/// The public functions of every `impl` block that is no trait's.
fn attach_methods(krate: &Crate, items: &mut [(Place, PublicItem)]) -> Result<(), Error> {
    for (path, module) in &krate.modules {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            let syn::Type::Path(of) = &*block.self_ty else { continue };
            let segments: Vec<_> = of.path.segments.iter().map(|it| it.ident.to_string()).collect();
            let Some(place) = krate.resolve(path, &segments)? else { continue };
            let Some((_, item)) = items.iter_mut().find(|(at, _)| *at == place) else { continue };
            for function in &block.items {
                let (attrs, name) = match function {
                    ImplItem::Fn(it) if block.trait_.is_none() && is_public(&it.vis) => {
                        (&it.attrs, Some(it.sig.ident.to_string()))
                    }
                    ImplItem::Const(it) if block.trait_.is_none() && is_public(&it.vis) => {
                        (&it.attrs, None)
                    }
                    _ => continue,
                };
                if is_hidden(attrs) {
                    continue;
                }
                item.docs.extend(snippets(&text_of(attrs, &module.folder)?));
                item.methods.extend(name);
            }
        }
    }
    Ok(())
}
