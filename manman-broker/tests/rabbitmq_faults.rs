//! RabbitMQ killed, stopped in its tracks, out of room, and behind TLS: a node that is hurt
//! by one test at a time.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::{
    collections::HashSet,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use manman_broker::rabbitmq::{RabbitBroker, RabbitConfig};
use manman_core::{
    broker::{Broker, Class, Consumer, Exchange, Message, Queue, RoutingKey},
    error::{Chain, Error, ErrorKind},
    id::{ServerId, SessionId},
};
use manman_services::{Proxy, Rabbit};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::{Instant, timeout},
};
use uuid::Uuid;

const SERVER: ServerId = ServerId(7);
const PATIENCE: Duration = Duration::from_secs(90);

/// The node that is hurt. One test at a time; it ends with this program.
static NODE: LazyLock<Mutex<Rabbit>> =
    LazyLock::new(|| Mutex::new(Rabbit::start(Some(&certificates().join("ours")))));

fn full() -> bool {
    std::env::var("MANMAN_TESTS").is_ok_and(|scale| scale == "full")
}

fn config(port: u16, vhost: &str) -> RabbitConfig {
    patient(&format!("amqp://{}:p%40ss%2Fwo%3Ard%3F@127.0.0.1:{port}/{vhost}", Rabbit::USER)).unwrap()
}

/// A node beside many others may take its time.
fn patient(url: &str) -> Result<RabbitConfig, Error> {
    let mut config: RabbitConfig = url.parse()?;
    (config.connect_timeout_ms, config.call_timeout_ms, config.publish_timeout_ms) = (30_000, 60_000, 60_000);
    Ok(config)
}

/// One whose bounds are what is asserted, with `queue` declared and connected by now.
async fn hurried(port: u16, vhost: &str, queue: &Queue) -> RabbitBroker {
    let mut config = config(port, vhost);
    RabbitBroker::connect(config.clone()).await.unwrap().declare(queue).await.unwrap();
    (config.connect_timeout_ms, config.call_timeout_ms, config.publish_timeout_ms) = (5_000, 10_000, 5_000);
    let broker = RabbitBroker::new(config).unwrap();
    let probed = async {
        while let Err(error) = broker.probe().await {
            assert!(error.is_temporary(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, probed).await.expect("it does not connect");
    broker
}

fn report(number: usize) -> Message {
    Message {
        id: Uuid::now_v7(),
        exchange: Exchange::Internal,
        key: RoutingKey::session_status(SERVER, SessionId(1)),
        class: Class::Report,
        body: number.to_string().into(),
    }
}

async fn insist(broker: &dyn Broker, message: &Message) {
    while let Err(error) = broker.publish(message.clone()).await {
        assert!(error.is_temporary(), "{error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn consumer(broker: &dyn Broker, queue: &str) -> Box<dyn Consumer> {
    loop {
        match broker.consume(queue).await {
            Ok(consumer) => return consumer,
            Err(error) => assert!(error.is_temporary(), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Takes with four consumers until all of `wanted` were seen; what comes is one of them.
async fn take_all(broker: &dyn Broker, queue: &str, wanted: &HashSet<Uuid>) {
    let seen = std::sync::Mutex::new(HashSet::new());
    let done = || seen.lock().unwrap().len() >= wanted.len();
    let take = async || {
        while !done() {
            let mut consumer = consumer(broker, queue).await;
            while !done() {
                let Ok(next) = timeout(Duration::from_millis(500), consumer.next()).await else { continue };
                let Ok(delivery) = next else { break };
                let id = delivery.message.id;
                assert!(wanted.contains(&id), "{:?} was never sent", delivery.message);
                if delivery.handle.ack().await.is_ok() {
                    seen.lock().unwrap().insert(id);
                }
            }
        }
    };
    if timeout(PATIENCE, futures::future::join_all([(); 4].map(|()| take()))).await.is_err() {
        panic!("only {} of {} arrive", seen.lock().unwrap().len(), wanted.len());
    }
}

/// C1, C2, C3: killed (SIGKILL) in the midst of publishes, and begun again: every one that
/// was told to be stored arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ok_is_delivered_when_the_node_is_killed() {
    let mut node = tokio::task::block_in_place(|| Rabbit::start(None));
    let vhost = node.vhost();
    let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::new(config(node.port(), &vhost)).unwrap());
    let queue = Queue { single_consumer: false, ..Queue::of_processor() };
    broker.declare(&queue).await.unwrap();
    let on_disk = Instant::now();
    while !node.has_on_disk(&queue.name) {
        assert!(on_disk.elapsed() < PATIENCE, "the node never writes the queue down");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("the node had the queue on disk after {:?}", on_disk.elapsed());
    let count = if full() { 10_000 } else { 1_000 };
    let messages: Vec<_> = (0..count).map(report).collect();
    let wanted: HashSet<Uuid> = messages.iter().map(|message| message.id).collect();

    let sequential = Instant::now();
    for message in &messages[..100] {
        broker.publish(message.clone()).await.unwrap();
    }
    let sequential = sequential.elapsed();

    let begun = Instant::now();
    let publishing = {
        let (broker, messages) = (broker.clone(), messages[100..].to_vec());
        tokio::spawn(async move {
            let publish = |message: Message| {
                let broker = broker.clone();
                async move { insist(&*broker, &message).await }
            };
            stream::iter(messages).map(publish).buffer_unordered(256).count().await
        })
    };
    // In the midst of it, as far as one can tell from outside.
    let queue_path = format!("/api/queues/{vhost}/{}", queue.name);
    while !publishing.is_finished() {
        let some = node.ask("GET", &queue_path, "").contains("\"messages\"");
        if some {
            break;
        }
    }
    let killed = Instant::now();
    tokio::task::block_in_place(|| {
        node.kill();
        node.again();
    });
    let up = killed.elapsed();
    assert_eq!(timeout(PATIENCE, publishing).await.expect("publishes hang").unwrap(), count - 100);
    let published = begun.elapsed();
    let taking = Instant::now();
    take_all(&*broker, &queue.name, &wanted).await;
    println!(
        "100 one after the other {sequential:?}; {count} with a kill between {published:?}, the node was \
         away {up:?}; {count} taken {:?}",
        taking.elapsed()
    );
    node.remove_vhost(&vhost);
}

/// Row "the broker is stopped in its tracks": no `Ok` while it is, an end of consumers, and
/// all of it goes on afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_frozen_promises_nothing_and_comes_back() {
    let node = NODE.lock().await;
    let vhost = node.vhost();
    let queue = Queue::of_processor();
    let broker = hurried(node.port(), &vhost, &queue).await;
    let mut idle = consumer(&broker, &queue.name).await;
    let frozen = Instant::now();
    node.freeze();
    let messages: Vec<_> = (0..20).map(report).collect();
    let wanted: HashSet<Uuid> = messages.iter().map(|message| message.id).collect();
    let ended = timeout(Duration::from_secs(40), idle.next()).await;
    for message in &messages {
        let error = timeout(Duration::from_secs(40), broker.publish(message.clone())).await;
        assert!(error.expect("publish hangs").unwrap_err().is_temporary());
    }
    if full() {
        tokio::time::sleep_until(frozen + Duration::from_secs(15)).await;
    }
    node.thaw();
    ended.expect("a consumer waits for a node that is frozen").unwrap_err();
    let again = async {
        for message in &messages {
            insist(&broker, message).await;
        }
    };
    timeout(PATIENCE, again).await.expect("it does not go on");
    take_all(&broker, &queue.name, &wanted).await;
    node.remove_vhost(&vhost);
}

/// Out of disk: RabbitMQ stops to read from those who publish. They are told within their
/// deadline, consumers go on, and so do publishes when there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_room_says_so_and_does_not_hang() {
    let node = NODE.lock().await;
    let vhost = node.vhost();
    let queue = Queue::of_processor();
    let broker = hurried(node.port(), &vhost, &queue).await;
    insist(&broker, &report(1)).await;
    tokio::task::block_in_place(|| node.ctl(&["set_disk_free_limit", "1000000GB"]));
    let begun = Instant::now();
    let refused = async {
        loop {
            match broker.publish(report(2)).await {
                Ok(()) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) if error.kind() == ErrorKind::Busy => return error,
                Err(error) => assert!(error.is_temporary(), "{error:?}"),
            }
        }
    };
    let error = timeout(Duration::from_secs(30), refused).await.expect("publish hangs");
    assert!(error.message().contains("RabbitMQ takes nothing now"), "{error}");
    println!("told after {:?}: {error}", begun.elapsed());
    assert_eq!(broker.probe().await.unwrap_err().kind(), ErrorKind::Busy);
    let mut consumer = consumer(&broker, &queue.name).await;
    timeout(PATIENCE, consumer.next()).await.unwrap().unwrap().handle.ack().await.unwrap();
    // Longer than a connection may be silent.
    tokio::time::sleep(Duration::from_secs(if full() { 15 } else { 4 })).await;
    tokio::task::block_in_place(|| node.ctl(&["set_disk_free_limit", "1MB"]));
    timeout(PATIENCE, insist(&broker, &report(3))).await.expect("it does not go on");
    node.remove_vhost(&vhost);
}

/// Row "TLS": our own authority, a certificate of our own, and each mistake one sentence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_each_mistake_in_it() {
    let node = NODE.lock().await;
    let vhost = node.vhost();
    let file = |name: &str| certificates().join(name).display().to_string();
    let (ca, cert, key) = (file("ours/ca.pem"), file("ours/client.pem"), file("ours/client.key"));
    let begin = async |port: u16, parameters: String| -> Result<RabbitBroker, Error> {
        let who = format!("{}:p%40ss%2Fwo%3Ard%3F", Rabbit::USER);
        let url = format!("amqps://{who}@127.0.0.1:{port}/{vhost}?{parameters}");
        RabbitBroker::connect(patient(&url)?).await
    };
    let port = node.tls_port();
    let named = "server_name=broker.test";
    let good = format!("ca={ca}&cert={cert}&key={key}&{named}");
    let broker = begin(port, good.clone()).await.unwrap();
    broker.declare(&Queue::of_processor()).await.unwrap();
    broker.publish(report(1)).await.unwrap();
    let mut consumer = broker.consume(&Queue::of_processor().name).await.unwrap();
    timeout(PATIENCE, consumer.next()).await.unwrap().unwrap().handle.ack().await.unwrap();

    let other = file("others/ca.pem");
    for (port, parameters, says) in [
        (
            port,
            format!("ca={other}&cert={cert}&key={key}&{named}"),
            "of an authority that is not trusted here",
        ),
        (port, format!("ca={ca}&cert={cert}&key={key}&server_name=elsewhere.test"), "is for another name"),
        (port, format!("ca={ca}&{named}"), "say the parameters cert and key"),
        (node.port(), good.clone(), "does not speak TLS"),
    ] {
        let error = begin(port, parameters).await.unwrap_err();
        let text = Chain(&error).to_string();
        assert!(error.message().contains(says), "{says}: {text}");
        assert!(!text.contains("p@ss"), "{text}");
    }
    for (parameters, says) in [
        (format!("ca={}", file("ours/missing.pem")), "missing.pem cannot be read"),
        (format!("ca={}", file("ours/server.key")), "server.key holds no certificate"),
        (format!("ca={ca}&cert={cert}&key={}", file("ours/server.key")), "do not fit"),
        (format!("ca={ca}&cert={cert}&key={ca}"), "holds no key"),
    ] {
        let error = begin(port, parameters).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(says), "{error}");
    }
    // A link over TLS is cut and made again like any other.
    let proxy = Proxy::to_port(port);
    let broker = begin(proxy.port(), good).await.unwrap();
    proxy.cut();
    timeout(PATIENCE, insist(&broker, &report(2))).await.expect("it does not come back");
    node.remove_vhost(&vhost);
}

/// A server that demands a certificate and takes leave without a word: TLS 1.3 is agreed upon by
/// then on our side, and the alert of a server is lost where it had not read all of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demand_for_a_certificate_is_told_without_an_alert() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ours = certificates().join("ours");
    let demanding = demands_certificates(&ours);
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            shake_hands(&demanding, &mut socket).await;
            socket.set_zero_linger().unwrap();
        }
    });
    let url = format!(
        "amqps://u:hunter2@127.0.0.1:{port}?ca={}&server_name=broker.test",
        ours.join("ca.pem").display()
    );
    let error = RabbitBroker::connect(patient(&url).unwrap()).await.unwrap_err();
    assert!(error.message().contains("say the parameters cert and key"), "{}", Chain(&error));
    serving.abort();
}

fn demands_certificates(dir: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
    let server = CertificateDer::from_pem_file(dir.join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_client_cert_verifier(verifier).with_single_cert(vec![server], key).unwrap())
}

/// Until the server does not like what the client shows, and says nothing of it.
async fn shake_hands(config: &Arc<ServerConfig>, socket: &mut TcpStream) {
    let mut server = ServerConnection::new(config.clone()).unwrap();
    loop {
        let mut bytes = [0; 4_096];
        let count = socket.read(&mut bytes).await.unwrap();
        if count == 0 {
            return;
        }
        let mut bytes = &bytes[..count];
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            if server.process_new_packets().is_err() {
                return;
            }
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        socket.write_all(&answer).await.unwrap();
    }
}

/// Those of an installation, and of another one.
fn certificates() -> &'static Path {
    static MADE: LazyLock<TempDir> = LazyLock::new(|| {
        let dir = tempfile::tempdir().unwrap();
        for who in ["ours", "others"] {
            manman_services::certificates(&dir.path().join(who), "DNS:broker.test");
        }
        dir
    });
    MADE.path()
}
