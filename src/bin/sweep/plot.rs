//! The speed-up as a drawing: one line for each way to run, the ideal, and the plain loop, which COST is read off from.

use std::collections::BTreeMap;
use std::fmt::Write;

use millrace::units::{Bytes, counted};

use crate::outcome::Outcome;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 168.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 48.0;
/// Colours that can be told apart, also by those who see no red or no green (Okabe and Ito, 2008, darkened for text).
const COLOURS: [&str; 5] = ["#0072b2", "#b85000", "#00805c", "#a8457f", "#7a6a00"];

/// Draws it as SVG.
pub(crate) fn speed_up(outcome: &Outcome) -> String {
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for case in &outcome.cases {
        let mut name = counted(case.case.processes, "process");
        name.extend(case.case.split_bytes.map(|bytes| format!(", {}", Bytes(bytes))));
        name.extend(case.case.format.as_ref().map(|format| format!(", {format}")));
        lines.entry(name).or_default().push((case.case.peers() as f64, case.speed_up));
    }
    lines.values_mut().for_each(|points| points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let points = || lines.values().flatten();
    let least = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = points().map(|point| point.0).fold(1.0, f64::max);
    let base = outcome.cases.iter().find(|case| (case.case.peers() as f64 - least).abs() < 0.5);
    let plain = outcome.plain_loop.as_ref().zip(base).map(|(plain, base)| base.times.median / plain.median);
    let highest = points().map(|point| point.1).chain(plain).chain([most / least]).fold(1.0, f64::max).ceil();
    let x = |workers: f64| LEFT + workers / most * (WIDTH - LEFT - RIGHT);
    let y = |speed: f64| HEIGHT - BOTTOM - speed / highest * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title\">\n<title id=\"title\">Speed-up of {query} by number of workers</title>\n<style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #1b2330; }} .grid {{ stroke: #d9dde3; }} .dashed {{ stroke: #566072; stroke-dasharray: 5 4; }}\n\
         .page {{ fill: #ffffff; }} polyline, line {{ fill: none; stroke-width: 1; }} polyline {{ stroke-width: 2.5; }}\n\
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6eaf0; }} .grid {{ stroke: #333c4a; }} .dashed {{ stroke: #a3adbc; }} \
         .page {{ fill: #1a2029; }} .line {{ filter: brightness(1.6); }} }}\n</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n<text x=\"{LEFT}\" y=\"24\" font-weight=\"600\">Speed-up of {query}</text>\n",
        query = escaped(&outcome.query)
    );
    let text = |x: f64, y: f64, anchor: &str, words: &str| {
        format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>\n", escaped(words))
    };
    let step = (highest / 8.0).ceil().max(1.0);
    for index in 0..=(highest / step) as usize {
        let speed = index as f64 * step;
        let at = y(speed);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            x(most)
        );
        svg += &text(LEFT - 8.0, at + 4.0, "end", &format!("{speed}"));
    }
    let mut ticks: Vec<_> = points().map(|point| point.0).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    ticks.iter().for_each(|workers| {
        svg += &text(x(*workers), HEIGHT - BOTTOM + 18.0, "middle", &workers.to_string());
    });
    svg += &text(x(most / 2.0), HEIGHT - 10.0, "middle", "workers of all processes");
    let dashed = |from: (f64, f64), to: (f64, f64), name: &str| {
        let ((x1, y1), (x2, y2)) = ((x(from.0), y(from.1)), (x(to.0), y(to.1)));
        format!("<line class=\"dashed\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>\n")
            + &text(x2 + 8.0, y2 + 4.0, "start", name)
    };
    svg += &dashed((least, 1.0), (most, most / least), "ideal");
    svg.extend(plain.map(|speed| dashed((0.0, speed), (most, speed), "plain loop, 1 thread")));
    for (index, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<_> =
            points.iter().map(|&(workers, speed)| format!("{:.1},{:.1}", x(workers), y(speed))).collect();
        let _ = writeln!(svg, "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>", path.join(" "));
        for &(workers, speed) in points {
            let (cx, cy) = (x(workers), y(speed));
            let _ = writeln!(
                svg,
                "<circle class=\"line\" fill=\"{colour}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\"><title>{workers} workers: {speed:.2}</title></circle>"
            );
        }
        let (left, at) = (LEFT + 16.0, TOP + 8.0 + 18.0 * index as f64);
        let _ = writeln!(svg, "<circle class=\"line\" fill=\"{colour}\" cx=\"{left}\" cy=\"{at}\" r=\"4\"/>");
        svg += &text(left + 12.0, at + 4.0, "start", name);
    }
    svg + "</svg>\n"
}

/// Text as it may stand in SVG.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
