//! What is in the images.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use crate::support::{Ground, IMAGES, Ran, docker, inspect};

/// The paths of an image's files, from a container of it that is never started.
fn files(image: &str) -> BTreeSet<String> {
    let made = docker(&["create", image]);
    assert_eq!(made.code, 0, "{made}");
    let container = made.out.trim();
    let export = Command::new("docker").args(["export", container]).stdout(Stdio::piped()).spawn();
    let listed = Ran::of(Command::new("tar").arg("-t").stdin(export.unwrap().stdout.take().unwrap()));
    docker(&["rm", "-v", container]);
    assert_eq!(listed.code, 0, "{listed}");
    let files = listed.out.lines().filter(|path| !path.ends_with('/'));
    // What the engine puts into every container.
    let engines = [".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
    files.filter(|path| !engines.contains(path)).map(str::to_owned).collect()
}

#[test]
fn an_image_is_its_program_and_what_that_needs() {
    let ground = Ground::shared();
    for (image, program) in IMAGES {
        let image = ground.image(image);
        let files = files(&image);
        let is_library = |path: &str| path.contains(".so");
        let rest: Vec<&str> = files.iter().map(String::as_str).filter(|path| !is_library(path)).collect();
        let expected =
            ["etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", program];
        let expected: BTreeSet<&str> = expected.into_iter().collect();
        assert_eq!(rest.into_iter().collect::<BTreeSet<_>>(), expected, "{image}");
        // Loader, C library, libm, libgcc: what a program of Rust loads that is not static.
        assert!(files.iter().filter(|path| is_library(path)).count() <= 5, "{image}: {files:?}");

        let looked = inspect(&image);
        let size = looked["Size"].as_u64().unwrap();
        assert!(size < 100 << 20, "{image}: {size} bytes, not stripped");
        let config = &looked["Config"];
        let user = if program == "host-manager" { "0:0" } else { "65534:65534" };
        assert_eq!(config["User"], user, "{image}");
        assert_eq!(config["Entrypoint"][0], format!("/{program}"), "{image}");
        assert!(config["Volumes"].as_object().is_none_or(|volumes| volumes.is_empty()), "{config:#}");
        let labels = &config["Labels"];
        assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"), "{labels:#}");
        assert_eq!(labels["org.opencontainers.image.licenses"], "MIT OR Apache-2.0", "{labels:#}");
        let health = &config["Healthcheck"]["Test"];
        if program == "control-migration" {
            assert!(health.is_null(), "{health}");
        } else {
            assert_eq!(*health, serde_json::json!(["CMD", format!("/{program}"), "health"]), "{image}");
        }

        let strict = ["--rm", "--read-only", "--cap-drop", "ALL", "--network", "none"];
        let told = docker(&[&["run"], &strict[..], &[&image, "--version"]].concat());
        assert_eq!(told.out.trim(), format!("{program} {}", env!("CARGO_PKG_VERSION")), "{told}");
        let shell = docker(&[&["run"], &strict[..], &["--entrypoint", "/bin/sh", &image]].concat());
        assert_eq!(shell.code, 127, "{shell}");
        // Nothing is configured: one clear answer, and the exit code that says so.
        let told = docker(&[&["run"], &strict[..], &[&image]].concat());
        assert_eq!(told.code, 78, "{told}");
        assert!(told.err.contains("_URL: is not set"), "{told}");
    }
}
