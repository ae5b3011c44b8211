//! Who this node is, and what it signs.
//!
//! A member is its Ed25519 public key; its libp2p peer id wraps the same key. The key is kept in one file of the data
//! directory, bound to the machine: a cloned disk image would otherwise make two nodes that evict each other, so where the
//! machine differs a new key is made.

use ghmesh_model::MemberId;
use ghmesh_model::wire::{Record, SignedRecord, Stamp};
use libp2p::PeerId;
use libp2p::identity::{self, ed25519};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

/// The file's name in the data directory.
const FILE: &str = "identity";
/// The file's first line.
const HEADING: &str = "ghmesh identity 1";
/// A complete file is far smaller; more is not read.
const MAX_FILE_BYTES: usize = 1024;
/// Where systemd and D-Bus keep the machine's id (machine-id(5)).
const MACHINE_ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// Where an identity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The file's.
    Kept,
    /// There was no file: made now.
    Created,
    /// The file was made on another machine: made now, in its place.
    Replaced,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file is there but could not be read.
    #[error("cannot read this node's identity {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what this program writes.
    #[error("{path} is not an identity ({fault}); restore it, or remove it and the node gets a new one")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// A new identity could not be written.
    #[error("cannot write this node's identity {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with an identity file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first line.
    #[error("its first line is not \"{HEADING}\"")]
    Heading,
    /// A line is missing, or not 64 hexadecimal digits.
    #[error("its line \"{0} …\" is missing or not 64 hexadecimal digits")]
    Line(&'static str),
    /// Longer than an identity.
    #[error("it has more than {MAX_FILE_BYTES} bytes")]
    TooLong,
    /// Not text.
    #[error("it is not text")]
    NotText,
}

/// This node's key. `Debug` shows the peer id.
#[derive(Clone)]
pub struct Identity {
    keypair: ed25519::Keypair,
    provenance: Provenance,
}

impl Identity {
    /// Reads the identity of the data directory `dir` (which must exist), or makes one there, readable by the owner only.
    ///
    /// # Errors
    /// [`IdentityError`]: an unreadable or damaged file is never replaced silently, since it is who the node is.
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        Self::load_or_create_on(dir, machine())
    }

    /// The identity that `dir` holds for this machine. `None` where [`Identity::load_or_create`] would make one. Makes nothing.
    ///
    /// # Errors
    /// [`IdentityError`], as for [`Identity::load_or_create`].
    pub fn kept(dir: &Path) -> Result<Option<Self>, IdentityError> {
        let here = machine();
        let kept = read(&dir.join(FILE))?.filter(|(made_on, _)| *made_on == here);
        Ok(kept.map(|(_, keypair)| Identity { keypair, provenance: Provenance::Kept }))
    }

    pub(crate) fn load_or_create_on(dir: &Path, machine: [u8; 32]) -> Result<Self, IdentityError> {
        let path = dir.join(FILE);
        match read(&path)? {
            Some((made_on, keypair)) if made_on == machine => Ok(Identity { keypair, provenance: Provenance::Kept }),
            Some(_) => {
                tracing::warn!(path = %path.display(), "this identity was made on another machine: making a new one");
                Self::create(&path, machine, Provenance::Replaced)
            }
            None => Self::create(&path, machine, Provenance::Created),
        }
    }

    /// An identity that is not kept: for tests and demonstrations.
    pub fn ephemeral() -> Self {
        Identity { keypair: ed25519::Keypair::generate(), provenance: Provenance::Created }
    }

    fn create(path: &Path, machine: [u8; 32], provenance: Provenance) -> Result<Self, IdentityError> {
        let keypair = ed25519::Keypair::generate();
        write(path, machine, &keypair).map_err(|source| IdentityError::Write { path: path.to_owned(), source })?;
        Ok(Identity { keypair, provenance })
    }

    /// This node as the mesh knows it.
    pub fn member(&self) -> MemberId {
        MemberId(self.keypair.public().to_bytes())
    }

    /// The libp2p peer id, as it stands in multiaddrs.
    pub fn peer_id(&self) -> String {
        self.keypair().public().to_peer_id().to_string()
    }

    /// Where it comes from.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    pub(crate) fn keypair(&self) -> identity::Keypair {
        self.keypair.clone().into()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.peer_id())
    }
}

/// This node's pen: signs records, each with its own place in the node's history.
pub struct Author {
    keypair: ed25519::Keypair,
    member: MemberId,
    boot: u64,
    sequence: AtomicU64,
}

impl Author {
    /// `boot` is the persisted start counter: it must be greater than at every earlier start, or members refuse the records.
    pub fn new(identity: &Identity, boot: u64) -> Self {
        Author { keypair: identity.keypair.clone(), member: identity.member(), boot, sequence: AtomicU64::new(0) }
    }

    /// The next place in this node's history.
    pub fn stamp(&self) -> Stamp {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Stamp { author: self.member, boot: self.boot, sequence }
    }

    /// Signs `record` as the one at `stamp`, which [`Author::stamp`] gave.
    ///
    /// # Panics
    /// For [`Record::Unknown`]: nobody authors what it does not know.
    pub fn sign(&self, stamp: Stamp, record: &Record) -> SignedRecord {
        let (kind, payload) = record.to_parts();
        let signature = self.keypair.sign(&SignedRecord::signed_bytes(&stamp, kind, &payload));
        SignedRecord { stamp, kind, payload, signature }
    }
}

impl std::fmt::Debug for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Author").field("member", &self.member).field("boot", &self.boot).finish_non_exhaustive()
    }
}

/// Whether the record's author signed it. Takes about 50 µs.
pub fn is_genuine(signed: &SignedRecord) -> bool {
    let Ok(author) = ed25519::PublicKey::try_from_bytes(&signed.stamp.author.0) else { return false };
    let bytes = SignedRecord::signed_bytes(&signed.stamp, signed.kind, &signed.payload);
    author.verify(&bytes, &signed.signature)
}

/// The libp2p peer id of a member. `None` where its bytes are no Ed25519 key.
pub(crate) fn peer_id(member: &MemberId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&member.0).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The member of a peer id. `None` where that does not wrap an Ed25519 key: no member's does not.
pub(crate) fn member_id(peer: &PeerId) -> Option<MemberId> {
    // libp2p peer-ids spec: keys of up to 42 bytes (encoded) are inlined in an identity multihash.
    let multihash = peer.as_ref();
    let key = identity::PublicKey::try_decode_protobuf(multihash.digest()).ok()?;
    Some(MemberId(key.try_into_ed25519().ok()?.to_bytes()))
}

/// This machine, hashed: machine-id(5) asks not to spread the id itself. Machines without one count as the same.
fn machine() -> [u8; 32] {
    let id = MACHINE_ID_FILES.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    machine_of(&id)
}

fn machine_of(id: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"ghmesh/machine/1\0");
    hash.update(id.trim());
    hash.finalize().into()
}

fn read(path: &Path) -> Result<Option<([u8; 32], ed25519::Keypair)>, IdentityError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Read { path: path.to_owned(), source }),
    };
    let parsed = parse(&bytes).map_err(|fault| IdentityError::Corrupt { path: path.to_owned(), fault })?;
    keep_private(path);
    Ok(Some(parsed))
}

fn parse(bytes: &[u8]) -> Result<([u8; 32], ed25519::Keypair), Fault> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Fault::TooLong);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::NotText)?;
    let mut lines = text.lines();
    if lines.next() != Some(HEADING) {
        return Err(Fault::Heading);
    }
    let machine = *hex_line(lines.next(), "machine")?;
    let secret = hex_line(lines.next(), "key")?;
    let secret = ed25519::SecretKey::try_from_bytes(*secret).expect("any 32 bytes are an Ed25519 secret key");
    Ok((machine, secret.into()))
}

fn hex_line(line: Option<&str>, name: &'static str) -> Result<Zeroizing<[u8; 32]>, Fault> {
    let digits = line.and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or(Fault::Line(name))?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Fault::Line(name));
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[index * 2..index * 2 + 2], 16).map_err(|_| Fault::Line(name))?;
    }
    Ok(bytes)
}

/// A backup or a copy may have opened the file to others.
fn keep_private(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read this node's identity: closing it to them");
        if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
            tracing::warn!(%error, "the identity stays readable by others");
        }
    }
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
fn write(path: &Path, machine: [u8; 32], keypair: &ed25519::Keypair) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES));
    text.push_str(HEADING);
    push_hex(&mut text, "machine", &machine);
    push_hex(&mut text, "key", keypair.secret().as_ref());
    text.push('\n');
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn push_hex(text: &mut String, name: &str, bytes: &[u8]) {
    write!(text, "\n{name} ").expect("writing to a String cannot fail");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
