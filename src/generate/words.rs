//! The lists that `uservisits` draws from: made up, always the same, with the published counts and mean lengths.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::java_random::JavaRandom;

/// Country code and language code as one piece of a row, `DEU,DEU-DE`.
pub(super) static COUNTRIES: LazyLock<Vec<String>> = LazyLock::new(|| {
    LANGUAGES
        .iter()
        .flat_map(|(country, languages)| {
            languages.split(' ').map(move |language| format!("{country},{country}-{language}"))
        })
        .collect()
});

/// Countries by their ISO 3166 code of three letters, with the ISO 639 codes of languages spoken there.
const LANGUAGES: [(&str, &str); 64] = [
    ("ARE", "AR EN"),
    ("ARG", "ES"),
    ("AUS", "EN"),
    ("AUT", "DE"),
    ("BEL", "NL FR DE"),
    ("BGR", "BG"),
    ("BOL", "ES QU"),
    ("BRA", "PT"),
    ("CAN", "EN FR"),
    ("CHE", "DE FR IT"),
    ("CHL", "ES"),
    ("CHN", "ZH"),
    ("COL", "ES"),
    ("CRI", "ES"),
    ("CUB", "ES"),
    ("CZE", "CS"),
    ("DEU", "DE"),
    ("DNK", "DA"),
    ("DOM", "ES"),
    ("DZA", "AR FR"),
    ("ECU", "ES"),
    ("EGY", "AR"),
    ("ESP", "ES CA EU"),
    ("EST", "ET"),
    ("FIN", "FI SV"),
    ("FRA", "FR"),
    ("GBR", "EN CY"),
    ("GRC", "EL"),
    ("GTM", "ES"),
    ("HRV", "HR"),
    ("HUN", "HU"),
    ("IDN", "ID"),
    ("IND", "HI EN TA"),
    ("IRL", "EN GA"),
    ("ISL", "IS"),
    ("ISR", "HE"),
    ("ITA", "IT"),
    ("JPN", "JA"),
    ("KEN", "SW EN"),
    ("KOR", "KO"),
    ("LTU", "LT"),
    ("LUX", "FR DE LB"),
    ("LVA", "LV"),
    ("MAR", "AR FR"),
    ("MEX", "ES"),
    ("MYS", "MS"),
    ("NLD", "NL"),
    ("NOR", "NO"),
    ("NZL", "EN MI"),
    ("PER", "ES"),
    ("PHL", "TL EN"),
    ("POL", "PL"),
    ("PRT", "PT"),
    ("ROU", "RO"),
    ("SGP", "EN ZH MS"),
    ("SVK", "SK"),
    ("SVN", "SL"),
    ("SWE", "SV"),
    ("THA", "TH"),
    ("TUR", "TR"),
    ("URY", "ES"),
    ("USA", "EN ES"),
    ("VNM", "VI"),
    ("ZAF", "AF EN ZU"),
];

/// 1,000 different words of 4 to 13 letters, a hundred of each length: mean 8.5.
pub(super) static SEARCH_WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut random = JavaRandom::new(1_000);
    let mut seen = HashSet::new();
    let mut words = Vec::with_capacity(1_000);
    while words.len() < 1_000 {
        let word = made_up_word(4 + words.len() % 10, &mut random);
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    words
});

fn made_up_word(letters: usize, random: &mut JavaRandom) -> String {
    const CONSONANTS: &[u8] = b"bcdfghklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let first = random.next_int(2) as usize;
    (0..letters)
        .map(|place| {
            let sounds = if (place + first).is_multiple_of(2) { CONSONANTS } else { VOWELS };
            char::from(sounds[random.next_int(sounds.len() as u32) as usize])
        })
        .collect()
}

/// 2,000 different lines without commas, mean 53.5 characters: 10 systems, 10 browsers, 20 versions.
pub(super) static USER_AGENTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    const SYSTEMS: [&str; 10] = [
        "Windows 98",
        "Windows NT 5.0",
        "Windows NT 5.1",
        "Windows NT 6.0",
        "Windows NT 6.1; WOW64",
        "Macintosh; PPC Mac OS X",
        "Macintosh; Intel Mac OS X 10.6",
        "X11; Linux i686",
        "X11; Linux x86_64",
        "X11; FreeBSD amd64",
    ];
    const BROWSERS: [&str; 10] = [
        "Heron",
        "Marten",
        "Kestrel Pro",
        "Sandpiper",
        "Otter HD",
        "Plover",
        "Kingfisher",
        "Dipper Reader",
        "Wagtail",
        "Curlew Crawler",
    ];
    let mut agents = Vec::with_capacity(2_000);
    for browser in BROWSERS {
        for system in SYSTEMS {
            agents.extend((0..20).map(|version| {
                let (major, minor) = (3 + version / 4, version % 4);
                format!("Mozilla/5.0 ({system}; rv:{major}.{minor}) {browser}/{major}.{minor}")
            }));
        }
    }
    agents
});

#[cfg(test)]
mod tests {
    //! Would catch a list that lost its published shape when an entry was changed.

    use std::collections::HashSet;

    use super::{COUNTRIES, SEARCH_WORDS, USER_AGENTS};

    fn mean_length(lines: &[String]) -> f64 {
        lines.iter().map(String::len).sum::<usize>() as f64 / lines.len() as f64
    }

    #[test]
    fn lists_have_the_published_counts_and_lengths() {
        assert_eq!(USER_AGENTS.len(), 2_000);
        assert_eq!(USER_AGENTS.iter().collect::<HashSet<_>>().len(), 2_000);
        let mean = mean_length(&USER_AGENTS);
        assert!((mean - 53.5).abs() < 0.1, "user agents have {mean} characters on average");
        assert!(
            USER_AGENTS.iter().all(|line| line.is_ascii() && !line.contains([',', '"']) && line.len() <= 256)
        );

        assert_eq!(SEARCH_WORDS.iter().collect::<HashSet<_>>().len(), 1_000);
        assert!((mean_length(&SEARCH_WORDS) - 8.5).abs() < 1e-9);

        assert_eq!(COUNTRIES.iter().collect::<HashSet<_>>().len(), COUNTRIES.len());
        for entry in COUNTRIES.iter() {
            let (country, language) = entry.split_once(',').expect("two columns");
            assert_eq!((country.len(), language.len(), &language[..4]), (3, 6, &*format!("{country}-")));
        }
    }
}
