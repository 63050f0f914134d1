//! What a running process cannot change.

use super::{AriConfig, Config, RecordConfig, RtpConfig};

impl Config {
    /// Puts what cannot change without a restart back to what it is in the process that was started with `running`,
    /// and names the variables of which these settings want something else. User and password of ARI can change.
    #[must_use]
    pub fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let mut keep = |differs: bool, variable| {
            if differs {
                kept.push(variable);
            }
        };
        let AriConfig { base, ca_file, app, user: _, password: _ } = &self.ari;
        keep(*base != running.ari.base, "ARI_URL");
        keep(*app != running.ari.app, "ARI_APP");
        keep(*ca_file != running.ari.ca_file, "ARI_CA_FILE");
        let RtpConfig { bind, port_start, port_end } = self.rtp;
        keep(bind != running.rtp.bind, "RTP_BIND_HOST");
        keep(port_start != running.rtp.port_start, "RTP_PORT_START");
        keep(port_end != running.rtp.port_end, "RTP_PORT_END");
        let RecordConfig { dir, days } = &self.record;
        keep(*dir != running.record.dir, "CALL_RECORD_DIR");
        keep(*days != running.record.days, "CALL_RECORD_DAYS");
        keep(self.capture.dir != running.capture.dir, "CAPTURE_DIR");
        keep(self.admin_bind != running.admin_bind, "ADMIN_BIND");
        keep(self.worker_threads != running.worker_threads, "WORKER_THREADS");
        self.ari = AriConfig {
            user: self.ari.user.clone(),
            password: self.ari.password.clone(),
            ..running.ari.clone()
        };
        (self.rtp, self.record, self.admin_bind) = (running.rtp, running.record.clone(), running.admin_bind);
        self.capture.dir.clone_from(&running.capture.dir);
        self.worker_threads = running.worker_threads;
        self.switchboard.ari_app.clone_from(&running.switchboard.ari_app);
        self.switchboard.ports = running.switchboard.ports;
        self.call.ari_app.clone_from(&running.call.ari_app);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Config {
        let key = ("OPENAI_API_KEY", "sk-1");
        Config::from_variables(core::iter::once(&key).chain(set).copied()).unwrap()
    }

    #[test]
    fn what_is_bound_or_registered_stays_and_everything_else_changes() {
        let running = read(&[]);
        let mut wanted = read(&[
            ("ARI_URL", "http://pbx:8088"),
            ("ARI_APP", "other"),
            ("ARI_CA_FILE", "/ca.pem"),
            ("ARI_USER", "me"),
            ("ARI_PASSWORD", "new"),
            ("RTP_BIND_HOST", "10.0.0.1"),
            ("RTP_PORT_START", "40000"),
            ("RTP_PORT_END", "40001"),
            ("CALL_RECORD_DIR", "/records"),
            ("CALL_RECORD_DAYS", "7"),
            ("CAPTURE", "all"),
            ("CAPTURE_DIR", "/captures"),
            ("CAPTURE_MAX_MB", "5"),
            ("ADMIN_BIND", "127.0.0.1:1"),
            ("WORKER_THREADS", "3"),
            ("OPENAI_VOICE", "echo"),
            ("MAX_CALLS", "7"),
        ]);
        assert_eq!(
            wanted.keep_fixed(&running),
            [
                "ARI_URL",
                "ARI_APP",
                "ARI_CA_FILE",
                "RTP_BIND_HOST",
                "RTP_PORT_START",
                "RTP_PORT_END",
                "CALL_RECORD_DIR",
                "CALL_RECORD_DAYS",
                "CAPTURE_DIR",
                "ADMIN_BIND",
                "WORKER_THREADS"
            ]
        );
        let changes = [
            ("ARI_USER", "me"),
            ("ARI_PASSWORD", "new"),
            ("OPENAI_VOICE", "echo"),
            ("MAX_CALLS", "7"),
            ("CAPTURE", "all"),
            ("CAPTURE_MAX_MB", "5"),
        ];
        assert_eq!(wanted, read(&changes));
    }

    #[test]
    fn settings_that_are_the_same_keep_nothing_back() {
        assert!(read(&[]).keep_fixed(&read(&[])).is_empty());
    }
}
