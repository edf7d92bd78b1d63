//! Text inside XML and HTML.

/// `text` as character data or a quoted attribute. Characters that XML 1.0 does not allow become
/// U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'.. => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn markup_and_control_characters_lose_their_force() {
        assert_eq!(
            escape("<a href='x'>&\"\u{1b}[31m\u{0}é日🙂\n"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\u{fffd}[31m\u{fffd}é日🙂\n"
        );
    }
}
