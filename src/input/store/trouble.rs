//! What went wrong at a server, in words, and whether it may pass.

use std::error::Error as _;
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
    /// Whoever asks may not have it.
    Denied(String),
    /// The server says that it is elsewhere, and not where.
    Elsewhere,
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

    /// In words, with what to do about it at S3 or at an HTTP server.
    pub(super) fn told(self, is_s3: bool) -> String {
        match self {
            Trouble::NotThere(text) | Trouble::Lasting(text) | Trouble::Passing(text) => text,
            Trouble::Denied(answer) if is_s3 => format!(
                "access is denied ({answer})\n  try: other credentials, or --s3-anonymous for a public bucket"
            ),
            Trouble::Denied(answer) => format!(
                "access is denied ({answer})\n  try: a server that asks for no credentials, or a local copy"
            ),
            Trouble::Elsewhere if is_s3 => {
                "the bucket is in another region\n  try: the variable AWS_REGION".to_owned()
            }
            Trouble::Elsewhere => {
                "the server says that it is elsewhere, and not where\n  try: the address where it is"
                    .to_owned()
            }
        }
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
                Trouble::Denied(format!("{}{said}", status.unwrap_or(403)))
            }
            // What is asked for lies within the size it had: it is shorter now.
            (_, Some(416)) => Trouble::changed(),
            (_, Some(301 | 307)) => Trouble::Elsewhere,
            (_, Some(status)) => Trouble::Lasting(format!("the server answered {status}{said}")),
            (_, None) if text.contains("redirect without LOCATION") => Trouble::Elsewhere,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(said: &str) -> Trouble {
        object_store::Error::Generic { store: "S3", source: said.into() }.into()
    }

    /// Catches a request that is made again and again where no answer can be another.
    #[test]
    fn a_redirect_to_nowhere_is_told_at_once_with_its_remedy() {
        let nowhere =
            "Received redirect without LOCATION, this normally indicates an incorrectly configured region";
        for said in [nowhere, "Server returned non-2xx status code: 301 Moved Permanently: "] {
            assert_eq!(trouble(said), Trouble::Elsewhere);
        }
        assert!(Trouble::Elsewhere.told(true).ends_with("\n  try: the variable AWS_REGION"));
        assert!(!Trouble::Elsewhere.told(false).contains("AWS"));
        assert!(matches!(trouble("connection reset"), Trouble::Passing(_)));
    }

    #[test]
    fn who_is_denied_by_an_http_server_is_not_told_what_helps_at_s3() {
        let denied = trouble("Server returned non-2xx status code: 403 Forbidden: ");
        assert_eq!(denied, Trouble::Denied("403".to_owned()));
        assert!(denied.clone().told(true).contains("--s3-anonymous"));
        assert!(!denied.told(false).contains("s3"));
    }
}
