//! Connections to S3 and HTTP servers.

use std::time::Duration;

use object_store::aws::{AmazonS3Builder, resolve_bucket_region};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::super::credentials::Profile;
use super::{FIRST_PAUSE, LONGEST_PAUSE, Stores, failed};
use crate::Error;

impl Stores {
    /// How to talk to a server, with TLS or without.
    fn client(&self, tls: bool) -> ClientOptions {
        let timeout = self.0.options.timeout;
        ClientOptions::new()
            .with_timeout_disabled()
            // Twice within the time there is, at least.
            .with_connect_timeout((timeout / 3).min(Duration::from_secs(10)))
            .with_read_timeout(timeout / 3)
            .with_allow_http(true)
            // To load them takes some 50 ms.
            .with_no_system_certificates(!tls)
    }

    fn retries(&self) -> RetryConfig {
        let timeout = self.0.options.timeout;
        let longest = LONGEST_PAUSE.min(timeout / 8);
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE.min(longest),
                max_backoff: longest,
                base: 2.0,
            },
            max_retries: usize::MAX,
            // The last one starts before the time is over and can still tell what is wrong.
            retry_timeout: timeout / 2,
        }
    }

    pub(super) fn s3(&self, bucket: &str) -> Result<Box<dyn ObjectStore>, Error> {
        let options = &self.0.options;
        let set = |name: &str| std::env::var_os(name).is_some();
        let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
        let endpoint =
            options.endpoint.clone().or_else(|| named.iter().find_map(|name| std::env::var(name).ok()));
        let tls = endpoint.as_ref().is_none_or(|endpoint| !endpoint.starts_with("http://"));
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(self.client(tls))
            .with_retry(self.retries());
        if let Some(endpoint) = &endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
        }
        let profile = Profile::current();
        if options.anonymous {
            builder = builder.with_skip_signature(true);
        } else if let (Some(key_id), Some(secret_key)) = (profile.key_id, profile.secret_key)
            && !set("AWS_ACCESS_KEY_ID")
            && !set("AWS_WEB_IDENTITY_TOKEN_FILE")
        {
            builder = builder.with_access_key_id(key_id).with_secret_access_key(secret_key);
            if let Some(token) = profile.token {
                builder = builder.with_token(token);
            }
        }
        if !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") {
            let region = match profile.region {
                _ if endpoint.is_some() => None,
                Some(region) if !options.anonymous => Some(region),
                _ => {
                    let client = self.client(true);
                    let found = self.0.wait_for(|| resolve_bucket_region(bucket, &client));
                    Some(found.map_err(failed("find the region of", &format!("s3://{bucket}")))?)
                }
            };
            if let Some(region) = region {
                builder = builder.with_region(region);
            }
        }
        let built = builder.build();
        built.map(|store| Box::new(store) as _).map_err(|error| {
            Error::usage(
                format!("cannot read s3://{bucket}: {error}"),
                "--s3-endpoint with an address as http://127.0.0.1:9000, or both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        })
    }

    pub(super) fn http(&self, root: &str) -> Result<Box<dyn ObjectStore>, Error> {
        let builder = HttpBuilder::new()
            .with_url(root)
            .with_client_options(self.client(root.starts_with("https:")))
            .with_retry(self.retries());
        builder.build().map(|store| Box::new(store) as _).map_err(|error| {
            Error::usage(format!("{root} is no address: {error}"), "an address as https://host:8443/data")
        })
    }
}
