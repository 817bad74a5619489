//! Compiles the API's definition without `protoc`.

use std::{env, error::Error, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(["manman/v1/api.proto"])?;
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
