//! Which certificates are trusted.

use futures_rustls::rustls::{self, ClientConfig};
use std::sync::Arc;

/// The trust in public certificate authorities, or in the `private` one alone, given as PEM.
///
/// # Errors
/// What is wrong with the PEM text.
pub(crate) fn tls_config(private: Option<&[u8]>) -> Result<Arc<ClientConfig>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    match private {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|e| format!("not a PEM file of certificates: {e}"))?;
                roots.add(certificate).map_err(|e| format!("a certificate cannot be used: {e}"))?;
            }
            if roots.is_empty() {
                return Err("it holds no certificate".to_owned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        assert!(tls_config(Some(b"")).is_err());
        assert!(tls_config(None).is_ok());
    }
}
