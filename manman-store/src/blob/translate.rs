//! OpenDAL's errors in our words: the one place that reads what servers and file systems say.

use std::{error::Error as StdError, fmt, io, path::PathBuf};

use manman_core::{
    blob::BlobKey,
    error::{Error, ErrorKind, cause},
};

/// What opening is called in errors.
pub(super) const OPEN: &str = "open the blobs";

/// Where the blobs are, for messages.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a directory.
    Directory(PathBuf),
    /// On a server.
    #[cfg(feature = "s3")]
    Bucket { endpoint: String, bucket: String, region: String, access_key: String },
}

/// What the backend said, without its addresses and headers.
#[derive(Debug)]
struct Said(String);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Said {}

impl Place {
    /// What `error` of `operation` on `key` means to a caller.
    pub(super) fn failed(
        &self,
        operation: &'static str,
        key: Option<&BlobKey>,
        error: opendal::Error,
    ) -> Error {
        let (kind, message) = self.meaning(key, &error);
        let kind_passes = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Busy);
        Error::new(kind, operation, message).temporary(kind_passes).because(Said(said(&error)))
    }

    fn meaning(&self, key: Option<&BlobKey>, error: &opendal::Error) -> (ErrorKind, String) {
        match self {
            Self::Directory(dir) => {
                let file = key.map_or_else(|| dir.clone(), |key| dir.join(key.as_str()));
                let (kind, what) = of_files(error);
                (kind, format!("{}: {what}", file.display()))
            }
            #[cfg(feature = "s3")]
            Self::Bucket { .. } => self.of_server(key, error),
        }
    }

    #[cfg(feature = "s3")]
    fn of_server(&self, key: Option<&BlobKey>, error: &opendal::Error) -> (ErrorKind, String) {
        let Self::Bucket { endpoint, bucket, region, access_key } = self else {
            return (ErrorKind::Unexpected, "no server".to_owned());
        };
        let what =
            key.map_or_else(|| format!("bucket {bucket:?}"), |key| format!("{key} in bucket {bucket:?}"));
        match server_code(error) {
            "NoSuchBucket" => {
                (ErrorKind::Config, format!("{endpoint} has no bucket {bucket:?}; make it there first"))
            }
            "SignatureDoesNotMatch" => {
                (ErrorKind::Config, format!("{endpoint} refuses the secret of access key {access_key:?}"))
            }
            "InvalidAccessKeyId" => {
                (ErrorKind::Config, format!("{endpoint} does not know the access key {access_key:?}"))
            }
            "ExpiredToken" | "InvalidToken" => {
                (ErrorKind::Config, format!("{endpoint} refuses the session token of {access_key:?}"))
            }
            "AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException" => {
                let remedy = "region= of the URL has to be the bucket's";
                (
                    ErrorKind::Config,
                    format!("bucket {bucket:?} is not in region {region:?} of {endpoint}; {remedy}"),
                )
            }
            "RequestTimeTooSkewed" => {
                (ErrorKind::Config, format!("the clocks of this machine and of {endpoint} differ too much"))
            }
            "ExistingObjectIsDirectory"
            | "ExistingObjectIsFile"
            | "XMinioParentIsObject"
            | "XMinioObjectExistsAsDirectory" => {
                (ErrorKind::Conflict, format!("{what} lies beneath another blob, or another one beneath it"))
            }
            "EntityTooLarge" => (ErrorKind::Invalid, format!("{what} is larger than {endpoint} takes")),
            "SlowDown" | "TooManyRequests" => {
                (ErrorKind::Busy, format!("{endpoint} asks for fewer requests"))
            }
            "NoSuchUpload" => {
                (ErrorKind::Unavailable, format!("the upload of {what} was lost by {endpoint}"))
            }
            _ => by_kind(error, endpoint, &what, access_key),
        }
    }
}

/// What whoever serves the bucket has to put right is no fault of the configuration.
#[cfg(feature = "s3")]
fn of_certificate(why: &rustls::CertificateError, endpoint: &str) -> (ErrorKind, String) {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
    };
    let clock = "set this machine's clock if that is wrong";
    let (kind, what) = match why {
        Expired | ExpiredContext { .. } => {
            (ErrorKind::Unavailable, format!("has expired: have it renewed, or {clock}"))
        }
        NotValidYet | NotValidYetContext { .. } => {
            (ErrorKind::Unavailable, format!("is not valid yet: {clock}"))
        }
        NotValidForName | NotValidForNameContext { .. } => (
            ErrorKind::Config,
            "is for another name: use a name that it is made out to in the URL".to_owned(),
        ),
        _ => (ErrorKind::Config, "is not trusted; ca= of the URL names whom to trust".to_owned()),
    };
    (kind, format!("the certificate of {endpoint} {what}"))
}

/// What no code of a server tells.
#[cfg(feature = "s3")]
fn by_kind(error: &opendal::Error, endpoint: &str, what: &str, access_key: &str) -> (ErrorKind, String) {
    use opendal::ErrorKind as Theirs;
    if let Some(tls) = cause::<rustls::Error>(error) {
        let rustls::Error::InvalidCertificate(why) = tls else {
            let message =
                format!("{endpoint} does not speak TLS with us; http:// is for a server that has none");
            return (ErrorKind::Config, message);
        };
        return of_certificate(why, endpoint);
    }
    match error.kind() {
        Theirs::NotFound => (ErrorKind::NotFound, format!("there is no {what}")),
        Theirs::PermissionDenied => {
            (ErrorKind::Denied, format!("access key {access_key:?} may not do this to {what} at {endpoint}"))
        }
        Theirs::ConditionNotMatch => (ErrorKind::Conflict, format!("{what} was replaced meanwhile")),
        Theirs::RateLimited => (ErrorKind::Busy, format!("{endpoint} asks for fewer requests")),
        Theirs::ConfigInvalid => {
            (ErrorKind::Config, format!("{what} at {endpoint} cannot be opened like this"))
        }
        _ if cause::<reqwest::Error>(error).is_some_and(reqwest::Error::is_connect) => {
            let message =
                format!("no S3 server answers at {endpoint}; is it running, and is that its address");
            (ErrorKind::Unavailable, message)
        }
        _ if is_timeout(error) || cause::<reqwest::Error>(error).is_some_and(reqwest::Error::is_timeout) => {
            (ErrorKind::Timeout, format!("{endpoint} did not answer in time"))
        }
        _ if passes(error) => (ErrorKind::Unavailable, format!("{endpoint} is in trouble, or the way to it")),
        _ => (ErrorKind::Unexpected, format!("{endpoint} refused what was asked of {what}")),
    }
}

/// What a file system says.
fn of_files(error: &opendal::Error) -> (ErrorKind, &'static str) {
    use io::ErrorKind as Io;
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(Io::NotFound) => (ErrorKind::NotFound, "there is no such blob"),
        Some(Io::PermissionDenied | Io::ReadOnlyFilesystem) => {
            (ErrorKind::Denied, "this user may not do that there")
        }
        // A directory where a file is to be, or the other way round.
        Some(Io::NotADirectory | Io::IsADirectory | Io::AlreadyExists | Io::DirectoryNotEmpty) => {
            (ErrorKind::Conflict, "it lies beneath another blob, or another one beneath it")
        }
        Some(Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge) => {
            (ErrorKind::Unavailable, "the disk is full")
        }
        _ => match error.kind() {
            opendal::ErrorKind::NotFound => (ErrorKind::NotFound, "there is no such blob"),
            opendal::ErrorKind::IsADirectory | opendal::ErrorKind::NotADirectory => {
                (ErrorKind::Conflict, "it lies beneath another blob, or another one beneath it")
            }
            _ if is_timeout(error) => (ErrorKind::Timeout, "the file system did not answer in time"),
            _ if passes(error) => (ErrorKind::Unavailable, "the file system failed"),
            _ => (ErrorKind::Unexpected, "the file system refused"),
        },
    }
}

/// Whether there is no such thing.
pub(super) fn is_absent(error: &opendal::Error) -> bool {
    error.kind() == opendal::ErrorKind::NotFound
}

/// Repeating stops being of use where it was tried: that is `persistent`.
fn passes(error: &opendal::Error) -> bool {
    error.is_temporary() || error.is_persistent()
}

/// The layer of deadlines says it with these words alone.
fn is_timeout(error: &opendal::Error) -> bool {
    error.message().contains("timeout reached")
}

/// The code of an answer in XML, as OpenDAL writes it into its message.
#[cfg(feature = "s3")]
fn server_code(error: &opendal::Error) -> &str {
    field(error.message(), "code")
}

fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let Some(fields) = message.strip_prefix("S3Error {") else { return "" };
    let value = fields.split_once(&format!(" {name}: \"")).map(|(_, rest)| rest);
    value.and_then(|rest| rest.split_once('"')).map_or("", |(value, _)| value)
}

fn said(error: &opendal::Error) -> String {
    let message = error.message();
    let (code, text) = (field(message, "code"), field(message, "message"));
    let mut said = match (code, text) {
        ("", _) => message.lines().next().unwrap_or_default().chars().take(200).collect(),
        (code, "") => code.to_owned(),
        (code, text) => format!("{code}: {text}"),
    };
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if !said.ends_with(&text) {
            said = format!("{said}: {text}");
        }
        next = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Place {
        Place::Directory("/blobs".into())
    }

    #[test]
    fn what_a_file_system_says_tells_what_can_be_done() {
        use io::ErrorKind as Io;
        let key: BlobKey = "a/b".parse().unwrap();
        for (io, kind) in [
            (Io::NotFound, ErrorKind::NotFound),
            (Io::PermissionDenied, ErrorKind::Denied),
            (Io::ReadOnlyFilesystem, ErrorKind::Denied),
            (Io::NotADirectory, ErrorKind::Conflict),
            (Io::IsADirectory, ErrorKind::Conflict),
            (Io::StorageFull, ErrorKind::Unavailable),
            (Io::Other, ErrorKind::Unavailable),
        ] {
            let theirs = opendal::Error::new(opendal::ErrorKind::Unexpected, "x").set_temporary();
            let error = files().failed("put a blob", Some(&key), theirs.set_source(io::Error::from(io)));
            assert_eq!(error.kind(), kind, "{io}");
            assert_eq!(error.is_temporary(), kind == ErrorKind::Unavailable, "{io}");
            assert!(error.message().starts_with("/blobs/a/b: "), "{error}");
        }
        let late = opendal::Error::new(opendal::ErrorKind::Unexpected, "io timeout reached").set_temporary();
        assert_eq!(files().failed("x", None, late).kind(), ErrorKind::Timeout);
    }

    #[cfg(feature = "s3")]
    #[test]
    fn codes_of_a_server_tell_what_can_be_done() {
        use ErrorKind::*;
        use opendal::ErrorKind as Theirs;
        let place = Place::Bucket {
            endpoint: "http://s3".into(),
            bucket: "worlds".into(),
            region: "here".into(),
            access_key: "AKIA".into(),
        };
        for (code, theirs, kind) in [
            ("NoSuchBucket", Theirs::ConfigInvalid, Config),
            ("NoSuchKey", Theirs::NotFound, NotFound),
            ("SignatureDoesNotMatch", Theirs::PermissionDenied, Config),
            ("InvalidAccessKeyId", Theirs::PermissionDenied, Config),
            ("AccessDenied", Theirs::PermissionDenied, Denied),
            ("PermanentRedirect", Theirs::Unexpected, Config),
            ("RequestTimeTooSkewed", Theirs::PermissionDenied, Config),
            ("ExistingObjectIsFile", Theirs::Unexpected, Conflict),
            ("EntityTooLarge", Theirs::Unexpected, Invalid),
            ("SlowDown", Theirs::RateLimited, Busy),
            ("NoSuchUpload", Theirs::NotFound, Unavailable),
            ("PreconditionFailed", Theirs::ConditionNotMatch, Conflict),
            ("Curious", Theirs::Unexpected, Unexpected),
        ] {
            let message =
                format!(r#"S3Error {{ code: "{code}", message: "why", resource: "", request_id: "" }}"#);
            let theirs = opendal::Error::new(theirs, message).with_context("uri", "http://s3/?hunter2");
            let error = place.failed("put a blob", Some(&"k".parse().unwrap()), theirs);
            assert_eq!(error.kind(), kind, "{code}: {error}");
            assert_eq!(error.source().unwrap().to_string(), format!("{code}: why"));
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let broken = opendal::Error::new(Theirs::Unexpected, "send http request").set_persistent();
        let error = place.failed("put a blob", None, broken);
        assert!(error.kind() == Unavailable && error.is_temporary(), "{error:?}");
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_certificate_is_wrong_by_whose_fault() {
        use rustls::CertificateError::{Expired, NotValidForName, NotValidYet, UnknownIssuer};
        for (why, kind, says) in [
            (Expired, ErrorKind::Unavailable, "has expired"),
            (NotValidYet, ErrorKind::Unavailable, "is not valid yet"),
            (NotValidForName, ErrorKind::Config, "is for another name"),
            (UnknownIssuer, ErrorKind::Config, "is not trusted; ca= of the URL"),
        ] {
            // As it comes out of a connection.
            let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::InvalidCertificate(why));
            let theirs =
                opendal::Error::new(opendal::ErrorKind::Unexpected, "x").set_source(io::Error::other(tls));
            let (is, message) = by_kind(&theirs, "https://s3", "worlds", "AKIA");
            assert_eq!(is, kind, "{message}");
            assert!(
                message.starts_with("the certificate of https://s3 ") && message.contains(says),
                "{message}"
            );
        }
    }
}
