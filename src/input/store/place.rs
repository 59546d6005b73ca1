//! From what was typed to where a table is.

use std::path::{Path, PathBuf};

use crate::Error;

/// What `--data` can start with, besides a path of this machine.
const SCHEMES: &[&str] = &["s3", "http", "https"];

/// Where the files of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// All files of a directory, or this one file.
    Directory(PathBuf),
    /// Files whose names match a pattern, and files in directories whose names do.
    Matching(String),
}

impl Place {
    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Place::Directory(path) => path.display().to_string(),
            Place::Matching(pattern) => pattern.clone(),
        }
    }
}

fn scheme(text: &str) -> Option<&str> {
    text.split_once("://").map(|(scheme, _)| scheme)
}

/// Whether files below this are read over the network.
pub(crate) fn is_remote(data: &Path) -> bool {
    data.to_str().and_then(scheme).is_some_and(|scheme| SCHEMES.contains(&scheme))
}

/// What stands for other characters in a pattern, or begins what does.
pub(super) const WILDCARDS: [char; 3] = ['*', '?', '['];

fn has_wildcards(text: &str) -> bool {
    text.contains(WILDCARDS)
}

/// Where credentials start in front of a host, and what stands behind them: they are never shown.
fn credentials(text: &str) -> Option<(usize, &str)> {
    let (scheme, rest) = text.split_once(":/")?;
    let address = rest.trim_start_matches('/');
    let is_address = !scheme.contains('/') && (SCHEMES.contains(&scheme) || rest.starts_with('/'));
    let host = address.split('/').next().filter(|_| is_address)?;
    // A password may have a slash in it, as those of S3 do: else behind a colon there is a port.
    let is_port = |behind: &str| scheme != "s3" && behind.bytes().all(|byte| byte.is_ascii_digit());
    let is_cut = host.split_once(':').is_some_and(|(_, behind)| !is_port(behind));
    let end = address.rfind('@').filter(|_| is_cut || host.contains('@'))?;
    Some((text.len() - address.len(), &address[end..]))
}

/// Refuses what no store can mean, with what to type instead.
pub(crate) fn check(data: &Path) -> Result<(), Error> {
    let Some(text) = data.to_str() else { return Ok(()) };
    if let Some((secret, address)) = credentials(text) {
        return Err(Error::usage(
            format!("--data {}…{address} has credentials in it, which are not sent", &text[..secret]),
            "an address without them: those for S3 are in the environment, and an HTTP server has to want none",
        ));
    }
    if let Some(scheme) = scheme(text).filter(|scheme| !SCHEMES.contains(scheme)) {
        return Err(Error::usage(
            format!("--data {text}: there is no store {scheme}://"),
            "a directory, s3://BUCKET/PREFIX, or http(s)://HOST/PATH; a server that speaks S3 goes with --s3-endpoint URL",
        ));
    }
    let slip = SCHEMES.iter().find(|scheme| {
        text.strip_prefix(**scheme).is_some_and(|rest| rest.starts_with(":/") && !rest.starts_with("://"))
    });
    if let Some(scheme) = slip {
        let rest = text[scheme.len() + 1..].trim_start_matches('/');
        return Err(Error::usage(
            format!("--data {text} lacks a slash"),
            format!("--data {scheme}://{rest}"),
        ));
    }
    if text.starts_with("http") && is_remote(data) && has_wildcards(text) {
        return Err(Error::usage(
            format!("--data {text}: an HTTP server cannot be asked for names that match a pattern"),
            "the address of a directory with a _manifest.txt, which may name files in folders below it",
        ));
    }
    Ok(())
}

/// Where a table is when `data` names it outright: as a file of this machine, as a pattern, with `{set}` or `{table}` in it, or by ending
/// in the table's name. Otherwise it is the directory above all formats and sets.
pub(crate) fn outright(data: &Path, set: &str, table: &str) -> Option<Place> {
    if let Some(text) = data.to_str()
        && (has_wildcards(text) || text.contains("{table}") || text.contains("{set}"))
        // A directory may have such a name.
        && (is_remote(data) || !data.exists())
    {
        let text = text.replace("{set}", set).replace("{table}", table);
        let place = if has_wildcards(&text) { Place::Matching(text) } else { Place::Directory(text.into()) };
        return Some(place);
    }
    let is_table = data.file_name()? == table || !is_remote(data) && data.is_file();
    is_table.then(|| Place::Directory(data.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_table_outright() {
        let of = |data: &str| outright(Path::new(data), "tiny", "rankings");
        let directory = |path: &str| Some(Place::Directory(path.into()));
        assert_eq!(of("data"), None);
        assert_eq!(of("s3://bucket"), None);
        assert_eq!(
            of("s3://bucket/pavlo/text/1node/rankings/"),
            directory("s3://bucket/pavlo/text/1node/rankings/")
        );
        assert_eq!(of("s3://bucket/pavlo/{table}/"), directory("s3://bucket/pavlo/rankings/"));
        assert_eq!(of("/x/{set}/{table}.csv"), directory("/x/tiny/rankings.csv"));
        assert_eq!(of("logs/{table}-2026-*"), Some(Place::Matching("logs/rankings-2026-*".to_owned())));
        let odd = tempfile::Builder::new().prefix("a[b]*").tempdir().expect("a directory");
        assert_eq!(outright(odd.path(), "tiny", "rankings"), None, "a directory that is there is no pattern");
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(
            outright(file.path(), "tiny", "rankings"),
            Some(Place::Directory(file.path().to_path_buf())),
            "a file is a table"
        );
    }

    #[test]
    fn slips_are_told_with_what_to_type() {
        for (data, remedy) in [
            ("s3:/bucket/x", "--data s3://bucket/x"),
            ("https:/host/x", "--data https://host/x"),
            ("gs://bucket/x", "s3://BUCKET/PREFIX"),
            ("http://host/x/*.csv", "_manifest.txt"),
        ] {
            let said = check(Path::new(data)).expect_err(data).to_string();
            assert!(said.contains(remedy), "{said}");
        }
        // And what nobody may see is not shown.
        for (data, shown) in [
            ("http://user:secret@host/x", "--data http://…@host/x has credentials"),
            ("http:/user:secret@host/x", "--data http:/…@host/x has credentials"),
            ("https://se@cret@host:1", "--data https://…@host:1 has credentials"),
            ("s3://key:secret@bucket/{table}", "--data s3://…@bucket/{table} has credentials"),
            ("ftp://user:secret@host", "--data ftp://…@host has credentials"),
            // Once a password with a slash was taken for a host, and shown.
            ("s3://key:1/secret@bucket/x", "--data s3://…@bucket/x has credentials"),
            ("http://user:pass/secret@host/x", "--data http://…@host/x has credentials"),
            ("http://user:se@cret/secret@host/x", "--data http://…@host/x has credentials"),
        ] {
            let said = check(Path::new(data)).expect_err(data).to_string();
            assert!(said.contains(shown) && !said.contains("cret@"), "{said}");
        }
        for data in [
            "s3://bucket/a@b",
            "/a:/b@c",
            "a:/b@c",
            "me@home/data",
            "data",
            "/a/b",
            "s3://bucket/x*",
            "http://host",
            "http://host:80/a@b",
            "a:/b",
            "logs/*",
        ] {
            assert!(check(Path::new(data)).is_ok(), "{data}");
        }
    }
}
