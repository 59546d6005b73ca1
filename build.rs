//! Tells the program which commit it was built from, in `MILLRACE_COMMIT`.
//!
//! A build without git, or outside a checkout, says `unknown`; whoever packages the source can set `MILLRACE_COMMIT`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MILLRACE_COMMIT");
    let commit = std::env::var("MILLRACE_COMMIT").ok().filter(|text| !text.is_empty()).or_else(checked_out);
    println!("cargo::rustc-env=MILLRACE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The commit of the checkout this crate stands in, and a rebuild whenever it moves.
fn checked_out() -> Option<String> {
    // A crate unpacked inside somebody else's repository must not carry that repository's commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // logs/HEAD grows with every commit and checkout; the others serve repositories that keep no log.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let watched = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    for name in watched {
        // cargo takes a watched file that is missing for a changed one and would build anew each time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
