//! The gallery file's own secret: what cards and PINs are found by, and what passes are signed with.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Fault, GalleryError};
use crate::gallery::Gallery;
use crate::hex;
use crate::setting::{self, Setting};

/// Bytes of a block of SHA-256, which HMAC fills up with zeros.
const BLOCK: usize = 64;

/// Drawn once for each gallery file, and never outside of it: what it is used for are message authentication codes
/// (HMAC-SHA-256), a purpose apart from the others. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Secret([u8; 32]);

impl Secret {
    /// 244 random bits.
    fn random() -> Self {
        let mut hash = Sha256::new();
        hash.update(uuid::Uuid::new_v4());
        hash.update(uuid::Uuid::new_v4());
        Self(hash.finalize().into())
    }

    fn hmac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut block = [0; BLOCK];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(purpose.as_bytes());
        // No purpose has a zero in it, so that none is the beginning of another.
        mac.update(&[0]);
        mac.update(message);
        mac
    }

    /// `HMAC-SHA-256(secret, purpose 00 message)`.
    pub fn mac(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        self.hmac(purpose, message).finalize().into_bytes().into()
    }

    /// Whether `code` is the beginning of [`Secret::mac`], found out in a time that does not tell where it differs.
    pub fn verifies(&self, purpose: &str, message: &[u8], code: &[u8]) -> bool {
        self.hmac(purpose, message).verify_truncated_left(code).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        hex::encode(&secret.0)
    }
}

impl TryFrom<String> for Secret {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = hex::decode(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("is not 64 hex digits; restore the gallery from a backup")
    }
}

impl Setting for Secret {
    const KEY: &'static str = "secret";
}

impl Gallery {
    /// The file's secret, drawn now if it has none. Call it before [`Gallery::noting`]: to draw it is a change of its own, of
    /// which the journal does not tell. In a gallery that is opened for reading alone, [`Gallery::setting`] has it.
    pub fn secret(&mut self) -> Result<Secret, GalleryError> {
        match self.setting()? {
            Some(secret) => Ok(secret),
            None => self.write(|tx, _| drawn(tx)),
        }
    }
}

/// The file's secret, drawn in this transaction if it has none.
pub(crate) fn drawn(tx: &Connection) -> Result<Secret, Fault> {
    let invalid = |e: serde_json::Error| Fault::invalid(Secret::KEY, e);
    if let Some(json) = setting::find(tx, Secret::KEY)? {
        return serde_json::from_str(&json).map_err(invalid);
    }
    let new = Secret::random();
    setting::put(tx, Secret::KEY, &serde_json::to_string(&new).map_err(invalid)?)?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_hmac() {
        // By Python: hmac.new(bytes(range(32)), b"limen card 1\0" + b"0004", "sha256").hexdigest()
        let secret = Secret(std::array::from_fn(|i| i as u8));
        let code = secret.mac("limen card 1", b"0004");
        assert_eq!(hex::encode(&code), "597982fdcd300cdf4771feb6b73b18f44df46a0a291274bc10c3259a32226bb3");
        assert!(secret.verifies("limen card 1", b"0004", &code));
        assert!(secret.verifies("limen card 1", b"0004", &code[..16]));
        let mut other = code;
        other[15] ^= 1;
        assert!(!secret.verifies("limen card 1", b"0004", &other[..16]));
        assert!(!secret.verifies("limen pass 1", b"0004", &code));
        assert!(!secret.verifies("limen card 1", b"0005", &code));
        assert!(!secret.verifies("limen card 1", b"0004", &[]));
    }

    #[test]
    fn it_is_drawn_once_for_each_file_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Gallery::open(&folder.path().join(name)).unwrap();
        let (mut gallery, mut again, mut other) = (open("a.db"), open("a.db"), open("b.db"));
        assert_eq!(gallery.setting::<Secret>().unwrap(), None);
        let secret = gallery.secret().unwrap();
        assert_eq!(gallery.secret().unwrap(), secret);
        assert_eq!(again.secret().unwrap(), secret);
        assert_ne!(other.secret().unwrap(), secret);
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
