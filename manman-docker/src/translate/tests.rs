//! What engines answered, and what each answer means.

use manman_core::error::Chain;

use super::*;

fn answer(status_code: u16, message: &str) -> DockerError {
    DockerError::DockerResponseServerError { status_code, message: message.to_owned() }
}

/// What engines answered: measured on 20.10.24 unless said.
const ANSWERS: &[(u16, &str, ErrorKind, &str)] = &[
    (
        400,
        "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": \
         executable file not found in $PATH: unknown",
        ErrorKind::Invalid,
        "the image has no such command: \"nope\"",
    ),
    (
        400,
        "failed to create shim: OCI runtime create failed: runc create failed: unable to start container process: \
         exec: \"/srv/x\": stat /srv/x: no such file or directory: unknown",
        ErrorKind::Invalid,
        "the image has no such command: \"/srv/x\"",
    ),
    (
        400,
        "OCI runtime create failed: starting container process caused: exec: \"/data\": permission denied: unknown",
        ErrorKind::Invalid,
        "\"/data\" cannot be executed",
    ),
    (
        400,
        "OCI runtime create failed: starting container process caused: exec: \"docker-init\": executable file not \
         found in $PATH",
        ErrorKind::Config,
        "the engine's init (docker-init) is missing: install tini on this machine",
    ),
    (
        500,
        "driver failed programming external connectivity on endpoint x (1f): Bind for 0.0.0.0:25565 failed: port \
         is already allocated",
        ErrorKind::Conflict,
        "port 25565 is held by somebody else",
    ),
    (
        500,
        "driver failed programming external connectivity on endpoint x (1f): Error starting userland proxy: \
         listen tcp4 0.0.0.0:7777: bind: address already in use",
        ErrorKind::Conflict,
        "port 7777 is held by somebody else",
    ),
    (
        400,
        "invalid mount config for type \"bind\": bind source path does not exist: /data/gsc-prod-1",
        ErrorKind::Invalid,
        "the engine does not see a directory that is to be mounted",
    ),
    (
        404,
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        ErrorKind::Busy,
        "the engine has no addresses left for a network",
    ),
    (
        403,
        "Pool overlaps with other one on this address space",
        ErrorKind::Conflict,
        "its addresses overlap with those of another network",
    ),
    (
        403,
        "error while removing network: network session-7 id 1f has active endpoints",
        ErrorKind::Conflict,
        "something is still in the network",
    ),
    (
        409,
        "network with name session-7 already exists",
        ErrorKind::Conflict,
        "there is a network of that name",
    ),
    (404, "No such image: nope:1", ErrorKind::NotFound, "the image is not available"),
    (500, "write /var/lib/docker/x: no space left on device", ErrorKind::Busy, "the disk is full"),
    (
        500,
        "cannot stop container: x: tried to kill container, but did not receive an exit event",
        ErrorKind::Timeout,
        "it could not be killed in time",
    ),
    (404, "No such container: x", ErrorKind::NotFound, "the engine has no such thing"),
    (
        409,
        "Conflict. The container name \"/gsc-prod-1-0f3a91c2\" is already in use by container \"1f\". You have to \
         remove (or rename) that container to be able to reuse that name.",
        ErrorKind::Conflict,
        "another container holds its name",
    ),
    (
        409,
        "removal of container x is already in progress",
        ErrorKind::Busy,
        "the engine is still removing it",
    ),
    (
        409,
        "You cannot remove a running container 1f. Stop the container before attempting removal or force remove",
        ErrorKind::Conflict,
        "it is running",
    ),
    // Docker 29 with its default floor raised by hand; its wording from moby's source.
    (
        400,
        "client version 1.41 is too old. Minimum supported API version is 1.44",
        ErrorKind::Unsupported,
        "the engine does not speak Engine API 1.41",
    ),
    // containerd killed beneath the engine.
    (
        500,
        "connection error: desc = \"transport: error while dialing: dial unix /run/containerd/containerd.sock: \
         connect: connection refused\": unavailable",
        ErrorKind::Unavailable,
        "the engine asked to come back later",
    ),
    (503, "", ErrorKind::Unavailable, "the engine asked to come back later"),
    (400, "invalid hostname", ErrorKind::Invalid, "the engine refused (400): invalid hostname"),
    (403, "plugin says no", ErrorKind::Denied, "the engine refused (403): plugin says no"),
    (500, "layer does\nnot exist", ErrorKind::Unexpected, "the engine refused (500): layer does not exist"),
];

/// What registries answered, by way of the engine.
const PULLS: &[(u16, &str, ErrorKind, &str)] = &[
    (
        404,
        "pull access denied for nope, repository does not exist or may require 'docker login': denied: requested \
         access to the resource is denied",
        ErrorKind::NotFound,
        "its registry has no such image",
    ),
    (
        404,
        "manifest for 127.0.0.1:5000/x:1 not found: manifest unknown: manifest unknown",
        ErrorKind::NotFound,
        "its registry has no such image",
    ),
    (
        500,
        "Head \"https://ghcr.io/v2/x/manifests/1\": unauthorized: authentication required",
        ErrorKind::Denied,
        "its registry wants other credentials",
    ),
    (
        500,
        "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
        ErrorKind::Unavailable,
        "its registry does not answer",
    ),
    (
        500,
        "toomanyrequests: You have reached your pull rate limit.",
        ErrorKind::Unavailable,
        "its registry asks to come back later: too many requests",
    ),
];

fn image() -> ImageRef {
    "nope:1".parse().unwrap()
}

#[test]
fn each_answer_of_the_engine_has_its_meaning() {
    let answers = ANSWERS.iter().map(|case| (translate("try", answer(case.0, case.1)), case));
    let pulls = ANSWERS.iter().chain(PULLS);
    let pulls = pulls.map(|case| (translate_pull("pull", &image(), answer(case.0, case.1)), case));
    for (error, &(status, message, kind, meaning)) in answers.chain(pulls) {
        assert_eq!(error.kind(), kind, "{status} {message}");
        assert!(error.message().ends_with(meaning), "{status} {message}: {error}");
        let waiting_helps = matches!(kind, ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Timeout);
        assert_eq!(error.is_temporary(), waiting_helps, "{status} {message}");
    }
}

#[test]
fn a_failed_pull_names_the_image() {
    let message = |error| translate_pull("pull", &image(), error).message().to_owned();
    assert_eq!(
        message(answer(404, "manifest unknown")),
        "the image nope:1 is not available: its registry has no such image"
    );
    assert_eq!(
        message(answer(500, "no space left on device")),
        "the image nope:1 could not be pulled: the disk is full"
    );
}

#[test]
fn a_report_says_everything_once() {
    for &(status, message, ..) in ANSWERS.iter().chain(PULLS).filter(|case| !case.1.is_empty()) {
        for error in [
            translate("try", answer(status, message)),
            translate_pull("pull", &image(), answer(status, message)),
        ] {
            let report = Chain(&error).to_string();
            let (raw, quoted) = (report.matches(message).count(), report.matches(&brief(message)).count());
            assert_eq!(raw.max(quoted), 1, "{report}");
        }
    }
    assert_eq!(translate("try", answer(500, "")).message(), "the engine refused (500)");
}

#[test]
fn the_port_of_a_refused_start_is_a_number_of_its_own() {
    let held = |message: &str| held_port(&answer(500, message));
    for (message, port) in [
        ("Bind for 0.0.0.0:8080 failed: port is already allocated", Some(8080)),
        ("Bind for :::8080 failed: port is already allocated", Some(8080)),
        ("listen tcp6 [::]:80: bind: address already in use", Some(80)),
        // Docker 28, from moby's source.
        ("failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use", Some(8080)),
        ("failed to bind host port 127.0.0.1:8080/tcp: address already in use", Some(8080)),
        ("endpoint game:80 (1f): port is already allocated", None),
        ("listening on 0.0.0.0:8080", None),
    ] {
        assert_eq!(held(message), port, "{message}");
    }
}

#[test]
fn an_engine_that_is_away_is_worth_waiting_for() {
    let of = |kind: io::ErrorKind| translate("try", DockerError::IOError { err: kind.into() });
    for kind in [
        io::ErrorKind::NotFound,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::BrokenPipe,
    ] {
        assert_eq!(of(kind).kind(), ErrorKind::Unavailable, "{kind}");
        assert!(of(kind).is_temporary());
    }
    assert_eq!(of(io::ErrorKind::PermissionDenied).kind(), ErrorKind::Denied);
    assert!(!of(io::ErrorKind::PermissionDenied).is_temporary());
    assert_eq!(translate("try", DockerError::RequestTimeoutError).kind(), ErrorKind::Timeout);
}

#[test]
fn a_pull_that_breaks_off_is_read_like_an_answer() {
    let error = DockerError::DockerStreamError { error: "toomanyrequests: slow down".into() };
    assert_eq!(translate_pull("pull", &image(), error).kind(), ErrorKind::Unavailable);
}

#[test]
fn states_that_are_success_for_us_are_told_apart() {
    assert!(is_absent(&answer(404, "No such container: x")));
    assert!(!is_absent(&answer(409, "No such container: x")));
    assert!(is_not_running(&answer(409, "Cannot kill container: x: Container x is not running")));
    assert!(!is_not_running(&answer(500, "Container x is not running")));
    let taken = "Conflict. The container name \"/x\" is already in use by container \"1f\".";
    assert!(is_name_taken(&answer(409, taken)));
    assert!(!is_name_taken(&answer(409, "removal of container x is already in progress")));
    let overlap = answer(403, "Pool overlaps with other one on this address space");
    let duplicate = answer(409, "network with name session-7 already exists");
    assert!(is_overlap(&overlap) && !is_overlap(&duplicate));
    assert!(is_network_taken(&duplicate) && !is_network_taken(&overlap));
}
