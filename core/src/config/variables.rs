//! The environment variables, in one table that `--help`, `.env.example` and the README are made from.

use core::fmt::Write as _;

/// What a variable is when it is not set, or set to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preset {
    /// It must be set.
    Required,
    /// Nothing, which has a meaning of its own.
    Unset,
    /// This value.
    Value(&'static str),
}

/// An environment variable that the bridge reads.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is when it is not set.
    pub default: Preset,
    /// What it decides and what is allowed, in one line.
    pub help: &'static str,
}

const fn variable(name: &'static str, default: Preset, help: &'static str) -> Variable {
    Variable { name, default, help }
}

/// Every variable that the bridge reads, in the order in which a person would set them.
pub static VARIABLES: &[Variable] = {
    use Preset::{Required, Unset, Value};
    &[
        variable("OPENAI_API_KEY", Required, "The key that pays for the Realtime sessions"),
        variable("OPENAI_MODEL", Value("gpt-realtime-2.1-mini"), "The Realtime model"),
        variable(
            "OPENAI_VOICE",
            Value("shimmer"),
            "The voice: alloy, ash, ballad, coral, echo, sage, shimmer, verse, marin, cedar",
        ),
        variable("OPENAI_INSTRUCTIONS", Unset, "What the model is told: the system prompt"),
        variable("OPENAI_GREETING", Unset, "What the agent says first; without it the caller speaks first"),
        variable(
            "OPENAI_REALTIME_URL",
            Value("wss://api.openai.com/v1/realtime"),
            "The Realtime server, ws:// or wss://; the model is added to the query unless a model is there",
        ),
        variable(
            "HTTPS_PROXY",
            Unset,
            "An HTTP proxy for wss:// to other machines: http://[user:password@]host:port. Only this spelling is read, and NO_PROXY is not",
        ),
        variable(
            "ARI_URL",
            Value("http://localhost:8088"),
            "Asterisk's HTTP server, http:// or https://, with the prefix of http.conf if there is one",
        ),
        variable("ARI_USER", Value("voiceapp"), "The user in ari.conf"),
        variable("ARI_PASSWORD", Value("CHANGE_ME"), "The password in ari.conf"),
        variable(
            "ARI_APP",
            Value("voice-agent"),
            "The name in Stasis(...) of the dialplan: letters, digits, - _ . and at most 73 of them",
        ),
        variable(
            "ARI_CA_FILE",
            Unset,
            "A PEM file with the CA that signed Asterisk's certificate, for https:// with a private CA",
        ),
        variable("RTP_BIND_HOST", Value("127.0.0.1"), "The IP address that media sockets are bound to"),
        variable(
            "RTP_ADVERTISE_HOST",
            Unset,
            "The host or IP address that Asterisk sends media to; default: the bind address. Needed when that is 0.0.0.0 or ::",
        ),
        variable("RTP_PORT_START", Value("30000"), "The first UDP port for media, 1 to 65535"),
        variable(
            "RTP_PORT_END",
            Value("30100"),
            "The last one. A call takes one port, so the range is also the number of calls at once",
        ),
        variable(
            "RTP_SOURCE",
            Value("strict"),
            "Whose packets are taken: strict (only Asterisk's own address) or learn (the first sender's, for NAT)",
        ),
        variable(
            "MEDIA_FORMAT",
            Value("slin16"),
            "The audio between Asterisk and the bridge: slin16 (wideband, G.722 back), g722, ulaw or alaw",
        ),
        variable(
            "OPENAI_AUDIO_FORMAT",
            Value("auto"),
            "The audio between the bridge and the model: pcm24 (24 kHz), pcmu or pcma (G.711); auto: G.711 where MEDIA_FORMAT is that, else pcm24",
        ),
        variable(
            "VAD_THRESHOLD",
            Value("0.35"),
            "The server's voice detection, from 0 (everything is speech) to 1",
        ),
        variable(
            "VOLUME_BOOST",
            Value("2.5"),
            "The factor by which the caller is made louder for the model, 0.1 to 20",
        ),
        variable(
            "BARGE_IN",
            Value("on"),
            "Whether a caller can interrupt the agent: on, guarded (only if the bridge too hears a voice as loud as the caller's; against echo) or off",
        ),
        variable(
            "ECHO_CANCELLER",
            Value("off"),
            "Takes the agent's echo out of what the caller's line sends: on or off. It costs several times the CPU of the rest of a call",
        ),
        variable(
            "PLAYOUT_CUSHION_MS",
            Value("40"),
            "How much of the agent's audio is awaited before it begins, 0 to 1000 ms; more if its words are torn",
        ),
        variable(
            "ANSWER_WITHIN_MS",
            Value("3000"),
            "How long a caller may ring before the call goes back into the dialplan, 500 to 60000 ms",
        ),
        variable("MAX_CALL_SECONDS", Value("3600"), "How long a call may last, 10 to 86400 s"),
        variable(
            "ADMIN_BIND",
            Value("127.0.0.1:9090"),
            "The address of /metrics, /healthz and /readyz, as IP:port",
        ),
    ]
};

/// The variable of that name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|v| v.name == name)
}

/// The text of `.env.example`.
#[must_use]
pub fn env_example() -> String {
    let mut out = String::from(
        "# Settings of ari-bridge. Copy this file to .env and change what differs from the default.\n\
         # An empty value counts as unset. A value with a $ or a # belongs in single quotes: '...'.\n",
    );
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => write!(out, "\n# {help} (required).\n{name}=\n"),
            Preset::Unset => write!(out, "\n# {help}.\n# {name}=\n"),
            Preset::Value(value) => write!(out, "\n# {help}.\n# {name}={value}\n"),
        };
    }
    out
}

/// The variables for `--help`: one paragraph each.
#[must_use]
pub fn help_text() -> String {
    let mut out = String::from("Environment (a file .env is read too; an empty value counts as unset):\n");
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => write!(out, "  {name} (required)\n      {help}\n"),
            Preset::Unset => write!(out, "  {name}\n      {help}\n"),
            Preset::Value(value) => write!(out, "  {name} [default: {value}]\n      {help}\n"),
        };
    }
    out
}

/// The variables as a Markdown table, for the README.
#[must_use]
pub fn markdown_table() -> String {
    let mut out = String::from("| variable | default | what it decides |\n|---|---|---|\n");
    for Variable { name, default, help } in VARIABLES {
        // Writing to a String cannot fail.
        let _ = match default {
            Preset::Required => writeln!(out, "| `{name}` | required | {help} |"),
            Preset::Unset => writeln!(out, "| `{name}` | – | {help} |"),
            Preset::Value(value) => writeln!(out, "| `{name}` | `{value}` | {help} |"),
        };
    }
    out
}

/// How many letters a misspelt name may differ by.
const NEAR: usize = 2;

/// One warning for each of `names` that the bridge does not read but that looks like a misspelling of one that
/// it does. Only names of our own families (`ARI_…`, `OPENAI_…`) are looked at: `API_URL` is somebody else's.
#[must_use]
pub fn near_misses<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in names {
        let name = name.as_ref();
        if find(name).is_some() {
            continue;
        }
        let upper = name.to_ascii_uppercase();
        // HTTP_PROXY and https_proxy are names of their own, read by other programs.
        let near = VARIABLES
            .iter()
            .filter(|v| v.name != "HTTPS_PROXY" && family(v.name) == family(&upper))
            .map(|v| (distance(&upper, v.name), v.name))
            .filter(|(d, _)| *d <= NEAR)
            .min();
        if let Some((_, known)) = near {
            warnings.push(format!("{name} is not a setting; did you mean {known}?"));
        }
    }
    warnings.sort();
    warnings
}

/// `OPENAI` of `OPENAI_API_KEY`.
fn family(name: &str) -> &str {
    name.split('_').next().unwrap_or(name)
}

/// The Levenshtein distance in bytes; anything above [`NEAR`] if the lengths alone say so.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > NEAR {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        // `diagonal` is the cell above and to the left, `left` the one just written.
        let (mut diagonal, mut left) = (i, i + 1);
        let mut cells = row.iter_mut();
        if let Some(first) = cells.next() {
            *first = left;
        }
        for (cell, y) in cells.zip(b.bytes()) {
            let above = *cell;
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_the_table() {
        let file = include_str!("../../../.env.example");
        assert_eq!(file, env_example(), "write env_example() into .env.example");
    }

    #[test]
    fn every_name_stands_once_and_every_help_in_one_line() {
        for (i, v) in VARIABLES.iter().enumerate() {
            assert!(VARIABLES.iter().skip(i + 1).all(|w| w.name != v.name), "{}", v.name);
            assert!(
                !v.help.is_empty() && !v.help.contains(['\n', '|']) && !v.help.ends_with('.'),
                "{}",
                v.name
            );
            assert!(help_text().contains(v.name) && markdown_table().contains(v.name));
        }
    }

    #[test]
    fn a_misspelt_name_is_pointed_out() {
        let names = ["ARI_PASWORD", "OPENAI_API_KYE", "openai_model", "RTP_PORT_STRAT"];
        assert_eq!(
            near_misses(names),
            [
                "ARI_PASWORD is not a setting; did you mean ARI_PASSWORD?",
                "OPENAI_API_KYE is not a setting; did you mean OPENAI_API_KEY?",
                "RTP_PORT_STRAT is not a setting; did you mean RTP_PORT_START?",
                "openai_model is not a setting; did you mean OPENAI_MODEL?",
            ]
        );
    }

    #[test]
    fn the_names_of_others_are_left_alone() {
        let known = VARIABLES.iter().map(|v| v.name);
        assert!(near_misses(known).is_empty());
        assert!(
            near_misses(["HTTP_PROXY", "https_proxy", "API_URL", "OPENAI_ORG_ID", "PATH", "", "ARI_", "MAX"])
                .is_empty()
        );
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (a, b, d) in
            [("", "", 0), ("a", "", 1), ("abc", "abc", 0), ("abc", "acb", 2), ("abcd", "bcde", 2)]
        {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
