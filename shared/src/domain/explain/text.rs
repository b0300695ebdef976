//! Plain text, line by line, for a terminal or a ticket.

use super::{Entry, Explanation};

const INDENT: &str = "     ";

/// Wraps at blanks to `width` columns, every line after `indent`. A longer word stays whole: ids must be copied.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = indent.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines.join("\n")
}

pub(super) fn render(e: &Explanation, width: usize) -> String {
    let number = if e.number.is_empty() { String::new() } else { format!(" (number {})", e.number) };
    let chain = match e.chain_broken_at {
        None => "their chain of hashes is whole".to_owned(),
        Some(n) => format!("THEIR CHAIN OF HASHES BREAKS AT FACT {n}"),
    };
    let mut lines = vec![
        format!("Order {}{number}", e.order),
        format!("As of {}; today's policy {}; {} facts, {chain}", e.now, e.policy, e.facts.len()),
    ];
    for entry in &e.facts {
        lines.push(String::new());
        fact(e, entry, width, &mut lines);
    }
    lines.push(String::new());
    lines.push(wrap(&e.state, width, ""));
    if e.next.is_empty() {
        lines.push("Nothing is left to do.".to_owned());
    } else {
        lines.push("Next:".to_owned());
        lines.extend(e.next.iter().map(|next| wrap(&format!("- {next}"), width, "  ")));
    }
    lines.join("\n")
}

fn fact(e: &Explanation, entry: &Entry, width: usize, lines: &mut Vec<String>) {
    lines.push(format!("{:>3}  {}  {}", entry.n, entry.at, entry.by));
    let mut say = |text: &str| lines.push(wrap(text, width, INDENT));
    if e.chain_broken_at == Some(entry.n) {
        say("!! The chain breaks here: the fact before this one is not what this one was chained to.");
    }
    say(&entry.what);
    let source = entry.source.as_ref().map(|s| format!("from {s}, ")).unwrap_or_default();
    say(&format!("why: {} ({source}correlation {})", entry.why, entry.corr));
    if !entry.changed.is_empty() {
        say(&format!("now: {}", entry.changed.join("; ")));
    }
    if let Some(policy) = &entry.policy {
        say(&format!("policy then: {policy}"));
        if let Some(today) = &entry.today {
            say(&format!("!! {today} (policy then {policy}, today {})", e.policy));
        }
    }
}
