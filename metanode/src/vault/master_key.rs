//! The master key: 32 random bytes, given by the operator or kept in a file that only its owner can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_protocol::env::Env;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Length of the key in bytes.
const LENGTH: usize = 32;

/// What is hashed in front of the key for its id, so that the id is good for nothing else.
const ID_LABEL: &[u8] = b"cairn master key id\0";

/// Why there is no master key.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// The text is no key.
    #[error("a master key is 32 bytes in base64 or in 64 hexadecimal digits")]
    Malformed,
    /// The file does not contain a key.
    #[error("{} holds no master key: that is 32 bytes in base64 or in 64 hexadecimal digits", .0.display())]
    MalformedFile(PathBuf),
    /// The file cannot be read or created.
    #[error("the master key's file {} cannot be used: {error}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// The error of the file system.
        #[source]
        error: io::Error,
    },
    /// The database has sealed secrets, and the file is gone.
    #[error(
        "there is no master key in {}, and the secrets of this cluster's access keys are sealed with one; put the file back, or \
         name it with --master-key-file or CAIRN_MASTER_KEY", .0.display()
    )]
    Missing(PathBuf),
    /// The key is another one.
    #[error(
        "the master key is not the one that sealed the secrets of this cluster: its id is {given}, and that of the right one is \
         {wanted}; give the right one with --master-key-file or CAIRN_MASTER_KEY"
    )]
    Wrong {
        /// The id of the given key.
        given: String,
        /// The id of the key that sealed the secrets.
        wanted: String,
    },
    /// A sealed secret cannot be opened with the right key.
    #[error("the sealed root credentials in the database are damaged")]
    Damaged,
}

/// Where the master key is.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// In this file. The first start creates it.
    File(PathBuf),
    /// The operator gave it.
    Given(MasterKey),
}

/// The key that seals secrets. Its bytes are erased from memory when it is dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; LENGTH]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MasterKey({})", hex::encode(self.id()))
    }
}

impl MasterKey {
    /// The key of this text: base64, or hexadecimal digits.
    ///
    /// # Errors
    /// [`MasterKeyError::Malformed`]. The error does not contain the text.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bytes =
            if text.len() == 2 * LENGTH { hex::decode(text).ok() } else { STANDARD.decode(text).ok() };
        let bytes = Zeroizing::new(bytes.ok_or(MasterKeyError::Malformed)?);
        let bytes = bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?;
        Ok(Self(Zeroizing::new(bytes)))
    }

    /// The id of the key, from which the key cannot be found.
    pub(super) fn id(&self) -> [u8; 8] {
        let digest = Sha256::new().chain_update(ID_LABEL).chain_update(self.0.as_slice()).finalize();
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        id
    }

    /// The key's bytes.
    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl MasterKeySource {
    /// The key. Creates the file if it does not exist and `sealed_before` is false: nothing was sealed with a key that was
    /// lost.
    ///
    /// # Errors
    /// When there is no key, or its file cannot be used.
    pub(super) fn load(&self, sealed_before: bool, env: &Env) -> Result<MasterKey, MasterKeyError> {
        let file = match self {
            Self::Given(key) => return Ok(key.clone()),
            Self::File(file) => file,
        };
        let unusable = |error| MasterKeyError::Unusable { file: file.clone(), error };
        match std::fs::read_to_string(file) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                MasterKey::parse(&text).map_err(|_| MasterKeyError::MalformedFile(file.clone()))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(error)),
            Err(_) if sealed_before => Err(MasterKeyError::Missing(file.clone())),
            Err(_) => {
                let key = MasterKey(Zeroizing::new(env.random_bytes()));
                create(file, &key, env).map_err(unusable)?;
                Ok(key)
            }
        }
    }
}

/// Writes the key to a file beside, syncs it, and renames it: a key with which something was sealed survives a power cut.
fn create(file: &Path, key: &MasterKey, env: &Env) -> io::Result<()> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let aside = directory.join(format!(".master-key-{}", env.uuid_v4()));
    let done = write_private(&aside, key).and_then(|()| std::fs::rename(&aside, file));
    if done.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    done?;
    File::open(directory)?.sync_all()
}

fn write_private(file: &Path, key: &MasterKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let text = Zeroizing::new(STANDARD.encode(key.bytes()));
    writeln!(file, "{}", *text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_base64_or_hexadecimal_and_32_bytes() {
        let base64 = MasterKey::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
        let hex =
            MasterKey::parse("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap();
        assert_eq!(base64.bytes(), hex.bytes());
        for wrong in ["", "AAEC", "zz", &"0".repeat(62), &"0".repeat(66)] {
            assert!(MasterKey::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!format!("{hex:?}").contains("0001020304"));
    }

    #[test]
    fn the_first_start_makes_a_private_file_and_later_ones_need_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("master.key");
        let source = MasterKeySource::File(file.clone());
        let env = Env::system();
        assert!(matches!(source.load(true, &env), Err(MasterKeyError::Missing(_))));
        assert!(!file.exists());
        let made = source.load(false, &env).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(source.load(true, &env).unwrap().bytes(), made.bytes());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        std::fs::write(&file, "no key").unwrap();
        assert!(matches!(source.load(false, &env), Err(MasterKeyError::MalformedFile(_))));
    }
}
