//! Generates Kotlin, Swift and Python from a built library.

use camino::{Utf8Path, Utf8PathBuf};
use uniffi::{GenerateOptions, TargetLanguage};

use crate::{Error, io, kotlin, root, swift};

/// The languages and the folder of each.
const LANGUAGES: [(&str, TargetLanguage); 3] = [
    ("kotlin", TargetLanguage::Kotlin),
    ("swift", TargetLanguage::Swift),
    ("python", TargetLanguage::Python),
];

/// Writes LANGUAGE/generated for each language, without what was there before.
pub fn generate(library: &Utf8Path, into: &Utf8Path) -> Result<(), Error> {
    for (name, language) in LANGUAGES {
        let out_dir = into.join(name).join("generated");
        if out_dir.exists() {
            std::fs::remove_dir_all(&out_dir).map_err(io(&out_dir))?;
        }
        uniffi::generate(GenerateOptions {
            languages: vec![language],
            source: library.to_owned(),
            out_dir: out_dir.clone(),
            config_override: Some(root().join("uniffi.toml")),
            format: false,
            crate_filter: None,
            metadata_no_deps: true,
        })
        .map_err(|error| Error::Generator(format!("{error:#}")))?;
        for (path, text) in files(&out_dir)? {
            let path = out_dir.join(path);
            let text = match path.extension() {
                Some("swift") => swift::cancellable(&text)?,
                Some("kt") => kotlin::attached(&text)?,
                _ => text,
            };
            std::fs::write(&path, tidy(&text)).map_err(io(&path))?;
        }
    }
    Ok(())
}

/// Puts the library where the generated Python looks for it.
pub fn install(library: &Utf8Path, into: &Utf8Path) -> Result<(), Error> {
    let copy = into.join("python/generated").join(library.file_name().unwrap_or_default());
    std::fs::copy(library, &copy).map_err(io(&copy))?;
    Ok(())
}

/// The generator leaves blanks at the ends of lines, in comments too.
fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// The files below a folder and their texts, by their paths from there, sorted.
pub fn files(folder: &Utf8Path) -> Result<Vec<(Utf8PathBuf, String)>, Error> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in next.read_dir_utf8().map_err(io(&next))? {
            let path = entry.map_err(io(&next))?.into_path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(io(&path))?;
            found.push((path.strip_prefix(folder).unwrap_or(&path).to_owned(), text));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_ends_go() {
        assert_eq!(tidy("a  \n\n b\t\n\n\n"), "a\n\n b\n");
    }
}
