//! What went wrong at a server, in words, and whether it may pass.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

/// Why a request brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// There is no such thing.
    NotThere(String),
    /// Another request would bring the same.
    Lasting(String),
    /// Another request may help.
    Passing(String),
}

impl Trouble {
    /// The file is not what it was.
    pub(super) fn changed() -> Self {
        Trouble::Lasting("it changed since the job was planned".to_owned())
    }

    /// It gave nothing, or next to nothing, for so long.
    pub(super) fn slow(timeout: Duration, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("; before that: {last}")).unwrap_or_default();
        Trouble::Lasting(format!(
            "the server gave nothing for {} s{last}\n  try: --store-timeout SECONDS, if it is only slow",
            timeout.as_secs_f64()
        ))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::NotThere(text) | Trouble::Lasting(text) | Trouble::Passing(text)) = self;
        f.write_str(text)
    }
}

impl From<object_store::Error> for Trouble {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        let text = told(&error);
        match &error {
            E::Precondition { .. } | E::NotModified { .. } => return Trouble::changed(),
            _ if text.contains("<Code>NoSuchBucket</Code>") => {
                return Trouble::NotThere("there is no such bucket (404)".to_owned());
            }
            E::NotFound { .. } => return Trouble::NotThere("it is not there (404)".to_owned()),
            _ => {}
        }
        let status = status(&text);
        let said = answer(&text).map(|answer| format!(" {answer}")).unwrap_or_default();
        let expired = ["ExpiredToken", "TokenRefreshRequired", "RequestExpired"];
        match (&error, status) {
            (_, Some(status @ (400 | 401 | 403))) if expired.iter().any(|code| text.contains(code)) => {
                Trouble::Lasting(format!("the credentials have expired ({status}{said})"))
            }
            _ if text.contains("instance metadata") || text.contains("169.254.169.254") || text.contains("/latest/api/token") => {
                Trouble::Lasting(
                    "there are no credentials: none in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in ~/.aws, or from \
                     this machine's role\n  try: aws configure, or --s3-anonymous for a public bucket"
                        .to_owned(),
                )
            }
            (E::PermissionDenied { .. } | E::Unauthenticated { .. }, _) | (_, Some(401 | 403)) => {
                Trouble::Lasting(format!(
                    "access is denied ({}{said})\n  try: other credentials, or --s3-anonymous for a public bucket",
                    status.unwrap_or(403)
                ))
            }
            // What is asked for lies within the size it had: it is shorter now.
            (_, Some(416)) => Trouble::changed(),
            (_, Some(301 | 307)) => {
                Trouble::Lasting("the bucket is in another region\n  try: the variable AWS_REGION".to_owned())
            }
            (_, Some(status)) => Trouble::Lasting(format!("the server answered {status}{said}")),
            (_, None) if text.contains("non-partial response") || text.contains("Range request not supported") => Trouble::Lasting(
                "the server does not give parts of files (it ignores the header Range)\n  try: another server, or a local copy"
                    .to_owned(),
            ),
            (E::InvalidPath { .. } | E::NotSupported { .. } | E::NotImplemented { .. }, None) => {
                Trouble::Lasting(error.to_string())
            }
            (_, None) => Trouble::Passing(innermost(&error)),
        }
    }
}

/// An error with all that lies behind it.
fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.extend([": ", &cause.to_string()]);
        source = cause.source();
    }
    text
}

fn innermost(error: &object_store::Error) -> String {
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}

/// The status of an answer that the library took for a failure; it tells it in words only.
fn status(text: &str) -> Option<u16> {
    let (_, behind) = text.split_once("non-2xx status code: ")?;
    behind.get(..3)?.parse().ok()
}

/// What S3 says in an answer: a code and a message.
fn answer(text: &str) -> Option<String> {
    let element = |name: &str| {
        let (_, behind) = text.split_once(&format!("<{name}>"))?;
        behind.split_once(&format!("</{name}>")).map(|(inside, _)| inside)
    };
    let code = element("Code")?;
    Some(match element("Message") {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    })
}
