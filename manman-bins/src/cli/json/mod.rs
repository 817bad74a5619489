//! The API's messages as JSON, both ways, by the API's own definition: field names as
//! they are there, the words of enums in lower case without their prefix, numbers as
//! numbers, times as RFC 3339. What is optional and absent is left out.

mod read;
mod schema;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api::v1;

    #[test]
    fn messages_have_one_form() {
        let session = v1::Session {
            session_id: 7,
            server_game_config_id: 1 << 60,
            want: Some(v1::Want { want: Some(v1::want::Want::Stop(v1::StopMode::Kill.into())) }),
            state: v1::SessionState::Starting.into(),
            phase: Some(v1::SessionPhase::Pulling.into()),
            reason: Some(v1::Reason { code: "asked".into(), text: "asked by \"me\"\n".into() }),
            created_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000 }),
            exit_code: Some(-1),
            last_lines: vec!["a".into()],
            ..Default::default()
        };
        assert_eq!(
            write(&session),
            json!({
                "session_id": 7,
                "server_game_config_id": 1_152_921_504_606_846_976_i64,
                "server_id": 0,
                "want": {"stop": "kill"},
                "generation": 0,
                "state": "starting",
                "phase": "pulling",
                "attempt": 0,
                "reason": {"code": "asked", "text": "asked by \"me\"\n"},
                "revision": 0,
                "created_at": "2023-11-14T22:13:20.000005Z",
                "exit_code": -1,
                "out_of_memory": false,
                "last_lines": ["a"],
            })
        );
    }

    fn config() -> v1::ConfigBody {
        v1::ConfigBody {
            image: "openttd".into(),
            command: vec!["-D".into(), String::new()],
            env_template: [("A".to_owned(), "b".to_owned()), ("B".to_owned(), String::new())].into(),
            volumes: vec![v1::Volume { name: "x".into(), container_path: "/x".into(), read_only: true }],
            ports: vec![v1::PortNeed { container_port: 3979, protocol: v1::Protocol::Udp.into() }],
            stop: Some(v1::StopPlan {
                steps: vec![v1::StopStep { command: "save".into(), wait_millis: 2000 }],
                signal: Some(v1::Signal::Int.into()),
                grace_millis: Some(0),
            }),
            limits: Some(v1::Limits { memory_bytes: Some(u64::MAX), cpu_millis: None, pids: Some(16) }),
            console: Some(v1::ConsolePolicy::BestEffort.into()),
            tty: true,
            network: Some(v1::Network { shared: None }),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(read::<v1::ConfigBody>(&write(&config()).to_string()), Ok(config()));
        assert_eq!(write(&config())["console"], "best_effort");
        let by_hand = r#"{"image": "a", "ports": [{"container_port": 1, "protocol": "UDP"}],
            "console": "best-effort", "user": null}"#;
        let body = read::<v1::ConfigBody>(by_hand).unwrap();
        assert_eq!(body.ports[0].protocol(), v1::Protocol::Udp);
        assert_eq!(body.console(), v1::ConsolePolicy::BestEffort);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (text, problem) in [
            ("", "is not valid JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "an object is expected, not a list"),
            (r#"{"imag": "a"}"#, "imag: there is no such field; known are capabilities, command,"),
            (r#"{"image": 1}"#, "image: a text is expected, not a number"),
            (r#"{"image": null}"#, "image: a text is expected, not null"),
            (r#"{"image": "a", "image": "b"}"#, "image: is there twice"),
            (
                r#"{"ports": [{"container_port": 1, "protocol": "sctp"}]}"#,
                "ports[0].protocol: \"sctp\" is not one of tcp, udp",
            ),
            (
                r#"{"ports": [{"container_port": 1, "protocol": "unspecified"}]}"#,
                "ports[0].protocol: \"unspecified\"",
            ),
            (
                r#"{"ports": [{"container_port": 1e3}]}"#,
                "ports[0].container_port: 1000.0 is not a whole number",
            ),
            (
                r#"{"ports": [{"container_port": 3000000000}]}"#,
                "ports[0].container_port: 3000000000 is not within",
            ),
            (r#"{"limits": {"memory_bytes": -1}}"#, "limits.memory_bytes: -1 is not within"),
            (
                r#"{"limits": {"memory_bytes": "2GiB"}}"#,
                "limits.memory_bytes: a number is expected, not a text",
            ),
            (
                r#"{"stop": {"steps": [{"command": "a", "wait": 1}]}}"#,
                "stop.steps[0].wait: there is no such field",
            ),
            (r#"{"env_template": {"A": 1}}"#, "env_template[A]: a text is expected, not a number"),
            (r#"{"env_template": {"A": "1", "A": "2"}}"#, "env_template[A]: is there twice"),
            (r#"{"tty": "yes"}"#, "tty: true or false is expected, not a text"),
            (r#"{"command": "a"}"#, "command: a list is expected, not a text"),
            (r#"{"image": "a"} x"#, "is not valid JSON"),
        ] {
            let refused = read::<v1::ConfigBody>(text).unwrap_err();
            assert!(refused.starts_with(problem), "{text}\n{refused}");
        }
        let deep = "[".repeat(100_000);
        assert!(read::<v1::ConfigBody>(&deep).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in r#"[{}\[\]":,0-9a-z_ \\.-]{0,60}"#) {
            let _ = read::<v1::ConfigBody>(&text);
        }

        #[test]
        fn any_text_survives(image in ".*", key in ".*", value in ".*", wait: u32, memory: u64) {
            let body = v1::ConfigBody {
                image,
                env_template: [(key, value)].into(),
                stop: Some(v1::StopPlan {
                    steps: vec![v1::StopStep { command: String::new(), wait_millis: wait }],
                    ..Default::default()
                }),
                limits: Some(v1::Limits { memory_bytes: Some(memory), ..Default::default() }),
                ..Default::default()
            };
            prop_assert_eq!(read::<v1::ConfigBody>(&write(&body).to_string()), Ok(body));
        }
    }
}
