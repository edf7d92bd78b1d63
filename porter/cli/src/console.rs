//! The only place that prints.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::{args::Global, exit::Failure};

/// Results go to stdout, all else to stderr. In JSON mode stdout gets one document.
pub(crate) struct Console {
    json: bool,
    quiet: bool,
    verbose: bool,
    stdout: Stream,
    stderr: Stream,
}

/// What a standard stream is.
#[derive(Clone, Copy)]
struct Stream {
    terminal: bool,
    color: bool,
}

/// What a piece of text stands for; the colour where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Dim,
    Strong,
}

/// What is counted by a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Items,
}

impl Console {
    pub(crate) fn new(global: &Global) -> Self {
        let stream = |terminal: bool| Stream { terminal, color: terminal && wants_color() };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            stdout: stream(io::stdout().is_terminal()),
            stderr: stream(io::stderr().is_terminal()),
        }
    }

    /// Prints a verb's result: `document` as JSON, or else the text that `render` makes of it.
    pub(crate) fn result<T: Serialize>(
        &self,
        document: &T,
        render: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json { to_json(document) } else { render(document) };
        write(&mut io::stdout().lock(), &text, "\n").map_err(|e| Failure::stream(&e))
    }

    /// Prints a piece of text as it comes, without a line end. Nothing in JSON mode.
    pub(crate) fn stream(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        write(&mut io::stdout().lock(), text, "").map_err(|e| Failure::stream(&e))
    }

    /// True where somebody watches stdout, so that text is worth printing as it comes.
    pub(crate) fn is_watched(&self) -> bool {
        self.stdout.terminal && !self.json
    }

    /// Says what is being done, unless asked to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(&text.lines().map(printable).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Says more of it, where asked to.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Says why the command failed: on stderr, and in JSON mode as the document on stdout.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        if self.json {
            let document = serde_json::json!({
                "error": { "message": failure.message, "exit": failure.exit as u8 }
            });
            // The failure is told on stderr in any case.
            let _ = write(&mut io::stdout().lock(), &to_json(&document), "\n");
        }
        let lines: Vec<String> = failure.message.lines().map(printable).collect();
        let head = paint("error:", Tone::Bad, self.stderr.color);
        say(&format!("{head} {}", lines.join("\n  ")));
    }

    /// Colours text for stdout.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        paint(text, tone, self.stdout.color && !self.json)
    }

    /// A progress bar with rate and time left, on a terminal; elsewhere one that shows nothing.
    pub(crate) fn bar(&self, name: &str, total: u64, unit: Unit) -> ProgressBar {
        let hidden = self.quiet || !self.stderr.terminal;
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let counts = match unit {
            Unit::Bytes => "{bytes}/{total_bytes} {bytes_per_sec}",
            Unit::Items => "{pos}/{len} {per_sec}",
        };
        let template = format!("{{msg}} {{wide_bar}} {counts} {{eta}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target)
            .with_style(style)
            .with_message(printable(name));
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

fn say(text: &str) {
    // Nothing is left to tell it to when stderr is closed.
    let _ = write(&mut io::stderr().lock(), text, "\n");
}

fn write(stream: &mut impl Write, text: &str, end: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.write_all(end.as_bytes())?;
    stream.flush()
}

fn to_json<T: Serialize>(document: &T) -> String {
    // Only a map with keys that are no strings, or a Serialize that fails on purpose, cannot be written.
    serde_json::to_string_pretty(document)
        .unwrap_or_else(|e| serde_json::json!({ "error": { "message": e.to_string() } }).to_string())
}

/// <https://no-color.org>: any value but an empty one.
fn wants_color() -> bool {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

fn paint(text: &str, tone: Tone, color: bool) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Dim => "2",
        Tone::Strong => "1",
    };
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Says that a panic is Porter's fault.
pub(crate) fn bug() {
    let text = concat!(
        "error: this is a bug in porter ",
        env!("CARGO_PKG_VERSION"),
        ", not in what you did\n  next: report it with the lines above and the command at ",
        env!("CARGO_PKG_REPOSITORY"),
        "/issues"
    );
    say(text);
}

/// Text from files and servers without the control characters that move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\u{9b}é"), "a\u{fffd}[2Jb\tc\u{fffd}é");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        assert_eq!(paint("x", Tone::Good, false), "x");
        assert_eq!(paint("x", Tone::Good, true), "\x1b[32mx\x1b[0m");
    }
}
