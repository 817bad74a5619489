//! Files that are applied.

use super::{exit, keys};
use crate::{
    api::v1,
    cli::{
        exit::Exit,
        failure::Failure,
        fake::{Fake, Ran, Script},
    },
};

const TEXT: &str = "version: 1
games:
  - name: a
  - name: openttd
    configs:
      - {name: hill, image: 'openttd:14'}
      - {name: dale, image: 'openttd:14'}
deployments:
  - {name: d, config: dale}
";

fn script() -> Script {
    let server = v1::Server { server_id: 1, name: "box".into(), ..Default::default() };
    let body = v1::ConfigBody { image: "openttd:13".into(), ..Default::default() };
    Script {
        servers: vec![server],
        games: vec![v1::Game { game_id: 1, name: "openttd".into(), ..Default::default() }],
        configs: vec![v1::GameConfig {
            config_id: 2,
            game_id: 1,
            name: "hill".into(),
            body: Some(body),
            ..Default::default()
        }],
        ..Script::default()
    }
}

async fn apply(fake: &Fake, text: &str, options: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.yaml"), text).unwrap();
    std::fs::write(dir.path().join("a.yml"), "# nothing").unwrap();
    std::fs::write(dir.path().join("c.txt"), "not: [valid").unwrap();
    fake.run(&format!("apply -f {} {options}", dir.path().display())).await
}

#[tokio::test(start_paused = true)]
async fn a_plan_alone_changes_nothing() {
    let fake = Fake::new(script());
    let ran = apply(&fake, TEXT, "--dry-run").await;
    assert_eq!(
        ran.out,
        "+ create game a\n~ change config openttd/hill\n    image: openttd:13 -> openttd:14\n\
         + create config openttd/dale\n+ create deployment d\n= 1 unchanged\n"
    );
    assert_eq!((exit(&ran), fake.script().writes.len()), (Exit::Ok, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_asked_for_again_under_its_key() {
    let fake = Fake::new(Script { lose: 1, ..script() });
    let ran = apply(&fake, "version: 1\ngames: [{name: a}, {name: b}]", "--yes").await;
    assert_eq!(exit(&ran), Exit::Ok, "{}", ran.message());
    let keys = keys(&fake, "create_game");
    assert_eq!((keys.len(), &keys[0]), (3, &keys[1]));
    assert_ne!(keys[1], keys[2], "each change has a key of its own");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_changed_ends_it_and_what_is_done_is_said() {
    let fake = Fake::new(script());
    let ran = apply(&fake, TEXT, "--yes").await;
    assert_eq!(ran.message(), "config openttd/hill was not changed: config 2 was changed meanwhile");
    assert!(ran.out.ends_with("created game a (1)\n"), "{}", ran.out);
    let Err(Failure::Told(told)) = &ran.result else { panic!("it is refused") };
    assert_eq!(
        (told.code.as_str(), &told.details["done"][0]),
        ("changed_meanwhile", &"created game a (1)".into())
    );
    assert_eq!(fake.script().deployed, None, "nothing goes on after it");
}

#[tokio::test(start_paused = true)]
async fn an_empty_directory_and_a_large_file_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new(script());
    let line = format!("apply -f {} --yes", dir.path().display());
    let ran = fake.run(&line).await;
    assert!(
        exit(&ran) == Exit::Usage && ran.message().starts_with("there is no *.yaml"),
        "{}",
        ran.message()
    );
    let file = dir.path().join("a.yaml");
    for (bytes, said) in
        [(vec![b' '; (1 << 20) + 1], "is larger than 1 MiB"), (vec![b'\n', 0xff], ":2: is not UTF-8")]
    {
        std::fs::write(&file, bytes).unwrap();
        let ran = fake.run(&line).await;
        assert!(exit(&ran) == Exit::Usage && ran.message().contains(said), "{}", ran.message());
    }
}
