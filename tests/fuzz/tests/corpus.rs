//! The corpus, read without a fuzzer: every input that was ever worth keeping goes through its target.

use std::path::Path;

use fuzz::TARGETS;

#[test]
fn every_kept_input_holds_at_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let folder = std::fs::read_dir(root.join(name)).unwrap();
        let inputs: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        assert!(inputs.len() >= 5, "{name} has {} inputs: too few to begin with", inputs.len());
        for input in inputs {
            let data = std::fs::read(&input).unwrap();
            let held = std::panic::catch_unwind(|| target(&data));
            assert!(held.is_ok(), "{}: see above", input.display());
        }
    }
}

#[test]
fn every_target_has_a_way_in_for_the_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let mut found: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort_unstable();
    let mut named: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    assert_eq!(found, named);
}
