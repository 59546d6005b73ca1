//! The machines that can be rented, each with what a query would take and cost there, and the choice among them.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::notes::notes;
use super::text::elapsed;
use super::{Load, Prediction, Rates, Shape};
use crate::Error;
use crate::cost::{Instance, PriceList, usd};
use crate::units::Usd;

/// What one started machine costs at least: a minute.
const LEAST_BILLED_SECONDS: f64 = 60.0;

/// How much faster a core of a family is than the one that was measured, as `c8g=1.3`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoreSpeed {
    /// The family, or a whole type.
    pub of: String,
    /// 1.3 for 30 % faster.
    pub ratio: f64,
}

impl FromStr for CoreSpeed {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let parsed = typed.split_once('=').and_then(|(of, ratio)| {
            let is_known = |instance: Instance| {
                let name = instance.price.instance;
                name == of || name.split_once('.').is_some_and(|(family, _)| family == of)
            };
            let ratio = ratio.parse::<f64>().ok().filter(|ratio| (0.01..=100.0).contains(ratio))?;
            Instance::all().any(is_known).then(|| CoreSpeed { of: of.to_owned(), ratio })
        });
        parsed.ok_or_else(|| "type a family and how many times as fast its cores are, as c8g=1.3".to_owned())
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Rows to predict for; none for as many as were measured.
    pub rows: Option<u64>,
    /// The same as a multiple of what was measured.
    pub scale: Option<f64>,
    /// Numbers of machines to consider; empty for 1, 2, 4, 8 and 16.
    pub nodes: Vec<usize>,
    /// Families that are not as fast as the measured core.
    pub core_speeds: Vec<CoreSpeed>,
    /// How fast each machine reads its input; none where it is in memory.
    pub read_bytes_per_second: Option<u64>,
    /// Part of the price that spot machines are let off, from 0 to 1; none for on demand.
    pub spot_discount: Option<f64>,
    /// Time by which the answer must be there.
    pub deadline: Option<Duration>,
    /// USD that it may cost.
    pub budget: Option<f64>,
}

/// Machines, with what the query would take and cost there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Offer {
    /// How many machines.
    pub nodes: usize,
    /// Each of them.
    #[serde(flatten)]
    pub instance: Instance,
    /// What the query would take.
    #[serde(flatten)]
    pub prediction: Prediction,
    /// USD to start the machines for this query alone: whole seconds, at least a minute of each.
    pub usd: f64,
    /// USD for exactly its time, on machines that are kept for other queries.
    pub usd_kept: f64,
}

/// The measured machine itself, at the size that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Here {
    /// Processes.
    pub processes: usize,
    /// Workers of each.
    pub workers: usize,
    /// What the query would take.
    #[serde(flatten)]
    pub prediction: Prediction,
}

/// All that is worth renting.
#[derive(Debug, Clone, Serialize)]
pub struct Offers {
    /// What was measured.
    pub rates: Rates,
    /// What is predicted for.
    pub load: Load,
    /// The measured machine with 1, 2, 4, … processes of 1, 2, 4, … workers, up to its cores.
    pub here: Vec<Here>,
    /// Offers that no other beats in both time and dollars, the fastest first.
    pub frontier: Vec<Offer>,
    /// Offers that another beats.
    pub dominated: usize,
    /// Offers left out because memory would not be enough for the groups, as time with spilling is not predicted, or for the input
    /// where that is to be in memory.
    pub too_small: usize,
    /// The one that meets what was asked.
    pub chosen: Option<Offer>,
    /// Date of the prices.
    pub prices: String,
    /// What the figures rest on.
    pub notes: Vec<String>,
}

impl Offers {
    /// What the machines that can be rented would make of the measured query.
    pub fn new(rates: Rates, question: &Question) -> Result<Self, Error> {
        let rows = match (question.rows, question.scale) {
            (Some(rows), _) => rows,
            (None, scale) => (rates.rows as f64 * scale.unwrap_or(1.0)).round() as u64,
        };
        if rows == 0 {
            return Err(Error::usage(
                "there is nothing to predict for 0 rows",
                "--rows 10M, or a --scale by which at least one of the measured rows is left",
            ));
        }
        let load = rates.load(rows);
        let nodes = nodes(&rates, question)?;
        let mut all = Vec::new();
        for instance in Instance::all() {
            all.extend(nodes.iter().map(|nodes| offer(&rates, load, instance, *nodes, question)));
        }
        let considered = all.len();
        all.retain(|offer| offer.prediction.fits);
        let (too_small, fitting) = (considered - all.len(), all.len());
        let frontier = frontier(all);
        let mut offers = Offers {
            here: here(&rates, load),
            load,
            dominated: fitting - frontier.len(),
            too_small,
            chosen: None,
            prices: PriceList::newest().date.clone(),
            notes: notes(&rates, load, question, &nodes),
            frontier,
            rates,
        };
        offers.chosen = offers.choose(question)?;
        Ok(offers)
    }

    /// The cheapest offer in time and within the budget; where only a budget is given, the fastest within it.
    fn choose(&self, question: &Question) -> Result<Option<Offer>, Error> {
        let Question { deadline, budget, .. } = question;
        if deadline.is_none() && budget.is_none() {
            return Ok(None);
        }
        if self.frontier.is_empty() {
            return Err(Error::usage(
                "no machine that is known has the memory for this",
                "--read-rate 125MB, for input that is not in memory, a smaller --rows, or more --nodes",
            ));
        }
        let mut meeting =
            self.frontier.iter().filter(|offer| question.has_time_for(offer) && question.affords(offer));
        // The fastest is first, the cheapest last.
        let found = if deadline.is_some() { meeting.next_back() } else { meeting.next() };
        found
            .map(|offer| Some(*offer))
            .ok_or_else(|| Error::usage("no machines meet that", self.nearest(question)))
    }

    /// What to type where no offer meets what was asked: the least budget for that deadline and the least deadline for that budget, or, where
    /// there is neither, both for the fastest and for the cheapest.
    fn nearest(&self, question: &Question) -> String {
        let in_time = self.frontier.iter().rev().find(|offer| question.has_time_for(offer));
        let affordable = self.frontier.iter().find(|offer| question.affords(offer));
        let mut found: Vec<_> = in_time.into_iter().chain(affordable).collect();
        if found.is_empty() {
            found.extend(self.frontier.first().into_iter().chain(self.frontier.last()));
        }
        let told = found.into_iter().map(|offer| question.met_by(offer));
        let mut told: Vec<_> = told.collect();
        told.dedup();
        told.join(", or ")
    }
}

impl Question {
    fn has_time_for(&self, offer: &Offer) -> bool {
        self.deadline.is_none_or(|limit| offer.prediction.seconds <= limit.as_secs_f64())
    }

    fn affords(&self, offer: &Offer) -> bool {
        self.budget.is_none_or(|limit| offer.usd <= limit)
    }

    /// The limits that an offer breaks, as they would be typed for it, with what it is.
    fn met_by(&self, offer: &Offer) -> String {
        let seconds = offer.prediction.seconds;
        let deadline = (!self.has_time_for(offer)).then(|| format!("--deadline {}s", seconds.ceil()));
        let budget = (!self.affords(offer)).then(|| {
            let typed = Usd(offer.usd).rounded_up().to_string();
            format!("--budget {}", typed.replace(' ', ""))
        });
        let flags: Vec<_> = deadline.into_iter().chain(budget).collect();
        format!("{}, for {} ({}, {})", flags.join(" "), offer.name(), elapsed(seconds), Usd(offer.usd))
    }
}

fn here(rates: &Rates, load: Load) -> Vec<Here> {
    let doubled = |most: usize| {
        std::iter::successors(Some(1_usize), |count| count.checked_mul(2))
            .take_while(move |count| *count <= most)
    };
    let shapes = doubled(rates.cores)
        .flat_map(|processes| doubled(rates.cores / processes).map(move |each| (processes, each)));
    let predicted = |(processes, workers): (usize, usize)| {
        let shape = Shape {
            machines: 1,
            workers: processes * workers,
            processes,
            core_speed: 1.0,
            memory_bytes: None,
            network_bytes_per_second: f64::INFINITY,
            read_bytes_per_second: None,
        };
        Here { processes, workers, prediction: shape.predict(rates, load) }
    };
    shapes.map(predicted).collect()
}

fn nodes(rates: &Rates, question: &Question) -> Result<Vec<usize>, Error> {
    let alone = rates.exchanged_bytes_per_row.is_none();
    if alone && question.nodes.iter().any(|nodes| *nodes > 1) {
        return Err(Error::usage(
            "one worker exchanges nothing, so its report does not tell what several machines would",
            "the report of a run with -w 2 or more, or --nodes 1",
        ));
    }
    Ok(match (question.nodes.is_empty(), alone) {
        (false, _) => question.nodes.clone(),
        (true, true) => vec![1],
        (true, false) => vec![1, 2, 4, 8, 16],
    })
}

fn offer(rates: &Rates, load: Load, instance: Instance, nodes: usize, question: &Question) -> Offer {
    let Instance { price, machinery } = instance;
    let family = price.instance.split_once('.').map_or(price.instance, |(family, _)| family);
    // A whole type says more than its family.
    let speed = |of: &str| question.core_speeds.iter().rev().find(|speed| speed.of == of);
    let shape = Shape {
        machines: nodes,
        workers: machinery.vcpus,
        processes: 1,
        core_speed: speed(price.instance).or_else(|| speed(family)).map_or(1.0, |speed| speed.ratio),
        memory_bytes: Some(machinery.memory_bytes()),
        network_bytes_per_second: machinery.network_bytes_per_second(),
        read_bytes_per_second: question.read_bytes_per_second.map(|rate| rate as f64),
    };
    let prediction = shape.predict(rates, load);
    let usd_per_hour = price.usd_per_hour * (1.0 - question.spot_discount.unwrap_or(0.0));
    let billed = prediction.seconds.ceil().max(LEAST_BILLED_SECONDS);
    Offer {
        nodes,
        instance,
        prediction,
        usd: usd(billed, nodes, usd_per_hour),
        usd_kept: usd(prediction.seconds, nodes, usd_per_hour),
    }
}

/// Those that no other beats, the fastest first: each is cheaper than all that are faster.
fn frontier(mut offers: Vec<Offer>) -> Vec<Offer> {
    offers.sort_by(|a, b| {
        let seconds = |offer: &Offer| offer.prediction.seconds;
        seconds(a).total_cmp(&seconds(b)).then(a.usd.total_cmp(&b.usd))
    });
    let mut least = f64::INFINITY;
    offers.retain(|offer| {
        let cheaper = offer.usd < least;
        least = least.min(offer.usd);
        cheaper
    });
    offers
}

#[cfg(test)]
mod tests {
    use super::super::rates::tests::report;
    use super::*;

    fn offers(question: &Question) -> Result<Offers, Error> {
        Offers::new(report(|_| {}).unwrap(), question)
    }

    fn rows(rows: u64) -> Question {
        Question { rows: Some(rows), ..Question::default() }
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found / wanted - 1.0).abs() < 1e-9
    }

    fn priced(question: &Question, nodes: usize, name: &str) -> Offer {
        let rates = report(|_| {}).unwrap();
        let load = rates.load(question.rows.unwrap());
        let instance = Instance::all().find(|instance| instance.price.instance == name).unwrap();
        offer(&rates, load, instance, nodes, question)
    }

    /// 1 M rows take 0.15 s and 4 s of work by 16 vCPUs, 1.5 times the mean: 0.525 s.
    #[test]
    fn a_started_machine_costs_a_minute_and_whole_seconds_after_that() {
        let short = priced(&rows(1_000_000), 1, "c8g.4xlarge");
        assert!(near(short.prediction.seconds, 0.525));
        assert!(near(short.usd, 60.0 * 0.6381 / 3600.0) && near(short.usd_kept, 0.525 * 0.6381 / 3600.0));
        // 0.15 + 1000 x 0.375 s.
        let long = priced(&rows(1_000_000_000), 1, "c8g.4xlarge");
        assert!(near(long.prediction.seconds, 375.15));
        assert!(near(long.usd, 376.0 * 0.6381 / 3600.0), "{}", long.usd);
    }

    #[test]
    fn machines_spot_and_core_speed_enter_the_price() {
        let question = Question { spot_discount: Some(0.75), ..rows(1_000_000) };
        let two = priced(&question, 2, "c8g.4xlarge");
        // 16 MB, half of it from each machine, half of that to the other, at 937.5 MB/s.
        assert!(near(two.prediction.seconds, 0.15 + 0.017 + 0.1875 + 4e6 / 937.5e6));
        assert!(near(two.usd, 2.0 * 60.0 * 0.6381 / 3600.0 / 4.0));
        let faster = |of: &str| CoreSpeed { of: of.to_owned(), ratio: 2.0 };
        let question = Question { core_speeds: vec![faster("c8g")], ..rows(1_000_000) };
        assert!(near(priced(&question, 1, "c8g.4xlarge").prediction.seconds, 0.3375));
        assert!(near(priced(&question, 1, "c7g.4xlarge").prediction.seconds, 0.525), "another family");
    }

    #[test]
    fn the_frontier_has_no_offer_that_another_beats() {
        let question = rows(1_000_000_000);
        let found = offers(&question).unwrap();
        let seconds: Vec<_> = found.frontier.iter().map(|offer| offer.prediction.seconds).collect();
        let usd: Vec<_> = found.frontier.iter().map(|offer| offer.usd).collect();
        assert!(seconds.is_sorted_by(|a, b| a < b) && usd.is_sorted_by(|a, b| a > b), "{seconds:?} {usd:?}");
        assert!(found.frontier.len() > 2);
        assert_eq!(found.frontier.len() + found.dominated + found.too_small, 5 * Instance::all().count());
        for instance in Instance::all() {
            let other = priced(&question, 4, instance.price.instance);
            let beaten =
                |own: &Offer| own.prediction.seconds <= other.prediction.seconds && own.usd <= other.usd;
            assert!(!other.prediction.fits || found.frontier.iter().any(beaten), "{other:?}");
        }
    }

    #[test]
    fn a_deadline_chooses_the_cheapest_and_a_budget_the_fastest() {
        let all = offers(&rows(1_000_000_000)).unwrap().frontier;
        let limit = Question { deadline: Some(Duration::from_mins(2)), ..rows(1_000_000_000) };
        let chosen = offers(&limit).unwrap().chosen.unwrap();
        let in_time = all.iter().filter(|offer| offer.prediction.seconds <= 120.0);
        assert!(near(chosen.usd, in_time.map(|offer| offer.usd).fold(f64::INFINITY, f64::min)));

        let middle = all[all.len() / 2];
        let money = Question { budget: Some(middle.usd), ..rows(1_000_000_000) };
        assert_eq!(offers(&money).unwrap().chosen, Some(middle));

        let neither = Question { deadline: Some(Duration::from_millis(1)), ..rows(1_000_000_000) };
        let error = offers(&neither).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let wanted = format!("--deadline {}s, for {}", all[0].prediction.seconds.ceil(), all[0].name());
        assert!(error.to_string().contains(&wanted), "{error}");
    }

    /// Once, the budget that was named was rounded down, and with both limits what was named led to the same error.
    #[test]
    fn what_is_named_instead_is_enough_when_it_is_typed() {
        let all = offers(&rows(1_000_000_000)).unwrap().frontier;
        let (fastest, middle, cheapest) = (all[0], all[all.len() / 2], all[all.len() - 1]);
        let seconds =
            |offer: Offer, share: f64| Some(Duration::from_secs_f64(offer.prediction.seconds * share));
        for (deadline, budget, remedies) in [
            (None, Some(cheapest.usd * 0.5), 1),
            (seconds(fastest, 0.5), None, 1),
            (seconds(middle, 1.001), Some(cheapest.usd * 1.001), 2),
            (seconds(fastest, 0.5), Some(fastest.usd), 1),
            (seconds(cheapest, 1.001), Some(cheapest.usd * 0.5), 1),
            (seconds(fastest, 0.5), Some(cheapest.usd * 0.5), 2),
        ] {
            let question = Question { deadline, budget, ..rows(1_000_000_000) };
            let error = offers(&question).unwrap_err().to_string();
            let (_, named) = error.split_once("try: ").unwrap();
            let named: Vec<_> = named.split(", or ").collect();
            assert_eq!(named.len(), remedies, "{error}");
            for remedy in named {
                let mut typed = question.clone();
                let (flags, _) = remedy.split_once(", for ").unwrap();
                for pair in flags.split(' ').collect::<Vec<_>>().chunks(2) {
                    let number: f64 = pair[1].trim_end_matches(char::is_alphabetic).parse().unwrap();
                    match pair[0] {
                        "--deadline" => typed.deadline = Some(Duration::from_secs_f64(number)),
                        _ => typed.budget = Some(number),
                    }
                }
                assert!(offers(&typed).unwrap().chosen.is_some(), "{remedy}");
            }
        }
    }

    /// Once, no row at all and less than one for each machine ended the program.
    #[test]
    fn few_rows_are_predicted_and_none_are_refused() {
        for question in [rows(1), rows(2), Question { nodes: vec![1, 1000], ..rows(1) }] {
            assert!(!offers(&question).unwrap().frontier.is_empty());
        }
        for question in [rows(0), Question { scale: Some(1e-9), ..Question::default() }] {
            let error = offers(&question).unwrap_err();
            assert!(
                error.exit_code() == 2 && error.to_string().contains("0 rows\n  try: --rows 10M"),
                "{error}"
            );
        }
        let one = report(|report| report["input"]["rows"] = serde_json::json!(1)).unwrap();
        assert!(Offers::new(one, &Question::default()).is_ok());
    }

    #[test]
    fn machines_without_the_memory_are_left_out() {
        // 300,000 million rows of all different keys: 3 TB of groups at 10 B, more than 16 times 70 % of 128 GiB.
        let read = |question| Question { read_bytes_per_second: Some(1_000_000_000), ..question };
        let distinct =
            || report(|report| report["workers_detail"][0]["groups"] = serde_json::json!(750_000)).unwrap();
        let found = Offers::new(distinct(), &read(rows(300_000_000_000))).unwrap();
        assert!(
            found.too_small > 0
                && found.frontier.iter().all(|offer| offer.instance.machinery.memory_gib >= 384.0)
        );
        let question = Question {
            nodes: vec![1],
            deadline: Some(Duration::from_secs(1)),
            ..read(rows(300_000_000_000))
        };
        let error = Offers::new(distinct(), &question).unwrap_err();
        assert!(error.to_string().contains("a smaller --rows, or more --nodes"), "{error}");
    }

    #[test]
    fn several_machines_need_a_report_of_several_workers() {
        let alone = || {
            let change = |report: &mut serde_json::Value| {
                report["workers_detail"] = serde_json::json!([{"groups": 400_000, "busy_seconds": 3.0}]);
            };
            report(change).unwrap()
        };
        let one = Offers::new(alone(), &Question::default()).unwrap();
        assert!(one.frontier.iter().all(|offer| offer.nodes == 1));
        assert!(one.notes.iter().any(|note| note.contains("only single machines")));
        let error = Offers::new(alone(), &Question { nodes: vec![1, 2], ..Question::default() }).unwrap_err();
        assert!(error.to_string().contains("try: the report of a run with -w 2 or more"), "{error}");
    }

    #[test]
    fn a_core_speed_names_a_family_that_there_is() {
        let speed = |typed: &str| typed.parse::<CoreSpeed>();
        assert_eq!(speed("c8g=1.3"), Ok(CoreSpeed { of: "c8g".to_owned(), ratio: 1.3 }));
        assert!(speed("c8g.4xlarge=2").is_ok());
        for wrong in ["c8g", "vax=2", "c8g=fast", "c8g=0", "=1"] {
            assert!(speed(wrong).unwrap_err().contains("as c8g=1.3"), "{wrong}");
        }
    }
}
