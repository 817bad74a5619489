//! Who is let in, for every call that there is.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use manman_bins::api::{errors::Reported, v1};
use prost::Message as _;
use support::{Bearer, Plain};
use tonic::{
    Code, Status, client::Grpc, codegen::http::uri::PathAndQuery, service::interceptor::InterceptedService,
};
use tonic_prost::ProstCodec;

/// Every path that the server knows, and one that it does not.
fn paths() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    assert!(paths.len() >= 25, "{paths:?}");
    paths.extend(
        [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/manman.v1.ManManAPI/NoSuchCall",
            "/no.such.Service/Call",
        ]
        .map(str::to_owned),
    );
    paths
}

/// Calls with an empty message and returns how it was refused.
async fn call(channel: tonic::transport::Channel, bearer: Option<&str>, path: &str) -> Option<Status> {
    let bearer = Bearer(bearer.map(str::to_owned));
    let mut client = Grpc::new(InterceptedService::new(channel, bearer));
    client.ready().await.unwrap();
    let path: PathAndQuery = path.parse().unwrap();
    let codec = ProstCodec::<(), ()>::default();
    match client.server_streaming(tonic::Request::new(()), path, codec).await {
        Ok(reply) => reply.into_inner().message().await.err(),
        Err(status) => Some(status),
    }
}

#[tokio::test]
async fn nobody_is_let_in_without_proof_whatever_the_call() {
    let plain = Plain::start().await;
    let channel = plain.tcp().await;
    let token = plain.token.reveal().to_owned();
    let wrong = format!("Bearer mm_{}", "0".repeat(64));
    let without_scheme = token.clone();
    let cut = format!("Bearer {}", &token[..token.len() - 1]);
    let bad = [
        None,
        Some(""),
        Some("Bearer "),
        Some("Bearer x"),
        Some("Basic eDp5"),
        Some(wrong.as_str()),
        Some(&without_scheme),
        Some(&cut),
    ];
    let mut texts = std::collections::BTreeSet::new();
    for path in paths() {
        for bearer in bad {
            let status = call(channel.clone(), bearer, &path)
                .await
                .unwrap_or_else(|| panic!("{path} let {bearer:?} in"));
            assert_eq!(status.code(), Code::Unauthenticated, "{path} {bearer:?}: {status:?}");
            let reported = Reported::from(&status);
            assert_eq!(reported.code, "unauthenticated");
            texts.insert(format!("{reported:?}"));
        }
    }
    assert_eq!(texts.len(), 1, "a refusal tells what was wrong with the token: {texts:?}");
}

#[tokio::test]
async fn the_token_and_the_owner_on_the_socket_are_let_in() {
    let plain = Plain::start().await;
    let (tcp, unix) = (plain.tcp().await, plain.unix().await);
    let right = format!("Bearer {}", plain.token.reveal());
    for path in paths().into_iter().filter(|path| !path.ends_with("/Shutdown") && !path.ends_with("/Watch")) {
        for (channel, bearer) in [(&tcp, Some(right.as_str())), (&unix, None)] {
            let status = call(channel.clone(), bearer, &path).await;
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            assert_ne!(code, Code::Unauthenticated, "{path} {bearer:?}");
            if path.contains("o.such") || path.ends_with("NoSuchCall") {
                assert_eq!(Reported::from(&status.unwrap()).code, "unknown_call", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn health_and_reflection_answer() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    let plain = Plain::start().await;
    let mut health = HealthClient::new(plain.unix().await);
    for service in ["", "manman.v1.ManManAPI"] {
        let reply = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving, "{service:?}");
    }
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(plain.unix().await);
    let mut replies = reflection.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let reply = replies.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = reply else { panic!("{reply:?}") };
    assert!(list.service.iter().any(|service| service.name == "manman.v1.ManManAPI"), "{list:?}");
}
