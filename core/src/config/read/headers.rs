//! `OPENAI_HEADERS`, in the convention of `OTEL_EXPORTER_OTLP_HEADERS`: `Name=value,Name=value`, with values
//! percent-encoded where they would be taken for syntax.
//!
//! A value is a secret, and what cannot be read may be part of one: faults name an entry by its place, and a
//! header only if it is one of those that are known here.

use super::super::reader::Reader;
use super::super::secret::Secret;
use super::super::url::percent_decode;
use crate::settings::Dialect;

const NAME: &str = "OPENAI_HEADERS";

/// Those that the upgrade itself is made of, and those that would give it a body.
const OURS: [&str; 5] = ["Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding"];

pub(super) fn headers(reader: &mut Reader<'_>, dialect: Option<Dialect>) -> Option<Vec<(String, Secret)>> {
    let text = reader.value(NAME).unwrap_or_default();
    match parse(&text, dialect) {
        Ok(headers) => Some(headers),
        Err(why) => reader.fault(NAME, &why),
    }
}

fn parse(text: &str, dialect: Option<Dialect>) -> Result<Vec<(String, Secret)>, String> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (i, entry) in text.split(',').enumerate() {
        // A comma at the end is no entry.
        if entry.trim().is_empty() {
            continue;
        }
        let (name, value) = header(entry).map_err(|why| format!("entry {} (not shown) {why}", i + 1))?;
        refuse(name, dialect)?;
        if headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(format!("entry {} (not shown) names a header for the second time", i + 1));
        }
        headers.push((name.to_owned(), value));
    }
    Ok(headers)
}

/// The error says what is wrong with the entry, as a predicate.
fn header(entry: &str) -> Result<(&str, Secret), &'static str> {
    let (name, value) =
        entry.split_once('=').ok_or("has no =; it must be Name=value, and a comma in a value %2C")?;
    let name = name.trim();
    if !is_token(name) {
        return Err("has no name that a header can have: letters, digits and !#$%&'*+-.^_`|~");
    }
    let value = percent_decode(value.trim()).ok_or("has a value that is not percent-encoded text")?;
    if value.is_empty() {
        return Err("has no value");
    }
    // Visible ASCII, spaces and tabs: what else bytes may mean in a header is not agreed on (RFC 9110 §5.5).
    if !value.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')) {
        return Err("has a value with control characters, or with characters outside ASCII");
    }
    Ok((name, Secret::new(value)))
}

/// The error names the header: it is one that is known here, so it is no part of a secret.
fn refuse(name: &str, dialect: Option<Dialect>) -> Result<(), String> {
    let websocket = name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("Sec-WebSocket-"));
    let ours = OURS.into_iter().find(|ours| ours.eq_ignore_ascii_case(name));
    if let Some(ours) = ours.or(websocket.then_some("Sec-WebSocket-...")) {
        return Err(format!(
            "{ours} must not be among them: the bridge itself sets what the WebSocket needs"
        ));
    }
    if dialect == Some(Dialect::OpenAi) && name.eq_ignore_ascii_case("OpenAI-Beta") {
        return Err(
            "OpenAI-Beta must not be among them with REALTIME_DIALECT=openai: since May 2026 OpenAI \
                    closes every session that it comes with"
                .to_owned(),
        );
    }
    Ok(())
}

/// A token of RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        let headers = parse(text, Some(Dialect::OpenAi))?;
        Ok(headers.into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values_come_in_their_order_and_decoded() {
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(
            read("OpenAI-Project=proj_1, X-A = a%2Cb%25=c ,"),
            Ok(vec![pair("OpenAI-Project", "proj_1"), pair("X-A", "a,b%=c")])
        );
        assert_eq!(read("X=%20a b%20"), Ok(vec![pair("X", " a b ")]));
        assert_eq!(read("api-key=k"), Ok(vec![pair("api-key", "k")]));
    }

    #[test]
    fn what_the_upgrade_is_made_of_cannot_be_set() {
        for name in
            ["host", "Connection", "UPGRADE", "sec-websocket-key", "Content-Length", "transfer-encoding"]
        {
            let why = read(&format!("X=1,{name}=hidden")).unwrap_err();
            assert!(why.contains("must not be among them") && !why.contains("hidden"), "{why}");
        }
        assert!(read("Sec-WebSocke=1,Hosts=2").is_ok());
    }

    #[test]
    fn the_beta_header_is_refused_where_it_is_fatal_and_nowhere_else() {
        let why = read("openai-beta=realtime=v1").unwrap_err();
        assert!(why.contains("since May 2026"), "{why}");
        for dialect in [Dialect::Azure, Dialect::Xai, Dialect::Beta, Dialect::Qwen] {
            assert!(parse("OpenAI-Beta=realtime=v1", Some(dialect)).is_ok(), "{dialect:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_named_by_its_place_and_not_shown() {
        for (bad, place) in [
            ("hidden", "entry 1"),
            ("X=1,hidden", "entry 2"),
            ("X=a,,hid den=1", "entry 3"),
            ("=hidden", "entry 1"),
            ("hiddén=1", "entry 1"),
            ("X=hidden%", "entry 1"),
            ("X=hidden%ff", "entry 1"),
            ("X=hidden%0d%0aY: 1", "entry 1"),
            ("X=hiddén", "entry 1"),
            ("X=", "entry 1"),
            ("hidden=1,HIDDEN=2", "entry 2"),
        ] {
            let why = read(bad).unwrap_err();
            assert!(why.starts_with(place), "{bad}: {why}");
            assert!(!why.to_lowercase().contains("hid") && !why.contains("Y: 1"), "{bad}: {why}");
        }
    }
}
