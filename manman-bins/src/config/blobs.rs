//! Where blobs are kept, by its URL, and who asks for them there.

use std::path::Path;

use manman_store::blob::{BlobConfig, S3Credentials};

use super::{Environment, Places, Reader};
use crate::secret::Secret;

const REMEDY: &str = "docs/several-machines.md has examples";

/// Where blobs are kept, if it was said.
pub(super) fn blobs<E: Environment>(reader: &mut Reader<'_, E>, given: Option<&str>) -> Option<BlobConfig> {
    let read = reader.read_secret("blobs", given, &["BLOB_URL"], REMEDY, |url| {
        BlobConfig::parse(url).map_err(|error| error.message().to_owned())
    })?;
    match &read {
        BlobConfig::S3(config) if config.credentials.is_none() => {
            let credentials = credentials(reader)?;
            Some(read.or_credentials(Some(credentials)))
        }
        _ => Some(read),
    }
}

/// Those of an installation that has a data directory.
pub(super) fn own_blobs(data_dir: &Path) -> BlobConfig {
    BlobConfig::Directory(Places(data_dir).blobs())
}

/// What the operator should know of blobs that are kept there.
pub(super) fn warning(blobs: &BlobConfig) -> Option<String> {
    let gone = "blobs are kept in memory: they are gone when this process ends, and no other one has them";
    (*blobs == BlobConfig::Memory).then(|| gone.to_owned())
}

/// Those of AWS's own variables, which the tools of every server that speaks S3 know.
fn credentials<E: Environment>(reader: &mut Reader<'_, E>) -> Option<S3Credentials> {
    const KEY: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    let before = reader.problems.len();
    let mut read = |name| reader.read_secret("", None, &[name], "", |text| Ok(Secret::new(text)));
    let (key, secret, session) = (read(KEY), read(SECRET), read("AWS_SESSION_TOKEN"));
    let (Some(key), Some(secret)) = (&key, &secret) else {
        if reader.problems.len() == before {
            let place = if key.is_none() { KEY } else { SECRET };
            let remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write s3://KEY:SECRET@bucket";
            reader.refuse(place, "is not set, and the URL of the blobs names no credentials", remedy);
        }
        return None;
    };
    let credentials = S3Credentials::new(key.reveal(), secret.reveal());
    Some(match session {
        Some(token) => credentials.with_session_token(token.reveal()),
        None => credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Fixed;

    fn read(variables: &[(&'static str, &'static str)]) -> (Option<BlobConfig>, Vec<String>) {
        let around = Fixed(variables.iter().copied().collect());
        let mut reader = Reader::new(&around);
        let blobs = blobs(&mut reader, None);
        let wrong = reader.finish().err().map(|error| error.0).unwrap_or_default();
        (blobs, wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_place_is_a_url() {
        assert_eq!(read(&[]), (None, vec![]));
        assert_eq!(read(&[("BLOB_URL", "memory:")]), (Some(BlobConfig::Memory), vec![]));
        let directory = Some(BlobConfig::Directory("/var/blobs".into()));
        assert_eq!(read(&[("BLOB_URL", "fs:///var/blobs")]), (directory, vec![]));
    }

    #[test]
    fn what_cannot_be_is_said_without_what_may_be_a_secret() {
        for url in ["hunter2", "ftp://me:hunter2@host", "fs:relative", "s3://AKIA:hunter2?region=x"] {
            let (blobs, wrong) = read(&[("BLOB_URL", url)]);
            assert_eq!((blobs, wrong.len()), (None, 1), "{url}: {wrong:?}");
            assert!(wrong[0].starts_with("BLOB_URL: ") && !wrong[0].contains("hunter2"), "{}", wrong[0]);
        }
    }

    #[cfg(feature = "s3")]
    #[test]
    fn a_bucket_is_asked_by_whom_the_url_or_the_variables_name() {
        let credentials = |blobs: Option<BlobConfig>| match blobs {
            Some(BlobConfig::S3(config)) => config.credentials,
            other => panic!("{other:?}"),
        };
        let variables = [("AWS_ACCESS_KEY_ID", "AKIA"), ("AWS_SECRET_ACCESS_KEY", "hunter2")];
        let bucket = ("BLOB_URL", "s3://worlds?region=x");
        let of_variables = S3Credentials::new("AKIA", "hunter2");
        let (blobs, wrong) = read(&[&[bucket][..], &variables].concat());
        assert_eq!((credentials(blobs), wrong), (Some(of_variables.clone()), vec![]));
        let session = ("AWS_SESSION_TOKEN", "t");
        let (blobs, _) = read(&[&[bucket, session][..], &variables].concat());
        assert_eq!(credentials(blobs), Some(of_variables.with_session_token("t")));
        let own = ("BLOB_URL", "s3://own:secret@worlds?region=x");
        let (blobs, _) = read(&[&[own][..], &variables].concat());
        assert_eq!(credentials(blobs), Some(S3Credentials::new("own", "secret")));

        for (set, place) in [(vec![], "AWS_ACCESS_KEY_ID"), (vec![variables[0]], "AWS_SECRET_ACCESS_KEY")] {
            let (blobs, wrong) = read(&[vec![bucket], set].concat());
            assert_eq!((blobs, wrong.len()), (None, 1), "{wrong:?}");
            assert!(wrong[0].starts_with(&format!("{place}: is not set")), "{}", wrong[0]);
        }
    }
}
