//! The data directory: its mode, the lock in it, and the data key.

use crate::error::{DirectoryFault, OpenError};
use ghmesh_seal::DataKey;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const KEY_FILE: &str = "data.key";
const LOCK_FILE: &str = "lock";
const DATABASE_FILE: &str = "store.redb";
/// What may lie in a directory that is ghmesh's own: the store's files, the node's identity, its socket.
const OWN_FILES: [&str; 7] =
    [KEY_FILE, "data.key.new", LOCK_FILE, DATABASE_FILE, "identity", "identity.new", "ghmesh.sock"];
const KEY_BYTES: usize = 32;
const OTHERS: u32 = 0o077;

/// Makes `dir` (mode 0700, parents too), or checks that it is this user's own.
///
/// A directory that others may enter gets mode 0700 if it is empty or holds nothing but ghmesh's files (a service manager makes
/// them with 0755); with other files in it its mode is not ours to change.
///
/// # Errors
/// [`OpenError::Directory`].
pub fn prepare_directory(dir: &Path) -> Result<(), OpenError> {
    make_or_check(dir).map_err(|fault| OpenError::Directory { dir: dir.to_path_buf(), fault })
}

fn make_or_check(dir: &Path) -> Result<(), DirectoryFault> {
    match fs::metadata(dir) {
        Ok(found) => check(dir, &found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(DirectoryFault::Unusable)
        }
        Err(error) => Err(DirectoryFault::Unusable(error)),
    }
}

fn check(dir: &Path, found: &fs::Metadata) -> Result<(), DirectoryFault> {
    if !found.is_dir() {
        return Err(DirectoryFault::NotADirectory);
    }
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(DirectoryFault::Owner { owner: found.uid(), user });
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    if !is_own(dir).map_err(DirectoryFault::Unusable)? {
        return Err(DirectoryFault::Shared { mode });
    }
    tracing::warn!(dir = %dir.display(), mode = format!("{mode:04o}"), "data directory was open to others; mode set to 0700");
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(DirectoryFault::Unusable)
}

fn is_own(dir: &Path) -> io::Result<bool> {
    for file in fs::read_dir(dir)? {
        if !OWN_FILES.iter().any(|own| file.as_ref().is_ok_and(|file| file.file_name() == *own)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The exclusive hold on a directory; ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Locks `dir` and writes this process's id into the lock file.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let failed = |source| OpenError::File { path: path.clone(), source };
        let mut file = private().create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Held { dir: dir.to_path_buf(), pid: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Lock(file))
    }

    /// Gives the directory free while handles of the store may still exist.
    pub(crate) fn release(&self) {
        // Closing the file, at the latest, releases it too.
        let _ = self.0.unlock();
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The database's path in `dir`.
pub(crate) fn database_path(dir: &Path) -> PathBuf {
    dir.join(DATABASE_FILE)
}

/// Opens the database's file, made with mode 0600.
pub(crate) fn open_database_file(path: &Path) -> io::Result<File> {
    private().create(true).truncate(false).open(path)
}

/// Reads the data key, or makes one where there is neither key nor database.
pub(crate) fn data_key(dir: &Path) -> Result<DataKey, OpenError> {
    let path = dir.join(KEY_FILE);
    match read_key(&path)? {
        Some(key) => Ok(key),
        None if database_path(dir).exists() => Err(OpenError::KeyMissing { path }),
        None => make_key(dir, &path).map_err(|source| OpenError::File { path, source }),
    }
}

fn read_key(path: &Path) -> Result<Option<DataKey>, OpenError> {
    let failed = |source| OpenError::File { path: path.to_path_buf(), source };
    let mut file = match OpenOptions::new().read(true).custom_flags(no_follow()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let found = file.metadata().map_err(failed)?;
    check_key_file(path, &file, &found)?;
    if found.len() != KEY_BYTES as u64 {
        return Err(OpenError::KeyMalformed { path: path.to_path_buf(), length: found.len() });
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    file.read_exact(bytes.as_mut_slice()).map_err(failed)?;
    Ok(Some(DataKey::new(*bytes)))
}

fn check_key_file(path: &Path, file: &File, found: &fs::Metadata) -> Result<(), OpenError> {
    let user = rustix::process::geteuid().as_raw();
    if found.uid() != user {
        return Err(OpenError::Owner { path: path.to_path_buf(), owner: found.uid(), user });
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = format!("{mode:04o}"),
            "the data key was readable by others, who may have copied it; mode set to 0600"
        );
        file.set_permissions(fs::Permissions::from_mode(0o600))
            .map_err(|source| OpenError::File { path: path.to_path_buf(), source })?;
    }
    Ok(())
}

/// Written whole under another name, then renamed: a crash leaves no half of a key.
fn make_key(dir: &Path, path: &Path) -> io::Result<DataKey> {
    let bytes = Zeroizing::new(rand::random::<[u8; KEY_BYTES]>());
    let unfinished = dir.join("data.key.new");
    let mut file = private().create(true).truncate(true).open(&unfinished)?;
    file.write_all(bytes.as_slice())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(dir)?.sync_all()?;
    Ok(DataKey::new(*bytes))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(no_follow());
    options
}

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}
