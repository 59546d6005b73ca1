//! The keys that `aws configure` leaves in `~/.aws`, which the library that speaks S3 does not read.

use std::path::PathBuf;
use std::{env, fs};

/// What a profile says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) key_id: Option<String>,
    pub(super) secret_key: Option<String>,
    pub(super) token: Option<String>,
    pub(super) region: Option<String>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, or `default`; empty where there is none.
    pub(super) fn current() -> Self {
        let name = env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
        let read = |variable: &str, file: &str| {
            let home = || env::home_dir().map(|home| home.join(".aws").join(file));
            let path = env::var_os(variable).map(PathBuf::from).or_else(home);
            path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
        };
        Self::of(
            &name,
            &read("AWS_CONFIG_FILE", "config"),
            &read("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        )
    }

    fn of(name: &str, config: &str, credentials: &str) -> Self {
        let mut profile = Profile::default();
        // The later one wins.
        for text in [config, credentials] {
            let mut inside = false;
            for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
                if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                    let section = section.trim();
                    inside = section.strip_prefix("profile ").map_or(section, str::trim) == name;
                } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
                    let place = match key.trim() {
                        "aws_access_key_id" => &mut profile.key_id,
                        "aws_secret_access_key" => &mut profile.secret_key,
                        "aws_session_token" => &mut profile.token,
                        "region" => &mut profile.region,
                        _ => continue,
                    };
                    *place = Some(value.trim().to_owned());
                }
            }
        }
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_of_two_files() {
        let config = "[default]\nregion = us-west-2\n[profile work]\nregion=eu-central-1\noutput = json\n";
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key = B\n# aws_session_token = no\n\
                           [work]\naws_access_key_id=C\naws_secret_access_key=D=\naws_session_token = E\n";
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            Profile::of("default", config, credentials),
            Profile { key_id: text("A"), secret_key: text("B"), token: None, region: text("us-west-2") }
        );
        assert_eq!(
            Profile::of("work", config, credentials),
            Profile {
                key_id: text("C"),
                secret_key: text("D="),
                token: text("E"),
                region: text("eu-central-1")
            }
        );
        assert_eq!(Profile::of("nobody", config, credentials), Profile::default());
    }
}
