//! The work of a gateway besides reading.

mod cases;
mod edit_rules;
mod edited_relay;
mod joined_texts;
mod parts;
mod redaction;
mod relay;
mod reports;
mod requests;
mod whole_completions;
