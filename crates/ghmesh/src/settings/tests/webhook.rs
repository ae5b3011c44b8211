//! The secret that GitHub signs its deliveries with.

use super::*;

const SECRET: &str = "0123456789abcdef";

#[test]
fn the_secret_comes_from_the_setting_or_else_from_the_file() {
    let machine = Machine::new();
    assert_eq!(machine.settings().webhook.chosen().unwrap(), None);
    let file = machine.write("hook", &format!("{SECRET}\r\n"));
    let machine = machine.env("GHMESH_WEBHOOK__SECRET_FILE", file.to_str().unwrap());
    assert_eq!(machine.settings().webhook.chosen().unwrap(), Some(SecretText::new(SECRET)));
    let other = "another one, long enough";
    let machine = machine.env("GHMESH_WEBHOOK__SECRET", other);
    assert_eq!(machine.settings().webhook.chosen().unwrap(), Some(SecretText::new(other)));
    assert!(!format!("{:?}", machine.settings()).contains(other));
}

#[test]
fn a_secret_that_is_not_fit_is_told_by_its_setting_without_showing_it() {
    let short = Machine::new().env("GHMESH_WEBHOOK__SECRET", "hunter2").complaint();
    assert!(!short.contains("hunter2"), "{short}");
    assert!(short.contains("GHMESH_WEBHOOK__SECRET: webhook.secret has 7 characters; 16 random ones"), "{short}");
    for (text, told) in [("", "has 0 characters"), (&"x".repeat(5000), "has more than 4096 bytes")] {
        let machine = Machine::new();
        let file = machine.write("hook", text);
        let complaint = machine.env("GHMESH_WEBHOOK__SECRET_FILE", file.to_str().unwrap()).complaint();
        assert!(complaint.contains(&format!("GHMESH_WEBHOOK__SECRET_FILE: webhook.secret_file {told}")), "{complaint}");
    }
    let missing = Machine::new().env("GHMESH_WEBHOOK__SECRET_FILE", "/nowhere/hook").complaint();
    assert!(missing.contains("webhook.secret_file /nowhere/hook cannot be read: No such file"), "{missing}");
}

#[test]
fn a_command_beside_the_daemon_does_not_read_the_file() {
    let machine = Machine::new().env("GHMESH_WEBHOOK__SECRET_FILE", "/nowhere/hook");
    let inputs = Inputs { role: Role::Client, ..machine.inputs.clone() };
    assert!(load(&inputs).is_ok());
}
