//! `-n 3` on one machine, with real processes: this test program starts itself, as a query does.
//!
//! These tests would catch an orphan, a child that writes to stdout, and a parent that does not notice a child's end.
