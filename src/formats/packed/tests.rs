//! Round trips, damage, and the reader that follows the document only.
