//! Where the rows of a result go: from what was typed to an output that is claimed.

use super::Job;
use crate::Error;
use crate::cli::OutputArguments;
use crate::formats::parts::{Form, Output};
use crate::formats::row_writer::RowFormat;
use crate::tables::Column;

impl Job {
    /// Claims where the rows of the result go, which have these columns, if that was asked for.
    ///
    /// # Errors
    ///
    /// There is something already, another run is writing there, a report would be in the same place, or one file is wanted of several
    /// machines.
    pub fn output(
        &mut self,
        arguments: &OutputArguments,
        columns: &'static [Column],
    ) -> Result<Option<Output>, Error> {
        let claimed = self.claim(arguments, columns);
        self.output = super::or_decline(&self.settings, claimed)?;
        // All processes confirm a step more where there is an output.
        self.fingerprint = self.fingerprint.clone().with("an output directory", self.output.is_some());
        Ok(self.output.clone())
    }

    fn claim(
        &mut self,
        arguments: &OutputArguments,
        columns: &'static [Column],
    ) -> Result<Option<Output>, Error> {
        let OutputArguments { output, output_format, single_file, no_sync } = arguments;
        let Some(path) = output else {
            let flag = match (output_format, single_file, no_sync) {
                (Some(_), ..) => "--output-format",
                (None, true, _) => "--single-file",
                (None, false, true) => "--no-sync",
                (None, false, false) => return Ok(None),
            };
            return Err(Error::usage(format!("{flag} has no rows to write"), "--output PATH with it"));
        };
        if *single_file && self.settings.cluster.machines() > 1 {
            return Err(Error::usage(
                "--single-file cannot make one file of parts on several machines".to_owned(),
                "--output alone: each machine then has the parts of its workers",
            ));
        }
        let format = output_format.or_else(|| RowFormat::of_path(path)).unwrap_or_default();
        let form = Form { format, columns, single_file: *single_file, synced: !no_sync };
        let claim = if self.settings.cluster.index() == 0 { Output::create } else { Output::join };
        if !self.settings.explain {
            let output = claim(path, form)?;
            self.reports.spare_output(&output, path)?;
            return Ok(Some(output));
        }
        let scratch =
            tempfile::tempdir().map_err(Error::file("make a directory in", &std::env::temp_dir()))?;
        claim(&self.scratch.insert(scratch).path().join("output"), form).map(Some)
    }
}
