//! The library as the bindings are generated from, without optimisation: it is built anyway, and what makes it
//! grow makes what ships grow. `cargo xtask size --thin` measures that itself, and takes minutes.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use metered_xtask::size;

#[test]
fn the_library_has_not_grown() {
    let measured = size::measure(size::PLAIN).unwrap();
    if let Err(error) = measured.check() {
        panic!("{error}\nmeasure `cargo xtask size --thin` too\n{}", measured.report);
    }
}
