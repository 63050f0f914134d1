//! What a call goes by from its start to its end, whatever the operator changes meanwhile.

use ari_bridge_core::config::{
    Config, MAX_PROMPT_FILE_BYTES, SAFETY_HEADER, Secret, decode_prompt, prompt_variable,
};
use ari_bridge_core::settings::{CallSettings, MediaPlan};
use async_tungstenite::tungstenite::http::header::HeaderName;
use futures_rustls::rustls::ClientConfig;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use crate::error::RunError;
use crate::socket::{Proxy, Target};

/// The settings of calls, and what of them only the driver knows. It holds secrets, so it has no `Debug`.
pub(crate) struct Terms {
    pub(crate) call: CallSettings,
    pub(crate) media: MediaPlan,
    realtime: Arc<Target>,
    safety_key: Option<Secret>,
}

impl Terms {
    /// The terms of these settings, whose prompts have been loaded. `tls` is for servers with a public certificate.
    pub(crate) fn new(config: &Config, tls: Arc<ClientConfig>) -> Self {
        Self {
            call: config.call.clone(),
            media: config.media,
            realtime: Arc::new(realtime_target(config, tls)),
            safety_key: config.safety_key.clone(),
        }
    }

    /// Where the Realtime server is, for a caller with this pseudonym.
    pub(crate) fn realtime_for(&self, safety_identifier: &str) -> Arc<Target> {
        if safety_identifier.is_empty() {
            return self.realtime.clone();
        }
        let mut target = Target::clone(&self.realtime);
        if let Ok(name) = HeaderName::from_bytes(SAFETY_HEADER.as_bytes()) {
            target.headers.push((name, safety_identifier.to_owned()));
        }
        Arc::new(target)
    }

    /// The pseudonym of a caller, if the operator wants one.
    pub(crate) fn caller_tag(&self, number: &str) -> Option<[u8; 32]> {
        let key = self.safety_key.as_ref()?;
        (!number.is_empty()).then(|| crate::safety::tag(key, number))
    }
}

/// Puts the sounds of the files that the operator named in the place of the built-in ones.
pub(crate) fn load_prompts(config: &mut Config) -> Result<(), RunError> {
    for (prompt, path) in config.prompts.iter() {
        let file = read_prompt(path)
            .map_err(|error| RunError::PromptFile(prompt_variable(prompt), path.to_owned(), error))?;
        let samples = decode_prompt(prompt, path, &file).map_err(RunError::Prompt)?;
        Arc::make_mut(&mut config.call.prompts).set(prompt, &samples);
    }
    Ok(())
}

/// The bytes of a prompt's file; of one that is too large no more than it takes to see that.
pub(crate) fn read_prompt(path: &str) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    File::open(path)?.take(MAX_PROMPT_FILE_BYTES as u64 + 1).read_to_end(&mut file)?;
    Ok(file)
}

/// Where the Realtime server is, and what it wants to be told.
pub(crate) fn realtime_target(config: &Config, tls: Arc<ClientConfig>) -> Target {
    let realtime = &config.realtime;
    Target {
        tls: realtime.url.tls.then_some(tls),
        host: realtime.url.host.clone(),
        port: realtime.url.port,
        host_header: realtime.url.host_header(),
        path: realtime.request_target(),
        headers: realtime
            .request_headers(config.call.session.dialect)
            .into_iter()
            .filter_map(header)
            .collect(),
        proxy: realtime.proxy.as_ref().map(|proxy| Proxy {
            host: proxy.host.clone(),
            port: proxy.port,
            authorization: proxy.authorization().map(|secret| secret.expose().to_owned()),
        }),
    }
}

/// A header as the WebSocket takes it. A name that cannot be one was refused when the settings were read.
fn header((name, value): (String, Secret)) -> Option<(HeaderName, String)> {
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.expose().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tls_config;
    use ari_bridge_core::settings::{Prompt, Prompts};
    use ari_bridge_core::wav;

    #[test]
    fn the_realtime_server_gets_every_header_that_the_settings_allow() {
        let config = Config::from_variables([
            ("OPENAI_API_KEY", "k"),
            ("REALTIME_DIALECT", "azure"),
            ("OPENAI_HEADERS", "X-09!#$%&'*+-.^_`|~=a,OpenAI-Project=p%20q"),
        ]);
        let target = realtime_target(&config.unwrap(), tls_config(None).unwrap());
        let told: Vec<_> =
            target.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, [("api-key", "k"), ("x-09!#$%&'*+-.^_`|~", "a"), ("openai-project", "p q")]);
    }

    /// Settings with this file for the prompt that is heard when an answer has failed.
    fn with_sorry(path: &str) -> Config {
        Config::from_variables([("OPENAI_API_KEY", "k"), ("PROMPT_SORRY", path)]).unwrap()
    }

    #[test]
    fn a_prompt_out_of_a_file_takes_the_place_of_the_built_in_one() {
        let path = std::env::temp_dir().join(format!("ari-bridge-prompt-{}.wav", std::process::id()));
        std::fs::write(&path, wav::write(8_000, &[1_000; 4_000])).unwrap();
        let mut config = with_sorry(path.to_str().unwrap());
        let loaded = load_prompts(&mut config);
        std::fs::remove_file(&path).unwrap();
        loaded.unwrap();
        let (prompts, built_in) = (&config.call.prompts, Prompts::default());
        assert_eq!(prompts.get(Prompt::Sorry).len(), 12_000);
        assert_eq!(prompts.get(Prompt::Moment), built_in.get(Prompt::Moment));
    }

    #[test]
    fn a_prompt_that_cannot_be_read_or_used_is_told_with_its_variable_and_its_file() {
        let line = |path: &str| load_prompts(&mut with_sorry(path)).unwrap_err().to_string();
        let missing = line("/nowhere/sorry.wav");
        assert!(missing.starts_with("PROMPT_SORRY: cannot read /nowhere/sorry.wav: "), "{missing}");
        let endless = line("/dev/zero");
        assert!(endless.starts_with("PROMPT_SORRY: /dev/zero cannot be used: it has more than"), "{endless}");
    }
}
