//! What hosts put, from their uplink through the API into a bucket.

use std::fs;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use manman_bins::{
    api::{Token, auth::digest},
    uplink::GrpcUplink,
};
use manman_core::{
    blob::{Blob, BlobKey, BlobStream, Presigned, whole},
    error::ErrorKind,
    store::Registration,
    uplink::{HostIdentity, Uplink as _},
};
use manman_services::{Weed, http};
use manman_store::blob;
use tokio::runtime::Runtime;

use crate::support::{Cluster, Kind, PATIENCE, bucket_url, until};

const MIB: usize = 1 << 20;

/// Well above what all parts take that are held at a time (50 MiB were seen, of 64 MiB as of
/// 256), well below a blob.
const BOUND_KIB: u64 = 120 * 1024;

/// A host as its manager is one, without games.
struct Host {
    uplink: GrpcUplink,
    me: HostIdentity,
}

impl Host {
    async fn of(cluster: &Cluster, name: &str) -> Self {
        let address = || cluster.apis[0].get("LISTEN").parse().unwrap();
        let own = Token::random().unwrap();
        let join = GrpcUplink::new(address(), None, &cluster.join_token(name)).unwrap();
        join.join(&name.parse().unwrap(), &digest(own.reveal().as_bytes())).await.unwrap();
        let uplink = GrpcUplink::new(address(), None, own.reveal()).unwrap();
        let hello = Registration {
            name: name.parse().unwrap(),
            environment: "test".parse().unwrap(),
            machine_id: format!("machine of {name}"),
            engine_id: "engine".into(),
            capacity: Default::default(),
            public_address: None,
            take_over: false,
        };
        let welcomed = uplink.register(&hello).await.unwrap();
        Self { uplink, me: HostIdentity { server: welcomed.server, epoch: welcomed.epoch } }
    }

    fn key(&self, name: &str) -> BlobKey {
        BlobKey::of_host(self.me.server).join(name).unwrap()
    }
}

/// The `n`th MiB of a large blob; no two are alike.
fn mib(n: usize) -> Vec<u8> {
    let mut bytes = vec![0; MIB];
    fastrand::Rng::with_seed(n as u64).fill(&mut bytes);
    bytes
}

/// So many of them, made as they are asked for.
fn large(mibs: usize) -> BlobStream {
    stream::iter((0..mibs).map(|n| Ok(Bytes::from(mib(n))))).boxed()
}

/// Reads what [`large`] made.
async fn is_large(blob: Blob, mibs: usize) {
    assert_eq!(blob.info.size_bytes, (mibs * MIB) as u64);
    let (mut bytes, mut waiting, mut n) = (blob.bytes, Vec::new(), 0);
    while let Some(piece) = bytes.next().await {
        waiting.extend_from_slice(&piece.unwrap());
        while waiting.len() >= MIB {
            assert!(waiting[..MIB] == mib(n), "MiB {n} is another");
            waiting.drain(..MIB);
            n += 1;
        }
    }
    assert_eq!((n, waiting.len()), (mibs, 0));
}

/// What a process has had at most since [`forget_peak`], in KiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

fn send(request: &Presigned, body: &[u8]) -> u16 {
    http(&request.method, &request.url, &request.headers, body).unwrap().0
}

#[test]
fn hosts_put_large_blobs_into_a_bucket_and_only_beneath_their_own_key() {
    let weed = Weed::shared();
    let url = bucket_url(&weed.endpoint(), &weed.bucket());
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.blobs = Some(url.clone());
    cluster.api();
    cluster.ready();
    let api = cluster.apis[0].guarded().pid();
    let mibs = if std::env::var("MANMAN_TESTS").is_ok_and(|it| it == "full") { 512 } else { 160 };

    Runtime::new().unwrap().block_on(async {
        let (box_, other) = (Host::of(&cluster, "box").await, Host::of(&cluster, "other").await);
        let bucket = blob::open(&url, None).await.unwrap();
        let (small, world) = (box_.key("small"), box_.key("worlds/monday.tar"));
        // What is made once is made.
        box_.uplink.blob_put(box_.me, &small, large(1)).await.unwrap();
        forget_peak(api);
        let before = peak(api);
        assert_eq!(box_.uplink.blob_put(box_.me, &world, large(mibs)).await.unwrap(), (mibs * MIB) as u64);
        let more = peak(api) - before;
        println!("{mibs} MiB put through the API, which had {more} KiB more at most");
        assert!(more < BOUND_KIB, "{more} KiB for a put");
        is_large(bucket.get(&world, None).await.unwrap(), mibs).await;

        // Neither as itself nor as the other one, neither through the API nor beside it.
        let theirs = other.key("small");
        let denied = box_.uplink.blob_put(box_.me, &theirs, whole("x")).await.unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Denied, "{denied}");
        let denied = box_.uplink.blob_address(box_.me, &theirs).await.unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::Denied, "{denied}");
        let unknown = box_.uplink.blob_put(other.me, &theirs, whole("x")).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
        let unknown = box_.uplink.blob_address(other.me, &theirs).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
        let beneath = BlobKey::of_host(other.me.server);
        assert_eq!(bucket.list(Some(&beneath), None, 10).await.unwrap().blobs, []);

        // At an address, without the API, and there alone.
        let direct = box_.key("direct");
        let address = box_.uplink.blob_address(box_.me, &direct).await.unwrap().unwrap();
        assert!(!format!("{address:?}").contains("Signature"), "{address:?}");
        let elsewhere = Presigned {
            url: address.url.replace(direct.as_str(), other.key("direct").as_str()),
            ..address.clone()
        };
        assert_ne!(elsewhere.url, address.url);
        assert_eq!(send(&elsewhere, b"x"), 403);
        assert_eq!(send(&address, b"without the API"), 200);
        let kept = bucket.get(&direct, None).await.unwrap().collect(100).await.unwrap();
        assert_eq!(kept, b"without the API");
        assert_eq!(bucket.list(Some(&beneath), None, 10).await.unwrap().blobs, []);
    });
}

/// The rest goes on meanwhile, and what is wrong can be read.
#[test]
fn a_bucket_that_is_away_is_waited_for() {
    let weed = Weed::start();
    let url = bucket_url(&weed.endpoint(), &weed.bucket());
    weed.kill();
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.blobs = Some(url);
    cluster.api();
    cluster.ready();
    let page = format!("http://{}/ready", cluster.apis[0].get("HEALTH_LISTEN"));
    let blobs = || {
        let (status, body) = http("GET", &page, &[], b"").unwrap();
        let page: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status, page["parts"]["blobs"].as_str().unwrap().to_owned())
    };
    let said = until("it is ready without", PATIENCE, || match blobs() {
        (200, said) if said != "ok" => Some(said),
        _ => None,
    });
    assert!(said.contains(&weed.endpoint()) && !said.contains(Weed::SECRET_KEY), "{said}");

    let runtime = Runtime::new().unwrap();
    let host = runtime.block_on(Host::of(&cluster, "box"));
    let put = || runtime.block_on(host.uplink.blob_put(host.me, &host.key("k"), whole("x")));
    let error = put().unwrap_err();
    assert!(error.is_temporary(), "{error:?}");
    weed.again();
    until("the bucket is there", PATIENCE, || (blobs() == (200, "ok".to_owned())).then_some(()));
    assert_eq!(put().unwrap(), 1);
    let log = cluster.apis[0].log();
    assert!(!log.contains(Weed::SECRET_KEY) && !log.contains(Weed::ENCODED_SECRET_KEY), "{log}");
}

/// Nothing is kept where nobody would look for it.
#[test]
fn without_a_place_what_hosts_put_is_refused_with_what_to_set() {
    let mut cluster = Cluster::new(Kind::Nats);
    cluster.api();
    cluster.ready();
    Runtime::new().unwrap().block_on(async {
        let host = Host::of(&cluster, "box").await;
        let error = host.uplink.blob_put(host.me, &host.key("k"), whole("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("BLOB_URL"), "{error}");
    });
}
