//! Row structs: every type a field can have, and what is said about those that cannot be read.

use millrace::input::{Input, Row};
use millrace::tables::{Date, RANKINGS, Table, USERVISITS};

use crate::csv::{Page, data_with, message, options, read_all};

macro_rules! refused {
    ($name:ident $table:ident $message:literal { $($field:tt)* }) => {
        #[test]
        fn $name() {
            #[derive(serde::Deserialize)]
            #[allow(dead_code)]
            struct Asks { $($field)* }
            impl Row for Asks {
                type Of<'a> = Asks;
            }
            let data = data_with(&$table, &[("part-0", b"")]);
            assert_eq!(message(Input::<Asks>::open(&$table, &options(data.path())).map(|_| ())), $message);
        }
    };
}

#[derive(serde::Deserialize)]
enum Shape {
    #[allow(dead_code)]
    Round,
    #[allow(dead_code)]
    Long(i32),
}

#[derive(serde::Deserialize)]
#[serde(try_from = "i32")]
struct Large;

impl TryFrom<i32> for Large {
    type Error = String;

    fn try_from(value: i32) -> Result<Self, String> {
        if value > 9 { Ok(Large) } else { Err(format!("{value} is small")) }
    }
}

refused! { text_as_float USERVISITS "uservisits.sourceIP is text, but the query reads it as f32; it can be read as &[u8], &str or String" {
    #[serde(rename = "sourceIP")] source_ip: f32,
}}
refused! { float_as_text USERVISITS "uservisits.adRevenue is a float, but the query reads it as String; it can be read as f32 or f64" {
    #[serde(rename = "adRevenue")] ad_revenue: Option<String>,
}}
refused! { text_as_date USERVISITS "uservisits.destURL is text, but the query reads it as Date; it can be read as &[u8], &str or String" {
    #[serde(rename = "destURL")] url: Date,
}}
refused! { a_column_that_is_not_there RANKINGS "table rankings has no column page_rank\n  its columns are: pageURL, pageRank, avgDuration\n  did you mean pageRank? (#[serde(rename = \"pageRank\")])" {
    page_rank: i32,
}}
refused! { a_column_like_none RANKINGS "table rankings has no column colour\n  its columns are: pageURL, pageRank, avgDuration" {
    colour: i32,
}}
refused! { a_column_with_two_names RANKINGS "the row struct has a field with #[serde(alias)]: a column has one name, write #[serde(rename)]" {
    #[serde(rename = "pageRank", alias = "rank")] rank: i32,
}}
refused! { a_sequence RANKINGS "field pageURL of the row struct is a sequence (bytes are `&[u8]`); a field is &[u8], &str, String, an integer, f32, f64, bool, char, Date, an enum of plain names, or an Option or newtype of one" {
    #[serde(rename = "pageURL")] url: Vec<u8>,
}}
refused! { an_enum_with_values RANKINGS "field pageURL of the row struct is an enum whose variants carry values; a field is &[u8], &str, String, an integer, f32, f64, bool, char, Date, an enum of plain names, or an Option or newtype of one" {
    #[serde(rename = "pageURL")] shape: Shape,
}}
refused! { a_flattened_struct RANKINGS "the row type cannot be read: it has a flattened field, or is a map" {
    #[serde(flatten)] rest: Page,
}}
refused! { a_type_that_likes_no_trial RANKINGS "field pageRank of the row struct refuses every trial value (1 is small): read a plain type and check it after" {
    #[serde(rename = "pageRank")] rank: Large,
}}

/// Every kind of value a field can be.
#[test]
fn fields_of_every_type() {
    use millrace::keys::{Prefix, ShortText};
    use millrace::tables::{Column, ColumnType, Layout};
    const fn column(name: &'static str, kind: ColumnType) -> Column {
        Column { name, kind }
    }
    const MANY: Table = Table {
        name: "many",
        columns: &[
            column("byte", ColumnType::Int),
            column("wide", ColumnType::Int),
            column("double", ColumnType::Float),
            column("flag", ColumnType::Text),
            column("letter", ColumnType::Text),
            column("side", ColumnType::Text),
            column("owned", ColumnType::Text),
            column("cut", ColumnType::Text),
            column("key", ColumnType::Text),
            column("wrapped", ColumnType::Int),
            column("day", ColumnType::Date),
        ],
        layout: Layout::Delimited(b'|'),
    };
    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Side {
        Left,
        #[serde(rename = "right hand")]
        Right,
    }
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Meters(u16);
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Many {
        day: String,
        wrapped: Option<Meters>,
        owned: String,
        cut: Prefix<4>,
        key: ShortText,
        side: Side,
        letter: char,
        flag: bool,
        double: f64,
        wide: u128,
        byte: i8,
    }
    impl Row for Many {
        type Of<'a> = Many;
    }
    let content =
        "-5|7|0.1|true|é|right hand|\"o|n\"|millrace|é|12|2000-01-01\n5|8|1|false|e|Left|||\"a|b\"||x\n";
    let data = data_with(&MANY, &[("part-0", content.as_bytes())]);
    let input = Input::<Many>::open(&MANY, &options(data.path())).unwrap();
    let (rows, _) = read_all(&input, |row| row).unwrap();
    let many = |day: &str, wrapped: Option<u16>, owned: &str, side, letter, flag, double, wide, byte| Many {
        day: day.to_owned(),
        wrapped: wrapped.map(Meters),
        owned: owned.to_owned(),
        cut: Prefix::new(if byte == -5 { b"mill" } else { b"" }, 4),
        key: ShortText::new(if byte == -5 { "é".as_bytes() } else { b"a|b" }),
        side,
        letter,
        flag,
        double,
        wide,
        byte,
    };
    let expected = [
        many("2000-01-01", Some(12), "o|n", Side::Right, 'é', true, f64::from(0.1_f32), 7, -5),
        many("x", None, "", Side::Left, 'e', false, 1.0, 8, 5),
    ];
    assert_eq!(rows, expected);
}
