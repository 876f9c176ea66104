//! What is committed below bindings/ is what the library's interface generates.

use camino::Utf8Path;
use metered_xtask::{bindings, library, root};

#[test]
fn what_is_committed_is_what_is_generated() {
    let folder = tempfile::tempdir().unwrap();
    let into = Utf8Path::from_path(folder.path()).unwrap();
    bindings::generate(&library::build(library::Kind::App).unwrap(), into).unwrap();
    for language in ["kotlin", "swift", "python"] {
        let generated = bindings::files(&into.join(language).join("generated")).unwrap();
        let committed =
            bindings::files(&root().join("bindings").join(language).join("generated")).unwrap();
        let names = |files: &[(camino::Utf8PathBuf, String)]| {
            files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert!(!generated.is_empty());
        assert_eq!(names(&committed), names(&generated), "run cargo xtask bindings");
        for ((name, committed), (_, generated)) in committed.iter().zip(&generated) {
            assert!(committed == generated, "{language}: {name} is old; run cargo xtask bindings");
        }
    }
}
