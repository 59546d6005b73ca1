//! Outputs that appear whole or not at all, whoever dies when.

use super::*;
use crate::formats::row_writer::RowFormat;
use crate::tables::{Column, ColumnType};

const FORM: Form = Form {
    format: RowFormat::Csv,
    columns: &[Column::new("name", ColumnType::Text), Column::new("number", ColumnType::Int)],
    single_file: false,
    synced: true,
};

fn listing(directory: &Path) -> Vec<String> {
    let mut names = super::listing(directory).unwrap_or_else(|_| vec!["absent".into()]);
    names.sort();
    names
}

fn write(output: &Output, worker: usize, rows: &[&str]) {
    let mut part = output.part(worker).expect("a part");
    for row in rows {
        let (name, number) = row.split_once(',').expect("two fields");
        let number: i64 = number.trim_end().parse().expect("a number");
        part.row(|row| _ = row.text(name).integer(number)).expect("written");
    }
    part.finish().expect("finished");
}

#[test]
fn appears_whole() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("out");
    let output = Output::create(&directory, FORM).expect("claimed");
    write(&output, 0, &["a,1\n", "b,2\n"]);
    write(&output, 1, &[]);
    assert_eq!(listing(&directory), [MARKER, ".part-00000.csv.tmp", ".part-00001.csv.tmp"]);
    let parts = output.commit_parts().expect("renamed");
    output.commit_manifest(parts, || false).expect("committed");
    output.keep();
    drop(output);
    assert_eq!(listing(&directory), [MANIFEST, "part-00000.csv", "part-00001.csv"]);
    let manifest = fs::read_to_string(directory.join(MANIFEST)).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!((&manifest["rows"], &manifest["bytes"]), (&2.into(), &8.into()));
    assert_eq!(manifest["parts"][0]["name"], "part-00000.csv");
}

#[test]
fn a_file_that_is_stopped_before_it_is_whole_does_not_appear() {
    let home = tempfile::tempdir().expect("a directory");
    for format in [RowFormat::Csv, RowFormat::Jsonl, RowFormat::Parquet, RowFormat::Packed] {
        let path = home.path().join("whole");
        let output = Output::create(&path, Form { format, single_file: true, ..FORM }).expect("claimed");
        write(&output, 0, &["a,1\n", "b,2\n"]);
        write(&output, 1, &["c,3\n"]);
        let parts = output.commit_parts().expect("renamed");
        // Once the first part is in it.
        let asked = std::cell::Cell::new(0);
        let stopped = output.commit_manifest(parts, || asked.replace(asked.get() + 1) == 1);
        assert!(stopped.is_err_and(|error| error.to_string().ends_with("the job was stopped")), "{format:?}");
        output.discard(true);
        assert_eq!(listing(home.path()), [""; 0], "{format:?}");
    }
}

#[test]
fn or_not_at_all() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("out");
    let output = Output::create(&directory, FORM).expect("claimed");
    write(&output, 0, &["a,1\n"]);
    let unfinished = output.part(1).expect("a part");
    output.commit_parts().expect("renamed");
    drop((unfinished, output));
    assert_eq!(listing(&directory), ["absent"]);
}

#[test]
fn a_worker_that_starts_again_gives_its_part_once() {
    let home = tempfile::tempdir().expect("a directory");
    let output = Output::create(home.path(), FORM).expect("claimed");
    write(&output, 0, &["a,1\n", "b,2\n"]);
    write(&output, 0, &["c,3\n"]);
    assert_eq!(
        output.commit_parts().expect("renamed"),
        [Part { name: "part-00000.csv".into(), rows: 1, bytes: 4 }]
    );
}

#[test]
fn parts_on_a_machine_without_the_manifest_stay() {
    // Catches a process that takes the missing manifest, which process 0 writes where it runs, for a failure.
    let home = tempfile::tempdir().expect("a directory");
    let output = Output::create(home.path(), FORM).expect("claimed");
    write(&output, 1, &["a,1\n"]);
    output.commit_parts().expect("renamed");
    output.keep();
    drop(output);
    assert_eq!(listing(home.path()), ["part-00001.csv"]);
}

#[test]
fn the_first_process_cleans_up_after_those_that_were_killed() {
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("out");
    let output = Output::create(&directory, FORM).expect("claimed");
    write(&output, 0, &["a,1\n"]);
    fs::write(directory.join(".part-00001.csv.tmp"), "of a killed process").expect("written");
    fs::write(directory.join("part-00002.csv"), "of another").expect("written");
    output.discard(true);
    assert_eq!(listing(&directory), ["absent"]);
    assert!(output.part(3).is_err(), "a late worker must not bring the directory back to life");
}

#[test]
fn named_parts_of_a_run_that_died_are_removed_by_the_next() {
    let home = tempfile::tempdir().expect("a directory");
    let died = Output::create(home.path(), FORM).expect("claimed");
    died.begin().expect("begun");
    write(&died, 0, &["a,1\n"]);
    write(&died, 7, &["b,1\n"]);
    died.commit_parts().expect("renamed");
    died.leave();
    drop(died);
    assert_eq!(listing(home.path()), [MARKER, "part-00000.csv", "part-00007.csv"]);
    let next = Output::create(home.path(), FORM).expect("leftovers are no result");
    next.begin().expect("begun");
    assert_eq!(listing(home.path()), [MARKER]);
    next.discard(true);
    assert_eq!(listing(home.path()), [""; 0], "the directory was there before");
}

#[test]
fn a_directory_goes_with_the_last_process_whichever_made_it() {
    // The process that made it ended before the others had removed their parts, and it stayed, empty.
    let home = tempfile::tempdir().expect("a directory");
    let directory = home.path().join("out");
    let made = Output::join(&directory, FORM).expect("claimed");
    let first = Output::create(&directory, FORM).expect("claimed");
    for (worker, output) in [&made, &first].into_iter().enumerate() {
        output.begin().expect("begun");
        write(output, worker, &["a,1\n"]);
    }
    made.discard(false);
    assert_eq!(
        listing(&directory),
        [MARKER, ".part-00000.csv.tmp"].map(|name| name.replace("00000", "00001"))
    );
    first.discard(true);
    assert_eq!(listing(&directory), ["absent"]);
}

#[test]
fn a_process_of_a_refused_run_leaves_the_marker_of_the_other() {
    let home = tempfile::tempdir().expect("a directory");
    let running = Output::create(home.path(), FORM).expect("claimed");
    running.begin().expect("begun");
    drop(Output::join(home.path(), FORM).expect("only process 0 holds the claim"));
    assert_eq!(listing(home.path()), [MARKER]);
    running.discard(true);
}

#[test]
fn a_marker_vouches_for_parts_only_and_for_no_result() {
    // Catches a run that takes somebody's file for its own, and one that removes a whole result.
    for foreign in ["notes.txt", "part-1.csv", ".part-00000.csv", ".millrace-run.tmp", "part-00000", MANIFEST]
    {
        let home = tempfile::tempdir().expect("a directory");
        for name in [MARKER, "part-00000.csv", foreign] {
            fs::write(home.path().join(name), "").expect("written");
        }
        let error = Output::create(home.path(), FORM).expect_err("claimed").to_string();
        assert!(error.contains("is not empty: it holds "), "{error}");
        assert_eq!(listing(home.path()).len(), 3);
    }
}

#[test]
fn the_marker_stays_while_it_vouches_for_another_process() {
    let home = tempfile::tempdir().expect("a directory");
    let [first, second] =
        [Output::create, Output::join].map(|claim| claim(home.path(), FORM).expect("claimed"));
    first.begin().expect("begun");
    second.begin().expect("begun");
    write(&first, 0, &["a,1\n"]);
    first.commit_parts().expect("renamed");
    second.discard(false);
    assert_eq!(listing(home.path()), [MARKER, "part-00000.csv"]);
    first.discard(true);
    assert_eq!(listing(home.path()), [""; 0]);
}

#[test]
fn another_result_is_never_touched() {
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join(".part-00000.csv.tmp"), "left by a run that died").expect("written");
    let running = Output::create(home.path(), FORM).expect("leftovers are no result");
    let error = Output::create(home.path(), FORM).expect_err("claimed").to_string();
    assert!(error.contains("is being written by another run"), "{error}");
    drop(Output::join(home.path(), FORM).expect("of the same job"));
    drop(running);
    fs::write(home.path().join("part-00000.csv"), "a result").expect("written");
    let error = Output::create(home.path(), FORM).expect_err("not empty").to_string();
    assert!(error.contains("is not empty: it holds part-00000.csv"), "{error}");
}
