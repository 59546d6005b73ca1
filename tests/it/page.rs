//! The page of a run in a browser.
//!
//! These tests would catch a page whose figures are not those of its report, that makes a browser complain, runs over the edge of a phone,
//! or stays light in the dark.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::report::{OPENING, home, json};
use crate::support::{Home, Ran};

const PAGE: &str = include_str!("../../src/report/page.html");
const PROBE: &str = include_str!("page/probe.html");

/// The browser, where there is one: CI installs it.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("NOT RUN: no Chromium here (Debian's package chromium)");
    }
    found
}

/// The page as a browser has drawn it; with it, what the browser said to its console.
fn drawn(browser: &str, home: &Home, page: &Path, flags: &[&str]) -> Ran {
    let mut command = Command::new(browser);
    let profile = tempfile::tempdir_in(home.path()).unwrap();
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-sync",
    ]);
    command.args([
        "--disable-background-networking",
        "--disable-component-update",
        "--enable-logging=stderr",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).args(flags);
    command.arg("--dump-dom").arg(format!("file://{}", page.display()).replace(' ', "%20"));
    home.runner(command).run()
}

/// Every figure that is shown, by its pointer and, where it is of a list, what of it: compared with the report.
fn check_figures<'a>(ran: &Ran, shown: &'a str, report: &Value) -> HashMap<(&'a str, &'a str), &'a str> {
    let mut figures = HashMap::new();
    for figure in shown.split("<data value=\"").skip(1) {
        let (value, rest) = figure.split_once("\" data-pointer=\"").unwrap();
        let (pointer, rest) = rest.split_once("\">").unwrap();
        let text = rest.split_once("</data>").unwrap().0;
        let (pointer, of) = pointer.split_once("\" data-of=\"").unwrap_or((pointer, ""));
        figures.insert((pointer, of), text);
        let there = report.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in the report"));
        let list = || there.as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
        let expected = match of {
            "sum" => Some(list().sum()),
            "most" => Some(list().fold(0.0, f64::max)),
            _ => there.as_f64(),
        };
        match expected {
            Some(expected) => {
                // What is read back by serde_json may be off by one in the last place, and sums by some.
                let given = value.parse::<f64>().unwrap();
                ran.check((given - expected).abs() <= expected.abs() * 1e-12, pointer);
                ran.check(near(amount(text), expected), &format!("{pointer}: {text} for {expected}"));
            }
            None => ran.check(there == value && there == text, pointer),
        }
    }
    figures
}

/// What the page is like in a frame of `width` pixels: a window of a browser without a screen is 500 wide at least.
fn probed(browser: &str, home: &Home, page: &Path, width: u32, scheme: &str) -> (Ran, Value) {
    let inside = Value::from(fs::read_to_string(page).unwrap()).to_string().replace('<', "\\u003c");
    let probe = PROBE.replace("WIDTH", &width.to_string()).replace("\"the page\"", &inside);
    let path = home.path().join("probe.html");
    fs::write(&path, probe).unwrap();
    let ran = drawn(browser, home, &path, &["--window-size=1200,900", "--hide-scrollbars", scheme]);
    ran.ended_with(0).check(!ran.stderr.contains("CONSOLE"), "the console is silent");
    let told = ran.stdout.split_once("id=\"told\">").map(|(_, rest)| rest.split_once("</script>").unwrap().0);
    let told = serde_json::from_str(told.unwrap_or_else(|| panic!("the probe said nothing: {}", ran.stdout)));
    (ran, told.unwrap())
}

/// The colours of the page by name, in light and in dark: `--page: #f6f7f9` as `rgb(246, 247, 249)`.
fn colours() -> [HashMap<&'static str, String>; 2] {
    let (light, dark) = PAGE.split_once("prefers-color-scheme: dark").unwrap();
    [light, dark.split_once('}').unwrap().0].map(|block| {
        let declared =
            block.split(['{', ';']).filter_map(|part| part.trim().strip_prefix("--")?.split_once(": #"));
        let rgb = |hex: &str| {
            let of = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            format!("rgb({}, {}, {})", of(0), of(2), of(4))
        };
        declared.map(|(name, hex)| (name, rgb(hex))).collect()
    })
}

#[test]
fn a_page_fits_a_phone_and_is_dark_in_the_dark() {
    let Some(browser) = browser() else { return };
    let home = home(20_000);
    home.query("-w 2 -n 2 --report-html page.html --output out").run().ended_with(0);
    let page = home.path().join("page.html");
    for (scheme, colours) in [1, 0].into_iter().zip(colours()) {
        for width in [390, 1100] {
            let (ran, told) = probed(
                browser,
                &home,
                &page,
                width,
                &format!("--blink-settings=preferredColorScheme={scheme}"),
            );
            ran.check(told["width"] == width && told["reaches"] == width, "nothing to scroll sideways");
            ran.check(
                told["beyond"] == serde_json::json!([]),
                &format!("beyond the edge: {}", told["beyond"]),
            );
            ran.check(told["dark"] == (scheme == 0), "the scheme");
            for (what, colour) in told["colours"].as_object().unwrap() {
                let wanted = &colours[what.split_once(' ').map_or(&**what, |(name, _)| name)];
                ran.check(colour == wanted, &format!("{what} is {colour}, wanted {wanted}"));
            }
            let contrast = told["contrast"]["least"].as_f64().unwrap();
            ran.check(contrast >= 4.5, &format!("contrast of {}", told["contrast"]));
        }
    }
}

#[test]
fn what_tables_and_drawings_say_is_in_the_report() {
    let Some(browser) = browser() else { return };
    let home = home(20_000);
    home.query("-w 2 -n 2 --report-html page.html --report r.json --output out").run().ended_with(0);
    let report = json(&home, "r.json");
    let (ran, told) = probed(
        browser,
        &home,
        &home.path().join("page.html"),
        1100,
        "--blink-settings=preferredColorScheme=1",
    );
    let figures = check_figures(&ran, told["html"].as_str().unwrap(), &report);
    let figure = |pointer: String, of: &str| figures[&(&*pointer, of)];
    let profile = &report["profile"];
    let mut titles = vec!["mean of all workers".to_owned(); 2];
    let mut ratios = Vec::new();
    for key in ["read", "received"] {
        let lines = 0..profile["timeline"].as_array().unwrap().len();
        let all: Vec<f64> = lines
            .clone()
            .map(|line| amount(figure(format!("/profile/timeline/{line}/{key}"), "sum")))
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        ratios.extend(all.iter().map(|count| count / mean));
        titles.extend(lines.map(|line| {
            format!("worker {line}: {} records", figure(format!("/profile/timeline/{line}/{key}"), "sum"))
        }));
    }
    titles.extend((0..4).map(|line| {
        let spent = ["scan", "reduce", "write", "wait"]
            .map(|work| format!("{work} {}", figure(format!("/profile/timeline/{line}/{work}"), "sum")));
        format!("worker {line}: {}", spent.join(", "))
    }));
    titles.extend((0..profile["memory"].as_array().unwrap().len()).map(|process| {
        format!("process {process}: {} at most", figure(format!("/profile/memory/{process}/bytes"), "most"))
    }));
    titles.sort();
    let mut shown: Vec<_> =
        told["titles"].as_array().unwrap().iter().map(|title| title.as_str().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, titles, "what drawings say where a pointer rests");
    // All other numbers of tables are figures of the report.
    let others: Vec<f64> = told["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell.as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(others.len(), ratios.len(), "{others:?}");
    assert!(
        others.iter().zip(&ratios).all(|(shown, ratio)| (shown - ratio).abs() < 0.0051),
        "{others:?} {ratios:?}"
    );
    let labels = told["labels"].to_string();
    for (index, operator) in profile["operators"].as_array().unwrap().iter().enumerate() {
        let of = |key: &str| figure(format!("/profile/operators/{index}/{key}"), "");
        let box_label = format!("busy {}, skew {}", of("busy_seconds"), of("skew"));
        ran.check(labels.contains(&box_label), &box_label);
        if operator["inputs"].as_array().unwrap().len() == 1 {
            ran.check(labels.contains(&format!("\"{} rows", of("rows_in"))), "what goes along a line");
        }
    }
}

#[test]
fn a_browser_draws_the_page_without_complaint_and_shows_the_figures_of_the_report() {
    let Some(browser) = browser() else { return };
    let home = home(20_000);
    let ran = home.query("-w 2 -n 2 --report-html page.html --report r.json --output out").run();
    ran.ended_with(0);
    let report = json(&home, "r.json");
    let page = home.path().join("page.html");
    for flags in [
        ["--window-size=1200,900", "--hide-scrollbars"],
        ["--window-size=500,900", "--blink-settings=preferredColorScheme=0"],
    ] {
        let ran = drawn(browser, &home, &page, &flags);
        ran.ended_with(0).check(!ran.stderr.contains("CONSOLE"), "the console is silent");
        let (shown, _) = ran.stdout.split_once(OPENING).unwrap();
        let figures = check_figures(&ran, shown, &report);
        ran.check(figures.len() > 100, "figures");
        for title in [
            "Dataflow",
            "What each worker did when",
            "Records from scans",
            "Records received",
            "Memory",
            "Exchange",
        ] {
            ran.check(shown.contains(&format!(">{title}")), title);
        }
        ran.check(shown.matches("<svg ").count() == 5, "drawings");
        ran.check(!shown.contains("NaN") && !shown.contains("undefined"), "every number is one");
    }
    // A report without a profile has its figures all the same.
    let bare = page.with_file_name("bare.html");
    let mut report = report;
    report.as_object_mut().unwrap().remove("profile");
    report["cost"] = serde_json::json!({"usd": 0.00031, "instance": "c8g.4xlarge"});
    let text = fs::read_to_string(&page).unwrap();
    let (before, inside) = text.split_once(OPENING).unwrap();
    let after = inside.split_once("</script>").unwrap().1;
    fs::write(&bare, format!("{before}{OPENING}{report}</script>{after}")).unwrap();
    let ran = drawn(browser, &home, &bare, &[]);
    ran.check(!ran.stderr.contains("CONSOLE") && !ran.stdout.contains("<svg "), "no drawings");
    ran.check(ran.stdout.contains("0.00031") && ran.stdout.contains("c8g.4xlarge"), "the cost box");
}

/// What a text on the page means, as `1,234` or `5.60 MB/s`.
fn amount(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: f64 = number.replace(',', "").parse().unwrap_or_else(|_| panic!("{text} is no number"));
    let unit = unit.trim_end_matches("/s").trim_end_matches("rows").trim_end_matches('B').trim();
    let power = match unit {
        "µs" => -6,
        "ms" => -3,
        "" | "s" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        other => panic!("{other} in {text}"),
    };
    number * 10_f64.powi(power)
}

/// Three digits are shown; of microseconds, whole ones; of ratios, hundredths.
fn near(shown: f64, value: f64) -> bool {
    (shown - value).abs() <= (value.abs() * 0.006).max(if value.abs() < 1e-3 { 1.1e-6 } else { 0.0 })
}
