//! Access keys and ARNs of principals.

use sha2::{Digest, Sha256};
use simulator_kernel::{Kernel, Principal};

/// The secret that belongs to every access key. Signatures are not checked: it only has to be there.
pub const SECRET_ACCESS_KEY: &str = "simulated";

/// The access key that speaks for a principal.
pub trait AccessKey {
    /// The access key id: for a role always the same for the same name.
    fn access_key_id(&self) -> String;
}

impl AccessKey for Principal {
    fn access_key_id(&self) -> String {
        let (prefix, name) = match self {
            Self::Administrator => return "AKIAADMINISTRATOR000".to_owned(),
            Self::AdministratorOf(account) => ("AKIA", account.clone()),
            Self::Role(name) => ("ASIA", name.clone()),
            Self::RoleOf { account, role } => ("ASIA", format!("{account}/{role}")),
            Self::Service(name) => ("AWS0", name.clone()),
        };
        let hash: String = hex::encode_upper(Sha256::digest(name.as_bytes()))
            .chars()
            .take(16)
            .collect();
        format!("{prefix}{hash}")
    }
}

/// The ARN by which AWS speaks of a caller, with the user id beside it.
pub(crate) fn caller(principal: &Principal, kernel: &Kernel) -> (String, String) {
    let account = kernel.account_of(principal);
    match principal {
        Principal::Administrator | Principal::AdministratorOf(_) => (
            format!("arn:aws:iam::{account}:user/administrator"),
            "AIDAADMINISTRATOR000".to_owned(),
        ),
        Principal::Role(name) | Principal::RoleOf { role: name, .. } => (
            format!("arn:aws:sts::{account}:assumed-role/{name}/{name}"),
            format!("{}:{name}", principal.access_key_id().replacen("ASIA", "AROA", 1)),
        ),
        Principal::Service(name) => (name.clone(), name.clone()),
    }
}
