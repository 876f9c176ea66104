//! What a path means in a module: children, items, and what `use` brings there.

use std::fmt;

use syn::UseTree;

use super::sources::Crate;
use super::{Path, below};
use crate::Error;

/// What a path can lead to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Module(Path),
    /// The module that it is written in, and its name there.
    Item(Path, String),
}

impl Place {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Module(path) => path.last().map_or("crate", String::as_str),
            Self::Item(_, name) => name,
        }
    }
}

/// One name that `use` brings, or all of a module.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Path,
    /// `None` is `*`.
    pub(super) name: Option<String>,
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("::"))
    }
}

/// The names that a tree of `use` brings.
pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    fn walk(tree: &UseTree, before: &Path, found: &mut Vec<Import>) {
        let with = |name: &syn::Ident| match name.to_string() {
            name if name == "self" => before.clone(),
            name => below(before, &name),
        };
        match tree {
            UseTree::Path(it) if before.is_empty() => {
                walk(&it.tree, &vec![it.ident.to_string()], found);
            }
            UseTree::Path(it) => walk(&it.tree, &with(&it.ident), found),
            UseTree::Name(it) => {
                let path = with(&it.ident);
                let name = path.last().cloned();
                found.push(Import { path, name });
            }
            UseTree::Rename(it) => {
                found.push(Import { path: with(&it.ident), name: Some(it.rename.to_string()) });
            }
            UseTree::Glob(_) => found.push(Import { path: before.clone(), name: None }),
            UseTree::Group(it) => it.items.iter().for_each(|tree| walk(tree, before, found)),
        }
    }
    let mut found = Vec::new();
    walk(tree, &Path::new(), &mut found);
    found
}

/// A chain of `use` is shorter than that; a ring of them is not.
const LONGEST_CHAIN: usize = 16;

impl Crate {
    /// What a path written in a module leads to; `None` is something of another crate.
    pub(super) fn resolve(&self, module: &Path, path: &[String]) -> Result<Option<Place>, Error> {
        self.follow(module, path, LONGEST_CHAIN)
    }

    fn follow(&self, module: &Path, path: &[String], left: usize) -> Result<Option<Place>, Error> {
        if left == 0 {
            return Err(Error::Source(format!("`{}` leads in a ring", path.join("::"))));
        }
        let mut at = Place::Module(module.clone());
        for name in path {
            let Place::Module(within) = &at else { return Ok(None) };
            at = match name.as_str() {
                "crate" => Place::Module(Path::new()),
                "self" => continue,
                "super" => {
                    let above = within.split_last().map(|(_, above)| above.to_vec());
                    Place::Module(above.unwrap_or_default())
                }
                name => match self.child(within, name, left)? {
                    Some(place) => place,
                    None => return Ok(None),
                },
            };
        }
        Ok(Some(at))
    }

    fn child(&self, module: &Path, name: &str, left: usize) -> Result<Option<Place>, Error> {
        let below = below(module, name);
        if self.modules.contains_key(&below) {
            return Ok(Some(Place::Module(below)));
        }
        let Some(left) = left.checked_sub(1) else {
            return Err(Error::Source(format!("`{name}` leads in a ring")));
        };
        let here = self.module(module)?;
        if here.names.contains(name) {
            return Ok(Some(Place::Item(module.clone(), name.to_owned())));
        }
        for import in &here.imports {
            let found = match &import.name {
                // `use other_crate;` brings what it names.
                Some(it) if it == name && import.path != [name] => {
                    self.follow(module, &import.path, left)?
                }
                None => match self.follow(module, &import.path, left)? {
                    Some(Place::Module(all)) if all != *module => self.child(&all, name, left)?,
                    _ => None,
                },
                Some(_) => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
