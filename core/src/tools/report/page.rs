//! The page around the data.

use super::Data;
use std::io::{self, Write};

const HEAD: &str = include_str!("page/head.html");
const BODY: &str = include_str!("page/body.html");
const STYLE: &str = include_str!("page/report.css");
/// The parts of the script, which stand in one function so that they see each other and nobody else does.
const SCRIPT: [&str; 5] = [
    include_str!("page/data.js"),
    include_str!("page/text.js"),
    include_str!("page/timeline.js"),
    include_str!("page/lists.js"),
    include_str!("page/main.js"),
];

/// Writes the whole page.
pub(super) fn write(data: &Data<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(HEAD.as_bytes())?;
    out.write_all(b"<style>\n")?;
    out.write_all(STYLE.as_bytes())?;
    out.write_all(b"</style>\n")?;
    out.write_all(BODY.as_bytes())?;
    out.write_all(b"<script type=\"application/json\" id=\"data\">")?;
    serde_json::to_writer(Harmless(out), data)?;
    out.write_all(b"</script>\n<script>\n\"use strict\";\n(() => {\n")?;
    for part in SCRIPT {
        out.write_all(part.as_bytes())?;
    }
    out.write_all(b"})();\n</script>\n</body>\n</html>\n")
}

/// Writes JSON so that no HTML is in it: what could end an element or begin one stands in strings only, where it can be
/// written by its number (RFC 8259 §7). The HTML standard, §4.12.1.3, says what can.
struct Harmless<'a, W>(&'a mut W);

impl<W: Write> Write for Harmless<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while let Some(place) = rest.iter().position(|byte| matches!(byte, b'<' | b'>' | b'&')) {
            let (before, at) = rest.split_at(place);
            self.0.write_all(before)?;
            if let Some((byte, after)) = at.split_first() {
                write!(self.0, "\\u{byte:04x}")?;
                rest = after;
            }
        }
        self.0.write_all(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_data_is_html_and_all_of_it_is_read_back() {
        let hostile = ["</script><script>alert(1)</script>", "<!--<script>", "&lt;", "\u{2028}\"\\</SCRIPT "];
        let mut json = Vec::new();
        serde_json::to_writer(Harmless(&mut json), &hostile).unwrap();
        assert!(!json.iter().any(|byte| b"<>&".contains(byte)), "{}", String::from_utf8_lossy(&json));
        let back: Vec<String> = serde_json::from_slice(&json).unwrap();
        assert_eq!(back, hostile);
    }

    #[test]
    fn what_stands_around_the_data_asks_for_nothing_from_elsewhere() {
        for part in [HEAD, BODY, STYLE].iter().chain(&SCRIPT) {
            for outside in ["http:", "https:", "src=", "@import", "url(", "fetch(", "innerHTML", "eval("] {
                assert!(!part.contains(outside), "{outside}");
            }
        }
        assert!(HEAD.contains("default-src 'none'"));
    }
}
