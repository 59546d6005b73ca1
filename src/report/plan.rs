//! The dataflow as it was built: operators, what feeds them, and the tree that people are shown.

use serde::{Deserialize, Serialize};

/// An operator of a dataflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedOperator {
    /// Its number in the dataflow.
    pub id: usize,
    /// What it is called.
    pub name: String,
    /// Where its input comes from.
    pub inputs: Vec<Edge>,
}

/// A way that records take from one operator to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Number of the operator that gives them.
    pub from: usize,
    /// Whether they may go to another worker.
    pub exchange: bool,
}

/// The operators as lines of a tree, with the last ones on top and what feeds an operator below it; with each line, the
/// place of its operator in `operators`. An operator that feeds several is told once, and named afterwards, without a place.
pub(crate) fn tree(operators: &[&PlannedOperator]) -> Vec<(String, Option<usize>)> {
    let feeds = |id: usize| {
        let mut edges = operators.iter().flat_map(|operator| &operator.inputs);
        edges.any(|edge| edge.from == id)
    };
    let mut tree = Tree { operators, told: vec![false; operators.len()], lines: Vec::new() };
    // The last one that was built first: what the query ends with.
    for (index, operator) in operators.iter().enumerate().rev() {
        if !feeds(operator.id) {
            tree.tell(index, "", "");
        }
    }
    tree.lines
}

struct Tree<'a> {
    operators: &'a [&'a PlannedOperator],
    told: Vec<bool>,
    lines: Vec<(String, Option<usize>)>,
}

impl Tree<'_> {
    fn tell(&mut self, index: usize, own: &str, below: &str) {
        let operator = self.operators[index];
        if std::mem::replace(&mut self.told[index], true) {
            self.lines.push((format!("{own}{}, as above", operator.name), None));
            return;
        }
        let exchange = if operator.inputs.iter().any(|edge| edge.exchange) { " ◄ exchange" } else { "" };
        self.lines.push((format!("{own}{}{exchange}", operator.name), Some(index)));
        let inputs = operator.inputs.iter();
        let inputs = inputs.filter_map(|edge| self.operators.iter().position(|other| other.id == edge.from));
        let inputs: Vec<_> = inputs.collect();
        for (position, &input) in inputs.iter().enumerate() {
            let last = position + 1 == inputs.len();
            let (branch, rest) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.tell(input, &format!("{below}{branch}"), &format!("{below}{rest}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_shows_every_operator_once() {
        let operator = |id, name: &str, inputs: &[(usize, bool)]| PlannedOperator {
            id,
            name: name.into(),
            inputs: inputs.iter().map(|&(from, exchange)| Edge { from, exchange }).collect(),
        };
        let operators = [
            operator(1, "Scan a", &[]),
            operator(2, "Scan b", &[]),
            operator(3, "Join", &[(1, true), (2, true)]),
            operator(5, "Join", &[(3, false), (1, true)]),
            operator(6, "Gather", &[(5, true)]),
        ];
        let lines = tree(&operators.iter().collect::<Vec<_>>());
        let text: Vec<_> = lines.iter().map(|(line, _)| line.as_str()).collect();
        let expected = [
            "Gather ◄ exchange",
            "└─ Join ◄ exchange",
            "   ├─ Join ◄ exchange",
            "   │  ├─ Scan a",
            "   │  └─ Scan b",
            "   └─ Scan a, as above",
        ];
        assert_eq!(text, expected);
        let places: Vec<_> = lines.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [Some(4), Some(3), Some(2), Some(0), Some(1), None]);
    }
}
