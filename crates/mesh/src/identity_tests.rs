//! Identity: kept, bound to the machine, private, and never silently lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use ghmesh_model::Scope;
use ghmesh_model::wire::Invalidated;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_same_machine_keeps_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::load_or_create(dir.path()).unwrap();
    let second = Identity::load_or_create(dir.path()).unwrap();
    assert_eq!((first.provenance(), second.provenance()), (Provenance::Created, Provenance::Kept));
    assert_eq!(first.member(), second.member());
    assert_eq!(mode(&dir.path().join(FILE)), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_kept_is_shown_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Identity::kept(dir.path()).unwrap().is_none());
    assert!(Identity::kept(&dir.path().join("missing")).unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let made = Identity::load_or_create(dir.path()).unwrap();
    assert_eq!(Identity::kept(dir.path()).unwrap().unwrap().member(), made.member());
    Identity::load_or_create_on(dir.path(), machine_of("another")).unwrap();
    assert!(Identity::kept(dir.path()).unwrap().is_none(), "another machine's is not this node's");
}

#[test]
fn a_cloned_directory_gets_a_new_identity_and_keeps_that() {
    let dir = tempfile::tempdir().unwrap();
    let original = Identity::load_or_create_on(dir.path(), machine_of("one\n")).unwrap();
    let clone = Identity::load_or_create_on(dir.path(), machine_of("two")).unwrap();
    assert_eq!(clone.provenance(), Provenance::Replaced);
    assert_ne!(original.member(), clone.member());
    let again = Identity::load_or_create_on(dir.path(), machine_of("two")).unwrap();
    assert_eq!((again.provenance(), again.member()), (Provenance::Kept, clone.member()));
}

#[test]
fn a_damaged_file_is_told_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let key = "ab".repeat(32);
    let damaged = [
        (String::new(), Fault::Heading),
        ("something else\n".into(), Fault::Heading),
        (format!("{HEADING}\n"), Fault::Line("machine")),
        (format!("{HEADING}\nmachine {key}\n"), Fault::Line("key")),
        (format!("{HEADING}\nmachine {key}\nkey {}\n", &key[..62]), Fault::Line("key")),
        (format!("{HEADING}\nmachine {key}\nkey {}zz\n", &key[..62]), Fault::Line("key")),
        (format!("{HEADING}\nmachine {key}\nkey {}é\n", &key[..62]), Fault::Line("key")),
        ("x".repeat(MAX_FILE_BYTES + 1), Fault::TooLong),
    ];
    for (text, expected) in damaged {
        fs::write(&path, &text).unwrap();
        let error = Identity::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Corrupt { fault, .. } if fault == expected), "{text:?}: {error}");
        assert!(error.to_string().contains("remove it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Identity::load_or_create(dir.path()), Err(IdentityError::Corrupt { fault: Fault::NotText, .. })));
}

#[test]
fn a_directory_in_its_place_is_an_error_with_the_path() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(FILE)).unwrap();
    let error = Identity::load_or_create(dir.path()).unwrap_err();
    assert!(matches!(error, IdentityError::Read { .. }) && error.to_string().contains("/identity"), "{error}");
    let missing = Identity::load_or_create(&dir.path().join("missing")).unwrap_err();
    assert!(matches!(missing, IdentityError::Write { .. }), "{missing}");
}

#[test]
fn a_file_that_others_can_read_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::load_or_create(dir.path()).unwrap();
    let path = dir.path().join(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(Identity::load_or_create(dir.path()).unwrap().member(), first.member());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn member_and_peer_id_are_the_same_key() {
    let identity = Identity::ephemeral();
    let peer = peer_id(&identity.member()).unwrap();
    assert_eq!(peer.to_string(), identity.peer_id());
    assert_eq!(member_id(&peer), Some(identity.member()));
    let hashed = PeerId::from_multihash(libp2p::multihash::Multihash::wrap(0x12, &[7; 32]).unwrap()).unwrap();
    assert_eq!(member_id(&hashed), None, "a hashed key can't be a member");
}

#[test]
fn only_the_author_signs_for_itself() {
    let author = Author::new(&Identity::ephemeral(), 3);
    let record = Record::Invalidated(Invalidated { scopes: vec![Scope([1; 16])] });
    let (one, two) = (author.sign(author.stamp(), &record), author.sign(author.stamp(), &record));
    assert_eq!((one.stamp.sequence, two.stamp.sequence, two.stamp.boot), (1, 2, 3));
    assert!(is_genuine(&one) && is_genuine(&two));
    let forgeries = [
        SignedRecord { stamp: Stamp { sequence: u64::MAX, ..one.stamp }, ..one.clone() },
        SignedRecord { stamp: Stamp { boot: 4, ..one.stamp }, ..one.clone() },
        SignedRecord { stamp: Stamp { author: Identity::ephemeral().member(), ..one.stamp }, ..one.clone() },
        SignedRecord { stamp: Stamp { author: MemberId([0xff; 32]), ..one.stamp }, ..one.clone() },
        SignedRecord { kind: 9, ..one.clone() },
        SignedRecord { payload: vec![], ..one.clone() },
        SignedRecord { signature: vec![], ..one.clone() },
        SignedRecord { signature: two.signature.clone(), ..one.clone() },
    ];
    for forgery in forgeries {
        assert!(!is_genuine(&forgery), "{forgery:?}");
    }
}

#[test]
fn no_key_shows_in_debug() {
    let identity = Identity::ephemeral();
    let secret: String = identity.keypair.secret().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = format!("{identity:?} {:?}", Author::new(&identity, 1));
    assert!(!shown.contains(&secret[..16]), "{shown}");
}
