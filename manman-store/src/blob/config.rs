//! Where blobs are kept, as a URL says it.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use manman_core::{
    blob::BlobKey,
    error::{Error, ErrorKind, Result},
};

/// Where blobs are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobConfig {
    /// In this process, as long as it lives.
    Memory,
    /// In this directory, which is made if it is not there.
    Directory(PathBuf),
    /// On a server that speaks S3.
    S3(Box<S3Config>),
}

/// A bucket, and how its server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct S3Config {
    /// The bucket; it has to be there.
    pub bucket: String,
    /// What all keys are put beneath.
    pub prefix: Option<BlobKey>,
    /// `http://host:port` or `https://host`, without the bucket.
    pub endpoint: String,
    /// What the server takes as its region.
    pub region: String,
    /// Where the bucket stands in an address.
    pub addressing: Addressing,
    /// A PEM file of the authorities that are trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Who asks.
    pub credentials: Option<S3Credentials>,
    /// How many bytes a part of a put has; some three of them are held in memory. Default
    /// 8 MiB, 5 MiB at least; a blob has 10,000 parts at most.
    pub part_bytes: usize,
    /// The longest that the server may take for one request, a part's bytes included.
    /// Default 60 s.
    pub deadline: Duration,
}

/// Where the bucket stands in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// `https://endpoint/bucket/key`: MinIO, SeaweedFS and most that one runs oneself.
    Path,
    /// `https://bucket.endpoint/key`: AWS, OVH, DigitalOcean.
    Virtual,
}

/// Who asks a server that speaks S3.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) session_token: Option<String>,
}

impl S3Credentials {
    /// The access key (`AWS_ACCESS_KEY_ID`) and its secret (`AWS_SECRET_ACCESS_KEY`).
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self { access_key: access_key.into(), secret_key: secret_key.into(), session_token: None }
    }

    /// The same with the token of a session (`AWS_SESSION_TOKEN`).
    pub fn with_session_token(self, token: impl Into<String>) -> Self {
        Self { session_token: Some(token.into()), ..self }
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Hosts whose buckets are names beneath theirs.
const VIRTUAL: [&str; 5] =
    ["amazonaws.com", "amazonaws.com.cn", "digitaloceanspaces.com", "cloud.ovh.net", "cloud.ovh.us"];

const LIKE: &str = "fs:///dir, s3://bucket?endpoint=https://host&region=name and memory: do";

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "open the blobs", why)
}

impl fmt::Display for BlobConfig {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Directory(dir) => dir.display().fmt(f),
            Self::S3(config) => write!(f, "bucket {} at {}", config.bucket, config.endpoint),
        }
    }
}

impl BlobConfig {
    /// Reads `memory:`, `fs:///dir` or
    /// `s3://KEY:SECRET@bucket/prefix?endpoint=URL&region=NAME&addressing=path|virtual&ca=FILE`.
    ///
    /// `KEY:SECRET@` may be left out and come from elsewhere
    /// ([`BlobConfig::or_credentials`]); in it, what is not a letter, a digit or one of
    /// `-_.~` may be written as `%XX`. Without `endpoint` it is AWS, which needs a region; a
    /// region that is not given is found in the endpoint's name, or `us-east-1`. Buckets of
    /// AWS, OVH and DigitalOcean are addressed by name, others by path.
    ///
    /// # Errors
    /// `Config`: says what is wrong, without a secret.
    pub fn parse(url: &str) -> Result<Self> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(refused(format!("the URL names no place for blobs; {LIKE}")));
        };
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(refused("memory: takes nothing behind it")),
            "fs" | "file" => match Path::new(rest) {
                path if path.is_absolute() => Ok(Self::Directory(path.to_owned())),
                _ => Err(refused(format!("{scheme}://{rest} is no absolute path; {scheme}:///dir is"))),
            },
            "s3" if cfg!(feature = "s3") => Ok(Self::S3(Box::new(s3(rest)?))),
            "s3" => Err(refused("this build knows no S3; build it with the feature `s3`")),
            _ => Err(refused(format!("{scheme}: is no place for blobs of ours; {LIKE}"))),
        }
    }

    /// The same, with `credentials` where the URL had none.
    pub fn or_credentials(mut self, credentials: Option<S3Credentials>) -> Self {
        if let Self::S3(config) = &mut self {
            config.credentials = config.credentials.take().or(credentials);
        }
        self
    }
}

fn s3(rest: &str) -> Result<S3Config> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A secret may have a slash in it, a bucket and a prefix have no @.
    let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(name) || bucket.starts_with(['-', '.']) {
        // With a colon it may be KEY:SECRET whose bucket was forgotten.
        let shown = if bucket.contains(':') { "what the URL says".to_owned() } else { format!("{bucket:?}") };
        return Err(refused(format!(
            "{shown} is no name of a bucket: 3 to 63 lower-case letters, digits, '-' and '.'"
        )));
    }
    let prefix = match prefix.trim_end_matches('/') {
        "" => None,
        prefix => Some(prefix.parse().map_err(|error| refused(format!("the prefix of the URL: {error}")))?),
    };
    let (mut endpoint, mut region, mut addressing, mut ca) = (None, None, None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).filter(|value| !value.is_empty());
        let value =
            value.ok_or_else(|| refused(format!("{key}= of the URL has no value that can be read")))?;
        match key {
            "endpoint" => endpoint = Some(endpoint_of(&value)?),
            "region" => region = Some(value),
            "addressing" => {
                addressing = Some(match value.as_str() {
                    "path" => Addressing::Path,
                    "virtual" => Addressing::Virtual,
                    _ => return Err(refused(format!("addressing={value}: path and virtual are known"))),
                });
            }
            "ca" => ca = Some(PathBuf::from(value)),
            // The value of one that is not known may be a secret.
            _ => {
                let known =
                    "endpoint, region, addressing and ca are known; KEY:SECRET@ goes before the bucket";
                return Err(refused(format!("{key}= of the URL is not known: {known}")));
            }
        }
    }
    let host = endpoint.as_deref().map(host_of);
    let known = VIRTUAL.iter().any(|known| host.is_none_or(|host| host.ends_with(known)));
    let addressing = addressing.unwrap_or({
        // A certificate for *.host is good for one more name, not two.
        if known && !bucket.contains('.') { Addressing::Virtual } else { Addressing::Path }
    });
    let region = match (region, host) {
        (Some(region), _) => region,
        (None, Some(host)) => region_of(host).unwrap_or("us-east-1").to_owned(),
        (None, None) => {
            return Err(refused("the URL names neither a region nor an endpoint; &region=eu-central-1 does"));
        }
    };
    Ok(S3Config {
        bucket: bucket.to_owned(),
        prefix,
        endpoint: endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com")),
        region,
        addressing,
        ca,
        credentials: user.map(credentials).transpose()?,
        part_bytes: 8 << 20,
        deadline: Duration::from_secs(60),
    })
}

fn credentials(user: &str) -> Result<S3Credentials> {
    let wrong = || refused("what stands before the @ of the URL is not KEY:SECRET; other signs go as %XX");
    let (key, secret) = user.split_once(':').ok_or_else(wrong)?;
    let text = |text| decoded(text).filter(|text| !text.is_empty()).ok_or_else(wrong);
    Ok(S3Credentials::new(text(key)?, text(secret)?))
}

/// A scheme, a host, perhaps a port, and nothing else.
fn endpoint_of(value: &str) -> Result<String> {
    let full = if value.contains("://") { value.to_owned() } else { format!("https://{value}") };
    let full = full.trim_end_matches('/');
    let good = full.split_once("://").is_some_and(|(scheme, place)| {
        ["http", "https"].contains(&scheme)
            && !place.is_empty()
            && place.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    });
    if !good {
        // It may hold a password.
        return Err(refused("endpoint= of the URL is not like https://s3.example.org or http://host:9000"));
    }
    Ok(full.to_owned())
}

/// The name of the host, without scheme and port.
fn host_of(endpoint: &str) -> &str {
    let place = endpoint.split_once("://").map_or(endpoint, |(_, place)| place);
    place.rsplit_once(':').map_or(place, |(host, _)| host)
}

/// The region that AWS and OVH have in the names of their hosts: `s3.REGION.…`.
fn region_of(host: &str) -> Option<&str> {
    let (region, rest) = host.strip_prefix("s3.")?.split_once('.')?;
    let known = ["amazonaws.com", "amazonaws.com.cn", "io.cloud.ovh.net", "io.cloud.ovh.us"];
    known.contains(&rest).then_some(region)
}

/// `%XX` as the bytes that are meant.
fn decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, more @ ..] = rest {
        rest = more;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "s3")]
    fn bucket(url: &str) -> S3Config {
        match BlobConfig::parse(url).unwrap() {
            BlobConfig::S3(config) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_place_has_its_url() {
        for url in ["memory:", "memory://"] {
            assert_eq!(BlobConfig::parse(url).unwrap(), BlobConfig::Memory);
        }
        for url in ["fs:///var/blobs", "file:///var/blobs", "fs:/var/blobs"] {
            assert_eq!(BlobConfig::parse(url).unwrap(), BlobConfig::Directory("/var/blobs".into()));
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_is_addressed_as_its_maker_has_it() {
        use Addressing::{Path, Virtual};
        for (url, endpoint, region, addressing) in [
            (
                "s3://worlds?region=eu-central-1",
                "https://s3.eu-central-1.amazonaws.com",
                "eu-central-1",
                Virtual,
            ),
            (
                "s3://my.worlds?region=eu-central-1",
                "https://s3.eu-central-1.amazonaws.com",
                "eu-central-1",
                Path,
            ),
            (
                "s3://worlds?endpoint=s3.eu-west-1.amazonaws.com",
                "https://s3.eu-west-1.amazonaws.com",
                "eu-west-1",
                Virtual,
            ),
            (
                "s3://worlds?endpoint=https://s3.gra.io.cloud.ovh.net/",
                "https://s3.gra.io.cloud.ovh.net",
                "gra",
                Virtual,
            ),
            (
                "s3://worlds?endpoint=nyc3.digitaloceanspaces.com",
                "https://nyc3.digitaloceanspaces.com",
                "us-east-1",
                Virtual,
            ),
            ("s3://worlds?endpoint=http://127.0.0.1:9000", "http://127.0.0.1:9000", "us-east-1", Path),
            ("s3://worlds?endpoint=http%3A%2F%2Fminio%3A9000&region=here", "http://minio:9000", "here", Path),
            (
                "s3://worlds?endpoint=https://s3.home&addressing=virtual",
                "https://s3.home",
                "us-east-1",
                Virtual,
            ),
        ] {
            let config = bucket(url);
            assert_eq!(
                (config.endpoint.as_str(), config.region.as_str(), config.addressing),
                (endpoint, region, addressing),
                "{url}"
            );
        }
        let config = bucket("s3://AKIA:se%2Fcr%40t@worlds/of/mine/?region=x&ca=/etc/ca.pem");
        assert_eq!((config.bucket.as_str(), config.prefix.unwrap().as_str()), ("worlds", "of/mine"));
        assert_eq!(config.ca, Some("/etc/ca.pem".into()));
        assert_eq!(config.credentials, Some(S3Credentials::new("AKIA", "se/cr@t")));
        // As it is given out, with its signs as they are.
        let config = bucket("s3://AKIA:wJal/rX+Ut@worlds?region=x");
        assert_eq!(config.credentials, Some(S3Credentials::new("AKIA", "wJal/rX+Ut")));
    }

    #[cfg(feature = "s3")]
    #[test]
    fn credentials_come_from_elsewhere_where_the_url_has_none() {
        let other = Some(S3Credentials::new("B", "b").with_session_token("t"));
        for (url, key) in [("s3://A:a@worlds?region=x", "A"), ("s3://worlds?region=x", "B")] {
            let BlobConfig::S3(config) = BlobConfig::parse(url).unwrap().or_credentials(other.clone()) else {
                panic!("{url}");
            };
            assert_eq!(config.credentials.unwrap().access_key, key);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_secret() {
        for (url, said) in [
            ("", "names no place"),
            ("hunter2", "names no place"),
            ("gs://k:hunter2@bucket", "gs: is no place"),
            ("fs://data/blobs", "no absolute path"),
            ("memory:hunter2", "takes nothing"),
            #[cfg(feature = "s3")]
            ("s3://", "no name of a bucket"),
            #[cfg(feature = "s3")]
            ("s3://Worlds", "no name of a bucket"),
            #[cfg(feature = "s3")]
            ("s3://k:hunter2@worlds", "neither a region nor an endpoint"),
            #[cfg(feature = "s3")]
            ("s3://hunter2@worlds?region=x", "KEY:SECRET"),
            #[cfg(feature = "s3")]
            ("s3://k:hunter2%zz@worlds?region=x", "KEY:SECRET"),
            #[cfg(feature = "s3")]
            ("s3://worlds/../up?region=x", "the prefix"),
            #[cfg(feature = "s3")]
            ("s3://worlds?secret=hunter2", "secret= of the URL is not known"),
            #[cfg(feature = "s3")]
            ("s3://worlds?endpoint=http://u:hunter2@host", "endpoint="),
            #[cfg(feature = "s3")]
            ("s3://worlds?endpoint=ftp://host", "endpoint="),
            #[cfg(feature = "s3")]
            ("s3://worlds?region=", "region= of the URL has no value"),
            #[cfg(feature = "s3")]
            ("s3://worlds?region=x&addressing=host", "path and virtual are known"),
            #[cfg(not(feature = "s3"))]
            ("s3://k:hunter2@worlds?region=x", "the feature `s3`"),
        ] {
            let error = BlobConfig::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.message().contains(said), "{url}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(!format!("{:?}", S3Credentials::new("k", "hunter2")).contains("hunter2"));
    }
}
