//! Bad input and what becomes of it: the rows of the table of bad inputs that the gRPC
//! API has so far, each test named after its row.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

mod support;

use manman_bins::api::{errors::Reported, v1};
use support::{Api, Plain};
use tonic::{Code, Status};

/// The code and the field of a refusal.
fn refusal<T: std::fmt::Debug>(reply: Result<T, Status>) -> (Code, String, String) {
    let status = reply.unwrap_err();
    let reported = Reported::from(&status);
    assert!(reported.cause.is_some() && reported.remedy.is_some(), "{status:?}");
    (status.code(), reported.code, reported.field.unwrap_or_default())
}

fn invalid(field: &str) -> (Code, String, String) {
    (Code::InvalidArgument, "invalid_argument".into(), field.into())
}

async fn game(api: &mut Api, name: &str) -> i64 {
    let request = v1::CreateGameRequest { name: name.into(), ..Default::default() };
    api.create_game(request).await.unwrap().into_inner().game.unwrap().game_id
}

fn config(game_id: i64, change: impl FnOnce(&mut v1::ConfigBody)) -> v1::CreateGameConfigRequest {
    let mut body = v1::ConfigBody { image: "openttd".into(), ..Default::default() };
    change(&mut body);
    v1::CreateGameConfigRequest { game_id, name: "a".into(), body: Some(body), ..Default::default() }
}

/// A message with a field that is not in the definition.
#[derive(Clone, PartialEq, prost::Message)]
struct FromTheFuture {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bool, tag = "77")]
    privileged: bool,
}

/// A message whose text is bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct NoText {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
}

async fn raw<M: prost::Message + 'static>(plain: &Plain, call: &str, message: M) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(plain.unix().await);
    client.ready().await.unwrap();
    let path = format!("/manman.v1.ManManAPI/{call}").parse().unwrap();
    let codec = tonic_prost::ProstCodec::<M, ()>::default();
    client.unary(tonic::Request::new(message), path, codec).await.map(drop)
}

#[tokio::test]
async fn row_1_an_unknown_field_is_refused_and_named() {
    let plain = Plain::start().await;
    let message = FromTheFuture { name: "a".into(), privileged: true };
    assert_eq!(refusal(raw(&plain, "CreateGame", message).await), invalid("77"));
    assert!(
        plain
            .api()
            .await
            .list_games(v1::ListGamesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .games
            .is_empty()
    );
}

#[tokio::test]
async fn row_2_a_message_over_the_limit_is_resource_exhausted() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    let name = "x".repeat(2 << 20);
    let reply = api.create_game(v1::CreateGameRequest { name, ..Default::default() }).await;
    assert_eq!(refusal(reply), (Code::ResourceExhausted, "message_too_large".into(), String::new()));
    game(&mut api, "still-answers").await;
}

#[tokio::test]
async fn row_3_what_is_no_message_is_refused() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct WrongType {
        #[prost(uint64, tag = "1")]
        name: u64,
    }
    let plain = Plain::start().await;
    assert_eq!(
        refusal(raw(&plain, "CreateGame", WrongType { name: u64::MAX }).await).0,
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn row_4_names_that_could_be_mistaken_are_refused() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    let long = "x".repeat(64);
    for name in ["", "a\nb", "a\u{202e}b", "../x", "42", "größe", &long] {
        let reply = api.create_game(v1::CreateGameRequest { name: name.into(), ..Default::default() }).await;
        assert_eq!(refusal(reply), invalid("name"), "{name:?}");
    }
}

#[tokio::test]
async fn row_5_text_that_is_none_is_refused() {
    let plain = Plain::start().await;
    for name in [b"a\xff\xfe".to_vec(), b"a\0b".to_vec()] {
        assert_eq!(refusal(raw(&plain, "CreateGame", NoText { name }).await), invalid("name"));
    }
}

#[tokio::test]
async fn row_6_ports_out_of_range_reversed_or_too_many_are_refused() {
    let plain = Plain::start().await;
    let server = plain.server("one").await;
    let mut api = plain.api().await;
    let game = game(&mut api, "g").await;
    for port in [0, 65_536, -1] {
        let need = v1::PortNeed { container_port: port, protocol: v1::Protocol::Tcp.into() };
        let reply = api.create_game_config(config(game, |body| body.ports.push(need))).await;
        assert_eq!(refusal(reply), invalid("body.ports[0].container_port"), "{port}");
    }
    let need = v1::PortNeed { container_port: 1000, protocol: v1::Protocol::Tcp.into() };
    let request = config(game, |body| body.ports.push(need));
    let config_id = api.create_game_config(request).await.unwrap().into_inner().config.unwrap().config_id;
    let ask = |ask| v1::PortRequest { container_port: 1000, protocol: v1::Protocol::Tcp.into(), ask };
    let deploy = |ports| v1::DeployGameConfigRequest {
        server_id: Some(server),
        game_config_id: config_id,
        ports,
        ..Default::default()
    };
    use v1::port_request::Ask;
    let reversed = Some(Ask::Any(v1::PortRange { first: 9, last: 8 }));
    for (field, ports) in [
        ("ports[0].host_port", vec![ask(Some(Ask::HostPort(65_536)))]),
        ("ports[0].any", vec![ask(reversed)]),
        ("ports[0].ask", vec![ask(None)]),
        ("ports", vec![ask(Some(Ask::HostPort(1))); 65]),
    ] {
        assert_eq!(refusal(api.deploy_game_config(deploy(ports)).await), invalid(field));
    }
    assert!(
        api.get_server(v1::GetServerRequest { server_id: server })
            .await
            .unwrap()
            .into_inner()
            .ports
            .is_empty()
    );
}

#[tokio::test]
async fn row_7_a_port_that_is_held_is_a_conflict_that_names_the_holder() {
    let plain = Plain::start().await;
    let server = plain.server("one").await;
    let holder = plain.deployment(server, "first", 3979).await;
    let mut api = plain.api().await;
    let config =
        api.list_game_configs(v1::ListGameConfigsRequest::default()).await.unwrap().into_inner().configs[0]
            .config_id;
    let deploy = v1::DeployGameConfigRequest {
        name: Some("second".into()),
        server_id: Some(server),
        game_config_id: config,
        ..Default::default()
    };
    let status = api.deploy_game_config(deploy).await.unwrap_err();
    let reported = Reported::from(&status);
    assert_eq!((status.code(), reported.code.as_str()), (Code::AlreadyExists, "port_conflict"));
    assert_eq!(reported.details["holder"], holder.to_string());
    assert!(reported.message.contains("3979"), "{reported}");
}

#[tokio::test]
async fn row_14_a_second_start_names_the_live_session_and_a_second_stop_changes_nothing() {
    let plain = Plain::start().await;
    let server = plain.server("one").await;
    let sgc = plain.deployment(server, "d", 3979).await;
    let mut api = plain.api().await;
    let start = v1::StartSessionRequest { server_game_config_id: sgc, ..Default::default() };
    let session = api.start_session(start.clone()).await.unwrap().into_inner().session.unwrap();
    let status = api.start_session(start).await.unwrap_err();
    let reported = Reported::from(&status);
    assert_eq!((status.code(), reported.code.as_str()), (Code::AlreadyExists, "session_live"));
    assert_eq!(reported.details["session"], session.session_id.to_string());

    let stop = v1::StopSessionRequest {
        session_id: session.session_id,
        mode: v1::StopMode::Graceful.into(),
        ..Default::default()
    };
    let first = api.stop_session(stop.clone()).await.unwrap().into_inner().session.unwrap();
    let second = api.stop_session(stop).await.unwrap().into_inner().session.unwrap();
    assert_eq!((first.want, first.generation), (second.want, second.generation));
}

#[tokio::test]
async fn row_15_a_key_stands_for_one_request() {
    let plain = Plain::start().await;
    let server = plain.server("one").await;
    let sgc = plain.deployment(server, "d", 3979).await;
    let other = plain.deployment(server, "e", 3980).await;
    let mut api = plain.api().await;
    let start = |sgc| v1::StartSessionRequest { server_game_config_id: sgc, idempotency_key: "k".into() };
    let first = api.start_session(start(sgc)).await.unwrap().into_inner();
    let again = api.start_session(start(sgc)).await.unwrap().into_inner();
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.session.unwrap().session_id, again.session.unwrap().session_id);
    let (code, name, _) = refusal(api.start_session(start(other)).await);
    assert_eq!((code, name.as_str()), (Code::InvalidArgument, "idempotency_mismatch"));
    // Another call has keys of its own.
    let name = v1::CreateGameRequest { name: "g".into(), idempotency_key: "k".into(), ..Default::default() };
    api.create_game(name).await.unwrap();
    let long = v1::StartSessionRequest { server_game_config_id: other, idempotency_key: "k".repeat(256) };
    assert_eq!(refusal(api.start_session(long).await), invalid("idempotency_key"));
}

#[tokio::test]
async fn row_17_what_is_unknown_is_not_found() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    let not_found = (Code::NotFound, "not_found".to_owned(), String::new());
    assert_eq!(refusal(api.get_session(v1::GetSessionRequest { session_id: 9 }).await), not_found);
    assert_eq!(refusal(api.get_server(v1::GetServerRequest { server_id: 9 }).await), not_found);
    let start = v1::StartSessionRequest { server_game_config_id: 9, ..Default::default() };
    assert_eq!(refusal(api.start_session(start).await), not_found);
    for (id, field) in [(0, "session_id"), (-1, "session_id")] {
        assert_eq!(refusal(api.get_session(v1::GetSessionRequest { session_id: id }).await), invalid(field));
    }
}

#[tokio::test]
async fn row_21_input_that_is_no_line_is_refused() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    let long = vec![b'x'; 4097];
    for input in [b"".as_slice(), b"a\nb", b"\x1b[2J", b"a\0", b"a\xff", &long] {
        let request = v1::SendInputRequest { session_id: 1, input: input.into(), ..Default::default() };
        assert_eq!(refusal(api.send_input(request).await), invalid("input"), "{input:?}");
    }
}

#[tokio::test]
async fn row_22_input_to_a_game_that_does_not_run_is_refused() {
    let plain = Plain::start().await;
    let server = plain.server("one").await;
    let sgc = plain.deployment(server, "d", 3979).await;
    let mut api = plain.api().await;
    let start = v1::StartSessionRequest { server_game_config_id: sgc, ..Default::default() };
    let session = api.start_session(start).await.unwrap().into_inner().session.unwrap();
    let request =
        v1::SendInputRequest { session_id: session.session_id, input: b"save".into(), ..Default::default() };
    let (code, name, _) = refusal(api.send_input(request).await);
    assert_eq!((code, name.as_str()), (Code::FailedPrecondition, "not_running"));
}

#[tokio::test]
async fn row_23_page_sizes_out_of_range_and_forged_tokens_are_refused() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    for number in 0..3 {
        game(&mut api, &format!("game-{number}")).await;
    }
    for size in [0, -1, 201, 1_000_000_000] {
        let request = v1::ListGamesRequest { page_size: Some(size), ..Default::default() };
        assert_eq!(refusal(api.list_games(request).await), invalid("page_size"), "{size}");
    }
    let mut names = Vec::new();
    let mut request = v1::ListGamesRequest { page_size: Some(2), ..Default::default() };
    loop {
        let page = api.list_games(request.clone()).await.unwrap().into_inner();
        names.extend(page.games.into_iter().map(|game| game.name));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(names, ["game-0", "game-1", "game-2"]);
    // A token of one list does not open another.
    let stolen = v1::ListServersRequest { page_size: Some(2), page_token: request.page_token };
    assert_eq!(refusal(api.list_servers(stolen).await), invalid("page_token"));
    for page_token in ["x", "2", "2.", "2.0011223344556677", "9223372036854775808.00"] {
        let request = v1::ListGamesRequest { page_size: Some(2), page_token: page_token.into() };
        assert_eq!(refusal(api.list_games(request).await), invalid("page_token"), "{page_token}");
    }
}

#[tokio::test]
async fn enums_have_to_be_said_and_known() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    for mode in [0, 99] {
        let stop = v1::StopSessionRequest { session_id: 1, mode, ..Default::default() };
        assert_eq!(refusal(api.stop_session(stop).await), invalid("mode"), "{mode}");
    }
    let list = v1::ListSessionsRequest { states: vec![0], ..Default::default() };
    assert_eq!(refusal(api.list_sessions(list).await), invalid("states[0]"));
    let both = v1::ListSessionsRequest {
        states: vec![v1::SessionState::Running.into()],
        live_only: true,
        ..Default::default()
    };
    assert_eq!(refusal(api.list_sessions(both).await), invalid("live_only"));
}

#[tokio::test]
async fn a_name_that_is_nearly_right_is_suggested() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    game(&mut api, "openttd").await;
    let ask = |noun: v1::Noun, text: &str| v1::ResolveRequest { noun: noun.into(), text: text.into() };
    let found = api.resolve(ask(v1::Noun::Game, "openttd")).await.unwrap().into_inner();
    assert_eq!((found.id, found.name.as_str()), (1, "openttd"));
    assert_eq!(api.resolve(ask(v1::Noun::Game, "1")).await.unwrap().into_inner().name, "openttd");
    let reported = Reported::from(&api.resolve(ask(v1::Noun::Game, "opentdt")).await.unwrap_err());
    assert_eq!(reported.code, "not_found");
    assert_eq!(reported.remedy.as_deref(), Some("Did you mean openttd?"));
    assert_eq!(refusal(api.resolve(ask(v1::Noun::Unspecified, "x")).await), invalid("noun"));
}

#[tokio::test]
async fn rows_9_10_11_and_35_what_cannot_run_is_refused_with_its_field() {
    let plain = Plain::start().await;
    let mut api = plain.api().await;
    let game = game(&mut api, "g").await;
    let volume = |name: &str, path: &str| v1::Volume {
        name: name.into(),
        container_path: path.into(),
        ..Default::default()
    };
    let env = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let limits = |memory, cpu| v1::Limits { memory_bytes: memory, cpu_millis: cpu, pids: None };
    type Spoil = Box<dyn FnOnce(&mut v1::ConfigBody)>;
    let cases: Vec<(&str, Spoil)> = vec![
        ("body.image", Box::new(|b| b.image = "a:b c".into())),
        ("body.image", Box::new(|b| b.image = String::new())),
        ("body.volumes[0].name", Box::new(move |b| b.volumes.push(volume("/etc", "/x")))),
        ("body.volumes[0].name", Box::new(move |b| b.volumes.push(volume("a/../../b", "/x")))),
        ("body.volumes[0].container_path", Box::new(move |b| b.volumes.push(volume("a", "/")))),
        ("body.volumes[0].container_path", Box::new(move |b| b.volumes.push(volume("a", "x")))),
        ("body.data_path", Box::new(|b| b.data_path = Some("/proc/self".into()))),
        ("body.env_template[A=B]", Box::new(move |b| b.env_template = env("A=B", ""))),
        ("body.env_template[MANMAN_X]", Box::new(move |b| b.env_template = env("MANMAN_X", ""))),
        ("body.env_template", Box::new(move |b| b.env_template = env("X", &"x".repeat(33 << 10)))),
        // Templates come with parameters; until then they are refused, not passed on as text.
        ("body.env_template[X]", Box::new(move |b| b.env_template = env("X", "{{port}}"))),
        ("body.limits.memory_bytes", Box::new(move |b| b.limits = Some(limits(Some(1024), None)))),
        ("body.limits.cpu_millis", Box::new(move |b| b.limits = Some(limits(None, Some(0))))),
        ("body.user", Box::new(|b| b.user = Some("root".into()))),
        ("body.console", Box::new(|b| b.console = Some(0))),
    ];
    for (field, spoil) in cases {
        assert_eq!(refusal(api.create_game_config(config(game, spoil)).await), invalid(field));
    }
    let none = v1::CreateGameConfigRequest { game_id: game, name: "a".into(), ..Default::default() };
    assert_eq!(refusal(api.create_game_config(none).await), invalid("body"));
}

#[tokio::test]
async fn row_38_who_connects_and_says_nothing_harms_nobody() {
    let plain = Plain::start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(tokio::net::TcpStream::connect(&plain.address).await.unwrap());
    }
    game(&mut plain.api().await, "still-answers").await;
}
