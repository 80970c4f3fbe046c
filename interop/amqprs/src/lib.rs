//! Nothing but tests, in `tests/suite`.
