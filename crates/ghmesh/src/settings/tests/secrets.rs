//! Which secret keys the mesh.

use super::*;
use ghmesh_seal::{Refusal, Strength};

const TOKEN: &str = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
const OTHER_TOKEN: &str = "gho_abcdefghijABCDEFGHIJ0123456789012345";
const JOB_TOKEN: &str = "ghs_0123456789abcdefghijABCDEFGHIJ012345";

fn choose(machine: &Machine, gh: Option<&str>) -> Result<SecretChoice, SecretErrors> {
    mesh_secret(&unjudged(machine), &machine.inputs.surroundings.environment, || gh.map(SecretText::new))
}

/// Settings whose secrets have not been judged: commands beside the daemon don't.
fn unjudged(machine: &Machine) -> Settings {
    let inputs = Inputs { role: Role::Client, ..machine.inputs.clone() };
    load(&inputs).unwrap().settings
}

fn chosen(machine: &Machine, gh: Option<&str>) -> (String, SecretSource) {
    let choice = choose(machine, gh).unwrap().secret.expect("a secret");
    (choice.text.expose().to_owned(), choice.source)
}

/// Each source is added before those that are there, and wins.
#[test]
fn the_sources_have_an_order() {
    let generated = ghmesh_seal::generate([7; 32]);
    let machine = Machine::new();
    let printed = "gho_0123456789abcdefghijABCDEFGHIJ012345\n";
    let gh = Some(printed);
    assert_eq!(chosen(&machine, gh), (printed.trim().to_owned(), SecretSource::GhCommand));
    let machine = machine.env("GH_TOKEN", OTHER_TOKEN);
    assert_eq!(chosen(&machine, gh), (OTHER_TOKEN.to_owned(), SecretSource::Token("GH_TOKEN")));
    let machine = machine.env("GITHUB_TOKEN", TOKEN);
    assert_eq!(chosen(&machine, gh), (TOKEN.to_owned(), SecretSource::Token("GITHUB_TOKEN")));
    let machine = machine.env("CACHE_P2P_SHARED_SECRET", OTHER_TOKEN);
    assert_eq!(chosen(&machine, gh), (OTHER_TOKEN.to_owned(), SecretSource::Predecessor));
    let file = machine.write("secret", &format!("{}\r\n", *generated));
    let machine = machine.env("GHMESH_MESH__SECRET_FILE", file.to_str().unwrap());
    assert_eq!(chosen(&machine, gh), (generated.to_string(), SecretSource::File(file)));
    let machine = machine.env("GHMESH_MESH__SECRET", &format!("{TOKEN}\n"));
    assert_eq!(chosen(&machine, gh), (TOKEN.to_owned(), SecretSource::Setting));
}

#[test]
fn gh_is_asked_only_if_its_answer_may_count() {
    for machine in [
        Machine::new().env("GH_TOKEN", TOKEN),
        Machine::new().env("GITHUB_ACTIONS", "true"),
        Machine::new().env("GHMESH_MESH__ENABLED", "false"),
        Machine::new().env("GHMESH_MESH__SECRET", "weak"),
    ] {
        let environment = &machine.inputs.surroundings.environment;
        let _ = mesh_secret(&unjudged(&machine), environment, || panic!("gh was asked"));
    }
}

#[test]
fn a_given_secret_that_is_not_fit_is_refused_and_never_replaced() {
    for (secret, refusal) in [(JOB_TOKEN, Refusal::ShortLived), ("correct horse battery staple", Refusal::Weak)] {
        let machine = Machine::new().env("GITHUB_TOKEN", TOKEN);
        let file = machine.write("secret", secret);
        for (name, value, source) in [
            ("GHMESH_MESH__SECRET", secret, "mesh.secret".to_owned()),
            ("GHMESH_MESH__SECRET_FILE", file.to_str().unwrap(), format!("mesh.secret_file {}", file.display())),
            ("CACHE_P2P_SHARED_SECRET", secret, "CACHE_P2P_SHARED_SECRET".to_owned()),
        ] {
            let machine = Machine::new().env("GITHUB_TOKEN", TOKEN).env(name, value);
            let error = choose(&machine, None).unwrap_err().to_string();
            assert_eq!(error, format!("{source}: {refusal}"));
            assert!(error.contains("ghmesh secret new") && !error.contains(secret), "{error}");
        }
    }
}

#[test]
fn a_weak_secret_can_be_allowed_and_a_job_token_cannot() {
    let machine = Machine::new().env("GHMESH_MESH__ALLOW_WEAK_SECRET", "true").env("GHMESH_MESH__SECRET", "123456");
    let choice = choose(&machine, None).unwrap();
    assert_eq!(choice.secret.unwrap().strength, Strength::Weak);
    assert_eq!(choice.notes, [SecretNote::Weak { source: SecretSource::Setting }]);
    assert!(choose(&machine.env("GHMESH_MESH__SECRET", JOB_TOKEN), None).is_err());
}

#[test]
fn what_lies_around_and_is_not_fit_is_skipped_with_a_word() {
    let machine = Machine::new()
        .env("GHMESH_MESH__ALLOW_WEAK_SECRET", "true")
        .env("GITHUB_TOKEN", JOB_TOKEN)
        .env("GH_TOKEN", "weak");
    let choice = choose(&machine, Some(TOKEN)).unwrap();
    assert_eq!(choice.secret.unwrap().source, SecretSource::GhCommand);
    let skipped =
        |name, refusal| SecretNote::Skipped { source: SecretSource::Token(name), reason: SkipReason::Refused(refusal) };
    assert_eq!(choice.notes, [skipped("GITHUB_TOKEN", Refusal::ShortLived), skipped("GH_TOKEN", Refusal::Weak)]);
    assert!(
        choice.notes[0].to_string().starts_with("GITHUB_TOKEN is not taken as the mesh secret: a ghs_ token lives")
    );
}

#[test]
fn inside_an_actions_job_only_given_secrets_count() {
    let machine = Machine::new().env("GITHUB_ACTIONS", "true").env("GITHUB_TOKEN", TOKEN);
    let choice = choose(&machine, Some(TOKEN)).unwrap();
    assert!(choice.secret.is_none());
    let skipped = SecretNote::Skipped { source: SecretSource::Token("GITHUB_TOKEN"), reason: SkipReason::ActionsJob };
    assert_eq!(choice.notes, [skipped, SecretNote::LocalOnly { enabled: true }]);
    let machine = machine.env("GHMESH_MESH__SECRET", OTHER_TOKEN);
    assert_eq!(chosen(&machine, None).1, SecretSource::Setting);
}

#[test]
fn without_a_secret_one_line_says_what_that_means() {
    for machine in [Machine::new(), Machine::new().env("GITHUB_TOKEN", " ")] {
        let choice = choose(&machine, None).unwrap();
        assert!(choice.secret.is_none() && choice.accepted.is_empty());
        let lines: Vec<String> = choice.notes.iter().map(SecretNote::to_string).collect();
        assert_eq!(
            lines,
            [
                "no mesh secret, so this cache is for this machine only; to share it, set mesh.secret on every node to what \
              `ghmesh secret new` prints"
            ]
        );
    }
    let choice = choose(&Machine::new().env("GHMESH_MESH__ENABLED", "0").env("GH_TOKEN", TOKEN), None).unwrap();
    assert_eq!((choice.secret.is_none(), choice.notes), (true, vec![SecretNote::LocalOnly { enabled: false }]));
}

#[test]
fn accepted_secrets_are_judged_and_not_repeated() {
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN);
    let machine = machine.env("GHMESH_MESH__ACCEPTED_SECRETS", &[TOKEN, OTHER_TOKEN, OTHER_TOKEN].join(","));
    assert_eq!(choose(&machine, None).unwrap().accepted, [SecretText::new(OTHER_TOKEN)]);
    let machine = machine.env("GHMESH_MESH__ACCEPTED_SECRETS", &[TOKEN, "weak", JOB_TOKEN].join(","));
    let errors = choose(&machine.env("GHMESH_MESH__SECRET", "weak"), None).unwrap_err();
    let lines: Vec<String> = errors.0.iter().map(SecretError::to_string).collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].starts_with("mesh.secret: ") && lines[1].starts_with("mesh.accepted_secrets, number 2: "),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("mesh.accepted_secrets, number 3: a ghs_ token"), "{lines:?}");
}

#[test]
fn a_secret_file_must_be_there_and_hold_one() {
    let with_file = |path: &Path| Machine::new().env("GHMESH_MESH__SECRET_FILE", path.to_str().unwrap());
    let machine = Machine::new();
    let error = |path: &Path| choose(&with_file(path), Some(TOKEN)).unwrap_err().to_string();
    let missing = error(&machine.path("missing"));
    assert!(
        missing.contains("missing cannot be read: No such file or directory (os error 2); put into it"),
        "{missing}"
    );
    assert!(error(&machine.path("")).contains("cannot be read: Is a directory"));
    assert!(
        error(&machine.write("empty", "\n")).contains("empty is empty; put into it what `ghmesh secret new` prints")
    );
    assert!(error(&machine.write("long", &"x".repeat(4097))).contains("long: more than 4096 bytes are no mesh secret"));
    std::fs::write(machine.path("binary"), [0xff; 40]).unwrap();
    assert!(error(&machine.path("binary")).contains("cannot be read: stream did not contain valid UTF-8"));
}

#[test]
fn secrets_that_the_daemon_can_t_use_are_told_with_all_other_problems() {
    let machine = Machine::new()
        .env("GHMESH_MESH__SECRET", "weak")
        .env("GHMESH_MESH__ACCEPTED_SECRETS", JOB_TOKEN)
        .env("GHMESH_LOG__LEVEL", "inof");
    let complaint = machine.complaint();
    for part in [
        "3 settings cannot be used:",
        "\n  GHMESH_MESH__SECRET: mesh.secret: this mesh secret may be guessed",
        "\n  GHMESH_MESH__ACCEPTED_SECRETS: mesh.accepted_secrets, number 1: a ghs_ token",
        "\n  GHMESH_LOG__LEVEL: log.level",
    ] {
        assert!(complaint.contains(part), "{part} is not in {complaint}");
    }
    let file = Machine::new().flag("--secret-file", "mesh.secret_file", "/nope").complaint();
    assert!(file.contains("\n  --secret-file: mesh.secret_file /nope cannot be read: No such file"), "{file}");
    let predecessor = Machine::new().env("CACHE_P2P_SHARED_SECRET", "weak").complaint();
    assert!(predecessor.contains("\n  CACHE_P2P_SHARED_SECRET: this mesh secret may be guessed"), "{predecessor}");
    assert!(
        unjudged(&Machine::new().env("GHMESH_MESH__SECRET", "weak")).mesh.secret.is_some(),
        "other commands need no secret"
    );
}

#[test]
fn a_secret_file_for_everybody_is_noted() {
    let machine = Machine::new();
    let path = machine.write("secret", TOKEN);
    let machine = machine.env("GHMESH_MESH__SECRET_FILE", path.to_str().unwrap());
    assert_eq!(choose(&machine, None).unwrap().notes, []);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(choose(&machine, None).unwrap().notes, [SecretNote::ReadableByAll { path }]);
}

#[test]
fn a_choice_shows_no_secret() {
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN).env("GHMESH_MESH__ACCEPTED_SECRETS", OTHER_TOKEN);
    let shown = format!("{:?}", choose(&machine, None).unwrap());
    assert!(!shown.contains(TOKEN) && !shown.contains(OTHER_TOKEN), "{shown}");
}

/// Whoever logs what the program was started with logs no secret.
#[test]
fn what_the_program_was_started_with_is_shown_without_values() {
    let file = "[mesh]\naccepted_secrets = [\"ghp_abcdefghijABCDEFGHIJ0123456789543210\"]\n";
    let machine = Machine::new()
        .config(file)
        .env("GHMESH_MESH__SECRET", TOKEN)
        .env("CACHE_P2P_SHARED_SECRET", OTHER_TOKEN)
        .env("GITHUB_TOKEN", JOB_TOKEN)
        .env("HTTPS_PROXY", "http://user:pass-of-the-proxy@proxy.example");
    let loaded = machine.load().unwrap();
    let choice = choose(&machine, None).unwrap();
    for text in [
        format!("{:?}", machine.inputs),
        format!("{:#?}", machine.inputs.surroundings),
        format!("{loaded:?}"),
        format!("{choice:?}"),
    ] {
        for secret in [TOKEN, OTHER_TOKEN, JOB_TOKEN, "ghp_abcdefghijABCDEFGHIJ0123456789543210", "pass-of-the-proxy"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let inputs = format!("{:?}", machine.inputs);
    assert!(inputs.contains("\"GHMESH_MESH__SECRET\""), "names are shown: {inputs}");
}

#[test]
fn forgotten_secrets_are_nowhere_in_the_settings() {
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN).env("GHMESH_MESH__ACCEPTED_SECRETS", OTHER_TOKEN);
    let mut settings = machine.settings();
    assert!(settings.mesh.secret.is_some() && settings.mesh.accepted_secrets.len() == 1);
    settings.mesh.forget_secrets();
    assert_eq!((settings.mesh.secret, settings.mesh.accepted_secrets), (None, Vec::new()));
}

#[test]
fn accepted_secrets_come_from_the_setting_and_from_the_lines_of_a_file_that_may_be_missing() {
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN);
    let path = machine.path("accepted");
    let machine = machine.env("GHMESH_MESH__ACCEPTED_SECRETS_FILE", path.to_str().unwrap());
    assert_eq!(choose(&machine, None).unwrap().accepted, []);
    let generated = ghmesh_seal::generate([7; 32]);
    machine.write("accepted", &format!("{}\n\n{OTHER_TOKEN}\r\n", *generated));
    let expected = [SecretText::new(&generated), SecretText::new(OTHER_TOKEN)];
    assert_eq!(choose(&machine, None).unwrap().accepted, expected);
    machine.write("accepted", &format!("\n{OTHER_TOKEN}\nweak\n{JOB_TOKEN}"));
    let errors = choose(&machine, None).unwrap_err().to_string();
    assert!(
        errors.contains("accepted, line 3: this mesh secret may be guessed") && errors.contains("line 4: a ghs_"),
        "{errors}"
    );
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN);
    let machine = machine.env("GHMESH_MESH__ACCEPTED_SECRETS_FILE", "/");
    assert!(choose(&machine, None).unwrap_err().to_string().contains("/ cannot be read: Is a directory"));
}

#[test]
fn more_accepted_secrets_than_can_be_tried_are_refused() {
    let secret = |number: u8| ghmesh_seal::generate([number; 32]).to_string();
    let accepted = |count: u8| {
        let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN);
        let secrets: Vec<String> = (0..count).map(secret).collect();
        choose(&machine.env("GHMESH_MESH__ACCEPTED_SECRETS", &secrets.join(",")), None)
    };
    assert_eq!(accepted(7).unwrap().accepted.len(), 7);
    let error = accepted(8).unwrap_err().to_string();
    assert!(error.starts_with("8 secrets are to be accepted besides the own one, and 7 can be"), "{error}");
}

#[test]
fn where_another_secret_has_leaked_none_is_accepted_besides() {
    let machine = Machine::new().env("GHMESH_MESH__SECRET", TOKEN).env("GHMESH_MESH__ACCEPTED_SECRETS", OTHER_TOKEN);
    let choice = choose(&machine.env("GHMESH_MESH__COMPROMISED", "true"), None).unwrap();
    assert!(choice.compromised && choice.accepted.is_empty());
    assert_eq!(choice.notes, [SecretNote::NotAccepted { count: 1 }]);
}
