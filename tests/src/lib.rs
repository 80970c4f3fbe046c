//! Black-box tests against the built broker: the harness they share.
