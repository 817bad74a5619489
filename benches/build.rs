//! Takes the decoder that bollard keeps to itself from the sources in the lock file, so
//! that the benches compare with the very code, and none of it is committed here.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is taken: from the first of these up to the second.
const BEGIN: &str = "#[derive(Debug, Copy, Clone)]\nenum NewlineLogOutputDecoderState";
const END: &str = "pin_project! {";

fn main() {
    let file = bollard().join("src/read.rs");
    println!("cargo::rerun-if-changed={}", file.display());
    let source = fs::read_to_string(&file).expect("bollard's sources are where cargo says");
    let begin = source.find(BEGIN).expect("bollard's decoder has another shape: adapt build.rs");
    let end = begin + source[begin..].find(END).expect("bollard's decoder has another shape: adapt build.rs");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("bollard_decoder.rs");
    fs::write(out, &source[begin..end]).expect("OUT_DIR can be written to");
}

/// Where the locked bollard is.
fn bollard() -> PathBuf {
    let cargo = env::var("CARGO").expect("cargo sets it");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let manifest = packages
        .iter()
        .find(|package| package["name"] == "bollard")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("bollard is in the lock file");
    Path::new(manifest).parent().expect("a manifest is in a directory").to_owned()
}
