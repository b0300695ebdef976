//! Planted bugs stay in the simulation.

use std::path::Path;

/// Every manifest of the workspace that names the feature, but `shared`, which has it.
fn asking(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["functions", "local", "cli", "tests", "bench"] {
        let mut todo = vec![root.join(folder)];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    todo.push(path);
                } else if path.ends_with("Cargo.toml")
                    && std::fs::read_to_string(&path).is_ok_and(|text| text.contains("planted-bugs"))
                {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
    }
    found
}

#[test]
fn only_the_simulation_asks_for_planted_bugs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(asking(&root), ["tests/sim/Cargo.toml"]);
    let shared = std::fs::read_to_string(root.join("shared/Cargo.toml")).unwrap();
    let shared: toml::Value = toml::from_str(&shared).unwrap();
    assert!(shared["features"].get("default").is_none(), "no feature of shared is on by itself");
}
