//! The secret that members of one job share, and the proofs that they know it.
//!
//! A proof is a keyed hash over the role of the prover and both greetings of the connection, which carry fresh
//! nonces: it cannot be replayed on another connection, nor sent back to the one it came from.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::Error;

/// The environment variable that is read where no `--secret-file` is given.
pub const VARIABLE: &str = "MILLRACE_SECRET";

/// How to make a secret, for every message that asks for one.
pub(super) const HOW_TO_MAKE_ONE: &str = "make one with `head -c 32 /dev/urandom | base64 > secret; chmod 600 secret`, copy it to \
                                   every host, and add `--secret-file secret` everywhere (or set MILLRACE_SECRET)";

const SHORTEST_BYTES: usize = 16;
const LONGEST_BYTES: u64 = 4096;

/// A key that members of one job share. Its bytes are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    key: [u8; 32],
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// The secret from the file, or else from the environment variable's value, or else none.
    pub fn find(file: Option<&Path>, variable: Option<OsString>) -> Result<Option<Secret>, Error> {
        if let Some(path) = file {
            return Secret::read(path).map(Some);
        }
        match variable {
            Some(text) => Secret::of(text.as_encoded_bytes(), VARIABLE).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Secret, Error> {
        let file = File::open(path).map_err(Error::file("read the secret file", path))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode =
                file.metadata().map_err(Error::file("read the secret file", path))?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(Error::usage(
                    format!(
                        "others may read the secret file {} (its mode is {:03o})",
                        path.display(),
                        mode & 0o777
                    ),
                    format!("chmod 600 {}", path.display()),
                ));
            }
        }
        let mut bytes = Vec::new();
        file.take(LONGEST_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::file("read the secret file", path))?;
        Secret::of(&bytes, &path.display().to_string())
    }

    fn of(text: &[u8], origin: &str) -> Result<Secret, Error> {
        let text = text.trim_ascii();
        if text.len() < SHORTEST_BYTES || text.len() as u64 > LONGEST_BYTES {
            return Err(Error::usage(
                format!(
                    "the secret in {origin} has {} bytes; it must have {SHORTEST_BYTES} to {LONGEST_BYTES}",
                    text.len()
                ),
                HOW_TO_MAKE_ONE,
            ));
        }
        Ok(Secret { key: blake3::derive_key("millrace cluster secret, version 1", text) })
    }

    /// A fresh secret that nobody else knows.
    pub fn random() -> Result<Secret, Error> {
        random_bytes().map(|key| Secret { key })
    }

    /// The key when no secret was agreed: it proves nothing, so only loopback peers may use it.
    pub(super) fn open() -> Secret {
        Secret { key: [0; 32] }
    }

    /// For handing the secret to a process this one starts, over a pipe of their own.
    pub(super) fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.key).to_hex().to_string()
    }

    /// What [`Secret::to_hex`] wrote.
    pub(super) fn from_hex(text: &str) -> Option<Secret> {
        blake3::Hash::from_hex(text).ok().map(|hash| Secret { key: *hash.as_bytes() })
    }

    /// The proof that `role` knows the secret on the connection opened by these greetings.
    pub(super) fn proof(&self, role: u8, dialler: &[u8], listener: &[u8]) -> blake3::Hash {
        // Comparing two blake3::Hash values takes the same time wherever they differ.
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[role]).update(dialler).update(listener);
        hasher.finalize()
    }
}

/// Bytes nobody can guess.
pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Cluster(format!("the operating system gives no random numbers: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_for_its_owner_only_and_long_enough() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let loose = Secret::find(Some(&path), None).unwrap_err().to_string();
        assert!(loose.contains("(its mode is 644)\n  try: chmod 600 "), "{loose}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let read = Secret::find(Some(&path), None).unwrap().unwrap();
        let same = Secret::find(None, Some("0123456789abcdef".into())).unwrap().unwrap();
        assert!(read == same, "the end of the line is no part of the secret");
        std::fs::write(&path, "short\n").unwrap();
        let short = Secret::find(Some(&path), None).unwrap_err().to_string();
        assert!(
            short.contains("has 5 bytes; it must have 16 to 4096\n  try: make one with `head -c 32"),
            "{short}"
        );
        assert!(Secret::find(None, None).unwrap().is_none());
    }

    #[test]
    fn a_proof_binds_key_role_and_both_greetings() {
        let (one, two) = (Secret::random().unwrap(), Secret::random().unwrap());
        let proof = one.proof(0, b"a", b"b");
        assert_eq!(proof, one.proof(0, b"a", b"b"));
        for other in [two.proof(0, b"a", b"b"), one.proof(1, b"a", b"b"), one.proof(0, b"b", b"a")] {
            assert_ne!(proof, other);
        }
        assert!(Secret::from_hex(&one.to_hex()).unwrap() == one);
        assert!(!format!("{one:?}").contains(&one.to_hex()));
    }
}
