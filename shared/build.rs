//! Names the fold: a hash over every source file that a state depends on, so that a stored snapshot is never read by a fold
//! other than the one that wrote it. A comment changes it too: then archived orders are folded anew once, nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where those files are, in the folder of `shared`.
const DOMAIN: &str = "src/domain";
/// What reads states and takes no part in making them.
const LEFT_OUT: [&str; 6] = ["explain", "laws", "plan", "reconcile", "tests", "archive"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if LEFT_OUT.contains(&stem) {
            continue;
        }
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// FNV-1a, 64 bits.
fn hash(bytes: impl IntoIterator<Item = u8>, from: u64) -> u64 {
    bytes.into_iter().fold(from, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn main() -> io::Result<()> {
    // Package `pure` compiles the same domain, and has the same fold.
    let home = [Path::new(""), Path::new("../../../shared")].into_iter().find(|at| at.join(DOMAIN).exists());
    let home = home.unwrap_or(Path::new(""));
    println!("cargo::rerun-if-changed={}", home.join(DOMAIN).display());
    let mut found = Vec::new();
    sources(&home.join(DOMAIN), &mut found)?;
    found.sort();
    let mut fold = 0xcbf2_9ce4_8422_2325;
    for path in found {
        let name = path.strip_prefix(home).unwrap_or(&path);
        fold = hash(name.to_string_lossy().bytes().map(|b| if b == b'\\' { b'/' } else { b }), fold);
        fold = hash(fs::read(&path)?.into_iter().filter(|b| *b != b'\r'), fold);
    }
    println!("cargo::rustc-env=TANDEM_FOLD={fold:016x}");
    Ok(())
}
