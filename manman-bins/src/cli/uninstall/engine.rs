//! What is left at the engine.

use manman_core::error::Chain;
use manman_docker::Thing;
use manman_store::sqlite::Holdings;

use super::step::{Item, Step, quoted};
use crate::{
    cli::{
        look::{LIMIT, Look, within},
        output::size,
    },
    config::DEFAULT_DOCKER_SOCKET,
};

/// Containers, networks, volumes and images, in the order in which they let go of each other.
pub async fn steps(look: &Look, holds: &Result<Holdings, String>) -> Vec<Step> {
    let socket = look.docker_socket();
    let asked = within(async { Ok(manman_docker::examine(&socket, LIMIT).await) }).await;
    let found = match asked {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return vec![unknown(Chain(&error).to_string())],
        Err(why) => return vec![unknown(format!("{}: {why}", socket.display()))],
    };
    let docker = if socket.as_os_str() == DEFAULT_DOCKER_SOCKET {
        "docker".to_owned()
    } else {
        format!("docker -H unix://{}", quoted(&socket))
    };
    let cluster = holds.as_ref().ok().and_then(|holds| holds.cluster).map(|cluster| cluster.to_string());
    let of = |title, things: &[Thing], remove: &str| {
        let (ours, others): (Vec<_>, Vec<_>) =
            things.iter().partition(|thing| cluster.as_ref() == Some(&thing.cluster));
        let mut items: Vec<_> = ours
            .iter()
            .map(|thing| {
                let detail =
                    if thing.alive { "alive: goes with `manman down`; this kills its game" } else { "" };
                Item::new(&thing.name, detail)
                    .with(format!("{docker} {remove} {}", quoted(thing.name.as_ref())))
            })
            .collect();
        if !others.is_empty() {
            let whose =
                if cluster.is_some() { "of other installations" } else { "of which nobody here knows whose" };
            items.push(Item::new(format!("{} more", others.len()), format!("{whose}: left alone")));
        }
        Step { title, items }
    };
    let images = found.demo_images.iter().map(|(tag, bytes)| {
        Item::new(tag, size(*bytes)).with(format!("{docker} image rm {}", quoted(tag.as_ref())))
    });
    vec![
        of("containers", &found.containers, "rm -f"),
        of("networks", &found.networks, "network rm"),
        of("volumes", &found.volumes, "volume rm"),
        Step { title: "images of the demo, of all installations here", items: images.collect() },
    ]
}

fn unknown(why: String) -> Step {
    let detail = format!("not known: {why}; ask again when the engine answers");
    Step {
        title: "containers, networks, volumes, images of the demo",
        items: vec![Item::new("Docker", detail)],
    }
}
