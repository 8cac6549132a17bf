//! Unpacked exports, and what programs of the browser say about them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes the entries of a ZIP into a directory, none beside it.
pub(crate) fn unpack(contents: &BTreeMap<String, Vec<u8>>, directory: &Path) {
    for (name, bytes) in contents {
        let path = directory.join(name);
        assert!(
            path.components().all(|part| matches!(
                part,
                std::path::Component::Normal(_) | std::path::Component::RootDir
            )),
            "{name}"
        );
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What a program of `tests/browser` says about an unpacked export: one line of JSON.
pub(crate) fn browsed(program: &str, unpacked: &Path) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let looked = Command::new("node")
        .arg(script.join(program))
        .arg(unpacked)
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&looked.stdout);
    assert!(
        looked.status.success(),
        "{found}{}",
        String::from_utf8_lossy(&looked.stderr)
    );
    serde_json::from_str(&found).unwrap()
}
