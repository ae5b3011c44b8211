//! Where data and socket are when nobody says.

use super::*;

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Surroundings { environment, root: false, run_is_writable: false }
}

/// Data directory and socket of a daemon in these surroundings.
fn places(surroundings: &Surroundings) -> (String, String) {
    let inputs = Inputs {
        surroundings: surroundings.clone(),
        system_file: PathBuf::from("/nonexistent"),
        config: None,
        flags: Vec::new(),
        role: Role::Daemon,
    };
    let settings = load(&inputs).unwrap_or_else(|problems| panic!("{problems}")).settings;
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    (text(settings.cache.dir), text(settings.gateway.socket.unwrap()))
}

#[test]
fn users_services_and_root_have_their_usual_places() {
    let home = ("HOME", "/home/me");
    let runtime = ("XDG_RUNTIME_DIR", "/run/user/1000");
    let service = [("STATE_DIRECTORY", "/var/lib/ghmesh"), ("RUNTIME_DIRECTORY", "/run/ghmesh:/run/other")];
    let user_service = [home, runtime, ("RUNTIME_DIRECTORY", "/run/user/1000/ghmesh")];
    let root = |run_is_writable| Surroundings { root: true, run_is_writable, ..surroundings(&[("HOME", "/root")]) };
    for (surroundings, data, socket) in [
        (surroundings(&[home]), "/home/me/.local/share/ghmesh", "/home/me/.local/share/ghmesh/ghmesh.sock"),
        (surroundings(&[home, runtime]), "/home/me/.local/share/ghmesh", "/run/user/1000/ghmesh.sock"),
        (surroundings(&[home, ("XDG_DATA_HOME", "/data")]), "/data/ghmesh", "/data/ghmesh/ghmesh.sock"),
        (
            surroundings(&[home, ("XDG_DATA_HOME", "data")]),
            "/home/me/.local/share/ghmesh",
            "/home/me/.local/share/ghmesh/ghmesh.sock",
        ),
        (surroundings(&service), "/var/lib/ghmesh", "/run/ghmesh/ghmesh.sock"),
        (surroundings(&user_service), "/home/me/.local/share/ghmesh", "/run/user/1000/ghmesh.sock"),
        (root(true), "/var/lib/ghmesh", "/run/ghmesh/ghmesh.sock"),
        (root(false), "/var/lib/ghmesh", "/var/lib/ghmesh/ghmesh.sock"),
    ] {
        assert_eq!(places(&surroundings), (data.to_owned(), socket.to_owned()), "{surroundings:?}");
    }
}

#[test]
fn commands_look_where_daemons_put_it() {
    let machine = Machine::new().env("XDG_RUNTIME_DIR", "/run/user/1000");
    let data = machine.path("home/.local/share/ghmesh/ghmesh.sock");
    let usual = [PathBuf::from("/run/ghmesh/ghmesh.sock"), PathBuf::from("/run/user/1000/ghmesh.sock"), data];
    assert_eq!(machine.load().unwrap().socket_candidates, usual);
    let machine = machine.env("GHMESH_GATEWAY__SOCKET", "/tmp/one.sock");
    assert_eq!(machine.load().unwrap().socket_candidates, [PathBuf::from("/tmp/one.sock")]);
    let loaded = machine.env("GHMESH_GATEWAY__SOCKET", "none").load().unwrap();
    assert_eq!((loaded.settings.gateway.socket, loaded.socket_candidates.len()), (None, 0));
}

#[test]
fn the_socket_follows_the_data_directory() {
    let settings = Machine::new().env("GHMESH_CACHE__DIR", "~/cache").settings();
    assert!(settings.cache.dir.ends_with("home/cache"), "{:?}", settings.cache.dir);
    assert_eq!(settings.gateway.socket, Some(settings.cache.dir.join("ghmesh.sock")));
}

#[test]
fn without_a_home_the_data_directory_must_be_said() {
    let mut machine = Machine::new();
    machine.inputs.surroundings.environment = Environment::default();
    assert_eq!(
        machine.complaint(),
        "a setting cannot be used:\n  default: cache.dir has no default here, as HOME, XDG_DATA_HOME and STATE_DIRECTORY are not set; \
         set it to a directory"
    );
    let machine = machine.env("GHMESH_CACHE__DIR", "~/cache");
    let told = "GHMESH_CACHE__DIR: cache.dir = \"~/cache\" begins with ~, but HOME is not set; write the whole path";
    assert_eq!(machine.complaint(), format!("a setting cannot be used:\n  {told}"));
    assert!(machine.env("GHMESH_CACHE__DIR", "/data").load().is_ok());
}

#[test]
fn a_path_too_long_for_a_socket_is_told() {
    let long = format!("/{}", "d".repeat(200));
    let complaint = Machine::new().env("GHMESH_CACHE__DIR", &long).complaint();
    assert!(complaint.starts_with("a setting cannot be used:\n  default: gateway.socket /ddd"), "{complaint}");
}
