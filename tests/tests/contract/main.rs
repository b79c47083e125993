//! What the parts of the deployer promise each other: roles, template, command line, ledger and binaries, each held
//! against the whole of it at work.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read what it checks has failed"
)]

mod doctor;
mod flows;
mod init;
mod listings;
mod people;
mod processes;
mod roles;
mod story;
mod tamper;
mod transcripts;
mod translated;

/// The text of `template.yaml`.
fn text() -> String {
    std::fs::read_to_string(esclusa_tests::template::project().join("template.yaml")).unwrap()
}
