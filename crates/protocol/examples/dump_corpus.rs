//! Prints the malformed corpus for programs in other languages, a case a line:
//! name, stage, expected and hex bytes, with tabs between.
//!
//! `cargo run -p leveret-protocol --features testing --example dump_corpus`

use std::io::Write;

use leveret_protocol::testing::corpus::{Expected, cases};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    for case in cases()? {
        let expected = match &case.expected {
            Expected::Refused(code) => code.to_string(),
            Expected::Reply(bytes) => format!("reply {}", hex(bytes)),
            Expected::Accepted => "accepted".to_owned(),
            Expected::Waiting => "waiting".to_owned(),
        };
        writeln!(out, "{}\t{:?}\t{expected}\t{}", case.name, case.stage, hex(&case.bytes))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
