//! Certificates under the names that py-amqp's own tests have for them: an authority, the server's, the client's.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Failure;

/// Writes `ca_certificate.pem`, `server_*.pem` and `client_*.pem` into the folder. The client's is for this user.
pub(super) fn write(folder: &Path, user: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut params = named("Leveret's test authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key()?).map_err(failed)?;
    put(folder, "ca_certificate.pem", &issuer.pem())?;
    for (who, name) in [("server", "localhost"), ("client", user)] {
        let key = key()?;
        let certificate = named(name)?.signed_by(&key, &issuer).map_err(failed)?;
        put(folder, &format!("{who}_certificate.pem"), &certificate.pem())?;
        put(folder, &format!("{who}_key.pem"), &key.serialize_pem())?;
    }
    Ok(())
}

fn named(name: &str) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(failed)
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn failed(error: rcgen::Error) -> Failure {
    format!("a certificate: {error}")
}
