//! Packed files, `.mrp`: Millrace's own column format, for data that is queried again and again.
//!
//! A file is blocks of rows, each with one region a column, and a footer that says where they are and what is in them;
//! `docs/packed-format.md` has it byte by byte. A region is read, checked against its checksum and decoded a few
//! thousand rows at a time, which stay in the second cache; texts are never copied out of it.
//!
//! | module | what it is |
//! | --- | --- |
//! | `file` | a file's footer, found, checked and matched with a table |
//! | `decoder` | some blocks of a file as batches |
//! | `values`, `forms` | the values of one region, decoded some rows at a time, by how they are written |
//! | `footer` | what stands in the footer |
//! | `join` | one file of several |
//! | `write`, `encode` | making files, and which encoding a column of a block gets |
//! | `ints` | integers in as many bits as they need |
//! | `body` | bytes read from start to end and never beyond |

mod body;
mod decoder;
mod encode;
mod file;
mod footer;
mod forms;
mod ints;
mod join;
#[cfg(test)]
mod tests;
mod values;
mod write;

pub(crate) use decoder::PackedDecoder;
pub(crate) use file::PackedFile;
pub(crate) use join::Joined;
pub(crate) use write::PackedWriter;
