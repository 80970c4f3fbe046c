//! The crash test's account book, outside the broker: what was confirmed, what was delivered, and what is wrong.
