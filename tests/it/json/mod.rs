//! JSON texts.

mod test_suite;
