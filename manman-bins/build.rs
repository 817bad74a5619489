//! Compiles the API's definition without `protoc`, and the game of the demo.

use std::{
    env,
    error::Error,
    path::PathBuf,
    process::{Command, Output},
};

use prost::Message as _;

/// The game of `manman up --demo`, a program of its own.
const GAME: &str = "src/demo/village.rs";

fn main() -> Result<(), Box<dyn Error>> {
    api()?;
    game()
}

fn api() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(["manman/v1/api.proto", "manman/v1/hosts.proto"])?;
    let set = compiler.file_descriptor_set();

    // Served by reflection, and what requests are held against; comments become
    // documentation, but are no use there.
    let mut bare = set.clone();
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    let path = PathBuf::from(env::var("OUT_DIR")?).join("manman.bin");
    std::fs::write(path, bare.encode_to_vec())?;

    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names();
    tonic_prost_build::configure()
        // Equal requests encode to equal bytes: their digest tells a repetition.
        .btree_map(".")
        .codec_path("crate::api::codec::StrictCodec")
        .compile_fds_with_config(set, names)?;
    Ok(())
}

/// Compiles `village.rs` for the target to `OUT_DIR/village`: statically, so that it needs
/// nothing of the image it runs in. Where that cannot be, the program is told so, which
/// then puts it into no image. About a second, and 1.3 MB.
fn game() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={GAME}");
    let linked = |how: &str| -> Result<Output, Box<dyn Error>> {
        let mut rustc = Command::new(env::var_os("RUSTC").ok_or("cargo sets RUSTC")?);
        rustc
            .args(["--edition", "2024", "--crate-name", "village", "--crate-type", "bin"])
            .args(["-C", how, "-C", "panic=abort", "-C", "opt-level=s", "-C", "strip=symbols"])
            .args(["--target", &env::var("TARGET")?, GAME, "-o"])
            .arg(PathBuf::from(env::var("OUT_DIR")?).join("village"));
        if let Some(linker) = env::var_os("RUSTC_LINKER") {
            let mut option = std::ffi::OsString::from("linker=");
            option.push(linker);
            rustc.arg("-C").arg(option);
        }
        Ok(rustc.output()?)
    };
    // Elsewhere the option changes nothing, or there is no image it could run in.
    let may_be_static = env::var("CARGO_CFG_TARGET_OS")? == "linux";
    let is_static = may_be_static && linked("target-feature=+crt-static")?.status.success();
    if !is_static {
        let done = linked("target-feature=-crt-static")?;
        if !done.status.success() {
            return Err(format!("{GAME}: {}", String::from_utf8_lossy(&done.stderr)).into());
        }
    }
    let is_static = if is_static { "yes" } else { "no" };
    println!("cargo::rustc-env=MANMAN_DEMO_STATIC={is_static}");
    Ok(())
}
