//! Where the reports of a run go, checked before there is an answer to lose: that they can be written, and that none takes the place of
//! what is read or written.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::cli::JobSettings;
use crate::formats::parts::Output;
use crate::input::InputFile;
use crate::report::{RunReport, canonical, check_paths};

/// The reports that this process writes: none where it is not process 0.
#[derive(Debug, Default)]
pub(super) struct Reports {
    json: Option<Place>,
    page: Option<Place>,
}

/// Where a report goes.
#[derive(Debug)]
struct Place {
    flag: &'static str,
    typed: PathBuf,
    /// What is written there, by whatever links and dots it was typed.
    path: PathBuf,
}

impl Place {
    fn of(flag: &'static str, typed: &Path) -> Result<Self, Error> {
        Ok(Place { flag, typed: typed.to_path_buf(), path: canonical(typed)? })
    }

    fn refused(&self, why: &str, remedy: &str) -> Error {
        Error::usage(
            format!("{} {} {why}", self.flag, self.typed.display()),
            format!("{} {remedy}", self.flag),
        )
    }
}

/// Whether `found` is a file, or a link to it, by any name.
fn is_same(found: &Metadata, file: &Path) -> bool {
    let looked_at = [fs::metadata(file), fs::symlink_metadata(file)];
    looked_at.iter().flatten().any(|file| (file.dev(), file.ino()) == (found.dev(), found.ino()))
}

impl Reports {
    /// Those that were asked for.
    ///
    /// # Errors
    ///
    /// One cannot be written, or both are the same file.
    pub(super) fn of(settings: &JobSettings) -> Result<Self, Error> {
        if settings.cluster.index() != 0 {
            return Ok(Reports::default());
        }
        let (json, page) = (settings.report.as_deref(), settings.report_html.as_deref());
        check_paths([("--report", json, "json"), ("--report-html", page, "html")])?;
        let place = |flag, path: Option<&Path>| path.map(|path| Place::of(flag, path)).transpose();
        Ok(Reports { json: place("--report", json)?, page: place("--report-html", page)? })
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        [&self.json, &self.page].into_iter().flatten()
    }

    /// Refuses a report in the place of a file that is read.
    pub(super) fn spare_input(&self, files: &[InputFile]) -> Result<(), Error> {
        self.places().try_for_each(|place| {
            // What is not there is no file of the input, however many those are.
            let Ok(report) = fs::symlink_metadata(&place.path) else { return Ok(()) };
            let mut local = files.iter().filter(|file| file.object.is_none());
            match local.find(|file| is_same(&report, &file.path)) {
                None => Ok(()),
                Some(file) => Err(place.refused(
                    &format!("would take the place of {}, which is read", file.path.display()),
                    "with another file",
                )),
            }
        })
    }

    /// Refuses a report in the place of what is written, or within it; to be called once that is claimed, so that its directories are
    /// there.
    pub(super) fn spare_output(&self, output: &Output, typed: &Path) -> Result<(), Error> {
        self.places().try_for_each(|place| {
            for path in output.paths() {
                // What is there is meant itself, and not a link to it.
                let path = fs::canonicalize(path).or_else(|_| canonical(path))?;
                if place.path.starts_with(&path) || path.starts_with(&place.path) {
                    return Err(place.refused(
                        &format!("and --output {} would be in the same place", typed.display()),
                        "with a file that is not of the output",
                    ));
                }
            }
            Ok(())
        })
    }

    /// Writes them, both even where one fails. What a run has brought is told before, so that it is not lost then.
    pub(super) fn write(&self, report: &RunReport) -> Result<(), Error> {
        let json = self.json.as_ref().map_or(Ok(()), |place| report.write(&place.typed));
        let page = self.page.as_ref().map_or(Ok(()), |place| report.write_page(&place.typed));
        json.and(page).map_err(|error| Error::Unreported(Box::new(error)))
    }
}
