//! The kept corpora, through the functions that the fuzzers call. What a fuzzer has found once is among them.

use std::path::{Path, PathBuf};

use millrace_fuzz_targets::TARGETS;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

#[test]
fn what_the_fuzzers_have_kept_breaks_no_promise() {
    for (name, target) in TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            println!("{}", file.display());
            target(&std::fs::read(&file).expect("reads"));
        }
    }
}

#[test]
fn noise_and_halves_of_what_was_kept_break_no_promise_either() {
    for (name, target) in TARGETS {
        for file in corpus(name) {
            let whole = std::fs::read(&file).expect("reads");
            println!("half of {}", file.display());
            target(&whole[..whole.len() / 2]);
        }
        target(b"");
        target(&[0xff; 64]);
    }
}
