//! What the figures of a prediction rest on, in words.

use super::{Load, Question, Rates};
use crate::units::{BytesPerSecond, decimals};

/// Who measures is told where a worker had a processor for less of its time.
const QUIET_SHARE: f64 = 0.9;

/// Of the network's time: a smaller error is none that the model can see.
const WORTH_TELLING: f64 = 1.05;

/// The notes under the offers for `load` on the numbers of machines in `nodes`.
pub(super) fn notes(rates: &Rates, load: Load, question: &Question, nodes: &[usize]) -> Vec<String> {
    let mut notes = vec![
        "A vCPU is taken for a core of the measured machine; --core-speed FAMILY=RATIO corrects a family."
            .to_owned(),
    ];
    notes.push(match question.read_bytes_per_second {
        Some(rate) => {
            format!("Each machine reads its share of the input at {}.", BytesPerSecond(rate as f64))
        }
        None => {
            "The input is in memory, as the page cache keeps it; --read-rate BYTES is for input that is not."
                .to_owned()
        }
    });
    notes.push(match question.spot_discount {
        Some(discount) => format!(
            "Spot machines, by --spot-discount: {:.0} % below the price on demand. They may be taken away, which fails the query.",
            discount * 100.0
        ),
        None => "Prices are on demand; spot prices change by the minute and are in no list here: --spot-discount PERCENT%.".to_owned(),
    });
    if rates.exchanged_bytes_per_row.is_none() {
        notes.push(
            "Measured with one worker, which exchanges nothing: only single machines are predicted."
                .to_owned(),
        );
    }
    notes.extend(unmerged(rates, load, nodes));
    if rates.other_bytes_per_worker.is_none() {
        notes.push(
            "The report does not tell memory: none is predicted, and no machine is left out for it."
                .to_owned(),
        );
    }
    if rates.processor_share < QUIET_SHARE {
        notes.push(format!(
            "While it was measured, its busiest worker had a processor for {:.0} % of its time and waited for the rest. Times are those of a \
             machine that does nothing else; measure on a quiet one.",
            rates.processor_share * 100.0
        ));
    }
    let share = load.rows / rates.rows as f64;
    if !(1.0 / 16.0..=16.0).contains(&share) {
        notes.push(format!(
            "{share:.*} times the measured rows: the model was checked for 1 to 16 times; measure a run nearer to that size.",
            decimals(share, 3)
        ));
    }
    notes
}

/// That records are not seen to be merged before they leave, where machines are to be several and it may matter.
fn unmerged(rates: &Rates, load: Load, nodes: &[usize]) -> Option<String> {
    // The fewer the machines, the more rows each has to merge.
    let fewest = *nodes.iter().filter(|nodes| **nodes > 1).min()?;
    let most = rates.merging(load.rows / fewest as f64).filter(|most| *most >= WORTH_TELLING)?;
    Some(format!(
        "Measured in one process, where records are not merged before they move; between machines they are, if that pays. The time of the \
         network is that of every record, on {fewest} machines up to {most:.1} times too long: measure with -n 2 to predict from what leaves."
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::rates::tests::report;
    use super::super::{Offers, Question};

    /// Once, a small size was said to be 0.000 times the measured one, and a larger run to be measured.
    #[test]
    fn a_size_far_from_the_measured_one_is_told() {
        let noted = |rows: u64| {
            let question = Question { rows: Some(rows), ..Question::default() };
            let notes = Offers::new(report(|_| {}).unwrap(), &question).unwrap().notes;
            notes.into_iter().find(|note| note.contains("times the measured rows"))
        };
        assert!(noted(25).unwrap().starts_with("0.000025 times the measured rows"));
        assert!(noted(100_000_000).unwrap().starts_with("100.000 times"));
        assert_eq!(noted(2_000_000), None);
    }

    #[test]
    fn a_busy_machine_is_told() {
        let noted = |elapsed: f64| {
            let rates =
                report(|report| report["workers_detail"][0]["elapsed_seconds"] = serde_json::json!(elapsed));
            let found = Offers::new(rates.unwrap(), &Question::default()).unwrap();
            found.notes.into_iter().find(|note| note.starts_with("While it was measured"))
        };
        assert_eq!(noted(3.3), None);
        assert!(noted(4.0).unwrap().contains("had a processor for 75 % of its time"));
    }

    /// Once, two machines were predicted as if they sent every record, and nothing was said.
    #[test]
    fn a_report_of_one_process_tells_how_far_the_network_may_be_off() {
        let noted = |processes: usize, groups: u64, nodes: Vec<usize>| {
            let change = |report: &mut serde_json::Value| {
                report["processes"] = json!(processes);
                report["network_bytes"] = json!(if processes > 1 { 4_000_000 } else { 0 });
                report["workers_detail"][0]["groups"] = json!(groups);
                report["workers_detail"][1]["groups"] = json!(0);
            };
            let question = Question { nodes, ..Question::default() };
            let notes = Offers::new(report(change).unwrap(), &question).unwrap().notes;
            notes.into_iter().find(|note| note.contains("-n 2"))
        };
        // 500,000 rows have the root of 500,000 in groups, 707 rows each.
        assert!(noted(1, 1_000, vec![4, 2]).unwrap().contains("on 2 machines up to 707.1 times too long"));
        assert_eq!(noted(1, 1_000, vec![1]), None, "nothing leaves one machine");
        assert_eq!(noted(2, 1_000, vec![2]), None, "what leaves was measured");
        assert_eq!(noted(1, 1_000_000, vec![2]), None, "nothing repeats");
    }
}
